-- halt: end a bulk before its end.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] bulk, ARGV[3] its state from now on, ARGV[4] what broke it, or ''
-- Answers 1, 0 when it had ended before; nil when there is none.
local key = P .. 'bulk:' .. ARGV[2]
local known = redis.call('HMGET', key, 'project', 'state')
if known[1] ~= ARGV[1] then return false end
if known[2] ~= 'running' then return 0 end
redis.call('HSET', key, 'state', ARGV[3], 'ended', math.floor((clock())), 'error', ARGV[4])
redis.call('SREM', P .. 'bulking', ARGV[2])
return 1
