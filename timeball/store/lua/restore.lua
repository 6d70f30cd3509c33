-- restore: put a task or a schedule of a backup where it belongs; one that is there already stays.
-- A task that was running when it was read waits again, due now: who called it is not known here.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  't' for a task: ARGV[2] id, ARGV[3] record, ARGV[4] its place in an ordered lane or '',
--          ARGV[5..] earlier attempts
-- ARGV[1]  's' for a schedule: ARGV[2] id, ARGV[3] record, ARGV[4] project, ARGV[5] name or '',
--          ARGV[6] next instant or 0, ARGV[7] how many tasks may be unclaimed, ARGV[8] how many
--          occurrences wait, then those, these, and its history
-- Answers 1 when it was put there.
local id, record = ARGV[2], ARGV[3]

local function push(key, first, last)
  for i = first, last do redis.call('RPUSH', key, ARGV[i]) end
end

if ARGV[1] == 's' then
  if not redis.call('SET', P .. 's:' .. id, record, 'NX') then return 0 end
  redis.call('ZADD', P .. 'schedules:' .. ARGV[4], 0, id)
  if ARGV[5] ~= '' then
    redis.call('ZADD', P .. 'snames:' .. ARGV[4], 0, ARGV[5] .. '\0' .. id)
  end
  if ARGV[6] ~= '0' then redis.call('ZADD', P .. 'next', ARGV[6], id) end
  local pending = 8 + tonumber(ARGV[7])
  local waiting = pending + tonumber(ARGV[8])
  push(P .. 'sp:' .. id, 9, pending)
  push(P .. 'sw:' .. id, pending + 1, waiting)
  push(P .. 'sh:' .. id, waiting + 1, #ARGV)
  if waiting > pending then redis.call('SADD', P .. 'ended', id) end
  return 1
end

if redis.call('EXISTS', P .. 't:' .. id) == 1 then return 0 end
local now = clock()
local h = unpack_head(record)
push(P .. 'a:' .. id, 5, #ARGV)
if h.state == RUNNING then
  redis.call('RPUSH', P .. 'a:' .. id,
    cjson.encode({ n = h.attempt, o = 'lost', at = math.floor(h.started), w = 'backup' }))
  h.state, h.due, h.flags = SCHEDULED, math.floor(now), bit.bor(h.flags, EARLIER)
  record = pack_head(h) .. content(h, record)
end
redis.call('SET', P .. 't:' .. id, record)
redis.call('ZADD', P .. 'idx:' .. base_of(h.lane), 0, id)
redis.call('SADD', P .. 'queues:' .. h.project, base_of(h.lane))
if bit.band(h.flags, NAMED + TAGGED) > 0 then
  local spec = spec_of(h, record)
  if spec.n then
    redis.call('ZADD', P .. 'names:' .. h.project, 0, spec.n .. '\0' .. id)
    if h.state == SCHEDULED then redis.call('HSETNX', P .. 'name:' .. h.project, spec.n, id) end
  end
  for _, tag in ipairs(spec.g or {}) do
    redis.call('ZADD', P .. 'tag:' .. h.project .. ':' .. tag, 0, id)
  end
end
if h.state == SCHEDULED then
  place(h, id, h.due)
  if ARGV[4] ~= '' then redis.call('ZADD', P .. 'lane:' .. h.lane, ARGV[4], id) end
else
  redis.call('ZADD', P .. 'end:' .. h.project .. ':' .. h.state, h.ended, id)
end
return 1
