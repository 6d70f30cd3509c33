-- host: let a host be called that its breaker or a Retry-After holds, because a person says so.
-- WITH _hosts.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] host
-- ARGV[3]  'all' forgets the trouble; 'probe' lets one call through and goes by how it ends
-- ARGV[4]  bell horizon in ms
-- Answers -2 when nothing holds the host, else a bell or -1.
local now = clock()
local project, host = ARGV[1], ARGV[2]
local hosts, breaker = P .. 'hosts:' .. project, P .. 'host:' .. project .. '\31' .. host
if redis.call('HEXISTS', hosts, host) == 0 then return -2 end
if ARGV[3] == 'probe' and redis.call('HEXISTS', breaker, 'open') == 1 then
  redis.call('HDEL', breaker, 'probe')
  redis.call('HSET', hosts, host, now)
  recall(project, host, now)
else
  redis.call('HDEL', breaker, 'open', 'probe')
  redis.call('HSET', breaker, 'cells', '', 'row', 0)
  redis.call('EXPIRE', breaker, 3600)
  open_host(project, host, now)
end
return ring('c', math.floor(now), now, tonumber(ARGV[4]))
