-- Shared by the moves that cancel tasks. Behind _head.lua.

-- take a waiting task back; its head changes with it
local function call_off(id, h, record, now)
  leave(h, id, record)
  h.state, h.ended = CANCELLED, now
  redis.call('SETRANGE', P .. 't:' .. id, 0, pack_head(h))
  redis.call('ZADD', P .. 'end:' .. h.project .. ':' .. CANCELLED, now, id)
  unname(h, record, id)
  tell_schedule(h, record)
end
