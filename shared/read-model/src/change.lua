#!lua
-- Changes a text, if it still is what the change rests on. Returns whether it did, and what it is now.
--
-- KEYS: text, losses
-- ARGV: from, or '' for none, to, a loss ('' for none), how many are kept; a loss is noted as in `start.lua`

local now = redis.call('GET', KEYS[1])
if (now or '') ~= ARGV[1] then
  return {0, now}
end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.pcall('LPUSH', KEYS[2], ARGV[3])
  redis.pcall('LTRIM', KEYS[2], 0, ARGV[4] - 1)
end
return {1, ARGV[2]}
