-- ring: find work that no pump is awake for.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  fence of the beat that asks, ARGV[2] kind, ARGV[3] bell horizon in ms
-- Answers the instant to send a message for, or -1; nil when the fence is old. A bell that should
-- have been answered a second ago counts as lost.
if tonumber(ARGV[1]) < (tonumber(redis.call('GET', P .. 'fence')) or 0) then return false end
local now = clock()
local kind = ARGV[2]
local first = next_due(kind)
if not first then return -1 end
local bell = tonumber(redis.call('GET', P .. 'bell:' .. kind))
if bell and bell < now - 1000 then redis.call('DEL', P .. 'bell:' .. kind) end
return ring(kind, math.ceil(first), now, tonumber(ARGV[3]))
