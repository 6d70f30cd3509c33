-- Shared by the moves of schedules: the record, the history, what was made and nobody has claimed.
-- The record's layout is told in schedule_codec.py.
-- WITH     _take.lua
-- WITH     _cancel.lua
local SCHEDULE = '<BBBBI4I4I4ddc16HI4I4I4'
local SCHEDULE_HEAD = 62
local TALLY = '<I4I4' -- behind the body, once anything was left out: skipped, times missed
local PAUSED, WAITS = 1, 2 -- flags
local QUEUE_ONE, ALLOW, SKIP, CANCEL_OTHER = 0, 1, 2, 3
local MADE, CAUGHT_UP, WAITED, ASKED, SKIPPED, MISSED, DROPPED, REMADE = 0, 1, 2, 3, 4, 5, 6, 7
local HISTORY, SPARE = 100, 28
local NOBODY = string.rep('\0', 16)
local nexts = {} -- when schedules are next due, written at the end

local function read_schedule(id, record)
  local s = { id = id, record = record }
  s.version, s.flags, s.overlap, s.task_flags, s.rev, s.runs, s.most, s.next, s.created, s.live,
    s.lane_len, s.rule_len, s.spec_len, s.body_len = struct.unpack(SCHEDULE, record)
  s.lane = record:sub(SCHEDULE_HEAD + 1, SCHEDULE_HEAD + s.lane_len)
  s.size = SCHEDULE_HEAD + s.lane_len + s.rule_len + s.spec_len + s.body_len
  s.skipped, s.missed = 0, 0
  if #record > s.size then s.skipped, s.missed = struct.unpack(TALLY, record, s.size + 1) end
  return s
end

local function schedule_head(s)
  return struct.pack(SCHEDULE, s.version, s.flags, s.overlap, s.task_flags, s.rev, s.runs, s.most,
    s.next, s.created, s.live, s.lane_len, s.rule_len, s.spec_len, s.body_len)
end

-- how often occurrences were left out, as the end of a record; empty as long as none was
local function tally(s)
  if s.skipped + s.missed == 0 then return '' end
  return struct.pack(TALLY, s.skipped, s.missed)
end

-- write a line of the history: `other` is when its task is due, or the last one left out, or 0
local function note(s, fate, at, other)
  local key = P .. 'sh:' .. s.id
  -- those made on time are `runs` without the others: most schedules never need this key
  if fate ~= MADE then redis.call('HINCRBY', P .. 'sc:' .. s.id, fate, 1) end
  if redis.call('LPUSH', key, struct.pack('<Bdd', fate, at, other)) > HISTORY + SPARE then
    redis.call('LTRIM', key, 0, HISTORY - 1)
  end
end

-- leave an occurrence out, for the task before is not over
local function skip(s, at)
  s.skipped = s.skipped + 1
  count_one(s.lane:match('^[^/]*'), 'skipped', now)
  note(s, SKIPPED, at, 0)
end

-- whether nobody has claimed a task yet: scheduled, and no attempt
local function unclaimed(id)
  return redis.call('GETRANGE', P .. 't:' .. id, 1, 3) == '\0\0\0'
end

-- whether the task that was made last is not over
local function busy(s)
  if s.live == NOBODY then return false end
  local state = redis.call('GETRANGE', P .. 't:' .. s.live, 1, 1)
  return state ~= '' and state:byte() <= RUNNING
end

-- make the task of an occurrence
local function make(s, id, at, due, fate)
  if not s.spec then
    local from = SCHEDULE_HEAD + s.lane_len + s.rule_len
    s.spec = s.record:sub(from + 2, from + s.spec_len) -- without its first brace
    s.body = s.record:sub(from + s.spec_len + 1, from + s.spec_len + s.body_len)
  end
  local spec = string.format('{"sc":"%s","oc":%.0f,"s":%.0f,', s.id, at, due) .. s.spec
  local made = keep(form_of(0, 0, s.task_flags, s.lane, due, spec), id, s.body, now)
  if made then
    note(s, fate, at, due)
    if bit.band(s.task_flags, TAGGED) > 0 then
      for _, tag in ipairs(cjson.decode(spec).g) do
        redis.call('ZADD', P .. 'tag:' .. s.lane:match('^[^/]*') .. ':' .. tag, 0, id)
      end
    end
  end
  if fate == ASKED then return end
  s.live = id
  if not made or s.overlap ~= ALLOW then return end -- else `live` is the only one
  local pending = P .. 'sp:' .. s.id
  if redis.call('RPUSH', pending, id) == 1 then return end
  for _ = 1, 3 do -- of those before, forget the claimed
    local oldest = redis.call('LINDEX', pending, 0)
    if oldest == id or unclaimed(oldest) then return end
    redis.call('LPOP', pending)
  end
end

-- make the next occurrence that waits, once the task before has ended
local function release(s)
  while bit.band(s.flags, WAITS) > 0 and s.overlap == QUEUE_ONE and not busy(s) do
    local entry = redis.call('LPOP', P .. 'sw:' .. s.id)
    if not entry then
      s.flags = s.flags - WAITS
      return
    end
    local id, at, due = struct.unpack('<c16dd', entry)
    make(s, id, at, math.max(due, math.floor(now)), WAITED)
  end
end

-- see to one occurrence, as the overlap rule says
local function occur(s, id, at, due, fate)
  if fate == ASKED then return make(s, id, at, due, fate) end
  if s.most > 0 and s.runs >= s.most then return end
  if s.overlap ~= ALLOW and busy(s) then
    if s.overlap == CANCEL_OTHER then
      fill() -- it may have been made just now
      local record = redis.call('GET', P .. 't:' .. s.live)
      local h = unpack_head(record)
      if h.state == SCHEDULED then call_off(s.live, h, record, now) end
    elseif s.overlap == SKIP then
      return skip(s, at)
    else
      -- one waits, unless several come at once after an outage or an edit: then all do
      local waiting = P .. 'sw:' .. s.id
      if fate == MADE and redis.call('LLEN', waiting) > 0 then return skip(s, at) end
      s.runs, s.flags = s.runs + 1, bit.bor(s.flags, WAITS)
      return redis.call('RPUSH', waiting, struct.pack('<c16dd', id, at, due))
    end
  end
  s.runs = s.runs + 1
  make(s, id, at, due, fate)
end

-- Take back what was made and nobody has claimed, and what waits. Answers a set of their ids.
local function drop(s)
  local pending, waiting, dropped = P .. 'sp:' .. s.id, P .. 'sw:' .. s.id, {}
  local ids = redis.call('LRANGE', pending, 0, -1)
  ids[#ids + 1] = s.live
  for _, id in ipairs(ids) do
    if unclaimed(id) then
      local record = redis.call('GET', P .. 't:' .. id)
      local h = unpack_head(record)
      erase(id, h, record)
      dropped[id] = spec_of(h, record).oc
    end
  end
  for _, entry in ipairs(redis.call('LRANGE', waiting, 0, -1)) do
    local id, at = struct.unpack('<c16d', entry)
    dropped[id] = at
  end
  for _, at in pairs(dropped) do
    note(s, DROPPED, at, 0)
    s.runs = math.max(s.runs - 1, 0)
  end
  redis.call('DEL', pending, waiting)
  redis.call('SREM', P .. 'ended', s.id)
  return dropped
end

-- when a schedule is to be looked at again
local function set_next(s)
  if s.most > 0 and s.runs >= s.most then s.next = 0 end
  if s.next == 0 then return redis.call('ZREM', P .. 'next', s.id) end
  nexts[#nexts + 1], nexts[#nexts + 2] = s.next, s.id
end

-- end the move: how many ms from now a message is to be sent for, or -1
local function bell_in(horizon)
  add(P .. 'next', nexts)
  local bell = told(horizon)
  return bell < 0 and -1 or math.max(0, math.ceil(bell - now))
end
