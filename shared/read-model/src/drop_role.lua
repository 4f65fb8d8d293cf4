#!lua
-- Takes a role from a build, if that still has it: whoever decided it may have looked long ago.
--
-- KEYS: roles
-- ARGV: role, build

if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
