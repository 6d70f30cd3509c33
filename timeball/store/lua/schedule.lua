-- schedule: write a schedule, new or changed; what was made of it and not claimed is taken back.
-- WITH     _schedule.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  id, ARGV[2] project
-- ARGV[3]  the head as it was read, '' for a new one
-- ARGV[4]  record, ARGV[5] its name before, ARGV[6] its name now ('' none)
-- ARGV[7]  bell horizon in ms
-- ARGV[8]  idempotency digest of a new one ('' none), ARGV[9] fingerprint, ARGV[10] its life in ms
-- ARGV[11..] 4 values an occurrence that stays, if it is taken back: task id, instant, due, fate
-- Answers {code, ms until the bell or -1, record, id}: 0 written, or the same request came before;
-- 1 changed meanwhile: read again; 2 the key came before with another; nil when it is gone.
local id, key = ARGV[1], P .. 's:' .. ARGV[1]
local before = redis.call('GET', key)
if ARGV[3] == '' then
  if before then return { 0, -1, before, id } end -- ids are random: this move came twice
  if ARGV[8] ~= '' then
    local idem = P .. 'sidem:' .. ARGV[2] .. ':' .. ARGV[8]
    local seen = redis.call('GET', idem)
    local first = seen and redis.call('GET', P .. 's:' .. seen:sub(1, 36))
    if first then return { seen:sub(37) == ARGV[9] and 0 or 2, -1, first, seen:sub(1, 36) } end
    redis.call('SET', idem, id .. ARGV[9], 'PX', ARGV[10])
  end
elseif not before then
  return false
elseif before:sub(1, SCHEDULE_HEAD) ~= ARGV[3] then
  return { 1, -1, before, id }
end
local s, dropped = read_schedule(id, ARGV[4]), {}
if before then
  local old = read_schedule(id, before)
  s.runs, s.live, s.skipped, s.missed = old.runs, old.live, old.skipped, old.missed
  dropped = drop(s)
end
for j = 11, #ARGV, 4 do
  if dropped[ARGV[j]] then -- and not what a pump has claimed meanwhile
    occur(s, ARGV[j], tonumber(ARGV[j + 1]), tonumber(ARGV[j + 2]), tonumber(ARGV[j + 3]))
  end
end
set_next(s)
local record = schedule_head(s) .. ARGV[4]:sub(SCHEDULE_HEAD + 1) .. tally(s)
redis.call('SET', key, record)
if not before then redis.call('ZADD', P .. 'schedules:' .. ARGV[2], 0, id) end
if ARGV[5] ~= ARGV[6] then
  local named = P .. 'snames:' .. ARGV[2]
  if ARGV[5] ~= '' then redis.call('ZREM', named, ARGV[5] .. '\0' .. id) end
  if ARGV[6] ~= '' then redis.call('ZADD', named, 0, ARGV[6] .. '\0' .. id) end
end
local bell = bell_in(tonumber(ARGV[7]))
if redis.call('ZRANGE', P .. 'next', 0, 0)[1] == id and redis.call('LLEN', P .. 'wake:s') == 0 then
  redis.call('LPUSH', P .. 'wake:s', 1)
end
return { 0, bell, record, id }
