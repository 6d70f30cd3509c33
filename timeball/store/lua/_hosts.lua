-- Shared by the moves that let hosts be called again. Behind _head.lua.

-- Let a host be called: the lanes of a kind that were set aside for it stand again.
local function open_host(kind, project, host, now)
  local parked = P .. 'parked:' .. project .. '\31' .. host
  redis.call('HDEL', P .. 'hosts:' .. project, host)
  for _, lane in ipairs(redis.call('SMEMBERS', parked)) do
    redis.call('ZADD', lanes_of(kind, lane), 'XX', now, lane)
  end
  redis.call('DEL', parked)
end
