-- delete: forget tasks, whatever their state.
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  project, ARGV[2..] ids
-- Answers how many were there.
local n = 0
for i = 2, #ARGV do
  local record = redis.call('GET', P .. 't:' .. ARGV[i])
  local h = record and unpack_head(record)
  if h and h.project == ARGV[1] then
    erase(ARGV[i], h, record)
    if h.state <= RUNNING then tell_schedule(h, record) end
    n = n + 1
  end
end
return n
