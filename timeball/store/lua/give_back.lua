-- give_back: a pump holds leases of which it knows nothing, since the answer to a claim was lost.
-- WITH     _back.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  pump, ARGV[2] how often in a row a task may be lost before it dies
-- ARGV[3..] the ids that the pump does know
-- Answers how many were given back.
local known = {}
for i = 3, #ARGV do known[ARGV[i]] = true end
local held = redis.call('HGETALL', P .. 'lease:' .. ARGV[1])
for i = 1, #held, 2 do
  if not known[held[i]] then
    give_back(held[i], held[i + 1], ARGV[1], tonumber(ARGV[2]))
  end
end
return returned + died
