-- Shared by the moves that look at all lanes of a project. Behind _head.lua.

-- call `look` with the key of each lane of a project in which tasks wait, when (ms) its first task
-- is due, and whether the lane is ordered: then its scores are places, and only its first
-- can be called. Looks at `most` lanes at most.
-- Answers how many queues there are, how many lanes were left out, and how many more it may look
-- at.
local function each_lane(project, most, look)
  local queues, left_out = redis.call('SMEMBERS', P .. 'queues:' .. project), 0
  local function visit(lane)
    if most == 0 then
      left_out = left_out + 1
      return
    end
    most = most - 1
    local head = redis.call('ZRANGE', P .. 'lane:' .. lane, 0, 0, 'WITHSCORES')
    if not head[2] then return end
    if not is_ordered(lane) then return look(P .. 'lane:' .. lane, tonumber(head[2]), false) end
    local due = redis.call('GETRANGE', P .. 't:' .. head[1], 28, 35)
    if #due == 8 then look(P .. 'lane:' .. lane, struct.unpack('<d', due), true) end
  end
  for _, queue in ipairs(queues) do
    visit(queue)
    for _, lane in ipairs(redis.call('SMEMBERS', P .. 'apart:' .. queue)) do visit(lane) end
  end
  return #queues, left_out, most
end
