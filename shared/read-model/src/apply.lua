#!lua
-- Applies a batch to a build: writes the views, moves the checkpoint and rings the bell, if the build still stands where the batch began.
--
-- Redis rolls nothing back: what a script wrote before it failed stays. So everything that can fail is checked before the first write:
--   - the log, the owner and the build's state, against what the batch rests on. As strings: a Lua number is a double and holds no position
--     above 2^53;
--   - that nothing is lost: each bucket of views must be there (`start.lua`), and so must each list that has a name. A view is there if its bucket is, since
--     the state says which there are: whoever loaded them saw the same state, and was told which buckets were not there;
--   - that Redis did not go back meanwhile to when what is left out as lost was there;
--   - the type of every key that is written;
--   - the permission for every command that writes;
--   - out of memory, read-only, too few replicas: by Redis itself, before it runs a script that has a shebang without flags.
--
-- A loss is noted as in `start.lua`.
--
-- What costs is the number of commands, so the views of a bucket are written by one.
--
-- KEYS: log id, owner, state, parked events, digests, losses; each list that changes
-- ARGV: log id, owner or '' for anybody, state from, state to, bell, position to, what the keys of the build begin with, the numbers of buckets, of
--       lists, of those left out, of parked events, of digests, a loss ('' for none), how many are kept; for each bucket its number, the numbers of views that are set and that go, and those:
--       field and value, field; for each list its bucket's number, its field, the numbers of members that go and that come, and
--       those; for each that is left out its bucket's number, its field, '=' and what is stored, or ''; for each parked event '+' or '-' and the
--       record, the position; for each digest the range, the digest

local KEYS_BEFORE, ARGS_BEFORE = 6, 14
-- Lua's stack holds 8000; an even number, so that no pair is torn apart.
local AT_ONCE = 4000
local VIEWS, NAMES, LIST = ARGV[7] .. 'views:', ARGV[7] .. 'lists:', ARGV[7] .. 'list:'
local buckets, lists, skipped = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local parked, digests = tonumber(ARGV[11]), tonumber(ARGV[12])

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

local function is(key, type)
  local found = redis.call('TYPE', key).ok
  return found == 'none' or found == type
end
if not (is(KEYS[4], 'hash') and is(KEYS[5], 'hash')) then
  return {'corrupt'}
end

-- Where a batch is more than one mistake, what is found first is told; whoever hears it looks again.
local function each_bucket(visit)
  local at = ARGS_BEFORE
  for _ = 1, buckets do
    local first = at + 4
    local set, gone = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    at = at + 3 + 2 * set + gone
    local refused = visit(VIEWS .. ARGV[first - 3], first, set, gone)
    if refused then
      return nil, refused
    end
  end
  return at
end
local function each_list(at, visit)
  for i = 1, lists do
    local removed, added = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    local refused = visit(KEYS[KEYS_BEFORE + i], NAMES .. ARGV[at + 1], ARGV[at + 2], at + 4, removed, added)
    if refused then
      return nil, refused
    end
    at = at + 4 + removed + added
  end
  return at
end

local lost = {}
-- What a command said that failed: of another type is the key for good, anything else may pass.
local function failure(answer)
  return string.find(answer.err, 'WRONGTYPE', 1, true) and {'corrupt'} or answer
end
local first_list, refused = each_bucket(function(bucket, first, set, gone)
  local size = redis.pcall('HLEN', bucket)
  if type(size) == 'table' then
    return failure(size)
  elseif size == 0 then
    for field = first, first + 2 * set - 1, 2 do
      lost[#lost + 1] = ARGV[field]
    end
    for field = first + 2 * set, first + 2 * set + gone - 1 do
      lost[#lost + 1] = ARGV[field]
    end
  end
end)
if refused then
  return refused
end
local is_new = {}
local first_skipped
first_skipped, refused = each_list(first_list, function(list, bucket, field, _, removed)
  local size = redis.pcall('ZCARD', list)
  if type(size) == 'table' then
    return failure(size)
  end
  if size > 0 and removed == 0 then
    return
  end
  local known = redis.pcall('HEXISTS', bucket, field)
  if type(known) == 'table' then
    return failure(known)
  end
  if size == 0 and (removed > 0 or known == 1 or redis.call('EXISTS', bucket) == 0) then
    lost[#lost + 1] = field
  end
  is_new[list] = size == 0
end)
if refused then
  return refused
end
local at = first_skipped
for _ = 1, skipped do
  local bucket, field, stored = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local found
  if string.sub(field, 1, 1) == 'v' then
    found = redis.pcall('HGET', VIEWS .. bucket, field)
  else
    found = redis.call('EXISTS', LIST .. string.sub(field, 2)) == 1
  end
  if type(found) == 'table' then
    return failure(found)
  end
  if (stored == '' and found) or (stored ~= '' and found ~= string.sub(stored, 2)) then
    return {'moved'}
  end
  at = at + 3
end
if #lost > 0 then
  table.insert(lost, 1, 'lost')
  return lost
end
for _, command in ipairs({
  {'SET', KEYS[3], ''}, {'ZADD', KEYS[3], '0', ''}, {'ZREM', KEYS[3], ''}, {'HSET', KEYS[3], '', ''}, {'HDEL', KEYS[3], ''},
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return {'forbidden'}
  end
end

local function write(command, key, first, last)
  for from = first, last, AT_ONCE do
    redis.call(command, key, unpack(ARGV, from, math.min(last, from + AT_ONCE - 1)))
  end
end
each_bucket(function(bucket, first, set, gone)
  local first_gone = first + 2 * set
  write('HSET', bucket, first, first_gone - 1)
  write('HDEL', bucket, first_gone, first_gone + gone - 1)
end)
each_list(first_list, function(list, bucket, field, before, removed, added)
  if is_new[list] then
    redis.call('HSET', bucket, field, '')
  end
  write('ZREM', list, before + 1, before + removed)
  for from = 1, added, AT_ONCE / 2 do
    local members = {}
    for member = from, math.min(added, from + AT_ONCE / 2 - 1) do
      members[#members + 1] = '0'
      members[#members + 1] = ARGV[before + removed + member]
    end
    redis.call('ZADD', list, unpack(members))
  end
  if removed > 0 and redis.call('EXISTS', list) == 0 then
    redis.call('HDEL', bucket, field)
  end
end)
for _ = 1, parked do
  local record, position = ARGV[at + 1], ARGV[at + 2]
  if string.sub(record, 1, 1) == '+' then
    redis.call('HSET', KEYS[4], position, string.sub(record, 2))
  else
    redis.call('HDEL', KEYS[4], position)
  end
  at = at + 2
end
for _ = 1, digests do
  redis.call('HSET', KEYS[5], ARGV[at + 1], ARGV[at + 2])
  at = at + 2
end
redis.call('SET', KEYS[3], ARGV[4])
if ARGV[13] ~= '' then
  redis.pcall('LPUSH', KEYS[6], ARGV[13])
  redis.pcall('LTRIM', KEYS[6], 0, ARGV[14] - 1)
end
-- A ring that fails is a ring that is lost; every listener also polls.
redis.pcall('PUBLISH', ARGV[5], ARGV[6])
return {'done'}
