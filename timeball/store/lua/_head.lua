-- Shared by every move: the clock, the record, lanes and bells. Prepended to each file.
-- KEYS[1] is the prefix of the shard. The record's layout is told in codec.py.
local P = KEYS[1]
local HEAD = '<BBHdBBBBHHI4I4ddd'
local SCHEDULED, RUNNING, SUCCEEDED, DEAD, CANCELLED = 0, 1, 2, 3, 4
local NAMED, TAGGED, EARLIER, OCCURRENCE, TELLS = 1, 2, 4, 8, 16
local DROWSY = 1500 -- a pump that was silent for so many ms may be dead: another one is woken
local HELD = 9e15 -- the score of a lane that waits for a slot, not for an instant
local kinds = { [0] = 'c', [1] = 'e' }

-- the store's now in milliseconds: with the virtual clock, and without
local function clock()
  local t = redis.call('TIME')
  local real = t[1] * 1000 + t[2] / 1000
  return real + (tonumber(redis.call('GET', P .. 'clock')) or 0), real
end

local function unpack_head(record)
  local h = {}
  h.version, h.state, h.attempt, h.started, h.kind, h.lost, h.flags, h.priority, h.base,
    h.lane_len, h.spec_len, h.body_len, h.due, h.created, h.ended = struct.unpack(HEAD, record)
  h.lane = record:sub(53, 52 + h.lane_len)
  h.project = h.lane:match('^[^/]*')
  return h
end

local function pack_head(h)
  return struct.pack(HEAD, h.version, h.state, h.attempt, h.started, h.kind, h.lost, h.flags,
    h.priority, h.base, h.lane_len, h.spec_len, h.body_len, h.due, h.created, h.ended)
end

-- the record without its head and without the attempt that rides behind
local function content(h, record)
  return record:sub(53, 52 + h.lane_len + h.spec_len + h.body_len)
end

local function spec_of(h, record)
  return cjson.decode(record:sub(53 + h.lane_len, 52 + h.lane_len + h.spec_len))
end

-- a spec that says for which instant a task is planned, when only a delay was asked for
local function plan(spec, due)
  return spec:sub(1, -2) .. string.format(',"s":%.0f}', due)
end

-- give the name of a task free, if the task still holds it
local function unname(h, record, id)
  if bit.band(h.flags, NAMED) == 0 then return end
  local key, name = P .. 'name:' .. h.project, spec_of(h, record).n
  if redis.call('HGET', key, name) == id then redis.call('HDEL', key, name) end
end

-- A lane is project/queue, then what sets some tasks of the queue apart, each behind \31 (keys.py).
local function base_of(lane) return lane:match('^[^\31]*') end
local function is_ordered(lane) return lane:find('\31o', 1, true) ~= nil end
local function is_keyed(lane) return lane:find('\31[oc]') ~= nil end
local function kind_of(lane) return lane:find('\31x', 1, true) and 'e' or 'c' end

-- the host that a record's URL names, with its port where it does; occurrences have it further on
local function host_of(record)
  local spec = 53 + struct.unpack('<H', record, 19)
  return record:match('^{"u":"%a+://([^/?#"]*)', spec)
    or record:match('"u":"%a+://([^/?#"]*)', spec) or ''
end

-- where the lanes of a kind and a priority stand
local function lanes_of(kind, lane)
  local class = lane:match('\31([hl])')
  return P .. 'lanes:' .. kind .. (class and ':' .. class or '')
end

-- Give a lane a seat in the express, by when it may be served. A project has a few seats there, for
-- its earliest lanes: so a claim finds everybody's, whatever crowd of lanes another project has.
local SEATS = 8
local function seat(lane, at)
  local kind = kind_of(lane)
  local express, project = P .. 'express:' .. kind, lane:match('^[^/]*')
  local seats = P .. 'seats:' .. kind .. ':' .. project
  redis.call('ZADD', seats, 'LT', at, lane)
  redis.call('ZADD', express, 'LT', at, lane)
  if redis.call('ZCARD', seats) > SEATS then
    redis.call('ZREM', express, redis.call('ZPOPMAX', seats)[1])
  end
end

-- show a lane of a kind to the claims, from the instant on at which it may be served
local function show(kind, lane, due)
  redis.call('ZADD', lanes_of(kind, lane), 'LT', due, lane)
  seat(lane, due)
  local base = base_of(lane)
  if base ~= lane then redis.call('SADD', P .. 'apart:' .. base, lane) end
end

-- Put a task in its lane. In an ordered lane it keeps its place until it has ended.
local function place(h, id, due)
  if is_ordered(h.lane) then
    redis.call('ZADD', P .. 'lane:' .. h.lane, 'NX', due, id)
  else
    redis.call('ZADD', P .. 'lane:' .. h.lane, due, id)
  end
  show(kinds[h.kind], h.lane, due)
end

-- Take a task out of its lane, or of that where it was set aside for its host. Those behind it in
-- an ordered lane need not wait for it any more.
local function leave(h, id, record)
  if redis.call('ZREM', P .. 'lane:' .. h.lane, id) == 0 and h.state == SCHEDULED then
    redis.call('ZREM', P .. 'lane:' .. h.lane .. '\31@' .. host_of(record), id)
  end
  if is_ordered(h.lane) then
    redis.call('ZADD', lanes_of(kinds[h.kind], h.lane), 'XX', 'LT', 0, h.lane)
  end
end

-- the instant at which a lane of a kind may next be served, or nil
local function next_due(kind)
  local first
  for _, class in ipairs({ '', ':h', ':l' }) do
    local head = redis.call('ZRANGE', P .. 'lanes:' .. kind .. class, 0, 0, 'WITHSCORES')
    local score = tonumber(head[2])
    if score and score < HELD and not (first and first <= score) then first = score end
  end
  return first
end

-- who counts the calls of one key: the key has its slots whatever the priority of its tasks
local function key_of(lane)
  return (lane:gsub('^([^\31]*)\31[hl]', '%1'))
end

-- Let lanes that wait for a slot of an owner stand again: at most n, those first that waited
-- longest, by the reckoning of their priorities.
local function wake(owner, n, now)
  local held = P .. 'held:' .. owner
  while n > 0 do
    local found = redis.call('ZPOPMIN', held, math.min(n, 1000))
    if #found == 0 then return end
    for i = 1, #found, 2 do
      local lane = found[i]
      local lanes = lanes_of(kind_of(lane), lane)
      if tonumber(redis.call('ZSCORE', lanes, lane) or 0) == HELD then
        redis.call('ZADD', lanes, now, lane)
        seat(lane, now)
        n = n - 1
      end
    end
  end
end

-- n calls of a lease have ended: count them out for key, queue, project and host, and let as many
-- lanes that waited for their slots stand again.
local function free(lease, n, now)
  local lane, host = lease:match('^(.-)(\31@.*)$')
  lane = lane or lease
  local base, project = base_of(lane), lane:match('^[^/]*')
  local owners = { base, project }
  if is_keyed(lane) then owners[3] = key_of(lane) end
  if host then owners[#owners + 1] = project .. host end
  for _, owner in ipairs(owners) do
    if redis.call('HINCRBY', P .. 'inflight', owner, -n) <= 0 then
      redis.call('HDEL', P .. 'inflight', owner)
    end
    wake(owner, n, now)
  end
end

-- Tell whoever must act that a task is due at `due`. Answers that instant when the caller has to
-- send a Celery message for it, -1 when a resident pump knows or a message is under way.
local function ring(kind, due, now, horizon)
  local _, real = clock()
  if redis.call('ZCOUNT', P .. 'pumps:' .. kind, real - DROWSY, '+inf') > 0 then
    local list = P .. 'wake:' .. kind
    if due <= now + 1000 and redis.call('LLEN', list) == 0 then redis.call('LPUSH', list, 1) end
    return -1
  end
  if due > now + horizon then return -1 end
  local bell = tonumber(redis.call('GET', P .. 'bell:' .. kind))
  if bell and bell <= due then return -1 end
  redis.call('SET', P .. 'bell:' .. kind, due, 'PX', math.floor(math.max(due - now, 0) + 3000))
  return due
end

-- a task has come to its end: tell beat, if it is an occurrence and the next one waits for that
local function tell_schedule(h, record)
  if bit.band(h.flags, OCCURRENCE) == 0 then return end
  local schedule = spec_of(h, record).sc
  if redis.call('EXISTS', P .. 'sw:' .. schedule) == 0 then return end
  redis.call('SADD', P .. 'ended', schedule)
  if redis.call('LLEN', P .. 'wake:s') == 0 then redis.call('LPUSH', P .. 'wake:s', 1) end
end

-- count something that seldom happens, for the charts and the alerts
local function count_one(project, field, now)
  for key, life in pairs({
    [P .. 'm:' .. project .. ':' .. math.floor(now / 60000)] = 90000,
    [P .. 'h:' .. project .. ':' .. math.floor(now / 3600000)] = 691200,
  }) do
    redis.call('HINCRBY', key, field, 1)
    redis.call('EXPIRE', key, life)
  end
end

-- An attempt of a task has ended that somebody is to be told of: beat makes a call of it. `state`
-- is what follows. The layout is told in outbox.py.
local function tell(id, state, now, entry)
  redis.call('RPUSH', P .. 'outbox', struct.pack('<Bdc16', state, now, id) .. entry)
  if redis.call('LLEN', P .. 'wake:s') == 0 then redis.call('LPUSH', P .. 'wake:s', 1) end
end

-- forget a task wholly; a call in flight goes on, and its finish will find nothing
local function erase(id, h, record)
  leave(h, id, record)
  redis.call('ZREM', P .. 'idx:' .. base_of(h.lane), id)
  if h.state > RUNNING then redis.call('ZREM', P .. 'end:' .. h.project .. ':' .. h.state, id) end
  if bit.band(h.flags, NAMED + TAGGED) > 0 then
    local spec = spec_of(h, record)
    if spec.n then
      if h.state <= RUNNING then unname(h, record, id) end
      redis.call('ZREM', P .. 'names:' .. h.project, spec.n .. '\0' .. id)
    end
    for _, tag in ipairs(spec.g or {}) do
      redis.call('ZREM', P .. 'tag:' .. h.project .. ':' .. tag, id)
    end
  end
  redis.call('DEL', P .. 't:' .. id, P .. 'a:' .. id)
end
