#!lua flags=no-writes
-- What of a build should be there and is not: all its buckets are looked for, and some of the lists that one bucket names.
--
-- KEYS: state, all buckets, the bucket of lists
-- ARGV: what the keys of lists begin with, cursor in the bucket of lists, how many names to look at

if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'0', {}}
end
local lost = {}
if redis.call('EXISTS', unpack(KEYS)) < #KEYS then
  lost[1] = 'bucket'
end
local found = redis.call('HSCAN', KEYS[#KEYS], ARGV[2], 'MATCH', 'l*', 'COUNT', ARGV[3])
for i = 1, #found[2], 2 do
  local field = found[2][i]
  if redis.call('EXISTS', ARGV[1] .. string.sub(field, 2)) == 0 then
    lost[#lost + 1] = field
  end
end
return {found[1], lost}
