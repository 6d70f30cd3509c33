-- page: the next members of sorted sets behind a position, in the order of (score, member).
-- KEYS[1]  prefix of the shard
-- ARGV[1]  how many of each set, ARGV[2] '1' for descending
-- ARGV[3]  score of the position ('' begins at the end), ARGV[4] its member
-- ARGV[5..] the sets, without the prefix
-- Answers a list a set: member, score, member, score, in the order asked for.
local n, down, score, member = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], ARGV[4]

-- bytes in their order; Lua's own comparison follows the locale of the server
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- how many members of a set are before the position, and whether it is there itself
local function seek(key)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(redis.call('ZRANGE', key, middle, middle)[1], member) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, redis.call('ZRANGE', key, low, low)[1] == member
end

local out = {}
for i = 5, #ARGV do
  local key, first, last = P .. ARGV[i], 0, n - 1
  if score ~= '' then
    local rank, there = seek(key)
    first, last = there and rank + 1 or rank, (there and rank + 1 or rank) + n - 1
    if down then first, last = math.max(rank - n, 0), rank - 1 end
  elseif down then
    first, last = -n, -1
  end
  local found = {}
  if last >= first then found = redis.call('ZRANGE', key, first, last, 'WITHSCORES') end
  if down then
    local back = {}
    for j = #found - 1, 1, -2 do
      back[#back + 1] = found[j]
      back[#back + 1] = found[j + 1]
    end
    found = back
  end
  out[#out + 1] = found
end
return out
