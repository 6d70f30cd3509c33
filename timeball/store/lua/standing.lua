-- standing: how a project stands, each number read in bounded time. Changes nothing.
-- WITH     _lanes.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] how many lanes to look at, at most
-- Answers {now, waiting, due now, when the first of all is due or -1, in flight, succeeded, dead,
-- cancelled, schedules, queues, lanes left out}; instants in ms.
local now, project = clock(), ARGV[1]
local waiting, due, first = 0, 0, -1
local queues, left_out = each_lane(project, tonumber(ARGV[2]), function(key, head, ordered)
  waiting = waiting + redis.call('ZCARD', key)
  if head <= now then due = due + (ordered and 1 or redis.call('ZCOUNT', key, '-inf', now)) end
  if first < 0 or head < first then first = head end
end)
local out = { math.floor(now), waiting, due, math.floor(first) }
out[5] = tonumber(redis.call('HGET', P .. 'inflight', project) or 0)
for _, state in ipairs({ SUCCEEDED, DEAD, CANCELLED }) do
  out[#out + 1] = redis.call('ZCARD', P .. 'end:' .. project .. ':' .. state)
end
out[9] = redis.call('ZCARD', P .. 'schedules:' .. project)
out[10], out[11] = queues, left_out
return out
