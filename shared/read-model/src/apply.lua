#!lua
-- Applies a batch to a build: writes the views, moves the checkpoint and rings the bell, if the build still stands where the batch began.
--
-- Redis rolls nothing back: what a script wrote before it failed stays. So everything that can fail is checked before the first write:
--   - the log, the owner and the build's state, against what the batch rests on. As strings: a Lua number is a double and holds no position
--     above 2^53;
--   - that nothing is lost: what is said to be new must not be in the index, what is said to be there must be there;
--   - that Redis did not go back meanwhile: what is said to be new must not be there, what is left out as lost must still be;
--   - the type of every key that is written;
--   - the permission for every command that writes;
--   - out of memory, read-only, too few replicas: by Redis itself, before it runs a script that has a shebang without flags.
--
-- KEYS: log id, owner, state, bitmap of the index's buckets, parked events, digests; for each view its key and its bucket of the index; for
--       each list operation the list and its bucket; for each that is left out its key
-- ARGV: log id, owner or '' for anybody, state from, state to, bell, position to, number of views, of list operations, of those left out, of
--       parked events, of digests; for each view '+' (new), '=' (changed) or '-' (gone) and its value, its name in the index, its bucket's number; for each list
--       operation '+' or '-' and the member, its name, its bucket's number; for each that is left out '=' and what is stored, or ''; for each parked event '+' or '-' and the record, the position; for
--       each digest the range, the digest

local KEYS_BEFORE, ARGS_BEFORE = 6, 11
local views, lists, skipped = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local parked, digests = tonumber(ARGV[10]), tonumber(ARGV[11])

local log = redis.call('GET', KEYS[1])
if log and log ~= ARGV[1] then
  return {'foreign'}
end
if not log or redis.call('GET', KEYS[3]) ~= ARGV[3] then
  return {'moved'}
end
if ARGV[2] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return {'not_owner'}
end

local function type_of(key)
  return redis.call('TYPE', key).ok
end
local function is(key, type)
  local found = type_of(key)
  return found == 'none' or found == type
end
if not (type_of(KEYS[4]) == 'string' and is(KEYS[5], 'hash') and is(KEYS[6], 'hash')) then
  return {'corrupt'}
end
local lost = {}
for i = 1, views + lists do
  local key, index = KEYS[KEYS_BEFORE + 2 * i - 1], KEYS[KEYS_BEFORE + 2 * i]
  local argument = ARGS_BEFORE + 3 * (i - 1)
  local operation, name = string.sub(ARGV[argument + 1], 1, 1), ARGV[argument + 2]
  local found = type_of(key)
  if (found ~= 'none' and found ~= (i <= views and 'string' or 'zset')) or not is(index, 'hash') then
    return {'corrupt'}
  end
  local missing
  if found ~= 'none' then
    if i <= views and operation == '+' then
      return {'moved'}
    end
    missing = false
  elseif operation == '+' then
    missing = redis.call('HEXISTS', index, name) == 1
      or (redis.call('GETBIT', KEYS[4], ARGV[argument + 3]) == 1 and type_of(index) == 'none')
  else
    missing = true
  end
  if missing then
    lost[#lost + 1] = name
  end
end
for i = 1, skipped do
  local key, stored = KEYS[KEYS_BEFORE + 2 * (views + lists) + i], ARGV[ARGS_BEFORE + 3 * (views + lists) + i]
  local found = type_of(key)
  if stored == '' and found ~= 'none' then
    return {'moved'}
  end
  if stored ~= '' and (found ~= 'string' or redis.call('GET', key) ~= string.sub(stored, 2)) then
    return {'moved'}
  end
end
if #lost > 0 then
  table.insert(lost, 1, 'lost')
  return lost
end
for _, command in ipairs({
  {'SET', KEYS[3], ''}, {'DEL', KEYS[3]}, {'ZADD', KEYS[3], '0', ''}, {'ZREM', KEYS[3], ''},
  {'HSET', KEYS[3], '', ''}, {'HDEL', KEYS[3], ''}, {'SETBIT', KEYS[3], '0', '0'},
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return {'forbidden'}
  end
end

local function add_to_index(index, name, bucket)
  redis.call('HSET', index, name, '')
  redis.call('SETBIT', KEYS[4], bucket, 1)
end
local function take_from_index(index, name, bucket)
  redis.call('HDEL', index, name)
  if redis.call('EXISTS', index) == 0 then
    redis.call('SETBIT', KEYS[4], bucket, 0)
  end
end
local key, argument = KEYS_BEFORE, ARGS_BEFORE
for i = 1, views do
  local view, index = KEYS[key + 1], KEYS[key + 2]
  local value, name, bucket = ARGV[argument + 1], ARGV[argument + 2], ARGV[argument + 3]
  local operation = string.sub(value, 1, 1)
  if operation == '-' then
    redis.call('DEL', view)
    take_from_index(index, name, bucket)
  else
    redis.call('SET', view, string.sub(value, 2))
    if operation == '+' then
      add_to_index(index, name, bucket)
    end
  end
  key, argument = key + 2, argument + 3
end
for i = 1, lists do
  local list, index = KEYS[key + 1], KEYS[key + 2]
  local change, name, bucket = ARGV[argument + 1], ARGV[argument + 2], ARGV[argument + 3]
  local member = string.sub(change, 2)
  if string.sub(change, 1, 1) == '+' then
    redis.call('ZADD', list, '0', member)
    if redis.call('ZCARD', list) == 1 then
      add_to_index(index, name, bucket)
    end
  else
    redis.call('ZREM', list, member)
    if redis.call('EXISTS', list) == 0 then
      take_from_index(index, name, bucket)
    end
  end
  key, argument = key + 2, argument + 3
end
argument = argument + skipped
for i = 1, parked do
  local record, position = ARGV[argument + 1], ARGV[argument + 2]
  if string.sub(record, 1, 1) == '+' then
    redis.call('HSET', KEYS[5], position, string.sub(record, 2))
  else
    redis.call('HDEL', KEYS[5], position)
  end
  argument = argument + 2
end
for i = 1, digests do
  redis.call('HSET', KEYS[6], ARGV[argument + 1], ARGV[argument + 2])
  argument = argument + 2
end
redis.call('SET', KEYS[3], ARGV[4])
-- A ring that fails is a ring that is lost; every listener also polls.
redis.pcall('PUBLISH', ARGV[5], ARGV[6])
return {'done'}
