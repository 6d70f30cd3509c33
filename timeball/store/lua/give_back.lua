-- give_back: a pump holds leases of which it knows nothing, since the answer to a claim was lost.
-- WITH     _back.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  kind, ARGV[2] pump, ARGV[3] how often in a row a task may be lost before it dies
-- ARGV[4..] the ids that the pump does know
-- Answers how many were given back.
local known = {}
for i = 4, #ARGV do known[ARGV[i]] = true end
local held = redis.call('HGETALL', P .. 'lease:' .. ARGV[2])
for i = 1, #held, 2 do
  if not known[held[i]] then
    give_back(held[i], held[i + 1], ARGV[1], ARGV[2], tonumber(ARGV[3]))
  end
end
return returned + died
