-- told: forget the oldest entries of the outbox, now that calls were made of them.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  fence of the beat that asks, ARGV[2] how many
-- Answers how many are left, or -1 when the fence is old.
if tonumber(ARGV[1]) < (tonumber(redis.call('GET', P .. 'fence')) or 0) then return -1 end
redis.call('LTRIM', P .. 'outbox', ARGV[2], -1)
return redis.call('LLEN', P .. 'outbox')
