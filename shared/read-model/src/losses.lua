#!lua flags=no-writes
-- What of a build should be there and is not: all its buckets are looked for, their fields counted, and some of the lists looked for that one bucket
-- names.
--
-- KEYS: state, buckets of views, the bucket of names of lists
-- ARGV: what the keys of lists begin with, cursor in the bucket of names, how many names to look at

local state = redis.call('GET', KEYS[1])
if not state then
  return {false, 0, '0', {}}
end
local fields, lost = 0, {}
for i = 2, #KEYS do
  local count = redis.call('HLEN', KEYS[i])
  if count == 0 then
    lost[1] = 'bucket'
  elseif i < #KEYS then
    fields = fields + count
  end
end
local found = redis.call('HSCAN', KEYS[#KEYS], ARGV[2], 'MATCH', 'l*', 'COUNT', ARGV[3])
for i = 1, #found[2], 2 do
  local field = found[2][i]
  if redis.call('EXISTS', ARGV[1] .. string.sub(field, 2)) == 0 then
    lost[#lost + 1] = field
  end
end
return {state, fields, found[1], lost}
