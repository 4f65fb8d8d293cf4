#!lua
-- Removes a bucket of a build that nobody uses any more: at first the lists that it names, some at a time. The state goes before all, so that nothing is
-- applied to it meanwhile, and what the build is known by goes last, so that a sweep that was cut off is begun again.
--
-- KEYS: live build, roles, builds, state, bucket of views, bucket of lists
-- ARGV: build, what the keys of lists begin with, cursor in the bucket of lists, how many names to look at
-- Returns the next cursor, '0' when the bucket is gone.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return 'used'
end
for _, used in ipairs(redis.call('HVALS', KEYS[2])) do
  if used == ARGV[1] then
    return 'used'
  end
end
redis.call('UNLINK', KEYS[4])
local found = redis.call('HSCAN', KEYS[6], ARGV[3], 'MATCH', 'l*', 'COUNT', ARGV[4])
for i = 1, #found[2], 2 do
  redis.call('UNLINK', ARGV[2] .. string.sub(found[2][i], 2))
end
if found[1] == '0' then
  redis.call('UNLINK', KEYS[5], KEYS[6])
end
return found[1]
