-- row: note how a task of a schedule ended, once, and count those in a row that died.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  schedule, ARGV[2] task id, ARGV[3] '1' if it died, '0' if it succeeded
-- Answers how many died in a row up to and with this one; of one that succeeded, how many just
-- before it; -1 when the schedule is gone.
local MOST = 128 -- ends that are kept: more than a schedule may ask to be counted
local key, entry = P .. 'sf:' .. ARGV[1], ARGV[2] .. ARGV[3]
if redis.call('EXISTS', P .. 's:' .. ARGV[1]) == 0 then return -1 end
local ends, at = redis.call('LRANGE', key, 0, MOST - 1), nil
for i, known in ipairs(ends) do
  if known == entry then at = at or i end
end
if not at then
  redis.call('LPUSH', key, entry)
  redis.call('LTRIM', key, 0, MOST - 1)
  table.insert(ends, 1, entry)
  at = 1
end
local row = 0
for i = ARGV[3] == '1' and at or at + 1, #ends do
  if ends[i]:sub(-1) == '0' then break end
  row = row + 1
end
return row
