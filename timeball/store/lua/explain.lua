-- explain: what a task waits for, as facts. Changes nothing, at a cost that does not grow with the
-- tasks that wait.
-- WITH     _owners.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] id, ARGV[3] how many lanes of its queue to look at, at most
-- Answers JSON, nil when the task is unknown. Instants are in ms.
local id, most = ARGV[2], tonumber(ARGV[3])
local record = redis.call('GET', P .. 't:' .. id)
if not record then return false end
local h = unpack_head(record)
if h.project ~= ARGV[1] then return false end
local kind = kinds[h.kind]
local out = { now = now, state = h.state, attempt = h.attempt - h.base, due = h.due,
  started = h.started, ended = h.ended, kind = kind }

local beats = redis.call('ZREVRANGE', P .. 'pumps:' .. kind, 0, -1, 'WITHSCORES')
out.pumps, out.heard = #beats / 2, tonumber(beats[2]) and real - tonumber(beats[2])
if h.state == RUNNING then
  for i = 1, #beats, 2 do
    if redis.call('HEXISTS', P .. 'lease:' .. beats[i], id) == 1 then
      out.pump, out.heard = beats[i], real - tonumber(beats[i + 1])
    end
  end
end
if h.state ~= SCHEDULED then return cjson.encode(out) end

-- the lane where it stands, and how many stand before it
local host = kind == 'c' and host_of(record) or ''
local lane = h.lane
local at = redis.call('ZRANK', P .. 'lane:' .. lane, id)
if not at then
  lane = lane .. '\31@' .. host
  at = redis.call('ZRANK', P .. 'lane:' .. lane, id)
end
out.aside, out.before = lane ~= h.lane, at or 0
out.ordered, out.key = is_ordered(h.lane), h.lane:match('\31[oc]([^\31]*)')
if out.ordered and out.before > 0 then
  local first = redis.call('ZRANGE', P .. 'lane:' .. lane, 0, 0)[1]
  out.first_runs = redis.call('GETRANGE', P .. 't:' .. first, 1, 1):byte() == RUNNING
end

-- how many are due in the other lanes of its queue: of a higher priority, and of the same
local rank = { h = 1, n = 2, l = 3 }
local function rank_of(name) return rank[name:match('^[^\31]*\31([hl])') or 'n'] end
local base, own = base_of(lane), rank_of(lane)
out.higher, out.beside, out.lanes = 0, 0, 1
local function count(name)
  if name == lane or kind_of(name) ~= kind then return end
  out.lanes = out.lanes + 1
  local n = redis.call('ZCOUNT', P .. 'lane:' .. name, '-inf', now)
  if rank_of(name) < own then out.higher = out.higher + n end
  if rank_of(name) == own then out.beside = out.beside + n end
end
count(base)
if redis.call('SCARD', P .. 'apart:' .. base) <= most then
  for _, name in ipairs(redis.call('SMEMBERS', P .. 'apart:' .. base)) do count(name) end
else
  out.capped = true
end

-- its owners: what each allows, and how many lanes were told to wait for it before this one
local function show_owner(scope, o)
  local told = { scope = scope, paused = o.paused or false, limit = o.limit, inflight = o.inflight,
    rate = o.rate, per = o.rate and o.window - SLACK, step = o.step, again = o.again }
  if o.room < math.huge then told.room = o.room end
  if o.tokens < math.huge then told.tokens = o.tokens end
  local rank_held = redis.call('ZRANK', P .. 'held:' .. o.name, lane)
  if rank_held then told.held = rank_held end
  out.owners[#out.owners + 1] = told
end
out.owners = {}
local list = owners_of(h.lane)
for i, scope in ipairs({ 'project', 'queue', out.ordered and 'order' or 'key' }) do
  if list[i] then show_owner(scope, list[i]) end
end
local limit = kind == 'c' and host_owner(h.project, host)
if limit then show_owner('host', limit) end

if host ~= '' then
  local breaker = P .. 'host:' .. h.project .. '\31' .. host
  local was = redis.call('HMGET', breaker, 'open', 'probe', 'row')
  out.host, out.closed = host, tonumber(redis.call('HGET', P .. 'hosts:' .. h.project, host))
  out.opened, out.probe = tonumber(was[1]), was[2] == '1'
  out.row = tonumber(was[3])
end
return cjson.encode(out)
