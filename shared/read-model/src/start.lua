#!lua
-- Makes a new, empty generation the live one, and remembers the old one for removal. Everything is checked before the first write.
--
-- KEYS: pointer to the live generation, log id, generations to be removed, checkpoint of the new generation
-- ARGV: old generation, first generation, log id, new generation

local log = redis.call('GET', KEYS[2])
if log and log ~= ARGV[3] then
  return 'foreign'
end
if (redis.call('GET', KEYS[1]) or ARGV[2]) ~= ARGV[1] then
  return 'moved'
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  return 'taken'
end
local found = redis.call('TYPE', KEYS[3]).ok
if found ~= 'none' and found ~= 'set' then
  return 'corrupt'
end
if not (redis.acl_check_cmd('SET', KEYS[1], '') and redis.acl_check_cmd('SADD', KEYS[3], '')) then
  return 'forbidden'
end

redis.call('SADD', KEYS[3], ARGV[1])
redis.call('SET', KEYS[4], '0')
redis.call('SET', KEYS[1], ARGV[4])
return 'done'
