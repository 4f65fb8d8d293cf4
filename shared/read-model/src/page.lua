#!lua flags=no-writes
-- Reads a part of a shard's list with its views and the state that they hold as of, all in one step.
-- The shebang's flag lets Redis run it where it refuses writes: out of memory, on a replica.
--
-- KEYS: live build, its state, list, bitmap of the index's buckets, the list's bucket of the index
-- ARGV: build, what view keys begin with, upper bound of the members, limit, length of what stands before the view key in a member, the
--       list's name in the index, the bucket's number

local live = redis.call('GET', KEYS[1])
local state = redis.call('GET', KEYS[2])
if live ~= ARGV[1] or not state then
  return {live, state, {}, {}, 'found'}
end
if redis.call('EXISTS', KEYS[3]) == 0 and (redis.call('EXISTS', KEYS[4]) == 0 or redis.call('HEXISTS', KEYS[5], ARGV[6]) == 1
  or (redis.call('GETBIT', KEYS[4], ARGV[7]) == 1 and redis.call('EXISTS', KEYS[5]) == 0)) then
  return {live, state, {}, {}, 'lost'}
end

local members = redis.call('ZRANGE', KEYS[3], ARGV[3], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[4])
local views = {}
for i, member in ipairs(members) do
  views[i] = redis.call('GET', ARGV[2] .. string.sub(member, ARGV[5] + 1))
  if not views[i] then
    return {live, state, {}, {}, 'lost'}
  end
end
return {live, state, members, views, 'found'}
