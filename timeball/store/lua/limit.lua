-- limit: set what a queue or a project may do, and let go what the old limits held.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  owner: a project, or project/queue
-- ARGV[2]  bell horizon in ms
-- ARGV[3..] field and value in turn; an empty value takes the field away
-- Answers a bell or -1 for calls.
local now = clock()
local key, held = P .. 'q:' .. ARGV[1], P .. 'held:' .. ARGV[1]
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', key, ARGV[i])
  else
    redis.call('HSET', key, ARGV[i], ARGV[i + 1])
  end
end
-- a new rate begins to count afresh, or an old slow one would hold the first call of a fast one
redis.call('HDEL', key, 'tat')
local let_go = redis.call('ZCARD', held)
for _, lane in ipairs(redis.call('ZRANGE', held, 0, -1)) do
  local kind = lane:find('\31x', 1, true) and 'e' or 'c'
  redis.call('ZADD', lanes_of(kind, lane), 'XX', now, lane)
end
redis.call('DEL', held)
redis.call('ZADD', P .. 'lanes:c', 'XX', 'LT', now, ARGV[1]) -- it may have waited for the old rate
if let_go == 0 then return -1 end
return ring('c', math.floor(now), now, tonumber(ARGV[2]))
