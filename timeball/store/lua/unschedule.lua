-- unschedule: forget a schedule, and take back what was made of it and not claimed.
-- WITH     _schedule.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  id, ARGV[2] project
-- Answers 1, or 0 when there is none.
local id, key = ARGV[1], P .. 's:' .. ARGV[1]
local record = redis.call('GET', key)
if not record then return 0 end
local s = read_schedule(id, record)
if s.lane:match('^[^/]*') ~= ARGV[2] then return 0 end
drop(s)
local from = SCHEDULE_HEAD + s.lane_len
local name = cjson.decode(record:sub(from + 1, from + s.rule_len)).n
if name then redis.call('ZREM', P .. 'snames:' .. ARGV[2], name .. '\0' .. id) end
redis.call('ZREM', P .. 'next', id)
redis.call('ZREM', P .. 'schedules:' .. ARGV[2], id)
redis.call('DEL', key, P .. 'sh:' .. id, P .. 'sc:' .. id, P .. 'sf:' .. id)
return 1
