-- gauges: how projects stand, each number read in bounded time.
-- WITH     _lanes.lua
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
  local _, more, rest = each_lane(project, left, function(key, first, ordered)
    local n = redis.call('ZCARD', key)
    waiting, first = waiting + n, math.floor(first)
    if first > now then return end
    due = due + (ordered and n or redis.call('ZCOUNT', key, '-inf', now))
    if oldest == 0 or first < oldest then oldest = first end
  end)
  out_of, left = out_of + more, rest
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
