-- claim: give a pump due tasks, fair over lanes and within their limits; also its heartbeat.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  kind, ARGV[2] pump, ARGV[3] how many tasks it wants
-- ARGV[4]  calls a lane without a limit of its own may have in flight per awake pump
-- Answers {now, next, pumps, then id and record a task}: the record is as it was before the claim.
-- `next` is the instant at which more may be due: in the past when there is more now, -1 for never.
local now, real = clock()
local kind, pump, want = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lanes_key, pumps_key, lease = P .. 'lanes:' .. kind, P .. 'pumps:' .. kind, P .. 'lease:' .. ARGV[2]
redis.call('ZADD', pumps_key, real, pump)
redis.call('DEL', P .. 'wake:' .. kind, P .. 'bell:' .. kind)
local pumps = redis.call('ZCARD', pumps_key)
local out = { math.floor(now), -1, pumps }

-- what a queue's settings allow now: how many, and when to look again if that is none
local function allowance(lane)
  local conf = redis.call('HMGET', P .. 'q:' .. lane, 'paused', 'concurrency', 'rate', 'per', 'burst', 'tat')
  if conf[1] == '1' then return 0, PAUSED end
  local inflight = tonumber(redis.call('HGET', P .. 'inflight', lane)) or 0
  local room = (tonumber(conf[2]) or ARGV[4] * pumps) - inflight
  if room <= 0 then return 0, HELD end
  if not conf[3] then return room end
  local step = conf[4] / conf[3] -- ms between two calls (the generic cell rate algorithm)
  local tat = math.max(tonumber(conf[6]) or 0, now)
  local tokens = math.floor((now + (tonumber(conf[5]) or 1) * step - tat) / step + 1e-6)
  if tokens <= 0 then return 0, tat - ((tonumber(conf[5]) or 1) - 1) * step end
  return math.min(room, tokens), nil, { tat, step }
end

local function serve(lane, room, rate)
  local key = P .. 'lane:' .. lane
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, room)
  if #ids == 0 then return 0 end
  redis.call('ZREM', key, unpack(ids))
  local names, held, taken = {}, {}, 0
  for i = 1, #ids do names[i] = P .. 't:' .. ids[i] end
  local records = redis.call('MGET', unpack(names))
  for i = 1, #ids do
    local record = records[i]
    if record then
      local _, state, attempt = struct.unpack('<BBH', record)
      if state == SCHEDULED then
        redis.call('SETRANGE', names[i], 1, struct.pack('<BHd', RUNNING, attempt + 1, now))
        held[2 * taken + 1], held[2 * taken + 2] = ids[i], lane
        taken = taken + 1
        out[#out + 1] = ids[i]
        out[#out + 1] = record
      end
    end
  end
  if taken > 0 then
    redis.call('HSET', lease, unpack(held))
    redis.call('HINCRBY', P .. 'inflight', lane, taken)
    if rate then
      rate[1] = rate[1] + taken * rate[2]
      redis.call('HSET', P .. 'q:' .. lane, 'tat', rate[1])
    end
  end
  return taken
end

-- where a lane stands after it was served: at its next due instant, or behind the others
local function settle(lane, again)
  local head = redis.call('ZRANGE', P .. 'lane:' .. lane, 0, 0, 'WITHSCORES')
  if #head == 0 then
    redis.call('ZREM', lanes_key, lane)
  else
    redis.call('ZADD', lanes_key, math.max(tonumber(head[2]), again), lane)
  end
end

if want > 0 then
  local lanes = redis.call('ZRANGE', lanes_key, '-inf', now, 'BYSCORE', 'LIMIT', 0, 32)
  local left, share = want, math.ceil(want / math.max(#lanes, 1))
  for round = 1, 2 do
    for i, lane in ipairs(lanes) do
      if left > 0 and lane then
        local room, again, rate = allowance(lane)
        local asked = math.min(room, left, round == 1 and share or left)
        local taken = room > 0 and serve(lane, asked, rate) or 0
        left = left - taken
        settle(lane, again or now)
        if taken < asked or room <= 0 then lanes[i] = false end
      end
    end
    if left == 0 or share >= want then break end
  end
end
local head = redis.call('ZRANGE', lanes_key, 0, 0, 'WITHSCORES')
if head[2] and tonumber(head[2]) < HELD then out[2] = math.ceil(tonumber(head[2])) end
return out
