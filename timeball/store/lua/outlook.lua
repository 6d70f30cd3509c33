-- outlook: how many waiting tasks come due in the time ahead. Of an ordered lane its first counts:
-- those behind it wait for it. Changes nothing.
-- WITH     _lanes.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2] how many lanes to look at, at most
-- ARGV[3]  how long each part is in ms, ARGV[4] how many parts, ARGV[5] counts at most
-- Answers {now in ms, parts that are counted as one, lanes left out}, then a count a part.
local now, step, parts = clock(), tonumber(ARGV[3]), tonumber(ARGV[4])
local ahead, lanes, firsts = now + step * parts, {}, {}
local _, left_out = each_lane(ARGV[1], tonumber(ARGV[2]), function(key, head, ordered)
  if ordered then
    if head > now and head <= ahead then firsts[#firsts + 1] = head end
  elseif head <= ahead and redis.call('ZCOUNT', key, '(' .. now, ahead) > 0 then
    lanes[#lanes + 1] = key
  end
end)
-- with many lanes the parts become coarser: a count costs a microsecond
local joined = 1
while #lanes * parts / joined > tonumber(ARGV[5]) and joined < parts do joined = joined + 1 end
while parts % joined > 0 do joined = joined + 1 end
local out = { { math.floor(now), joined, left_out } }
for part = 0, parts - joined, joined do
  local n, from = 0, now + step * part
  for _, key in ipairs(lanes) do
    n = n + redis.call('ZCOUNT', key, '(' .. from, from + step * joined)
  end
  for _, due in ipairs(firsts) do
    if due > from and due <= from + step * joined then n = n + 1 end
  end
  out[#out + 1] = n
end
return out
