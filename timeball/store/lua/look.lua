-- look: what beat has to do now about schedules. Changes nothing.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  how many schedules at most, of each sort
-- ARGV[2]  how many ms ahead the occurrences of a crowd are made
-- ARGV[3]  how many that are due in one second are a crowd
-- Answers {now, next, ids whose waiting occurrence may begin, then of those that are due, the
-- longest overdue first: id, record up to its spec}. `next` is when the first is due, -1 for never.
-- When less is due than may be told, what a crowd ahead can be made of now follows.
local most, now = tonumber(ARGV[1]), (clock())
local head = redis.call('ZRANGE', P .. 'next', 0, 0, 'WITHSCORES')
local due = {}
local out = { math.floor(now), -1, redis.call('SRANDMEMBER', P .. 'ended', most), due }
if not head[2] then return out end
out[2] = math.ceil(tonumber(head[2]))

local function tell_of(id, may)
  local key = P .. 's:' .. id
  local record = redis.call('GETRANGE', key, 0, 511) -- nearly always enough
  if #record > 61 and (not may or may(record)) then
    local lane, rule = struct.unpack('<HI4', record, 49)
    local length = 62 + lane + rule
    if length > 512 then record = redis.call('GETRANGE', key, 0, length - 1) end
    due[#due + 1], due[#due + 2] = id, record:sub(1, length)
  end
end

-- Whether an occurrence may be made before its instant. Not while the task before is not over: what
-- comes of it is asked at the instant. Not in an ordered lane: it would hold up what is due there.
local ALLOW = 1 -- as in _schedule.lua: it runs beside
local function may_be_ahead(record)
  local live, lane_len = struct.unpack('<c16H', record, 33)
  if is_ordered(record:sub(63, 62 + lane_len)) then return false end
  if record:byte(3) == ALLOW then return true end
  local state = redis.call('GETRANGE', P .. 't:' .. live, 1, 1)
  return state == '' or state:byte() > RUNNING
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'next', '-inf', now, 'LIMIT', 0, most)) do
  tell_of(id)
end
local till, crowd = now + tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('ZCOUNT', P .. 'next', '(' .. now, till) < crowd then return out end
for second = math.ceil(now / 1000), math.floor(till / 1000) do
  local first, last = second * 1000, second * 1000 + 999
  if redis.call('ZCOUNT', P .. 'next', first, last) >= crowd then
    local ids = redis.call('ZRANGEBYSCORE', P .. 'next', first, last, 'LIMIT', 0, 2 * most)
    for _, id in ipairs(ids) do
      if #due == 2 * most then return out end
      tell_of(id, may_be_ahead)
    end
  end
end
return out
