-- Shared by the moves that take tasks from pumps. Behind _head.lua.
local now = clock()
local returned, died = 0, 0

-- A pump has lost a task: end its lease and put it back in its lane, or let it die of being lost.
local function give_back(id, held, pump, max_lost)
  redis.call('HDEL', P .. 'lease:' .. pump, id)
  free(held, 1, now)
  local key = P .. 't:' .. id
  local record = redis.call('GET', key)
  if not record then return end
  local h = unpack_head(record)
  if h.state ~= RUNNING then return end
  if h.due > now then -- taken ahead of its instant, and never called
    h.state, h.attempt = SCHEDULED, h.attempt - 1
    if h.attempt == 0 then h.started = 0 end
    redis.call('SETRANGE', key, 0, pack_head(h))
    place(h, id, h.due)
    returned = returned + 1
    return
  end
  local entry = cjson.encode({ n = h.attempt, o = 'lost', at = math.floor(h.started), w = pump })
  h.lost = h.lost + 1
  count_one(h.project, 'o:lost', now)
  local state = h.lost >= max_lost and DEAD or SCHEDULED
  if bit.band(h.flags, TELLS) > 0 then tell(id, state, now, entry) end
  if state == DEAD then
    h.state, h.ended = DEAD, now
    redis.call('SET', key, pack_head(h) .. content(h, record) .. entry)
    redis.call('ZADD', P .. 'end:' .. h.project .. ':' .. DEAD, now, id)
    unname(h, record, id)
    tell_schedule(h, record)
    count_one(h.project, 'dead', now)
    died = died + 1
  else
    h.state, h.due, h.flags = SCHEDULED, math.floor(now), bit.bor(h.flags, EARLIER)
    redis.call('RPUSH', P .. 'a:' .. id, entry)
    redis.call('SETRANGE', key, 0, pack_head(h))
    place(h, id, h.due)
    returned = returned + 1
  end
end
