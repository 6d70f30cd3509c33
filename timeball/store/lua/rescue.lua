-- rescue: give the tasks of dead pumps back to their lanes.
-- A pump is dead when its heartbeat is old and did not move while it was watched: so a Redis that
-- was away or frozen itself condemns nobody.
-- WITH     _back.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  fence of the beat that asks
-- ARGV[2]  kind, ARGV[3] ms of silence that mean death, ARGV[4] ms to watch before
-- ARGV[5]  how often in a row a task may be lost before it dies, ARGV[6] bell horizon in ms
-- Answers {tasks given back, tasks that died, bell or -1}, or -1 when the fence is old.
if tonumber(ARGV[1]) < (tonumber(redis.call('GET', P .. 'fence')) or 0) then return -1 end
local _, real = clock()
local kind, silence, watch = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local pumps_key = P .. 'pumps:' .. kind
local bell = -1

for _, pump in ipairs(redis.call('ZRANGEBYSCORE', pumps_key, '-inf', real - watch)) do
  local beat = redis.call('ZSCORE', pumps_key, pump)
  local seen, since = (redis.call('HGET', P .. 'suspects', pump) or ''):match('^(.*)@(.*)$')
  if seen ~= beat then
    redis.call('HSET', P .. 'suspects', pump, beat .. '@' .. real)
  elseif real - tonumber(beat) >= silence and real - tonumber(since) >= watch then
    local held = redis.call('HGETALL', P .. 'lease:' .. pump)
    for i = 1, #held, 2 do give_back(held[i], held[i + 1], pump, tonumber(ARGV[5])) end
    redis.call('ZREM', pumps_key, pump)
    redis.call('HDEL', P .. 'suspects', pump)
  end
end
if returned > 0 then bell = ring(kind, math.floor(now), now, tonumber(ARGV[6])) end
return { returned, died, bell }
