#!lua
-- Takes, keeps and gives back the leases on units of one shard, as far as they are to be had.
--
-- KEYS: owner of each unit
-- ARGV: member, milliseconds that a lease lasts, for each unit '1' where it is wanted and '0' where not

local held = {}
for i, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  held[i] = 0
  if ARGV[i + 2] == '1' then
    if not owner or owner == ARGV[1] then
      redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
      held[i] = 1
    end
  elseif owner == ARGV[1] then
    redis.call('DEL', key)
  end
end
return held
