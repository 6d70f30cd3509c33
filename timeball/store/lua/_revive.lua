-- Shared by the moves that bring ended tasks back. Behind _head.lua.

-- An ended task waits again, its retry policy begun afresh: its head changes, its last attempt
-- joins the log. Answers the record without that attempt, its head not written anew.
local function revive(id, h, record)
  redis.call('ZREM', P .. 'end:' .. h.project .. ':' .. h.state, id)
  local body = content(h, record)
  local entry = record:sub(53 + #body)
  if #entry > 0 then
    redis.call('RPUSH', P .. 'a:' .. id, entry)
    h.flags = bit.bor(h.flags, EARLIER)
  end
  h.state, h.base, h.lost, h.ended = SCHEDULED, h.attempt, 0, 0
  return record:sub(1, 52) .. body
end
