-- finish: write how attempts ended and what follows; many at once, fenced by the attempt number.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  pump, ARGV[2] kind
-- ARGV[3]  counters as JSON: {project: {field: n}}
-- ARGV[4..] 5 values a result: id, attempt, state that follows (0 scheduled, 2 succeeded, 3 dead),
--          due in ms of the retry or 0, the attempt's record
-- Answers one code a result: 1 written, 0 late (only the log was written), -1 the task is gone.
local now = clock()
local lease = P .. 'lease:' .. ARGV[1]
local ids, names = {}, {}
for i = 4, #ARGV, 5 do
  ids[#ids + 1] = ARGV[i]
  names[#names + 1] = P .. 't:' .. ARGV[i]
end
local lanes, records = {}, {}
if #ids > 0 then
  lanes = redis.call('HMGET', lease, unpack(ids))
  records = redis.call('MGET', unpack(names))
end
local out, freed, gone, retries, ended, written = {}, {}, {}, {}, {}, {}

local known = {}
local function ordered(lane)
  if known[lane] == nil then known[lane] = is_ordered(lane) end
  return known[lane]
end

-- The head is patched as text, not unpacked: this runs for every call. See HEAD for the places.
local function write(j)
  local record, lane, at = records[j], lanes[j], 5 * j - 1
  if not record then return -1 end
  local _, was, attempt = struct.unpack('<BBH', record)
  local flags, entry = record:byte(15), ARGV[at + 4]
  if not lane or was ~= RUNNING or attempt ~= tonumber(ARGV[at + 1]) then
    redis.call('RPUSH', P .. 'a:' .. ids[j], entry)
    redis.call('SETRANGE', names[j], 14, string.char(bit.bor(flags, EARLIER)))
    return 0
  end
  local state = tonumber(ARGV[at + 2])
  written[#written + 1] = names[j]
  if state == SCHEDULED then
    local due = tonumber(ARGV[at + 3])
    redis.call('RPUSH', P .. 'a:' .. ids[j], entry)
    if not ordered(lane) then redis.call('ZADD', P .. 'lane:' .. lane, due, ids[j]) end
    retries[lane] = math.min(retries[lane] or HELD, due)
    written[#written + 1] = record:sub(1, 1) .. '\0' .. record:sub(3, 13) .. '\0'
      .. string.char(bit.bor(flags, EARLIER)) .. record:sub(16, 28)
      .. struct.pack('<d', due) .. record:sub(37)
    return 1
  end
  if ordered(lane) then redis.call('ZREM', P .. 'lane:' .. lane, ids[j]) end
  written[#written + 1] = record:sub(1, 1) .. string.char(state) .. record:sub(3, 13) .. '\0'
    .. record:sub(15, 44) .. struct.pack('<d', now) .. record:sub(53) .. entry
  local key = P .. 'end:' .. lane:match('^[^/]*') .. ':' .. state
  local list = ended[key]
  if not list then
    list = {}
    ended[key] = list
  end
  list[#list + 1], list[#list + 2] = now, ids[j]
  if bit.band(flags, NAMED + OCCURRENCE) > 0 then
    local h = unpack_head(record)
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
for key, list in pairs(ended) do redis.call('ZADD', key, unpack(list)) end
if #gone > 0 then redis.call('HDEL', lease, unpack(gone)) end
for lane, n in pairs(freed) do free(ARGV[2], lane, n, now) end
for lane, due in pairs(retries) do
  show(ARGV[2], lane, due)
end
for project, fields in pairs(cjson.decode(ARGV[3])) do
  local minute = P .. 'm:' .. project .. ':' .. math.floor(now / 60000)
  local hour = P .. 'h:' .. project .. ':' .. math.floor(now / 3600000)
  for field, n in pairs(fields) do
    redis.call('HINCRBY', minute, field, n)
    redis.call('HINCRBY', hour, field, n)
  end
  redis.call('EXPIRE', minute, 90000)
  redis.call('EXPIRE', hour, 691200)
end
return out
