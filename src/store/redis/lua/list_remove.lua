-- Takes a value off a list.
--
-- KEYS  1 the tag of the lists
-- ARGV  1 time (see clock.lua), 2 list, 3 value
-- Gives 1 it was there, 0 it was not
local was_on = is_on(ARGV[3])
redis.call('ZREM', ends_key, ARGV[3])
redis.call('ZREM', order_key, ARGV[3])
return was_on and 1 or 0
