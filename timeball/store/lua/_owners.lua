-- Shared by the moves that weigh limits: what a project, a queue, a key or a host allows now. An
-- owner is read once, then counted down: `room` is for calls in flight, `tokens` for calls in time.
--
-- A rate holds in two ways. The generic cell rate algorithm spreads calls: one each `step`, `burst`
-- of them at once after a rest. And the log of what began, in cells of the window, lets no window
-- have more than `rate`, whatever bursts and late claims add up to. The log reckons with a window
-- that is SLACK longer, for calls reach their endpoint some milliseconds sooner or later; the steps
-- with one that is a little longer still, so that claims which come unevenly seldom meet the log.
local now, real = clock()
local SLACK = 10 -- ms; a call that cannot begin within half of it is put back (pump.py)
local SPREAD = 13 -- ms: what the steps of a window add up to besides
local LATE = 25 -- ms that a claim may come late and still make up for it
local CELLS = 200
local GROUP = 5 -- ms: what comes quicker than this comes in groups
local AT_ONCE = 10 -- calls of a rate that one claim gives at most: a pump can begin so many in time
local owners = {}

-- How many of an owner's calls began in the window that ends now; and when the first leaves it. The
-- log holds (instant, calls ever) of each cell; its first entry is the last that left the window.
local function began(o)
  local last = redis.call('LINDEX', o.log, -1)
  if not last then return 0 end
  local at, sum = struct.unpack('<dd', last)
  if at <= now - o.window or at > now + o.window then -- all have, or the clock was put back
    o.left = -1
    return 0
  end
  o.left = 0
  local base, first = redis.call('LINDEX', o.log, 0), redis.call('LINDEX', o.log, 1)
  while struct.unpack('<d', first) <= now - o.window do
    o.left = o.left + 1
    base, first = first, redis.call('LINDEX', o.log, o.left + 1)
  end
  local _, gone = struct.unpack('<dd', base)
  return sum - gone, struct.unpack('<d', first) + o.window
end

local function set_rate(o, rate, per, burst, tat)
  o.rate, o.window, o.log = rate, per + SLACK, P .. 'began:' .. o.name
  o.step, o.burst = (per + SPREAD) / rate, math.min(burst, rate)
  if now - tat > LATE or tat > now + 2 * o.window then tat = now end
  o.tat = tat
  local used, leaves = began(o)
  local spread = math.floor(o.burst + (now - tat) / o.step + 1e-6)
  o.tokens = math.max(0, math.min(spread, rate - used, AT_ONCE))
  if o.tokens == 0 then
    o.again = math.max(tat - (o.burst - 1) * o.step, used >= rate and leaves or 0)
    if o.step < GROUP then o.again = math.max(o.again, now + GROUP) end
  end
end

-- What `name` allows; `limit` is for calls in flight where nothing else is set. A limit is over all
-- pumps; `share` is what this pump may have at most.
local function owner_of(name, limit, share)
  local o = owners[name]
  if o then return o end
  local conf = redis.call('HMGET', P .. 'q:' .. name,
    'paused', 'concurrency', 'rate', 'per', 'burst', 'tat', 'keys', 'host', 'hosts')
  o = { name = name, taken = 0, tokens = math.huge, keys = tonumber(conf[7]) or 1 }
  o.paused, o.limit = conf[1] == '1', tonumber(conf[2]) or limit
  o.host, o.hosts = tonumber(conf[8]), conf[9] and true
  o.inflight = tonumber(redis.call('HGET', P .. 'inflight', name)) or 0
  o.room = math.max((o.limit or math.huge) - o.inflight, 0)
  if o.paused then o.room = 0 end
  o.share = share or math.huge
  if conf[3] then
    set_rate(o, tonumber(conf[3]), conf[4], tonumber(conf[5]) or 1, tonumber(conf[6]) or 0)
  end
  owners[name] = o
  return o
end

-- the host of a project's endpoints as an owner, nil when nothing limits it
local function host_owner(project, host)
  local p = owner_of(project)
  if not (p.host or p.hosts) then return nil end
  local name = project .. '\31@' .. host
  if owners[name] == nil then
    local limit = p.hosts and tonumber(redis.call('HGET', P .. 'caps:' .. project, host)) or p.host
    local inflight = tonumber(redis.call('HGET', P .. 'inflight', name)) or 0
    owners[name] = limit and { name = name, taken = 0, tokens = math.huge, share = math.huge,
      limit = limit, inflight = inflight, room = math.max(limit - inflight, 0) } or false
  end
  return owners[name] or nil
end

-- the owners of a lane: project, queue, key if it has one, host if it is a lane that was set aside
local function owners_of(lane, project_share, queue_share)
  local home, host = lane:match('^(.-)\31@(.*)$')
  home = home or lane
  local project, queue = lane:match('^[^/]*'), owner_of(base_of(lane), nil, queue_share)
  local list = { owner_of(project, nil, project_share), queue }
  if is_ordered(home) then
    list[3] = owner_of(key_of(home), 1)
  elseif is_keyed(home) then
    list[3] = owner_of(key_of(home), queue.keys)
  end
  if host then list[#list + 1] = host_owner(project, host) end
  return list, home, host
end

-- write down that calls of an owner with a rate begin now
local function spend(o)
  redis.call('HSET', P .. 'q:' .. o.name, 'tat', o.tat)
  if o.left == -1 then redis.call('DEL', o.log) end
  if o.left and o.left > 0 then redis.call('LTRIM', o.log, o.left, -1) end
  local last, cell = redis.call('LINDEX', o.log, -1), o.window / CELLS
  local at, sum = 0, 0
  if last then
    at, sum = struct.unpack('<dd', last)
  else
    redis.call('RPUSH', o.log, struct.pack('<dd', 0, 0))
  end
  local entry = struct.pack('<dd', now, sum + o.taken)
  if math.floor(at / cell) == math.floor(now / cell) then
    redis.call('LSET', o.log, -1, entry)
  else
    redis.call('RPUSH', o.log, entry)
  end
  redis.call('PEXPIRE', o.log, math.ceil(2 * o.window) + 60000)
end

-- calls that were let begin `at` an instant did not: others may in their stead
local function refund(o, at, n)
  local entries, changed = redis.call('LRANGE', o.log, 0, -1), false
  for i = 1, #entries do
    local cell, sum = struct.unpack('<dd', entries[i])
    if cell >= at then
      redis.call('LSET', o.log, i - 1, struct.pack('<dd', cell, sum - n))
      changed = true
    end
  end
  if changed then redis.call('HINCRBYFLOAT', P .. 'q:' .. o.name, 'tat', -n * o.step) end
end
