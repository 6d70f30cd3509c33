-- update: change a task that waits or is dead, if nobody changed it since it was read; a dead one
-- waits again, its retry policy begun afresh.
-- WITH     _revive.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  id, ARGV[2] SHA-1 of the record that was read, ARGV[3] bell horizon in ms
-- ARGV[4]  lane, ARGV[5] due in ms ('' is now), ARGV[6] delay in ms, ARGV[7] name
-- ARGV[8]  tags joined by '\n', ARGV[9] spec, ARGV[10] body, ARGV[11] flags (named, tagged)
-- ARGV[12] code of the state that it must be in
-- Answers {code, bell or -1, kind, record}: 0 changed, 1 in another state now, 2 changed by
-- another, read again, 3 the name is held by a live task; nil when unknown.
local id, key = ARGV[1], P .. 't:' .. ARGV[1]
local record = redis.call('GET', key)
if not record then return false end
local h = unpack_head(record)
local kind = kinds[h.kind]
if h.state ~= tonumber(ARGV[12]) then return { 1, -1, kind, record } end
if redis.sha1hex(record) ~= ARGV[2] then return { 2, -1, kind, record } end
local now = clock()
local names, name = P .. 'name:' .. h.project, ARGV[7]
local old = bit.band(h.flags, NAMED + TAGGED) > 0 and spec_of(h, record) or {}
local holder = name ~= '' and redis.call('HGET', names, name)
if holder and holder ~= id then return { 3, -1, kind, record } end
if old.n and old.n ~= name then
  unname(h, record, id)
  redis.call('ZREM', P .. 'names:' .. h.project, old.n .. '\0' .. id)
end
if name ~= '' then
  redis.call('HSET', names, name, id)
  redis.call('ZADD', P .. 'names:' .. h.project, 0, name .. '\0' .. id)
end
for _, tag in ipairs(old.g or {}) do
  redis.call('ZREM', P .. 'tag:' .. h.project .. ':' .. tag, id)
end
for tag in ARGV[8]:gmatch('[^\n]+') do
  redis.call('ZADD', P .. 'tag:' .. h.project .. ':' .. tag, 0, id)
end
if h.state == SCHEDULED then leave(h, id, record) else revive(id, h, record) end
redis.call('ZREM', P .. 'idx:' .. base_of(h.lane), id)
local spec, delay = ARGV[9], tonumber(ARGV[6])
h.due = math.floor((ARGV[5] == '' and now or tonumber(ARGV[5])) + delay)
if delay > 0 then spec = plan(spec, h.due) end
h.lane, h.lane_len, h.spec_len, h.body_len = ARGV[4], #ARGV[4], #spec, #ARGV[10]
local stays = bit.band(h.flags, OCCURRENCE) > 0 and EARLIER + TELLS or EARLIER -- a schedule counts
h.flags = bit.bor(bit.band(h.flags, stays), tonumber(ARGV[11]))
record = pack_head(h) .. ARGV[4] .. spec .. ARGV[10]
redis.call('SET', key, record)
redis.call('ZADD', P .. 'idx:' .. base_of(h.lane), 0, id)
redis.call('SADD', P .. 'queues:' .. h.project, base_of(h.lane))
place(h, id, h.due)
return { 0, ring(kind, h.due, now, tonumber(ARGV[3])), kind, record }
