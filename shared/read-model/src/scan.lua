#!lua flags=no-writes
-- The views of some buckets of a build, and the names of what the index knows and is not there, as of one state.
--
-- KEYS: state, bitmap of the index's buckets
-- ARGV: what the build's keys begin with, first bucket, last bucket, 'values' or 'names'

local state = redis.call('GET', KEYS[1])
if not state then
  return {false, {}, {}, {}}
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  return {state, {}, {}, {'buckets'}}
end
local names, values, lost = {}, {}, {}
for bucket = ARGV[2], ARGV[3] do
  local index = ARGV[1] .. 'index:' .. string.format('%d', bucket)
  local indexed = redis.call('HKEYS', index)
  if #indexed == 0 and redis.call('GETBIT', KEYS[2], bucket) == 1 then
    lost[#lost + 1] = 'index'
  end
  for _, name in ipairs(indexed) do
    local rest = string.sub(name, 2)
    if string.sub(name, 1, 1) ~= 'v' then
      if redis.call('EXISTS', ARGV[1] .. 'list:' .. rest) == 0 then
        lost[#lost + 1] = name
      end
    elseif ARGV[4] == 'values' then
      local value = redis.call('GET', ARGV[1] .. 'view:' .. rest)
      if value then
        names[#names + 1], values[#values + 1] = rest, value
      else
        lost[#lost + 1] = name
      end
    elseif redis.call('EXISTS', ARGV[1] .. 'view:' .. rest) == 0 then
      lost[#lost + 1] = name
    end
  end
end
return {state, names, values, lost}
