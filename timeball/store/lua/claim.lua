-- claim: give a pump due tasks, fair over lanes and within their limits; also its heartbeat.
-- WITH     _owners.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  kind, ARGV[2] pump, ARGV[3] how many tasks it wants
-- ARGV[4]  calls that a queue may have in flight in this pump
-- ARGV[5]  the same for a project that is alone; of what others leave it gets half
-- ARGV[6]  how many ms before they are due tasks may be taken when none is due now, 0 for none;
--          only where nothing limits their lane. They count as running from then on
-- ARGV[7..] in turn a queue or project, and how many calls it has in flight in this pump
-- Answers {now, next, pumps, leases, unfinished, paced, probes, then id and record a task}:
-- `leases` counts all that the pump holds now; `unfinished` is 1 when tasks were set aside and
-- there are more to look at; `paced` has the places (from 0) of tasks that a rate lets begin now,
-- and not later; `probes` those of tasks that open breakers let through, so that the pump tells how
-- they end; the record is as it was before the claim.
-- `next` is the instant at which more may be due: in the past when there is more now, -1 for never.
local kind, pump, want = ARGV[1], ARGV[2], tonumber(ARGV[3])
local pumps_key, lease = P .. 'pumps:' .. kind, P .. 'lease:' .. pump
redis.call('ZADD', pumps_key, real, pump)
redis.call('DEL', P .. 'wake:' .. kind, P .. 'bell:' .. kind)
local pumps = redis.call('ZCARD', pumps_key)
local HEADER = 7
local paced, probes = {}, {}
local out = { math.floor(now), -1, pumps, 0, 0, paced, probes }
local PROBE = 60000 -- ms that a breaker gives its one call, then another may try
local AGEING = { h = 0, n = 30000, l = 60000 } -- ms after which a lane goes with the high ones
local looks = 1000 -- tasks that one claim sets aside at most

-- calls that this pump has in flight: by queue and by project, and in all
local here, busy = {}, 0
for i = 7, #ARGV, 2 do
  here[ARGV[i]] = tonumber(ARGV[i + 1])
  if not ARGV[i]:find('/', 1, true) then busy = busy + here[ARGV[i]] end
end

-- A share of this pump: one whose endpoints hang cannot take all slots, nor can several of them.
local function shares(lane)
  local base, project = base_of(lane), lane:match('^[^/]*')
  local own = here[project] or 0
  return math.max(ARGV[5] - math.floor((busy - own) / 2) - own, 0),
    math.max(ARGV[4] - (here[base] or 0), 0)
end

-- How many tasks of a lane may be taken. When none, who forbids it, and until when; nobody if only
-- this pump has no room for them.
local function allowance(list)
  local room, against, again = math.huge, nil, nil
  for _, o in ipairs(list) do
    if o.share < room then room, against, again = o.share, nil, nil end
    if o.room < room then room, against, again = o.room, o, nil end
    if o.tokens < room then room, against, again = o.tokens, o, o.again end
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

-- a lane waits for a slot of an owner; who frees one lets it stand again, the longest waiting first
local function hold(lane, owner)
  redis.call('ZADD', lanes_of(kind, lane), HELD, lane)
  local since = now + AGEING[lane:match('\31([hl])') or 'n']
  redis.call('ZADD', P .. 'held:' .. owner.name, 'NX', since, lane)
end

-- Put a due task aside, in a lane of its host: until `till` when the host is closed, else until the
-- host's owner has a slot for it.
local lines = {} -- by lane of a host: whether tasks wait in it
local function park(l, host, id, due, till, owner)
  local aside, project = l.lane .. '\31@' .. host, l.list[1].name
  redis.call('ZADD', P .. 'lane:' .. aside, due, id)
  lines[aside] = true
  local stands = lanes_of(kind, aside)
  if till then
    redis.call('ZADD', stands, till, aside)
  elseif owner.room > 0 then
    redis.call('ZADD', stands, 'NX', now, aside)
  elseif not redis.call('ZSCORE', stands, aside) then
    hold(aside, owner)
  end
  if redis.call('SADD', P .. 'parked:' .. project .. '\31' .. host, aside) == 1 then
    redis.call('SADD', P .. 'apart:' .. base_of(l.lane), aside)
    redis.call('SADD', P .. 'aside:' .. project, host)
  end
end

-- whether tasks of a lane wait aside for a host: who comes later goes behind them
local function has_line(lane, host)
  local aside = lane .. '\31@' .. host
  if lines[aside] == nil then lines[aside] = redis.call('EXISTS', P .. 'lane:' .. aside) == 1 end
  return lines[aside]
end

-- whether nothing forbids to take tasks of a lane before they are due
local function is_free(l)
  if l.host or is_keyed(l.lane) then return false end
  for _, o in ipairs(l.list) do
    if o.paused or o.limit or o.step or o.host or o.hosts then return false end
  end
  return not closed_hosts(l.list[1].name)
end

-- the tasks of a lane that are due by an instant, at most `room` of them
local function due_in(lane, room, by)
  local key = P .. 'lane:' .. lane
  if is_ordered(lane) then return redis.call('ZRANGE', key, 0, 0) end
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', by, 'LIMIT', 0, room)
  if #ids > 0 then redis.call('ZREM', key, unpack(ids)) end
  return ids
end

-- the first bytes of the head of a task that runs: one text for all that were tried as often
local marks, marked_for = {}, now
local function mark(attempt, due)
  local begins = due > now and due or now
  if begins ~= marked_for then marks, marked_for = {}, begins end
  local text = marks[attempt]
  if not text then
    text = struct.pack('<BHd', RUNNING, attempt + 1, begins)
    marks[attempt] = text
  end
  return text
end

-- Take tasks of a lane. Answers how many, when to look again if its first task forbids it now, and
-- the owner whose slots that task waits for.
local function serve(l, room)
  local lane, list, project = l.lane, l.list, l.list[1].name
  local hosts = closed_hosts(project)
  local weighed = kind == 'c' and not l.host and (hosts or list[1].host or list[1].hosts)
  if l.host and hosts then
    local till = closed_until(project, l.host)
    if till then return 0, till end
    if hosts[l.host] then room = 1 end -- with the breaker open just one goes through
  end
  local held, taken, ordered = {}, 0, is_ordered(lane)
  local value = l.home
  if l.host and list[#list].name == project .. '\31@' .. l.host then value = lane end
  repeat
    local asked, aside = room - taken, 0
    local ids, names = due_in(lane, asked, l.by), {}
    for i = 1, #ids do names[i] = P .. 't:' .. ids[i] end
    local records = #ids > 0 and redis.call('MGET', unpack(names)) or {}
    for i = 1, #ids do
      local record = records[i]
      local _, state, attempt = struct.unpack('<BBH', record or '\0\9\0\0')
      if state == SCHEDULED then
        local due, host, till, owner = struct.unpack('<d', record, 29), nil, nil, nil
        if weighed then
          host = host_of(record)
          till = hosts and closed_until(project, host)
          if not till then owner = host_owner(project, host) end
        end
        if ordered and (till or due > now) then return 0, till or due end
        if ordered and owner and owner.room <= 0 then
          redis.call('SADD', P .. 'aside:' .. project, host)
          return 0, nil, owner
        end
        if till or (owner and not ordered and (owner.room <= 0 or has_line(lane, host))) then
          park(l, host, ids[i], due, till, owner)
          aside = aside + 1
        elseif due <= l.by then -- a task set aside and then put off stands in its own lane besides
          redis.call('SETRANGE', names[i], '1', mark(attempt, due))
          held[2 * taken + 1], held[2 * taken + 2] = ids[i], value
          if owner then
            held[2 * taken + 2] = value .. '\31@' .. host
            owner.room, owner.taken = owner.room - 1, owner.taken + 1
          end
          taken = taken + 1
          out[#out + 1] = ids[i]
          out[#out + 1] = record
          if l.paced then paced[#paced + 1] = (#out - HEADER) / 2 - 1 end
          if hosts and hosts[l.host or host] then probes[#probes + 1] = (#out - HEADER) / 2 - 1 end
        end
      elseif ordered and state ~= RUNNING then
        redis.call('ZREM', P .. 'lane:' .. lane, ids[i])
      end
    end
    looks = looks - aside
    local more = aside > 0 and #ids == asked
    if more and looks <= 0 then out[5] = 1 end
  until not more or looks <= 0
  if taken == 0 and l.host and hosts and hosts[l.host] then
    hosts[l.host] = now -- the task is gone: another may be the one that goes through
    redis.call('HSET', P .. 'hosts:' .. project, l.host, now)
  end
  if taken > 0 then
    redis.call('HSET', lease, unpack(held))
    for _, o in ipairs(list) do
      o.taken, o.room, o.share = o.taken + taken, o.room - taken, o.share - taken
      o.tokens = o.tokens - taken
      if o.step then
        o.tat = o.tat + taken * o.step
        o.again = math.max(now + GROUP, o.tat - (o.burst - 1) * o.step)
      end
    end
  end
  return taken
end

-- where a lane stands after it was looked at: at its next due instant, or behind the others
local function settle(l, first, owner)
  local lane, key = l.lane, P .. 'lane:' .. l.lane
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if #head == 0 then
    redis.call('ZREM', l.key, lane)
    if base_of(lane) ~= lane then redis.call('SREM', P .. 'apart:' .. base_of(lane), lane) end
    if l.host then
      local project = l.list[1].name
      local parked = P .. 'parked:' .. project .. '\31' .. l.host
      redis.call('SREM', parked, lane)
      if redis.call('EXISTS', parked) == 0 then
        redis.call('SREM', P .. 'aside:' .. project, l.host)
      end
    end
    return false
  end
  local due = first or is_ordered(lane) and now or tonumber(head[2])
  local room, against, again = allowance(l.list)
  if owner then room, against, again = 0, owner, nil end
  if due <= now and room <= 0 and against and not again then
    hold(lane, against)
    return false
  end
  local at = math.max(due, again or now)
  redis.call('ZADD', l.key, at, lane)
  seat(lane, at)
  return due <= l.by and room > 0
end

-- Serve lanes that stand alike with what is due by an instant: first each its share, then whoever
-- has more.
local function serve_all(lanes, left, by)
  local share, siblings = math.ceil(left / #lanes), {}
  for _, l in ipairs(lanes) do
    l.list, l.home, l.host = owners_of(l.lane, shares(l.lane))
    siblings[l.list[1]] = (siblings[l.list[1]] or 0) + 1
    for _, o in ipairs(l.list) do l.paced = l.paced or o.step end
    l.by = by
    if by > now and not is_free(l) then
      l.done = true
      seat(l.lane, l.since)
    end
  end
  for owner, n in pairs(siblings) do
    owner.turn = math.ceil(math.min(owner.room, owner.share, owner.tokens, left) / n)
  end
  for round = 1, 2 do
    for _, l in ipairs(lanes) do
      if left > 0 and not l.done then
        local asked = math.min(allowance(l.list), left)
        if round == 1 then asked = math.min(asked, share, l.list[1].turn) end
        local taken, first, owner = 0, nil, nil
        if asked > 0 then taken, first, owner = serve(l, asked) end
        left = left - taken
        l.done = not settle(l, first, owner)
      end
    end
  end
  return left
end

-- the lanes that may be served by an instant, by rank; and whether there are any
local function standing(by)
  local tiers, seen, rank, any = { {}, {}, {} }, {}, { h = 1, n = 2, l = 3 }, false
  local function take_turn(lane, since)
    if seen[lane] then return end
    seen[lane], any = true, true
    local class = lane:match('\31([hl])') or 'n'
    local tier = now - since >= AGEING[class] and 1 or rank[class]
    table.insert(tiers[tier], { lane = lane, key = lanes_of(kind, lane), since = since })
  end
  local express = P .. 'express:' .. kind
  local due = redis.call('ZRANGE', express, '-inf', by, 'BYSCORE', 'LIMIT', 0, 16)
  for _, lane in ipairs(due) do
    redis.call('ZREM', express, lane)
    redis.call('ZREM', P .. 'seats:' .. kind .. ':' .. lane:match('^[^/]*'), lane)
    -- where it stands since: nowhere when it was emptied, behind now when it waits for a slot
    local since = tonumber(redis.call('ZSCORE', lanes_of(kind, lane), lane))
    if since and since <= by then
      take_turn(lane, since)
    elseif since and since < HELD then
      seat(lane, since)
    end
  end
  for _, class in ipairs({ '', ':h', ':l' }) do
    local key = P .. 'lanes:' .. kind .. class
    due = redis.call('ZRANGE', key, '-inf', by, 'BYSCORE', 'LIMIT', 0, 32, 'WITHSCORES')
    for i = 1, #due, 2 do take_turn(due[i], tonumber(due[i + 1])) end
  end
  return tiers, any
end

if want > 0 then
  local by = now
  local tiers, any = standing(by)
  if not any and tonumber(ARGV[6]) > 0 then
    by = now + ARGV[6]
    tiers = standing(by)
  end
  for _, lanes in ipairs(tiers) do
    if want > 0 and #lanes > 0 then want = serve_all(lanes, want, by) end
  end
  for name, o in pairs(owners) do
    if o and o.taken > 0 then
      redis.call('HINCRBY', P .. 'inflight', name, o.taken)
      if o.step then spend(o) end
    end
    -- nobody waits for a slot that is free: a lane that was let go for it may not have used it
    if o and o.limit and o.room > 0 then wake(name, o.room, now) end
  end
end
out[4] = redis.call('HLEN', lease)
local soonest = next_due(kind)
if soonest then out[2] = soonest <= now and out[1] or math.ceil(soonest) end
return out
