-- submit: take tasks in, each once.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  bell horizon in ms
-- ARGV[2]  life of an idempotency key in ms
-- ARGV[3..] 13 values a task: id, kind (0 call, 1 export), priority, flags, lane, due in ms
--          ('' is now), delay in ms, name, idempotency digest, fingerprint, tags joined by '\n',
--          spec, body
-- Answers {now, bell for calls, bell for exports, then {code, id, due} a task}; a bell is the
-- instant to send a message for, or -1. Codes: 0 taken, 1 the same request again, 2 its key with
-- another body, 3 a live task has the name, 4 the id is known.
local now = clock()
local horizon, idem_life = tonumber(ARGV[1]), ARGV[2]
local out, earliest, lanes, count = { 0, -1, -1 }, {}, {}, {}

local function take(i)
  local id, lane, name, idem = ARGV[i], ARGV[i + 4], ARGV[i + 7], ARGV[i + 8]
  local project = lane:match('^[^/]*')
  if idem ~= '' then
    local seen = redis.call('GET', P .. 'idem:' .. project .. ':' .. idem)
    if seen and redis.call('EXISTS', P .. 't:' .. seen:sub(1, 16)) == 1 then
      return { seen:sub(17) == ARGV[i + 9] and 1 or 2, seen:sub(1, 16), 0 }
    end
  end
  if name ~= '' then
    local live = redis.call('HGET', P .. 'name:' .. project, name)
    if live then return { 3, live, 0 } end
  end
  local kind, spec, body = tonumber(ARGV[i + 1]), ARGV[i + 11], ARGV[i + 12]
  local due, delay = ARGV[i + 5] == '' and now or tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6])
  due = math.floor(due + delay)
  if delay > 0 then spec = plan(spec, due) end
  local head = struct.pack(HEAD, 1, SCHEDULED, 0, 0, kind, 0, tonumber(ARGV[i + 3]),
    tonumber(ARGV[i + 2]), 0, #lane, #spec, #body, due, now, 0)
  if not redis.call('SET', P .. 't:' .. id, head .. lane .. spec .. body, 'NX') then
    return { 4, id, due }
  end
  redis.call('ZADD', P .. 'lane:' .. lane, due, id)
  redis.call('ZADD', P .. 'idx:' .. lane, 0, id)
  if name ~= '' then
    redis.call('HSET', P .. 'name:' .. project, name, id)
    redis.call('ZADD', P .. 'names:' .. project, 0, name .. '\0' .. id)
  end
  if idem ~= '' then
    redis.call('SET', P .. 'idem:' .. project .. ':' .. idem, id .. ARGV[i + 9], 'PX', idem_life)
  end
  for tag in ARGV[i + 10]:gmatch('[^\n]+') do
    redis.call('ZADD', P .. 'tag:' .. project .. ':' .. tag, 0, id)
  end
  local seen = lanes[lane]
  if not seen or due < seen.due then
    lanes[lane] = { due = due, kind = kinds[kind], project = project }
  end
  count[project] = (count[project] or 0) + 1
  return { 0, id, due }
end

for i = 3, #ARGV, 13 do out[#out + 1] = take(i) end
for lane, seen in pairs(lanes) do
  redis.call('SADD', P .. 'queues:' .. seen.project, lane)
  redis.call('ZADD', P .. 'lanes:' .. seen.kind, 'LT', seen.due, lane)
  earliest[seen.kind] = math.min(earliest[seen.kind] or HELD, seen.due)
end
for project, n in pairs(count) do
  local minute = P .. 'm:' .. project .. ':' .. math.floor(now / 60000)
  if redis.call('HINCRBY', minute, 'submitted', n) == n then redis.call('EXPIRE', minute, 90000) end
  local hour = P .. 'h:' .. project .. ':' .. math.floor(now / 3600000)
  if redis.call('HINCRBY', hour, 'submitted', n) == n then redis.call('EXPIRE', hour, 691200) end
end
out[1] = math.floor(now)
if earliest.c then out[2] = ring('c', earliest.c, now, horizon) end
if earliest.e then out[3] = ring('e', earliest.e, now, horizon) end
return out
