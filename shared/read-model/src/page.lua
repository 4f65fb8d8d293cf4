#!lua flags=no-writes
-- Reads a part of a shard's list with its views and the state that they hold as of, all in one step.
-- The shebang's flag lets Redis run it where it refuses writes: out of memory, on a replica.
--
-- KEYS: live build, its state, list, the bucket of its name
-- ARGV: build, what the keys of buckets of views begin with, upper bound of the members, limit, where the bucket's number begins in a member, where the view
--       key begins, the list's field

local live = redis.call('GET', KEYS[1])
local state = redis.call('GET', KEYS[2])
if live ~= ARGV[1] or not state then
  return {live, state, {}, {}, 'found'}
end
if redis.call('EXISTS', KEYS[3]) == 0 and (redis.call('EXISTS', KEYS[4]) == 0 or redis.call('HEXISTS', KEYS[4], ARGV[7]) == 1) then
  return {live, state, {}, {}, 'lost'}
end

local first_of_bucket, first_of_key = tonumber(ARGV[5]), tonumber(ARGV[6])
local members = redis.call('ZRANGE', KEYS[3], ARGV[3], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[4])
local views = {}
for i, member in ipairs(members) do
  local bucket = tonumber(string.sub(member, first_of_bucket, first_of_key - 2))
  views[i] = redis.call('HGET', ARGV[2] .. string.format('%d', bucket), 'v' .. string.sub(member, first_of_key))
  if not views[i] then
    return {live, state, {}, {}, 'lost'}
  end
end
return {live, state, members, views, 'found'}
