#!lua flags=no-writes
-- Texts and views of one shard, all of one moment.
-- A script and not MULTI with EXEC: on a Redis Cluster nobody follows a slot that moved out of a transaction.
--
-- KEYS: texts, buckets
-- ARGV: number of texts; for each bucket how many of its fields are asked for, and those

-- Each bucket's answer begins with the field that every bucket has.
local texts = tonumber(ARGV[1])
local answer = {redis.call('MGET', unpack(KEYS, 1, texts))}
local at = 2
for i = texts + 1, #KEYS do
  local last = at + tonumber(ARGV[at])
  answer[#answer + 1] = redis.call('HMGET', KEYS[i], '', unpack(ARGV, at + 1, last))
  at = last + 1
end
return answer
