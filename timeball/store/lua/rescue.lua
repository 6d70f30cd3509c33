-- rescue: give the tasks of dead pumps back to their lanes.
-- A pump is dead when its heartbeat is old and did not move while it was watched: so a Redis that
-- was away or frozen itself condemns nobody.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  fence of the beat that asks
-- ARGV[2]  kind, ARGV[3] ms of silence that mean death, ARGV[4] ms to watch before
-- ARGV[5]  how often in a row a task may be lost before it dies, ARGV[6] bell horizon in ms
-- Answers {tasks given back, tasks that died, bell or -1}, or -1 when the fence is old.
if tonumber(ARGV[1]) < (tonumber(redis.call('GET', P .. 'fence')) or 0) then return -1 end
local now, real = clock()
local kind, silence, watch = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local pumps_key = P .. 'pumps:' .. kind
local returned, died, bell = 0, 0, -1

local function give_back(id, pump)
  local key = P .. 't:' .. id
  local record = redis.call('GET', key)
  if not record then return end
  local h = unpack_head(record)
  if h.state ~= RUNNING then return end
  local entry = cjson.encode({ n = h.attempt, o = 'lost', at = math.floor(h.started), w = pump })
  h.lost = h.lost + 1
  if h.lost >= tonumber(ARGV[5]) then
    h.state, h.ended = DEAD, now
    redis.call('SET', key, pack_head(h) .. content(h, record) .. entry)
    redis.call('ZADD', P .. 'end:' .. h.project .. ':' .. DEAD, now, id)
    unname(h, record, id)
    tell_schedule(h, record)
    died = died + 1
  else
    h.state, h.due, h.flags = SCHEDULED, math.floor(now), bit.bor(h.flags, EARLIER)
    redis.call('RPUSH', P .. 'a:' .. id, entry)
    redis.call('SETRANGE', key, 0, pack_head(h))
    place(h, id, h.due)
    returned = returned + 1
  end
end

for _, pump in ipairs(redis.call('ZRANGEBYSCORE', pumps_key, '-inf', real - watch)) do
  local beat = redis.call('ZSCORE', pumps_key, pump)
  local seen, since = (redis.call('HGET', P .. 'suspects', pump) or ''):match('^(.*)@(.*)$')
  if seen ~= beat then
    redis.call('HSET', P .. 'suspects', pump, beat .. '@' .. real)
  elseif real - tonumber(beat) >= silence and real - tonumber(since) >= watch then
    local held = redis.call('HGETALL', P .. 'lease:' .. pump)
    for i = 1, #held, 2 do
      give_back(held[i], pump)
      local lane = held[i + 1]
      free(kind, lane, 1, now)
    end
    redis.call('DEL', P .. 'lease:' .. pump)
    redis.call('ZREM', pumps_key, pump)
    redis.call('HDEL', P .. 'suspects', pump)
  end
end
if returned > 0 then bell = ring(kind, math.floor(now), now, tonumber(ARGV[6])) end
return { returned, died, bell }
