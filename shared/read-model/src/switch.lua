#!lua
-- Makes another build the live one. Everything is checked before the first write.
--
-- Readers have been answered up to where the live build stands, or stood before something was lost (where its state is gone, there is nothing to
-- switch from): with it the other takes over that an answer from before then says of itself that it may be stale. Where the live build can't be read
-- yet, what takes its place by going forward can't either. What was live is edited: a step to it that is under way finds that it moved, so that
-- nobody takes for live what was applied to it after this. A loss is noted as in `start.lua`.
--
-- KEYS: log id, live build, roles, state of the live build, state of the other, losses
-- ARGV: log id, live build, other build, 'keep' or 'drop' for what was live, 'forward' where the other must not be behind, bell, a loss ('' for
--       none), how many are kept

if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return 'moved'
end
local from, to = redis.call('GET', KEYS[4]), redis.call('GET', KEYS[5])
local roles, has_role = redis.call('HGETALL', KEYS[3]), false
for i = 2, #roles, 2 do
  has_role = has_role or roles[i] == ARGV[3]
end
if not from or not to or not has_role then
  return 'moved'
end
-- Positions as digits: a Lua number holds none above 2^53.
local function is_before(one, other)
  return #one < #other or (#one == #other and one < other)
end
local OF_STATE = '^(%d+) (%d+) (%d+) (%d+) (.*)$'
local AROUND_EDITS = '^(%d+ %d+ %d+ %d+ %d+ )(%d+)( .*)$'
local position, version, complete_from, fresh_from, rest = string.match(to, OF_STATE)
if not position then
  return 'corrupt'
end
local before_edits, edits, after_edits = string.match(from, AROUND_EDITS)
local seen, _, seen_before_loss, seen_before = string.match(from, OF_STATE)
if not (seen and edits) then
  return 'corrupt'
end
if ARGV[5] == 'forward' and is_before(position, seen) then
  return 'behind'
end
if ARGV[5] == 'forward' and is_before(seen, seen_before_loss) and is_before(complete_from, seen_before_loss) then
  complete_from = seen_before_loss
end
for _, seen in ipairs({seen, seen_before_loss, seen_before}) do
  fresh_from = is_before(fresh_from, seen) and seen or fresh_from
end
if not (redis.acl_check_cmd('SET', KEYS[2], '') and redis.acl_check_cmd('HSET', KEYS[3], '', '') and redis.acl_check_cmd('HDEL', KEYS[3], '')) then
  return 'forbidden'
end

for i = 1, #roles, 2 do
  if roles[i + 1] == ARGV[3] then
    redis.call('HDEL', KEYS[3], roles[i])
  end
end
if ARGV[4] == 'keep' then
  redis.call('HSET', KEYS[3], 'kept', ARGV[2])
end
redis.call('SET', KEYS[4], before_edits .. string.format('%.0f', tonumber(edits) + 1) .. after_edits)
redis.call('SET', KEYS[5], table.concat({position, version, complete_from, fresh_from, rest}, ' '))
redis.call('SET', KEYS[2], ARGV[3])
if ARGV[7] ~= '' then
  redis.pcall('LPUSH', KEYS[6], ARGV[7])
  redis.pcall('LTRIM', KEYS[6], 0, ARGV[8] - 1)
end
redis.pcall('PUBLISH', ARGV[6], '0')
return 'done'
