-- look: what beat has to do now about schedules. Changes nothing.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  how many schedules at most, of each sort
-- Answers {now, next, ids whose waiting occurrence may begin, then of those that are due, the
-- longest overdue first: id, record up to its spec}. `next` is when the first is due, -1 for never.
local most, now = tonumber(ARGV[1]), (clock())
local head = redis.call('ZRANGE', P .. 'next', 0, 0, 'WITHSCORES')
local out = { math.floor(now), -1, redis.call('SRANDMEMBER', P .. 'ended', most), {} }
if not head[2] then return out end
out[2] = math.ceil(tonumber(head[2]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'next', '-inf', now, 'LIMIT', 0, most)) do
  local key, due = P .. 's:' .. id, out[4]
  local record = redis.call('GETRANGE', key, 0, 511) -- nearly always enough
  if #record > 61 then
    local lane, rule = struct.unpack('<HI4', record, 49)
    local length = 62 + lane + rule
    if length > 512 then record = redis.call('GETRANGE', key, 0, length - 1) end
    due[#due + 1], due[#due + 2] = id, record:sub(1, length)
  end
end
return out
