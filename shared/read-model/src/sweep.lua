#!lua
-- Removes some keys of a build that nobody uses any more. The state goes first, so that nothing is applied to it meanwhile, and what the build
-- is known by goes last, so that a sweep that was cut off is begun again. What the build's keys are is no matter: an older program may have laid
-- them out in another way.
--
-- KEYS: live build, roles, builds, state
-- ARGV: build, cursor, pattern of the build's keys, how many keys to look at
-- Returns the next cursor, '0' when nothing is left.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return 'used'
end
for _, used in ipairs(redis.call('HVALS', KEYS[2])) do
  if used == ARGV[1] then
    return 'used'
  end
end
redis.call('UNLINK', KEYS[4])
local found = redis.call('SCAN', ARGV[2], 'MATCH', ARGV[3], 'COUNT', ARGV[4])
for _, key in ipairs(found[2]) do
  redis.call('UNLINK', key)
end
if found[1] == '0' then
  redis.call('SREM', KEYS[3], ARGV[1])
end
return found[1]
