-- expand: make the tasks of occurrences that are due, each once.
-- WITH     _schedule.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  fence of the beat that asks; '' for a person's run
-- ARGV[2]  bell horizon in ms
-- ARGV[3..] 7 values a schedule: id, rev and next as they were read ('' both: its rule is not
--          asked, but what waits may begin), next from now on (0 none), first and last instant
--          left out (0 none), how many occurrences; then 4 an occurrence: task id, instant, due,
--          fate
-- Answers {ms until the bell or -1, then a code a schedule}: 0 done, 1 it has changed or gone,
-- nothing was done; nil when the fence is old.
if ARGV[1] ~= '' and tonumber(ARGV[1]) < (tonumber(redis.call('GET', P .. 'fence')) or 0) then
  return false
end

local function see_to(i, n)
  local id = ARGV[i]
  local key = P .. 's:' .. id
  local record = redis.call('GET', key)
  local ruled = ARGV[i + 1] ~= ''
  if not ruled then redis.call('SREM', P .. 'ended', id) end
  if not record then
    redis.call('ZREM', P .. 'next', id)
    return 1
  end
  local s = read_schedule(id, record)
  local left_out = s.skipped + s.missed
  if ruled and (tonumber(ARGV[i + 1]) ~= s.rev or tonumber(ARGV[i + 2]) ~= s.next) then
    return 1
  end
  release(s)
  if ARGV[i + 4] ~= '0' then
    s.missed = s.missed + 1
    note(s, MISSED, ARGV[i + 4], ARGV[i + 5])
    count_one(s.lane:match('^[^/]*'), 'missed', now)
  end
  for j = i + 7, i + 6 + 4 * n, 4 do
    occur(s, ARGV[j], tonumber(ARGV[j + 1]), tonumber(ARGV[j + 2]), tonumber(ARGV[j + 3]))
  end
  if ruled then
    s.next = tonumber(ARGV[i + 3])
    set_next(s)
  end
  redis.call('SETRANGE', key, 0, schedule_head(s))
  if s.skipped + s.missed > left_out then redis.call('SETRANGE', key, s.size, tally(s)) end
  return 0
end

local out, i = { -1 }, 3
while i <= #ARGV do
  local n = tonumber(ARGV[i + 6])
  out[#out + 1] = see_to(i, n)
  i = i + 7 + 4 * n
end
out[1] = bell_in(tonumber(ARGV[2]))
return out
