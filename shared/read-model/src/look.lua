#!lua flags=no-writes
-- Everything that decides what is to be done at a unit, in one step.
--
-- KEYS: log id, live build, roles, builds
-- ARGV: what the keys of a build begin with, before the build

local builds = redis.call('SMEMBERS', KEYS[4])
local states = {}
for i, build in ipairs(builds) do
  states[i] = redis.call('GET', ARGV[1] .. build .. ':checkpoint')
end
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[3]), builds, states}
