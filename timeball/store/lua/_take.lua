-- Shared by the moves that make tasks: `take` makes one, `told` ends the move. Behind _head.lua.
local now = clock()
local lanes, count = {}, {}

-- take one task in: submit.lua tells what the 13 values of `a` from `i` on are, and the answer
local function take(a, i, idem_life)
  local id, lane, name, idem = a[i], a[i + 4], a[i + 7], a[i + 8]
  local project = lane:match('^[^/]*')
  if idem ~= '' then
    local seen = redis.call('GET', P .. 'idem:' .. project .. ':' .. idem)
    if seen and redis.call('EXISTS', P .. 't:' .. seen:sub(1, 16)) == 1 then
      return { seen:sub(17) == a[i + 9] and 1 or 2, seen:sub(1, 16), 0 }
    end
  end
  if name ~= '' then
    local live = redis.call('HGET', P .. 'name:' .. project, name)
    if live then return { 3, live, 0 } end
  end
  local kind, spec, body = tonumber(a[i + 1]), a[i + 11], a[i + 12]
  local due, delay = a[i + 5] == '' and now or tonumber(a[i + 5]), tonumber(a[i + 6])
  due = math.floor(due + delay)
  if delay > 0 then spec = plan(spec, due) end
  local head = struct.pack(HEAD, 1, SCHEDULED, 0, 0, kind, 0, tonumber(a[i + 3]),
    tonumber(a[i + 2]), 0, #lane, #spec, #body, due, now, 0)
  if not redis.call('SET', P .. 't:' .. id, head .. lane .. spec .. body, 'NX') then
    return { 4, id, due }
  end
  -- In an ordered lane the order of taking in counts, also within one move: half a microsecond
  -- apart, twice what a double can tell in this century, and less than taking one in takes.
  redis.call('ZADD', P .. 'lane:' .. lane, is_ordered(lane) and now + i / 26000 or due, id)
  redis.call('ZADD', P .. 'idx:' .. base_of(lane), 0, id)
  if name ~= '' then
    redis.call('HSET', P .. 'name:' .. project, name, id)
    redis.call('ZADD', P .. 'names:' .. project, 0, name .. '\0' .. id)
  end
  if idem ~= '' then
    redis.call('SET', P .. 'idem:' .. project .. ':' .. idem, id .. a[i + 9], 'PX', idem_life)
  end
  for tag in a[i + 10]:gmatch('[^\n]+') do
    redis.call('ZADD', P .. 'tag:' .. project .. ':' .. tag, 0, id)
  end
  local seen = lanes[lane]
  if not seen or due < seen.due then
    lanes[lane] = { due = due, kind = kinds[kind], project = project }
  end
  count[project] = (count[project] or 0) + 1
  return { 0, id, due }
end

-- when all are taken: show their lanes, count, ring. Answers the bells for calls and for exports
local function told(horizon)
  local earliest = {}
  for lane, seen in pairs(lanes) do
    redis.call('SADD', P .. 'queues:' .. seen.project, base_of(lane))
    show(seen.kind, lane, seen.due)
    earliest[seen.kind] = math.min(earliest[seen.kind] or HELD, seen.due)
  end
  for project, n in pairs(count) do
    local minute = P .. 'm:' .. project .. ':' .. math.floor(now / 60000)
    if redis.call('HINCRBY', minute, 'submitted', n) == n then
      redis.call('EXPIRE', minute, 90000)
    end
    local hour = P .. 'h:' .. project .. ':' .. math.floor(now / 3600000)
    if redis.call('HINCRBY', hour, 'submitted', n) == n then redis.call('EXPIRE', hour, 691200) end
  end
  return earliest.c and ring('c', earliest.c, now, horizon) or -1,
    earliest.e and ring('e', earliest.e, now, horizon) or -1
end
