-- limit: set what a queue or a project may do, and let go what the old limits held.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  owner: a project, or project/queue
-- ARGV[2]  bell horizon in ms
-- ARGV[3..] field and value in turn; an empty value takes the field away
-- Answers a bell or -1 for calls.
local now = clock()
local owner, key = ARGV[1], P .. 'q:' .. ARGV[1]
local rated = redis.call('HEXISTS', key, 'rate') == 1
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', key, ARGV[i])
  else
    redis.call('HSET', key, ARGV[i], ARGV[i + 1])
  end
end
-- a new rate begins to count afresh, or an old slow one would hold the first call of a fast one
redis.call('HDEL', key, 'tat')
local let_go = redis.call('ZCARD', P .. 'held:' .. owner)
wake(owner, math.huge, now)

-- lanes may have waited for the old rate: they are looked at anew
local function look_at(lane)
  redis.call('ZADD', lanes_of(kind_of(lane), lane), 'XX', 'LT', now, lane)
end
local queues, project = { owner }, owner:match('^([^/]*)/')
if not project then
  queues = redis.call('SMEMBERS', P .. 'queues:' .. owner)
elseif redis.call('EXISTS', key) == 1 then
  redis.call('SADD', P .. 'queues:' .. project, owner) -- listed before its first task
end
for _, queue in ipairs(rated and queues or {}) do
  look_at(queue)
  for _, lane in ipairs(redis.call('SMEMBERS', P .. 'apart:' .. queue)) do look_at(lane) end
end
if let_go == 0 and not rated then return -1 end
return ring('c', math.floor(now), now, tonumber(ARGV[2]))
