-- share: give an API process some of the requests that a key may still make in this minute.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  key, ARGV[2] minute, ARGV[3] requests a minute
-- Answers {how many, how many are then left for all}: 0 when none are. What is given is a sixteenth
-- of what is left, so that few are held by processes that have no use for them.
local name = P .. 'asked:' .. ARGV[1] .. ':' .. ARGV[2]
local left = tonumber(ARGV[3]) - (tonumber(redis.call('GET', name)) or 0)
if left <= 0 then return { 0, 0 } end
local share = math.ceil(left / 16)
redis.call('INCRBY', name, share)
redis.call('EXPIRE', name, 120)
return { share, left - share }
