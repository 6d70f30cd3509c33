-- lead: take or keep the lease of the leading beat.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  name of the beat, ARGV[2] life of the lease in ms; 0 gives it up
-- Answers {fence, leader}: the fence is 0 when another beat leads.
local key = P .. 'leader'
local leader = redis.call('GET', key)
if ARGV[2] == '0' then
  if leader == ARGV[1] then redis.call('DEL', key) end
  return { 0, '' }
end
if leader == ARGV[1] then
  redis.call('PEXPIRE', key, ARGV[2])
  return { tonumber(redis.call('GET', P .. 'fence')), leader }
end
if leader then return { 0, leader } end
redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
return { redis.call('INCR', P .. 'fence'), ARGV[1] }
