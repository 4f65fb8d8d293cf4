#!lua
-- Removes the keys of some buckets of a build that nobody uses any more. The state goes first, so that nothing is applied to it meanwhile,
-- and what the build is known by goes last, so that a sweep that was cut off is begun again.
--
-- KEYS: live build, roles, builds
-- ARGV: build, what its keys begin with, first bucket, last bucket, 'last' with the last of all

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return 'used'
end
for _, used in ipairs(redis.call('HVALS', KEYS[2])) do
  if used == ARGV[1] then
    return 'used'
  end
end
redis.call('UNLINK', ARGV[2] .. 'checkpoint')
for bucket = ARGV[3], ARGV[4] do
  local index = ARGV[2] .. 'index:' .. string.format('%d', bucket)
  for _, name in ipairs(redis.call('HKEYS', index)) do
    local kind = string.sub(name, 1, 1) == 'v' and 'view:' or 'list:'
    redis.call('UNLINK', ARGV[2] .. kind .. string.sub(name, 2))
  end
  redis.call('UNLINK', index)
end
if ARGV[5] == 'last' then
  redis.call('UNLINK', ARGV[2] .. 'buckets', ARGV[2] .. 'parked', ARGV[2] .. 'digests')
  redis.call('SREM', KEYS[3], ARGV[1])
end
return 'done'
