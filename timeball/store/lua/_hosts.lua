-- Shared by the moves that let hosts be called again. Behind _head.lua.

-- the lanes that were set aside for a host stand again
local function recall(project, host, at)
  for _, lane in ipairs(redis.call('SMEMBERS', P .. 'parked:' .. project .. '\31' .. host)) do
    redis.call('ZADD', lanes_of(kind_of(lane), lane), 'XX', at, lane)
  end
end

-- let a host be called from now on
local function open_host(project, host, at)
  redis.call('HDEL', P .. 'hosts:' .. project, host)
  recall(project, host, at)
end
