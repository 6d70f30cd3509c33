-- submit: take tasks in, each once.
-- WITH     _take.lua
-- KEYS[1]  prefix of the shard
-- ARGV[1]  bell horizon in ms
-- ARGV[2]  life of an idempotency key in ms
-- ARGV[3]  how many forms there are: what tasks have in common that differ in their bodies alone
-- ARGV[4..] 9 values a form: kind (0 call, 1 export), priority, flags, lane, due in ms ('' is
--          now), delay in ms, name, tags joined by '\n', spec; then 5 values a task: the place of
--          its form (from 1), id, idempotency digest, fingerprint, body
-- Answers {now, bell for calls, bell for exports, then an answer a task}; a bell is the instant to
-- send a message for, or -1. The answer of a task that was taken in is when it is due, else {code,
-- id}: 1 the same request again, 2 its key with another body, 3 a live task has the name, 4 the id
-- is known.
local idem_life, out, forms = ARGV[2], { math.floor(now), -1, -1 }, {}
local TASKS = 4 + 9 * ARGV[3]

for i = 4, TASKS - 1, 9 do
  local lane, spec, delay = ARGV[i + 3], ARGV[i + 8], tonumber(ARGV[i + 5])
  local due = math.floor((ARGV[i + 4] == '' and now or tonumber(ARGV[i + 4])) + delay)
  if delay > 0 then spec = plan(spec, due) end
  local form = form_of(tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), lane, due,
    spec)
  form.project, form.name, form.tags = lane:match('^[^/]*'), ARGV[i + 6], ARGV[i + 7]
  forms[string.format('%d', (i + 5) / 9)] = form
end

local function take(form, id, idem, fingerprint, body, order)
  local project, name = form.project, form.name
  if idem ~= '' then
    local seen = redis.call('GET', P .. 'idem:' .. project .. ':' .. idem)
    if seen and redis.call('EXISTS', P .. 't:' .. seen:sub(1, 16)) == 1 then
      return { seen:sub(17) == fingerprint and 1 or 2, seen:sub(1, 16) }
    end
  end
  if name ~= '' then
    local live = redis.call('HGET', P .. 'name:' .. project, name)
    if live then return { 3, live } end
  end
  if not keep(form, id, body, order) then return { 4, id } end
  if name ~= '' then
    redis.call('HSET', P .. 'name:' .. project, name, id)
    redis.call('ZADD', P .. 'names:' .. project, 0, name .. '\0' .. id)
  end
  if idem ~= '' then
    redis.call('SET', P .. 'idem:' .. project .. ':' .. idem, id .. fingerprint, 'PX', idem_life)
  end
  for tag in form.tags:gmatch('[^\n]+') do
    redis.call('ZADD', P .. 'tag:' .. project .. ':' .. tag, 0, id)
  end
  return form.due
end

for i = TASKS, #ARGV, 5 do
  -- Half a microsecond apart: twice what a double can tell in this century, and less than taking
  -- one in takes.
  out[#out + 1] = take(forms[ARGV[i]], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4],
    now + i / 10000)
end
out[2], out[3] = told(tonumber(ARGV[1]))
return out
