-- put_back: a pump could not begin calls in time: their tasks wait as if nobody had claimed them.
-- WITH     _owners.lua
-- WHEN FULL it still works.
-- KEYS[1]  prefix of the shard
-- ARGV[1]  pump, ARGV[2..] id and attempt in turn
-- Answers how many were put back.
local lease, n = P .. 'lease:' .. ARGV[1], 0
for i = 2, #ARGV, 2 do
  local id, held = ARGV[i], redis.call('HGET', lease, ARGV[i])
  local record = held and redis.call('GET', P .. 't:' .. id)
  if record then
    local h = unpack_head(record)
    if h.state == RUNNING and h.attempt == tonumber(ARGV[i + 1]) then
      redis.call('HDEL', lease, id)
      free(held, 1, now)
      for _, o in ipairs(owners_of(h.lane)) do
        if o.step then refund(o, h.started, 1) end
      end
      h.state, h.attempt = SCHEDULED, h.attempt - 1
      if h.attempt == 0 then h.started = 0 end
      redis.call('SETRANGE', P .. 't:' .. id, 0, pack_head(h))
      place(h, id, h.due)
      n = n + 1
    end
  end
end
return n
