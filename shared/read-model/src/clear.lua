#!lua
-- Removes some keys of a shard. The pattern has the shard's hash tag, so all that it finds are on this node.
--
-- KEYS: any key of the shard
-- ARGV: cursor, pattern, how many keys to look at

local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
for _, key in ipairs(found[2]) do
  redis.call('UNLINK', key)
end
return {found[1], #found[2]}
