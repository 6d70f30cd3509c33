-- swap: replace a record that stands in a hash, unless somebody has changed it meanwhile.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  hash, ARGV[2] field
-- ARGV[3]  the record as it was read, ARGV[4] the one to stand there
-- Answers 1, or 0 when the record is another one by now.
local key = P .. ARGV[1]
if redis.call('HGET', key, ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('HSET', key, ARGV[2], ARGV[4])
return 1
