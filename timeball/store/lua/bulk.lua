-- bulk: one step of a bulk: its verb over a few tasks, and how far it came.
-- WITH     _cancel.lua
-- WITH     _run.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  fence of the beat that asks, ARGV[2] bulk, ARGV[3] its cursor as it was read
-- ARGV[4]  its cursor behind this step, ARGV[5] its state behind it: running or done
-- ARGV[6]  state code that a task must have, -1 for any, ARGV[7] tasks a second, 0 for no limit
-- ARGV[8]  bell horizon in ms, ARGV[9] life of the record in s
-- ARGV[10..] ids
-- Answers {code, bell for calls or -1, bell for exports or -1}. Codes: 0 done, 1 the bulk has moved
-- on or was ended, -1 the fence is old. A task that was tried or ended since the bulk began is not
-- run again.
local fence = tonumber(redis.call('GET', P .. 'fence')) or 0
if tonumber(ARGV[1]) < fence then return { -1, -1, -1 } end
local key = P .. 'bulk:' .. ARGV[2]
local known = redis.call('HMGET', key, 'state', 'cursor', 'project', 'action', 'created')
if known[1] ~= 'running' or known[2] ~= ARGV[3] then return { 1, -1, -1 } end
local project, action, begun = known[3], known[4], tonumber(known[5])
local wanted, horizon, now = tonumber(ARGV[6]), tonumber(ARGV[8]), (clock())
local rung, bells = {}, { c = -1, e = -1 }

-- whether the verb was done to a task
local function act(id)
  local record = redis.call('GET', P .. 't:' .. id)
  if not record then return false end
  local h = unpack_head(record)
  if h.project ~= project or (wanted >= 0 and h.state ~= wanted) then return false end
  if action == 'delete' then
    erase(id, h, record)
    if h.state <= RUNNING then tell_schedule(h, record) end
    return true
  end
  if action == 'cancel' then
    if h.state ~= SCHEDULED then return false end
    call_off(id, h, record, now)
    return true
  end
  if h.state == RUNNING or h.started > begun or h.ended > begun then return false end
  if action == 'redrive' and h.state ~= DEAD then return false end
  if make_due(id, h, record, now) == 1 then return false end
  rung[kinds[h.kind]] = true
  return true
end

local done, n = 0, #ARGV - 9
for i = 10, #ARGV do
  if act(ARGV[i]) then done = done + 1 end
end
for kind in pairs(rung) do bells[kind] = ring(kind, math.floor(now), now, horizon) end
redis.call('HINCRBY', key, 'done', done)
redis.call('HINCRBY', key, 'refused', n - done)
local rate = tonumber(ARGV[7])
redis.call('HSET', key, 'cursor', ARGV[4], 'next', rate > 0 and now + n * 1000 / rate or 0)
redis.call('EXPIRE', key, ARGV[9])
if ARGV[5] ~= 'running' then
  redis.call('HSET', key, 'state', ARGV[5], 'ended', math.floor(now))
  redis.call('SREM', P .. 'bulking', ARGV[2])
end
return { 0, bells.c, bells.e }
