#!lua
-- Applies a batch: writes the views, moves the checkpoint and rings the bell, if the projection still stands where the batch began.
--
-- Redis rolls nothing back: what a script wrote before it failed stays. So everything that can fail is checked before the first write:
--   - the checkpoint, the live generation and the log, against what the batch rests on. As strings: a Lua number is a double and holds no
--     position above 2^53;
--   - the type of every key that is written;
--   - the permission for every command that writes;
--   - out of memory, read-only, too few replicas: by Redis itself, before it runs a script that has a shebang without flags.
--
-- KEYS: pointer to the live generation, log id, checkpoint, one for each view, one for each list operation
-- ARGV: generation, first generation, log id, position from, position to, bell, number of views,
--       for each view '=' and its value, or '-' for none; for each list operation '+' (add) or '-' (remove) and the member

local VIEW_KEYS, VIEW_ARGS = 3, 7
local views = tonumber(ARGV[VIEW_ARGS])

local log = redis.call('GET', KEYS[2])
if log and log ~= ARGV[3] then
  return 'foreign'
end
if (redis.call('GET', KEYS[1]) or ARGV[2]) ~= ARGV[1] or (redis.call('GET', KEYS[3]) or '0') ~= ARGV[4] then
  return 'moved'
end
for i = VIEW_KEYS + 1, #KEYS do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= 'none' and found ~= (i <= VIEW_KEYS + views and 'string' or 'zset') then
    return 'corrupt'
  end
end
for _, command in ipairs({{'SET', KEYS[3], ''}, {'DEL', KEYS[3]}, {'ZADD', KEYS[3], '0', ''}, {'ZREM', KEYS[3], ''}}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return 'forbidden'
  end
end

for i = 1, views do
  local key, value = KEYS[VIEW_KEYS + i], ARGV[VIEW_ARGS + i]
  if string.sub(value, 1, 1) == '=' then
    redis.call('SET', key, string.sub(value, 2))
  else
    redis.call('DEL', key)
  end
end
for i = views + 1, #KEYS - VIEW_KEYS do
  local list, change = KEYS[VIEW_KEYS + i], ARGV[VIEW_ARGS + i]
  local member = string.sub(change, 2)
  if string.sub(change, 1, 1) == '+' then
    redis.call('ZADD', list, '0', member)
  else
    redis.call('ZREM', list, member)
  end
end
if not log then
  redis.call('SET', KEYS[2], ARGV[3])
end
redis.call('SET', KEYS[3], ARGV[5])
-- A ring that fails is a ring that is lost; every listener also polls.
redis.pcall('PUBLISH', ARGV[6], ARGV[5])
return 'done'
