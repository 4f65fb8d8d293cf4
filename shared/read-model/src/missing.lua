#!lua flags=no-writes
-- Looks again at a view that was not found: whether there is none, or it is lost. All in one step.
--
-- KEYS: live build, its state, the view, bitmap of the index's buckets, the view's bucket of the index
-- ARGV: build, the view's name in the index, the bucket's number

local live = redis.call('GET', KEYS[1])
local state = redis.call('GET', KEYS[2])
if live ~= ARGV[1] or not state then
  return {live, state, false, 'absent'}
end
local value = redis.call('GET', KEYS[3])
if value then
  return {live, state, value, 'found'}
end
if redis.call('EXISTS', KEYS[4]) == 0 or redis.call('HEXISTS', KEYS[5], ARGV[2]) == 1
  or (redis.call('GETBIT', KEYS[4], ARGV[3]) == 1 and redis.call('EXISTS', KEYS[5]) == 0) then
  return {live, state, false, 'lost'}
end
return {live, state, false, 'absent'}
