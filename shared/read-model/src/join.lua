#!lua
-- Says that a projector runs, or no longer does, and returns all that run. By the clock of Redis alone.
--
-- KEYS: members
-- ARGV: member, milliseconds until it counts as gone, or 0 when it leaves

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)
