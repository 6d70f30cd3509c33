-- Shared by the moves that make tasks: `keep` writes one, `take` does so unless its sender sent it
-- before, `told` ends the move. Behind _head.lua.
local now = clock()
local lanes, queues = {}, {} -- what goes into them at the end, each in one command

local function add(key, scored)
  for i = 1, #scored, 2000 do -- as many as Lua may unpack
    redis.call('ZADD', key, unpack(scored, i, math.min(i + 1999, #scored)))
  end
end

-- write a task's record, for its lane and queue to be told of; false when the id is known
local function keep(id, kind, priority, flags, lane, due, order, spec, body)
  local head = struct.pack(HEAD, 1, SCHEDULED, 0, 0, kind, 0, flags, priority, 0, #lane, #spec,
    #body, due, now, 0)
  if not redis.call('SET', P .. 't:' .. id, head .. lane .. spec .. body, 'NX') then
    return false
  end
  local seen = lanes[lane]
  if not seen then
    seen = { due = due, kind = kinds[kind], base = base_of(lane), ordered = is_ordered(lane) }
    lanes[lane] = seen
    queues[seen.base] = queues[seen.base] or { count = 0 }
  elseif due < seen.due then
    seen.due = due
  end
  -- In an ordered lane the order of taking in counts, also within one move.
  seen[#seen + 1], seen[#seen + 2] = seen.ordered and order or due, id
  local ids = queues[seen.base]
  ids[#ids + 1], ids[#ids + 2] = 0, id
  return true
end

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
  local spec = a[i + 11]
  local due, delay = a[i + 5] == '' and now or tonumber(a[i + 5]), tonumber(a[i + 6])
  due = math.floor(due + delay)
  if delay > 0 then spec = plan(spec, due) end
  -- Half a microsecond apart: twice what a double can tell in this century, and less than taking
  -- one in takes.
  if not keep(id, tonumber(a[i + 1]), tonumber(a[i + 2]), tonumber(a[i + 3]), lane, due,
    now + i / 26000, spec, a[i + 12]) then return { 4, id, due } end
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
  return { 0, id, due }
end

-- put what was kept so far into its lanes and queues
local function fill()
  for lane, seen in pairs(lanes) do
    add(P .. 'lane:' .. lane, seen)
    for i = #seen, 1, -1 do seen[i] = nil end
  end
  for base, ids in pairs(queues) do
    add(P .. 'idx:' .. base, ids)
    ids.count = ids.count + #ids / 2
    for i = #ids, 1, -1 do ids[i] = nil end
  end
end

-- when all are taken: show their lanes, count, ring. Answers the bells for calls and for exports
local function told(horizon)
  fill()
  local earliest, count = {}, {}
  for lane, seen in pairs(lanes) do
    show(seen.kind, lane, seen.due)
    earliest[seen.kind] = math.min(earliest[seen.kind] or HELD, seen.due)
  end
  for base, ids in pairs(queues) do
    local project = base:match('^[^/]*')
    count[project] = (count[project] or 0) + ids.count
    redis.call('SADD', P .. 'queues:' .. project, base)
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
