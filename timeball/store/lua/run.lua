-- run: an attempt that a person asks for now.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] id, ARGV[3] bell horizon in ms
-- Answers {code, bell or -1, kind, record}: 0 due now (or running already), 1 its name is held by
-- another live task; nil when unknown. An ended task begins its retry policy afresh.
local id, key = ARGV[2], P .. 't:' .. ARGV[2]
local record = redis.call('GET', key)
if not record then return false end
local h = unpack_head(record)
if h.project ~= ARGV[1] then return false end
if h.state == RUNNING then return { 0, -1, kinds[h.kind], record } end
local now = clock()
local due = math.floor(now)
if h.state ~= SCHEDULED then
  if bit.band(h.flags, NAMED) > 0 then
    local name = spec_of(h, record).n
    if redis.call('HSETNX', P .. 'name:' .. h.project, name, id) == 0 then
      return { 1, -1, kinds[h.kind], record }
    end
  end
  redis.call('ZREM', P .. 'end:' .. h.project .. ':' .. h.state, id)
  local body = content(h, record)
  local entry = record:sub(53 + #body)
  if #entry > 0 then
    redis.call('RPUSH', P .. 'a:' .. id, entry)
    h.flags = bit.bor(h.flags, EARLIER)
  end
  h.state, h.base, h.lost, h.ended, h.due = SCHEDULED, h.attempt, 0, 0, due
  record = pack_head(h) .. body
  redis.call('SET', key, record)
elseif h.due > due then
  h.due = due
  redis.call('SETRANGE', key, 0, pack_head(h))
  record = pack_head(h) .. record:sub(53)
else
  return { 0, ring(kinds[h.kind], h.due, now, tonumber(ARGV[3])), kinds[h.kind], record }
end
place(h, id, due)
return { 0, ring(kinds[h.kind], due, now, tonumber(ARGV[3])), kinds[h.kind], record }
