#!lua
-- Publishes events to a stream and a channel and moves the checkpoint, if it still stands where the batch began.
--
-- Redis rolls nothing back, so everything that can fail is checked before the first write, as in apply.lua. One thing more can be wrong here:
-- the stream may be ahead of its checkpoint, if somebody removed or restored one of the two. XADD refuses an id that is not above the last
-- one, so what is there already is passed over. Positions are compared as text: a Lua number is a double and holds none above 2^53.
--
-- KEYS: checkpoint, stream
-- ARGV: log id, position from, position to, how many entries to keep, channel, what tells the event at the position to from all others; then for each
--       event its position and its text

local CHECKPOINT, STREAM, FIRST_EVENT = KEYS[1], KEYS[2], 7

local function is_above(one, other)
  return #one > #other or (#one == #other and one > other)
end

local kind = redis.call('TYPE', CHECKPOINT).ok
if kind ~= 'none' and kind ~= 'hash' then
  return 'corrupt'
end
local log = redis.call('HGET', CHECKPOINT, 'log_id')
if log and log ~= ARGV[1] then
  return 'foreign'
end
if (redis.call('HGET', CHECKPOINT, 'position') or '0') ~= ARGV[2] then
  return 'moved'
end
local last = '0'
kind = redis.call('TYPE', STREAM).ok
if kind == 'stream' then
  local facts = redis.call('XINFO', 'STREAM', STREAM)
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then
      last = string.match(facts[i + 1], '^%d+')
    end
  end
elseif kind ~= 'none' then
  return 'corrupt'
end
if not (redis.acl_check_cmd('HSET', CHECKPOINT, 'position', '') and redis.acl_check_cmd('XADD', STREAM, '*', 'event', '')) then
  return 'forbidden'
end

for i = FIRST_EVENT, #ARGV, 2 do
  local position, text = ARGV[i], ARGV[i + 1]
  if is_above(position, last) then
    redis.call('XADD', STREAM, 'MAXLEN', '~', ARGV[4], position .. '-0', 'event', text)
    -- Who does not hear it reads the stream.
    redis.pcall('PUBLISH', ARGV[5], text)
  end
end
redis.call('HSET', CHECKPOINT, 'log_id', ARGV[1], 'position', ARGV[3], 'last_event', ARGV[3] .. ':' .. ARGV[6])
return 'done'
