#!lua flags=no-writes
-- Reads a part of a list with its views and the checkpoint that they hold as of, all in one step.
-- The shebang's flag lets Redis run it where it refuses writes: out of memory, on a replica.
--
-- KEYS: pointer to the live generation, checkpoint of the generation, list
-- ARGV: generation, first generation, what view keys begin with, upper bound of the members, limit, length of what stands before the
--       view key in a member

local live = redis.call('GET', KEYS[1])
if (live or ARGV[2]) ~= ARGV[1] then
  return {live, false, {}, {}}
end

local members = redis.call('ZRANGE', KEYS[3], ARGV[4], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[5])
local views = {}
for i, member in ipairs(members) do
  views[i] = redis.call('GET', ARGV[3] .. string.sub(member, ARGV[6] + 1))
  if not views[i] then
    return redis.error_reply('CORRUPT a list names a view that is not there')
  end
end
return {live, redis.call('GET', KEYS[2]), members, views}
