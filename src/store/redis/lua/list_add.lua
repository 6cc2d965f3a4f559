-- Puts a value on a list.
--
-- KEYS  1 the tag of the lists
-- ARGV  1 time (see clock.lua), 2 list, 3 value, 4 until when (s), 5 most values on a list
-- Gives 1 it is new there, 0 it was there, -1 there is no room
sweep()
local value, ends = ARGV[3], tonumber(ARGV[4])
local was_on = is_on(value)
if not redis.call('ZSCORE', ends_key, value) and redis.call('ZCARD', ends_key) >= tonumber(ARGV[5]) then
  return -1
end
redis.call('ZADD', ends_key, ends, value)
redis.call('ZADD', order_key, 0, value)
local ttl = math.max(1, ends - secs + 1)
if ttl > redis.call('TTL', ends_key) then
  redis.call('EXPIRE', ends_key, ttl)
  redis.call('EXPIRE', order_key, ttl)
end
return was_on and 0 or 1
