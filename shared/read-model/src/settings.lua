#!lua flags=no-writes
-- What the node of a shard says of its memory, or nothing where that is not allowed.
local told = redis.pcall('INFO', 'memory')
if type(told) == 'table' then
  return ''
end
return told
