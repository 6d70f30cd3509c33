-- finish: write how attempts ended and what follows; many at once, fenced by the attempt number.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  pump, ARGV[2] kind
-- ARGV[3]  counters as JSON: {project: {field: n}}
-- ARGV[4..] 5 values a result: id, attempt, state that follows (0 scheduled, 2 succeeded, 3 dead),
--          due in ms of the retry or 0, the attempt's record
-- Answers one code a result: 1 written, 0 late (only the log was written), -1 the task is gone.
local now = clock()
local lease = P .. 'lease:' .. ARGV[1]
local out, freed, gone, retries = {}, {}, {}, {}

local function write(i, lane)
  local id, attempt, state = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local key, entry = P .. 't:' .. id, ARGV[i + 4]
  local record = redis.call('GET', key)
  if not record then return -1 end
  local h = unpack_head(record)
  if not lane or h.state ~= RUNNING or h.attempt ~= attempt then
    redis.call('RPUSH', P .. 'a:' .. id, entry)
    redis.call('SETRANGE', key, 14, string.char(bit.bor(h.flags, EARLIER)))
    return 0
  end
  h.state, h.lost = state, 0
  if state == SCHEDULED then
    h.due, h.flags = tonumber(ARGV[i + 3]), bit.bor(h.flags, EARLIER)
    redis.call('RPUSH', P .. 'a:' .. id, entry)
    redis.call('SETRANGE', key, 0, pack_head(h))
    redis.call('ZADD', P .. 'lane:' .. h.lane, h.due, id)
    retries[h.lane] = math.min(retries[h.lane] or HELD, h.due)
  else
    h.ended = now
    redis.call('SET', key, pack_head(h) .. content(h, record) .. entry)
    redis.call('ZADD', P .. 'end:' .. h.project .. ':' .. state, now, id)
    unname(h, record, id)
  end
  return 1
end

for i = 4, #ARGV, 5 do
  local lane = redis.call('HGET', lease, ARGV[i])
  local code = write(i, lane)
  out[#out + 1] = code
  if lane and code ~= 0 then -- with a late result the lease is of a newer claim
    freed[lane] = (freed[lane] or 0) + 1
    gone[#gone + 1] = ARGV[i]
  end
end
if #gone > 0 then redis.call('HDEL', lease, unpack(gone)) end
local lanes_key = P .. 'lanes:' .. ARGV[2]
for lane, due in pairs(retries) do redis.call('ZADD', lanes_key, 'LT', due, lane) end
for lane, n in pairs(freed) do
  if redis.call('HINCRBY', P .. 'inflight', lane, -n) <= 0 then redis.call('HDEL', P .. 'inflight', lane) end
  if tonumber(redis.call('ZSCORE', lanes_key, lane) or 0) == HELD then
    redis.call('ZADD', lanes_key, now, lane)
  end
end
for project, fields in pairs(cjson.decode(ARGV[3])) do
  local minute = P .. 'm:' .. project .. ':' .. math.floor(now / 60000)
  local hour = P .. 'h:' .. project .. ':' .. math.floor(now / 3600000)
  for field, n in pairs(fields) do
    redis.call('HINCRBY', minute, field, n)
    redis.call('HINCRBY', hour, field, n)
  end
  redis.call('EXPIRE', minute, 90000)
  redis.call('EXPIRE', hour, 691200)
end
return out
