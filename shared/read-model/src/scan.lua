#!lua flags=no-writes
-- The views of one bucket of a build, as of one state.
--
-- KEYS: state, bucket

local fields = redis.call('HGETALL', KEYS[2])
local names, values = {}, {}
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) == 'v' then
    names[#names + 1], values[#values + 1] = string.sub(fields[i], 2), fields[i + 1]
  end
end
return {redis.call('GET', KEYS[1]), names, values, #fields}
