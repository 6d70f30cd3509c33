-- rename: give a project another name, unless that one is taken or the project was changed
-- meanwhile.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] old name, ARGV[3] new name
-- ARGV[4]  the record as it was read, ARGV[5] the one to stand there
-- Answers 1, 0 when the record is another one by now, or -1 when the name is taken.
local key = P .. 'projects'
if redis.call('HGET', key, ARGV[1]) ~= ARGV[4] then return 0 end
if redis.call('SET', P .. 'pid:' .. ARGV[3], ARGV[1], 'NX') == false then return -1 end
redis.call('DEL', P .. 'pid:' .. ARGV[2])
redis.call('HSET', key, ARGV[1], ARGV[5])
return 1
