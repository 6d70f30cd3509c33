-- tally: what was counted of projects since the beginning. Minutes that are over are folded into a
-- sum first, each once, whoever asks; so every process that is asked answers the same.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1..] projects
-- Answers a list a project: name, count, name, count.
local now = clock()
local this, out = math.floor(now / 60000), {}

for i = 1, #ARGV do
  local key, sums = P .. 'sum:' .. ARGV[i], {}
  local function add(from)
    local found = redis.call('HGETALL', from)
    for j = 1, #found, 2 do
      sums[found[j]] = (sums[found[j]] or 0) + tonumber(found[j + 1])
    end
  end
  add(key)
  local last = sums.minute or 0
  sums.minute = last
  if last < this - 1 then
    -- a minute is kept for 25 hours
    for minute = math.max(last + 1, this - 1500), this - 1 do
      add(P .. 'm:' .. ARGV[i] .. ':' .. minute)
    end
    sums.minute = this - 1
    local words = {}
    for name, n in pairs(sums) do
      words[#words + 1], words[#words + 2] = name, string.format('%.0f', n)
    end
    redis.call('HSET', key, unpack(words))
  end
  -- unless a virtual clock was set back
  if sums.minute < this then add(P .. 'm:' .. ARGV[i] .. ':' .. this) end
  sums.minute = nil
  local told = {}
  for name, n in pairs(sums) do
    told[#told + 1], told[#told + 2] = name, math.floor(n)
  end
  out[i] = told
end
return out
