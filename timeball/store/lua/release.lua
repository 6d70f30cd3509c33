-- release: a pump goes to sleep.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  kind, ARGV[2] pump, ARGV[3] bell horizon in ms
-- Answers the instant to send a message for, or -1: its successor's bell. Leases it still holds are
-- left for rescue.
local now = clock()
local kind, pump = ARGV[1], ARGV[2]
if redis.call('HLEN', P .. 'lease:' .. pump) == 0 then
  redis.call('ZREM', P .. 'pumps:' .. kind, pump)
else
  redis.call('ZADD', P .. 'pumps:' .. kind, 0, pump)
end
redis.call('HDEL', P .. 'suspects', pump)
local first = next_due(kind)
if not first then return -1 end
return ring(kind, math.ceil(first), now, tonumber(ARGV[3]))
