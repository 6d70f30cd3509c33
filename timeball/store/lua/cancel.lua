-- cancel: take a waiting task back.
-- WITH     _cancel.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] id
-- Answers {code, record}: 0 cancelled (now or before), 1 not waiting any more; nil when unknown.
local id, key = ARGV[2], P .. 't:' .. ARGV[2]
local record = redis.call('GET', key)
if not record then return false end
local h = unpack_head(record)
if h.project ~= ARGV[1] then return false end
if h.state == CANCELLED then return { 0, record } end
if h.state ~= SCHEDULED then return { 1, record } end
call_off(id, h, record, (clock()))
return { 0, pack_head(h) .. record:sub(53) }
