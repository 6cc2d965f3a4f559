-- A list is two sorted sets: `u`, value -> until when it is on the list (s), and `l`, all values with the score 0, which are
-- so in the order of their bytes. Both expire with the last of their values.
local secs = math.floor(now / 1000)
local ends_key, order_key = KEYS[1] .. 'u' .. ARGV[2], KEYS[1] .. 'l' .. ARGV[2]

-- Takes out what has ended, at most 1000 values at a time.
local function sweep()
  local ended = redis.call('ZRANGEBYSCORE', ends_key, '-inf', '(' .. secs, 'LIMIT', 0, 1000)
  if #ended > 0 then
    redis.call('ZREM', ends_key, unpack(ended))
    redis.call('ZREM', order_key, unpack(ended))
  end
end

local function is_on(value)
  local ends = redis.call('ZSCORE', ends_key, value)
  return ends and tonumber(ends) >= secs
end
