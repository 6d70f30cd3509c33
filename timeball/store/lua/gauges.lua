-- gauges: how projects stand, each number read in bounded time.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  how many lanes to look at, at most
-- ARGV[2..] projects
-- Answers {now, lanes left out, pumps awake, exporters awake}, then a list a project: waiting, due
-- now, the oldest due instant in ms or 0, in flight, succeeded, dead, cancelled, schedules.
local now = clock()
local left, out_of = tonumber(ARGV[1]), 0
local out = { false }

for i = 2, #ARGV do
  local project = ARGV[i]
  local waiting, due, oldest = 0, 0, 0
  local function look(lane)
    if left == 0 then
      out_of = out_of + 1
      return
    end
    left = left - 1
    local key = P .. 'lane:' .. lane
    local n = redis.call('ZCARD', key)
    if n == 0 then return end
    waiting = waiting + n
    local head, ordered = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES'), is_ordered(lane)
    local first = tonumber(head[2])
    if ordered then -- its scores are places, and none goes before its first
      local raw = redis.call('GETRANGE', P .. 't:' .. head[1], 28, 35)
      if #raw < 8 then return end
      first = struct.unpack('<d', raw)
    end
    first = math.floor(first)
    if first > now then return end
    due = due + (ordered and n or redis.call('ZCOUNT', key, '-inf', now))
    if oldest == 0 or first < oldest then oldest = first end
  end
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues:' .. project)) do
    look(queue)
    if redis.call('EXISTS', P .. 'apart:' .. queue) == 1 then
      for _, lane in ipairs(redis.call('SMEMBERS', P .. 'apart:' .. queue)) do look(lane) end
    end
  end
  local told = { waiting, due, oldest }
  told[4] = tonumber(redis.call('HGET', P .. 'inflight', project) or 0)
  for _, state in ipairs({ SUCCEEDED, DEAD, CANCELLED }) do
    told[#told + 1] = redis.call('ZCARD', P .. 'end:' .. project .. ':' .. state)
  end
  told[8] = redis.call('ZCARD', P .. 'schedules:' .. project)
  out[i] = told
end
out[1] = { math.floor(now), out_of, redis.call('ZCARD', P .. 'pumps:c'),
  redis.call('ZCARD', P .. 'pumps:e') }
return out
