#!lua
-- Begins a new, empty build. Everything is checked before the first write.
--
-- All buckets are there from the beginning, each with two fields of its own, so that one that is missing is lost and not empty. The first says that
-- the bucket is there. The second is longer than what Redis keeps as a list that it searches from the front (hash-max-listpack-value, 64
-- by default): a bucket soon has thousands of fields.
--
-- A loss that it makes good is noted in the same step, so that nobody can die between the two; where the note can't be written, it hinders nothing.
--
-- KEYS: log id, live build, roles, builds, losses, state of the new build, its buckets
-- ARGV: log id, new build, its state, its role ('live' or another), the live build before ('' for none), a loss ('' for none), how many are kept

local FIRST_BUCKET = 7
local LONG = string.rep('-', 65)

local log = redis.call('GET', KEYS[1])
if log and log ~= ARGV[1] then
  return 'foreign'
end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[5] then
  return 'moved'
end
if redis.call('EXISTS', unpack(KEYS, FIRST_BUCKET - 1)) ~= 0 or redis.call('SISMEMBER', KEYS[4], ARGV[2]) == 1 then
  return 'taken'
end
for _, expected in ipairs({{KEYS[3], 'hash'}, {KEYS[4], 'set'}}) do
  local found = redis.call('TYPE', expected[1]).ok
  if found ~= 'none' and found ~= expected[2] then
    return 'corrupt'
  end
end
for _, command in ipairs({{'SET', KEYS[2], ''}, {'SADD', KEYS[4], ''}, {'HSET', KEYS[3], '', ''}}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return 'forbidden'
  end
end

if not log then
  redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('SADD', KEYS[4], ARGV[2])
for i = FIRST_BUCKET, #KEYS do
  redis.call('HSET', KEYS[i], '', '', LONG, '')
end
redis.call('SET', KEYS[6], ARGV[3])
if ARGV[4] == 'live' then
  redis.call('SET', KEYS[2], ARGV[2])
else
  redis.call('HSET', KEYS[3], ARGV[4], ARGV[2])
end
if ARGV[6] ~= '' then
  redis.pcall('LPUSH', KEYS[5], ARGV[6])
  redis.pcall('LTRIM', KEYS[5], 0, ARGV[7] - 1)
end
return 'done'
