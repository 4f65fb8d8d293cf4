#!lua
-- Changes a text, if it still is what the change rests on. Returns what it is now.
--
-- KEYS: text
-- ARGV: from, or '' for none, to

local now = redis.call('GET', KEYS[1])
if (now or '') ~= ARGV[1] then
  return now
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
