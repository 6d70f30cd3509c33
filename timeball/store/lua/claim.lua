-- claim: give a pump due tasks, fair over lanes and within their limits; also its heartbeat.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  kind, ARGV[2] pump, ARGV[3] how many tasks it wants
-- ARGV[4]  calls that a queue without a limit of its own may have in flight in this pump
-- ARGV[5]  the same for a project
-- ARGV[6..] in turn a queue or project, and how many calls it has in flight in this pump
-- Answers {now, next, pumps, leases, then id and record a task}: `leases` counts all that the pump
-- holds now; the record is as it was before the claim.
-- `next` is the instant at which more may be due: in the past when there is more now, -1 for never.
local now, real = clock()
local kind, pump, want = ARGV[1], ARGV[2], tonumber(ARGV[3])
local pumps_key, lease = P .. 'pumps:' .. kind, P .. 'lease:' .. pump
redis.call('ZADD', pumps_key, real, pump)
redis.call('DEL', P .. 'wake:' .. kind, P .. 'bell:' .. kind)
local pumps = redis.call('ZCARD', pumps_key)
local out, owners = { math.floor(now), -1, pumps, 0 }, {}
local PROBE = 60000 -- ms that a breaker gives its one call, then another may try
local AGEING = { h = 0, n = 30000, l = 60000 } -- ms after which a lane goes with the high ones

-- What a project, a queue or a key allows now; read once, then counted down in this claim. `room`
-- is for calls in flight, `tokens` for calls in time (the generic cell rate algorithm).
-- A limit of a project or queue is over all pumps; without one, a share of this pump is the limit.
local here = {}
for i = 6, #ARGV, 2 do here[ARGV[i]] = tonumber(ARGV[i + 1]) end

local function owner_of(name, cap, share)
  local o = owners[name]
  if o then return o end
  local conf = redis.call('HMGET', P .. 'q:' .. name,
    'paused', 'concurrency', 'rate', 'per', 'burst', 'tat', 'keys')
  local inflight = tonumber(redis.call('HGET', P .. 'inflight', name)) or 0
  o = { name = name, taken = 0, tokens = math.huge, keys = tonumber(conf[7]) or 1 }
  o.room = math.max((tonumber(conf[2]) or cap or math.huge) - inflight, 0)
  if conf[1] == '1' then o.room = 0 end
  o.share = share and math.max(share - (here[name] or 0), 0) or math.huge
  if conf[3] then
    o.step = conf[4] / conf[3] -- ms from one call to the next
    o.burst = tonumber(conf[5]) or 1
    o.tat = math.max(tonumber(conf[6]) or 0, now)
    o.tokens = math.floor((now + o.burst * o.step - o.tat) / o.step + 1e-6)
  end
  owners[name] = o
  return o
end

local function owners_of(lane)
  local base = base_of(lane)
  local queue = owner_of(base, nil, ARGV[4])
  local list = { owner_of(lane:match('^[^/]*'), nil, ARGV[5]), queue }
  if is_ordered(lane) then
    list[3] = owner_of(lane, 1)
  elseif lane:find('\31c', 1, true) then
    list[3] = owner_of(lane, queue.keys)
  end
  return list
end

-- How many tasks of a lane may be taken. When none, who forbids it, and until when; nobody if only
-- this pump has no room for them.
local function allowance(list)
  local room, against, again = math.huge, nil, nil
  for _, o in ipairs(list) do
    if o.share < room then room, against, again = o.share, nil, nil end
    if o.room < room then room, against, again = o.room, o, nil end
    if o.tokens < room then
      room, against, again = math.max(o.tokens, 0), o, nil
      if room == 0 then again = o.tat - (o.burst - 1) * o.step end
    end
  end
  return room, against, again
end

-- Until when the hosts of a project may not be called: by host, read once; false when all may. A
-- host whose breaker was open lets one call through when its time is up; the others wait for it.
local projects = {}
local function closed_hosts(project)
  if projects[project] == nil then
    local raw, hosts = redis.call('HGETALL', P .. 'hosts:' .. project), false
    for i = 1, #raw, 2 do
      hosts = hosts or {}
      hosts[raw[i]] = tonumber(raw[i + 1])
    end
    projects[project] = hosts
  end
  return projects[project]
end

-- nil when a host may be called now, else until when it may not
local function closed_until(project, host)
  local hosts = closed_hosts(project)
  local till = hosts and hosts[host]
  if not till or till > now then return till end
  local breaker = P .. 'host:' .. project .. '\31' .. host
  if redis.call('HGET', breaker, 'open') then
    hosts[host] = now + PROBE
    redis.call('HSET', P .. 'hosts:' .. project, host, hosts[host])
    redis.call('HSET', breaker, 'probe', 1)
  else
    hosts[host] = nil
    redis.call('HDEL', P .. 'hosts:' .. project, host)
  end
  return nil
end

-- Put a due task of a closed host aside, in a lane of that host which is looked at when it opens.
local function park(lane, project, host, id, due, till)
  local aside = lane .. '\31@' .. host
  redis.call('ZADD', P .. 'lane:' .. aside, due, id)
  redis.call('ZADD', lanes_of(kind, aside), till, aside)
  redis.call('SADD', P .. 'apart:' .. base_of(lane), aside)
  redis.call('SADD', P .. 'parked:' .. project .. '\31' .. host, aside)
end

-- the due tasks of a lane, at most `room` of them
local function due_in(lane, room)
  local key = P .. 'lane:' .. lane
  if is_ordered(lane) then return redis.call('ZRANGE', key, 0, 0) end
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, room)
  if #ids > 0 then redis.call('ZREM', key, unpack(ids)) end
  return ids
end

-- Take tasks of a lane. Answers how many, and when to look again if its first task forbids it now.
local function serve(lane, list, room)
  local project, home = lane:match('^[^/]*'), lane
  local hosts = closed_hosts(project)
  if hosts then
    local aside, host = lane:match('^(.-)\31@(.*)$')
    local till = host and closed_until(project, host)
    if till then return 0, till end
    -- with the breaker open just one goes through
    if host then
      home = aside
      if hosts[host] then room = 1 end
    end
  else
    home = lane:match('^(.-)\31@') or lane
  end
  local ids, names, held, taken = due_in(lane, room), {}, {}, 0
  local ordered = is_ordered(lane)
  if #ids == 0 then return 0 end
  for i = 1, #ids do names[i] = P .. 't:' .. ids[i] end
  local records = redis.call('MGET', unpack(names))
  for i = 1, #ids do
    local record = records[i]
    local _, state, attempt = struct.unpack('<BBH', record or '\0\9\0\0')
    if state == SCHEDULED then
      local due = struct.unpack('<d', record, 29)
      local host, till = nil, nil
      if hosts and home == lane then
        host = record:match('^{"u":"%a+://([^/?#"]*)', 53 + struct.unpack('<H', record, 19))
        till = host and closed_until(project, host)
      end
      if ordered and (till or due > now) then return 0, till or due end
      if till then
        park(lane, project, host, ids[i], due, till)
      elseif due <= now then -- a task set aside and then put off stands in its own lane besides
        redis.call('SETRANGE', names[i], 1, struct.pack('<BHd', RUNNING, attempt + 1, now))
        held[2 * taken + 1], held[2 * taken + 2] = ids[i], home
        taken = taken + 1
        out[#out + 1] = ids[i]
        out[#out + 1] = record
      end
    elseif ordered and state ~= RUNNING then
      redis.call('ZREM', P .. 'lane:' .. lane, ids[i])
    end
  end
  local probed = home ~= lane and lane:match('\31@(.*)$')
  if taken == 0 and probed and hosts and hosts[probed] then
    hosts[probed] = now -- the task is gone: another may be the one that goes through
    redis.call('HSET', P .. 'hosts:' .. project, probed, now)
  end
  if taken > 0 then
    redis.call('HSET', lease, unpack(held))
    if not list[3] and base_of(home) ~= home then
      redis.call('HINCRBY', P .. 'inflight', home, taken)
    end
    for _, o in ipairs(list) do
      o.taken, o.room, o.share = o.taken + taken, o.room - taken, o.share - taken
      if o.step then o.tat, o.tokens = o.tat + taken * o.step, o.tokens - taken end
    end
  end
  return taken
end

-- where a lane stands after it was looked at: at its next due instant, or behind the others
local function settle(lane, lanes_key, list, first)
  local key = P .. 'lane:' .. lane
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if #head == 0 then
    redis.call('ZREM', lanes_key, lane)
    if base_of(lane) ~= lane then redis.call('SREM', P .. 'apart:' .. base_of(lane), lane) end
    return false
  end
  local due = first or is_ordered(lane) and now or tonumber(head[2])
  local room, against, again = allowance(list)
  if due <= now and room <= 0 and against and not again then
    redis.call('ZADD', lanes_key, HELD, lane)
    redis.call('ZADD', P .. 'held:' .. against.name, 'NX', now, lane)
    return false
  end
  redis.call('ZADD', lanes_key, math.max(due, again or now), lane)
  return due <= now and room > 0
end

-- Serve lanes that stand alike: first each its share, then whoever has more.
local function serve_all(lanes, left)
  local share, siblings = math.ceil(left / #lanes), {}
  for _, l in ipairs(lanes) do
    l.list = owners_of(l.lane)
    siblings[l.list[1]] = (siblings[l.list[1]] or 0) + 1
  end
  for owner, n in pairs(siblings) do
    owner.turn = math.ceil(math.min(owner.room, owner.share, owner.tokens, left) / n)
  end
  for round = 1, 2 do
    for _, l in ipairs(lanes) do
      if left > 0 and not l.done then
        local asked = math.min(allowance(l.list), left)
        if round == 1 then asked = math.min(asked, share, l.list[1].turn) end
        local taken, first = 0, nil
        if asked > 0 then taken, first = serve(l.lane, l.list, asked) end
        left = left - taken
        l.done = not settle(l.lane, l.key, l.list, first)
      end
    end
  end
  return left
end

if want > 0 then
  local tiers = { {}, {}, {} }
  for tier, class in ipairs({ 'h', 'n', 'l' }) do
    local key = P .. 'lanes:' .. kind .. (class == 'n' and '' or ':' .. class)
    local due = redis.call('ZRANGE', key, '-inf', now, 'BYSCORE', 'LIMIT', 0, 32, 'WITHSCORES')
    for i = 1, #due, 2 do
      local aged = now - tonumber(due[i + 1]) >= AGEING[class]
      table.insert(tiers[aged and 1 or tier], { lane = due[i], key = key })
    end
  end
  for _, lanes in ipairs(tiers) do
    if want > 0 and #lanes > 0 then want = serve_all(lanes, want) end
  end
  for name, o in pairs(owners) do
    if o.taken > 0 then
      redis.call('HINCRBY', P .. 'inflight', name, o.taken)
      if o.step then redis.call('HSET', P .. 'q:' .. name, 'tat', o.tat) end
    end
  end
end
out[4] = redis.call('HLEN', lease)
local first = next_due(kind)
if first then out[2] = first <= now and out[1] or math.ceil(first) end
return out
