-- Shared by the moves that make tasks: `keep` writes one, `told` ends the move. Behind _head.lua.
local now = clock()
local lanes, queues = {}, {} -- what goes into them at the end, each in one command

local function add(key, scored)
  for i = 1, #scored, 2000 do -- as many as Lua may unpack
    redis.call('ZADD', key, unpack(scored, i, math.min(i + 1999, #scored)))
  end
end

-- What tasks have in common that differ in their bodies alone: their records are the same in front
-- of the length of the body (bytes 25 to 28 of HEAD), and between that and the body.
local function form_of(kind, priority, flags, lane, due, spec)
  local head = struct.pack(HEAD, 1, SCHEDULED, 0, 0, kind, 0, flags, priority, 0, #lane, #spec, 0,
    due, now, 0)
  return { kind = kind, lane = lane, due = due,
    front = head:sub(1, 24), back = head:sub(29) .. lane .. spec }
end

-- write a task's record, for its lane and queue to be told of; false when the id is known
local function keep(form, id, body, order)
  local record = form.front .. struct.pack('<I4', #body) .. form.back .. body
  if not redis.call('SET', P .. 't:' .. id, record, 'NX') then return false end
  local lane, due = form.lane, form.due
  local seen = lanes[lane]
  if not seen then
    seen = { due = due, kind = kinds[form.kind], base = base_of(lane), ordered = is_ordered(lane) }
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
