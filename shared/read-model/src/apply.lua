#!lua
-- Applies a batch to a build: writes the views, moves the checkpoint and rings the bell, if the build still stands where the batch began.
--
-- Redis rolls nothing back: what a script wrote before it failed stays. So everything that can fail is checked before the first write; only
-- the names of what is new are taken in the index at once, and given back if one of them turns out to be taken:
--   - the log, the owner and the build's state, against what the batch rests on. As strings: a Lua number is a double and holds no position
--     above 2^53;
--   - that nothing is lost: what is said to be new must not be in the index, what is said to be there must be there;
--   - that Redis did not go back meanwhile: what is said to be new must not be there, what is left out as lost must still be;
--   - the type of every key that is written, but of views that are replaced: SET and DEL take any;
--   - the permission for every command that writes;
--   - out of memory, read-only, too few replicas: by Redis itself, before it runs a script that has a shebang without flags.
--
-- What costs is the number of commands, so keys of a kind stand together and are asked for together; which is wrong is looked for only
-- where one is.
--
-- KEYS: log id, owner, state, bitmap of the index's buckets, parked events, digests; the views that are new, changed, gone; the buckets of
--       the index of those that are new and of those that are gone; for each list that changes the list and its bucket; what is left out
-- ARGV: log id, owner or '' for anybody, state from, state to, bell, position to, number of views that are new, changed, gone, of lists, of
--       those left out, of parked events, of digests, and of characters before the key of a view; for each view that is new its name in the
--       index, its bucket's number, its value; for each that changed its value; for each that is gone its name, its bucket's number; for
--       each list its name, its bucket's number, the numbers of members that go and that come, and those; for each that is left out '=' and
--       what is stored, or ''; for each parked event '+' or '-' and the record, the position; for each digest the range, the digest

local KEYS_BEFORE, ARGS_BEFORE = 6, 14
-- Lua's stack holds 8000.
local AT_ONCE = 2000
local new, changed, gone = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local lists, skipped = tonumber(ARGV[10]), tonumber(ARGV[11])
local parked, digests = tonumber(ARGV[12]), tonumber(ARGV[13])
local views = new + changed + gone
local first_index = KEYS_BEFORE + views
local first_list = first_index + new + gone
local first_skipped = first_list + 2 * lists
local first_changed_argument = ARGS_BEFORE + 3 * new
local first_gone_argument = first_changed_argument + changed
local first_list_argument = first_gone_argument + 2 * gone

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
local bitmap = redis.pcall('GET', KEYS[4])
if not (type(bitmap) == 'string' and is(KEYS[5], 'hash') and is(KEYS[6], 'hash')) then
  return {'corrupt'}
end
local function is_in_use(bucket)
  local byte = string.byte(bitmap, math.floor(bucket / 8) + 1) or 0
  return bit.band(byte, bit.lshift(1, 7 - bucket % 8)) ~= 0
end
local function exist(first, last)
  local count = 0
  for from = first, last, AT_ONCE do
    count = count + redis.call('EXISTS', unpack(KEYS, from, math.min(last, from + AT_ONCE - 1)))
  end
  return count
end

local lost = {}
if exist(KEYS_BEFORE + 1, KEYS_BEFORE + new) > 0 then
  for i = KEYS_BEFORE + 1, KEYS_BEFORE + new do
    if not is(KEYS[i], 'string') then
      return {'corrupt'}
    end
  end
  return {'moved'}
end
if exist(KEYS_BEFORE + new + 1, KEYS_BEFORE + views) < changed + gone then
  for i = KEYS_BEFORE + new + 1, KEYS_BEFORE + views do
    if redis.call('EXISTS', KEYS[i]) == 0 then
      lost[#lost + 1] = 'v' .. string.sub(KEYS[i], ARGV[14] + 1)
    end
  end
end
-- What is new may have been there, and be lost with its part of the index.
local function is_index_lost(index, bucket)
  return is_in_use(tonumber(bucket)) and redis.call('EXISTS', index) == 0
end
local in_use = 0
for i = 1, new do
  if is_in_use(tonumber(ARGV[ARGS_BEFORE + 3 * i - 1])) then
    in_use = in_use + 1
  end
end
if exist(first_index + 1, first_index + new) ~= in_use then
  for i = 1, new do
    if is_index_lost(KEYS[first_index + i], ARGV[ARGS_BEFORE + 3 * i - 1]) then
      lost[#lost + 1] = ARGV[ARGS_BEFORE + 3 * i - 2]
    end
  end
end
for i = first_index + new + 1, first_index + new + gone do
  if not is(KEYS[i], 'hash') then
    return {'corrupt'}
  end
end
local new_lists = {}
local argument = first_list_argument
for i = 1, lists do
  local index, name, bucket = KEYS[first_list + 2 * i], ARGV[argument + 1], ARGV[argument + 2]
  local removed, added = tonumber(ARGV[argument + 3]), tonumber(ARGV[argument + 4])
  local size = redis.pcall('ZCARD', KEYS[first_list + 2 * i - 1])
  if type(size) == 'table' or (removed > 0 and not is(index, 'hash')) then
    return {'corrupt'}
  end
  if size == 0 and (removed > 0 or is_index_lost(index, bucket)) then
    lost[#lost + 1] = name
  elseif size == 0 then
    new_lists[#new_lists + 1] = {index, name, bucket}
  end
  argument = argument + 4 + removed + added
end
for i = 1, skipped do
  local key, stored = KEYS[first_skipped + i], ARGV[argument + i]
  local found = type_of(key)
  if stored == '' and found ~= 'none' then
    return {'moved'}
  end
  if stored ~= '' and (found ~= 'string' or redis.call('GET', key) ~= string.sub(stored, 2)) then
    return {'moved'}
  end
end
for _, command in ipairs({
  {'SET', KEYS[3], ''}, {'MSET', KEYS[3], ''}, {'DEL', KEYS[3]}, {'ZADD', KEYS[3], '0', ''}, {'ZREM', KEYS[3], ''},
  {'HSET', KEYS[3], '', ''}, {'HDEL', KEYS[3], ''}, {'SETBIT', KEYS[3], '0', '0'},
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return {'forbidden'}
  end
end

local function each_new(visit)
  for i = 1, new do
    visit(KEYS[first_index + i], ARGV[ARGS_BEFORE + 3 * i - 2], ARGV[ARGS_BEFORE + 3 * i - 1])
  end
  for _, list in ipairs(new_lists) do
    visit(unpack(list))
  end
end
-- Buckets whose bit may be wrong now.
local touched = {}
local refused, is_any_refused, is_corrupt = {}, false, false
if #lost == 0 then
  each_new(function(index, name, bucket)
    -- How many names it did not have.
    local taken = redis.pcall('HSET', index, name, '')
    if taken ~= 1 then
      refused[name], is_any_refused = true, true
      is_corrupt = is_corrupt or type(taken) == 'table'
    elseif not is_in_use(tonumber(bucket)) then
      touched[bucket] = index
    end
  end)
  if is_any_refused then
    each_new(function(index, name)
      if refused[name] then
        lost[#lost + 1] = name
      else
        redis.call('HDEL', index, name)
      end
    end)
  end
else
  each_new(function(index, name)
    local known = redis.pcall('HEXISTS', index, name)
    is_corrupt = is_corrupt or type(known) == 'table'
    if known == 1 then
      lost[#lost + 1] = name
    end
  end)
end
if is_corrupt then
  return {'corrupt'}
end
if #lost > 0 then
  table.insert(lost, 1, 'lost')
  return lost
end

local function take_from_index(index, name, bucket)
  redis.call('HDEL', index, name)
  touched[bucket] = index
end
local pairs_to_set = {}
for i = 1, new + changed do
  local count = #pairs_to_set
  pairs_to_set[count + 1] = KEYS[KEYS_BEFORE + i]
  pairs_to_set[count + 2] = i <= new and ARGV[ARGS_BEFORE + 3 * i] or ARGV[first_changed_argument + i - new]
  if count + 2 == AT_ONCE or i == new + changed then
    redis.call('MSET', unpack(pairs_to_set))
    pairs_to_set = {}
  end
end
for i = 1, gone do
  redis.call('DEL', KEYS[KEYS_BEFORE + new + changed + i])
  take_from_index(KEYS[first_index + new + i], ARGV[first_gone_argument + 2 * i - 1], ARGV[first_gone_argument + 2 * i])
end
argument = first_list_argument
for i = 1, lists do
  local list, removed, added = KEYS[first_list + 2 * i - 1], tonumber(ARGV[argument + 3]), tonumber(ARGV[argument + 4])
  local name, bucket = ARGV[argument + 1], ARGV[argument + 2]
  argument = argument + 4
  for from = 1, removed, AT_ONCE do
    redis.call('ZREM', list, unpack(ARGV, argument + from, argument + math.min(removed, from + AT_ONCE - 1)))
  end
  argument = argument + removed
  for from = 1, added, AT_ONCE do
    local members = {}
    for member = from, math.min(added, from + AT_ONCE - 1) do
      members[#members + 1] = '0'
      members[#members + 1] = ARGV[argument + member]
    end
    redis.call('ZADD', list, unpack(members))
  end
  argument = argument + added
  if removed > 0 and redis.call('EXISTS', list) == 0 then
    take_from_index(KEYS[first_list + 2 * i], name, bucket)
  end
end
for bucket, index in pairs(touched) do
  redis.call('SETBIT', KEYS[4], bucket, redis.call('EXISTS', index))
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
