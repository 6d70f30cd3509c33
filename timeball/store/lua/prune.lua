-- prune: forget ended tasks that are too old or too many.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  fence of the beat that asks, ARGV[2] project, ARGV[3] state code
-- ARGV[4]  age in ms that may be kept, ARGV[5] how many may be kept, ARGV[6] how many to forget now
-- Answers how many were forgotten, or -1 when the fence is old.
if tonumber(ARGV[1]) < (tonumber(redis.call('GET', P .. 'fence')) or 0) then return -1 end
local now = clock()
local key, most = P .. 'end:' .. ARGV[2] .. ':' .. ARGV[3], tonumber(ARGV[6])
local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now - ARGV[4], 'LIMIT', 0, most)
local over = math.min(redis.call('ZCARD', key) - ARGV[5], most)
if over > #ids then ids = redis.call('ZRANGE', key, 0, over - 1) end
for _, id in ipairs(ids) do
  local record = redis.call('GET', P .. 't:' .. id)
  if record then
    erase(id, unpack_head(record), record)
  else
    redis.call('ZREM', key, id)
  end
end
return #ids
