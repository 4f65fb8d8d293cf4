#!lua
-- Removes some keys of a generation, unless it is the live one: after a failover that lost the switch of the pointer it may be again.
--
-- KEYS: pointer to the live generation, then the keys to remove
-- ARGV: generation, first generation

if (redis.call('GET', KEYS[1]) or ARGV[2]) == ARGV[1] then
  return 'live'
end
for i = 2, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 'done'
