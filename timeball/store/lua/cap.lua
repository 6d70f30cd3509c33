-- cap: limit the calls that hosts may have in flight.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] host; an empty one stands for each that has no limit of its own
-- ARGV[3]  the limit, empty for none, ARGV[4] bell horizon in ms
-- Answers a bell or -1 for calls.
local now = clock()
local project, host = ARGV[1], ARGV[2]
local owner, caps = P .. 'q:' .. project, P .. 'caps:' .. project

-- Calls that began before there was a limit count for it too: mark their leases.
local function count_in_flight()
  local default = redis.call('HGET', owner, 'host')
  for _, pump in ipairs(redis.call('ZRANGE', P .. 'pumps:c', 0, -1)) do
    local lease = P .. 'lease:' .. pump
    local held = redis.call('HGETALL', lease)
    for i = 1, #held, 2 do
      local lane = held[i + 1]
      if lane:match('^[^/]*') == project and not lane:find('\31@', 1, true) then
        local record = redis.call('GETRANGE', P .. 't:' .. held[i], 0, 4095)
        local at = #record > 52 and host_of(record)
        if at and (default or redis.call('HEXISTS', caps, at) == 1) then
          redis.call('HSET', lease, held[i], lane .. '\31@' .. at)
          redis.call('HINCRBY', P .. 'inflight', project .. '\31@' .. at, 1)
        end
      end
    end
  end
end

if host == '' then
  if ARGV[3] == '' then
    redis.call('HDEL', owner, 'host')
  else
    redis.call('HSET', owner, 'host', ARGV[3])
  end
else
  if ARGV[3] == '' then
    redis.call('HDEL', caps, host)
  else
    redis.call('HSET', caps, host, ARGV[3])
  end
  if redis.call('EXISTS', caps) == 1 then
    redis.call('HSET', owner, 'hosts', 1)
  else
    redis.call('HDEL', owner, 'hosts')
  end
end
count_in_flight()
-- what waited for the old limit is looked at anew
local hosts = host ~= '' and { host } or redis.call('SMEMBERS', P .. 'aside:' .. project)
for _, one in ipairs(hosts) do
  wake(project .. '\31@' .. one, math.huge, now)
end
return ring('c', math.floor(now), now, tonumber(ARGV[4]))
