-- release: a pump goes to sleep.
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
local head = redis.call('ZRANGE', P .. 'lanes:' .. kind, 0, 0, 'WITHSCORES')
if not head[2] or tonumber(head[2]) >= HELD then return -1 end
return ring(kind, math.ceil(tonumber(head[2])), now, tonumber(ARGV[3]))
