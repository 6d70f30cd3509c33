-- submit: take tasks in, each once.
-- WITH     _take.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  bell horizon in ms
-- ARGV[2]  life of an idempotency key in ms
-- ARGV[3..] 13 values a task: id, kind (0 call, 1 export), priority, flags, lane, due in ms
--          ('' is now), delay in ms, name, idempotency digest, fingerprint, tags joined by '\n',
--          spec, body
-- Answers {now, bell for calls, bell for exports, then {code, id, due} a task}; a bell is the
-- instant to send a message for, or -1. Codes: 0 taken, 1 the same request again, 2 its key with
-- another body, 3 a live task has the name, 4 the id is known.
local idem_life, out = ARGV[2], { math.floor(now), -1, -1 }
for i = 3, #ARGV, 13 do out[#out + 1] = take(ARGV, i, idem_life) end
out[2], out[3] = told(tonumber(ARGV[1]))
return out
