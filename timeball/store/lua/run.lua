-- run: an attempt that a person asks for now.
-- WITH     _run.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] id, ARGV[3] bell horizon in ms
-- Answers {code, bell or -1, kind, record}: 0 due now (or running already), 1 its name is held by
-- another live task; nil when unknown. An ended task begins its retry policy afresh.
local id = ARGV[2]
local record = redis.call('GET', P .. 't:' .. id)
if not record then return false end
local h = unpack_head(record)
if h.project ~= ARGV[1] then return false end
local kind = kinds[h.kind]
if h.state == RUNNING then return { 0, -1, kind, record } end
local now = clock()
local moved, after = make_due(id, h, record, now)
if moved == 1 then return { 1, -1, kind, record } end
return { 0, ring(kind, h.due, now, tonumber(ARGV[3])), kind, after }
