-- Shared by the moves that run tasks. Behind _head.lua.
-- WITH     _revive.lua

-- Make a task that is not running due now. Answers whether its due instant moved (false: it was due
-- before, 1: its name is held by another live task), and its record. An ended task begins its retry
-- policy afresh.
local function make_due(id, h, record, now)
  local key, due = P .. 't:' .. id, math.floor(now)
  if h.state == SCHEDULED then
    if h.due <= due then return false, record end
    h.due = due
    redis.call('SETRANGE', key, 0, pack_head(h))
    record = pack_head(h) .. record:sub(53)
  else
    if bit.band(h.flags, NAMED) > 0 then
      local name = spec_of(h, record).n
      if redis.call('HSETNX', P .. 'name:' .. h.project, name, id) == 0 then return 1, record end
    end
    record = revive(id, h, record)
    h.due = due
    record = pack_head(h) .. record:sub(53)
    redis.call('SET', key, record)
  end
  place(h, id, due)
  return true, record
end
