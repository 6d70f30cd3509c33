-- finish: write how attempts ended and what follows; many at once, fenced by the attempt number.
-- WITH     _hosts.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  pump
-- ARGV[2]  counters as JSON: {project: {field: n}}
-- ARGV[3]  hosts with trouble as JSON: {project: {host: {calls that went well, that failed, until
--          when it asked for quiet in ms or 0, {how calls failed: n}}}}
-- ARGV[4]  for all results 13 bytes each: attempt, state that follows (0 scheduled, 2 succeeded,
--          3 dead), due in ms of the retry or 0
-- ARGV[5..] 2 values a result: id, the attempt's record
-- Answers one code a result: 1 written, 0 late (only the log was written), -1 the task is gone.
local now = clock()
local lease, results = P .. 'lease:' .. ARGV[1], ARGV[4]
local ids, names = {}, {}
for i = 5, #ARGV, 2 do
  local id = ARGV[i]
  ids[#ids + 1] = id
  names[#names + 1] = P .. 't:' .. id
end
-- a number that goes into a command is written as text each time, and slowly
local now_text, ended_at = string.format('%.17g', now), struct.pack('<d', now)
local TROUBLED = 1000 -- hosts in trouble that a project's list holds: those of last
local lanes, records = {}, {}
if #ids > 0 then
  lanes = redis.call('HMGET', lease, unpack(ids))
  records = redis.call('MGET', unpack(names))
end
local out, freed, gone, retries, ended, written = {}, {}, {}, {}, {}, {}

local fresh = false -- whether there is anything that was not written before
local known = {} -- what is to be known of a lane, by lane
local function facts_of(lane)
  local facts = known[lane]
  if not facts then
    facts = { ordered = is_ordered(lane), ends = P .. 'end:' .. lane:match('^[^/]*') .. ':' }
    known[lane] = facts
  end
  return facts
end

-- the lane of a lease, which names the host behind it when the call counts for that too
local homes = {}
local function home(held)
  if held and homes[held] == nil then homes[held] = held:match('^(.-)\31@') or held end
  return held and homes[held]
end

-- The head is patched as text, not unpacked: this runs for every call. See HEAD for the places.
local function write(j)
  local record, lane = records[j], home(lanes[j])
  if not record then return -1 end
  local version, was, attempt = struct.unpack('<BBH', record)
  local number, state, due = struct.unpack('<i4Bd', results, 13 * j - 12)
  local lost, flags = record:byte(14, 15)
  local entry = ARGV[2 * j + 4]
  if not lane or was ~= RUNNING or attempt ~= number then
    -- sent once more because the answer was lost?
    if record:sub(-#entry) == entry or redis.call('LINDEX', P .. 'a:' .. ids[j], -1) == entry then
      return 1
    end
    fresh = true
    redis.call('RPUSH', P .. 'a:' .. ids[j], entry)
    redis.call('SETRANGE', names[j], 14, string.char(bit.bor(flags, EARLIER)))
    return 0
  end
  fresh = true
  local facts = facts_of(lane)
  written[#written + 1] = names[j]
  if state == SCHEDULED then
    redis.call('RPUSH', P .. 'a:' .. ids[j], entry)
    if bit.band(flags, TELLS) > 0 then tell(ids[j], state, now, entry) end
    if not facts.ordered then redis.call('ZADD', P .. 'lane:' .. lane, due, ids[j]) end
    retries[lane] = math.min(retries[lane] or HELD, due)
    written[#written + 1] = record:sub(1, 1) .. '\0' .. record:sub(3, 13) .. '\0'
      .. string.char(bit.bor(flags, EARLIER)) .. record:sub(16, 28)
      .. struct.pack('<d', due) .. record:sub(37)
    return 1
  end
  if facts.ordered then redis.call('ZREM', P .. 'lane:' .. lane, ids[j]) end
  local middle = lost == 0 and record:sub(3, 44) or record:sub(3, 13) .. '\0' .. record:sub(15, 44)
  written[#written + 1] = string.char(version, state) .. middle .. ended_at
    .. record:sub(53) .. entry
  local list = facts[state]
  if not list then
    list = {}
    facts[state], ended[#ended + 1] = list, { facts.ends .. string.format('%d', state), list }
  end
  list[#list + 1], list[#list + 2] = now_text, ids[j]
  if bit.band(flags, NAMED + OCCURRENCE + TELLS) > 0 then
    local h = unpack_head(record)
    if bit.band(flags, TELLS) > 0 then tell(ids[j], state, now, entry) end
    unname(h, record, ids[j])
    tell_schedule(h, record)
  end
  return 1
end

for j = 1, #ids do
  local code = write(j)
  out[j] = code
  if lanes[j] and code ~= 0 then -- with a late result the lease is of a newer claim
    freed[lanes[j]] = (freed[lanes[j]] or 0) + 1
    gone[#gone + 1] = ids[j]
  end
end
if #written > 0 then redis.call('MSET', unpack(written)) end
for _, one in ipairs(ended) do redis.call('ZADD', one[1], unpack(one[2])) end
if #gone > 0 then redis.call('HDEL', lease, unpack(gone)) end
for held, n in pairs(freed) do free(held, n, now) end
for lane, due in pairs(retries) do show(kind_of(lane), lane, due) end
for project, fields in pairs(fresh and cjson.decode(ARGV[2]) or {}) do
  local minute = P .. 'm:' .. project .. ':' .. math.floor(now / 60000)
  local hour = P .. 'h:' .. project .. ':' .. math.floor(now / 3600000)
  for field, n in pairs(fields) do
    redis.call('HINCRBY', minute, field, n)
    redis.call('HINCRBY', hour, field, n)
  end
  redis.call('EXPIRE', minute, 90000)
  redis.call('EXPIRE', hour, 691200)
end

-- The breaker of a host: opens when most of its calls of the last minute failed, or ten in a row;
-- first for 30 s, then twice as long each time that the call it lets through fails too.
local MINUTE, CELL = 60000, 10000
local function weigh(project, host, went_well, failed, quiet_until, ways)
  local key, hosts = P .. 'host:' .. project .. '\31' .. host, P .. 'hosts:' .. project
  local was = redis.call('HMGET', key, 'cells', 'row', 'open', 'probe', 'at')
  local at, open = tonumber(was[5]) or 0, tonumber(was[3])
  -- what went well is told only for a minute after a failure: longer ones are no row
  local row = went_well > 0 and 0 or (now - at < MINUTE and tonumber(was[2]) or 0) + failed
  local told_well, told_ill, well_now = went_well > 0, failed > 0, went_well
  local ok, bad = went_well, failed
  local cell, cells = math.floor(now / CELL), {}
  for n, well, ill in (was[1] or ''):gmatch('(%d+):(%d+):(%d+)') do
    local age = cell - n
    if age == 0 then
      went_well, failed = went_well + well, failed + ill
    elseif age > 0 and age < MINUTE / CELL then
      cells[#cells + 1] = n .. ':' .. well .. ':' .. ill
    end
    if age >= 0 and age < MINUTE / CELL then ok, bad = ok + well, bad + ill end
  end
  cells[#cells + 1] = string.format('%.0f:%.0f:%.0f', cell, went_well, failed)
  if told_well and open then
    redis.call('HDEL', key, 'open', 'probe')
    open_host(project, host, now)
  elseif told_ill and (was[4] == '1' or not open)
    and (open or row >= 10 or (ok + bad >= 20 and bad * 2 >= ok + bad)) then
    open = (open or 0) + 1
    redis.call('HSET', key, 'open', open)
    redis.call('HDEL', key, 'probe')
    redis.call('HSET', hosts, host, now + math.min(30000 * 2 ^ (open - 1), 600000))
    cells, row = {}, 0
  end
  -- for people: what came of its calls since it was first in trouble
  if told_well then redis.call('HINCRBY', key, 'well', well_now) end
  for how, n in pairs(ways or {}) do redis.call('HINCRBY', key, 'e:' .. how, n) end
  if told_ill then
    at = now
    local troubled = P .. 'troubled:' .. project
    redis.call('ZADD', troubled, now, host)
    redis.call('ZREMRANGEBYRANK', troubled, 0, -1 - TROUBLED)
    redis.call('EXPIRE', troubled, 3600)
  end
  redis.call('HSET', key, 'cells', table.concat(cells, ' '), 'row', row, 'at', at)
  redis.call('EXPIRE', key, 3600)
  if quiet_until > (tonumber(redis.call('HGET', hosts, host) or 0)) then
    redis.call('HSET', hosts, host, quiet_until)
  end
end

for project, hosts in pairs(fresh and cjson.decode(ARGV[3]) or {}) do
  for host, n in pairs(hosts) do weigh(project, host, n[1], n[2], n[3], n[4]) end
end
return out
