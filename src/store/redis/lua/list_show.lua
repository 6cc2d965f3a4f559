-- Values of a list in the order of their bytes.
--
-- KEYS  1 the tag of the lists
-- ARGV  1 time (see clock.lua), 2 list, 3 '-', or '(' and the value behind which to begin, 4 how many
-- Gives each value and until when it is there
sweep()
local from, most, shown = ARGV[3], tonumber(ARGV[4]), {}
repeat
  local values = redis.call('ZRANGEBYLEX', order_key, from, '+', 'LIMIT', 0, most)
  for _, value in ipairs(values) do
    local ends = redis.call('ZSCORE', ends_key, value)
    if #shown < 2 * most and ends and tonumber(ends) >= secs then
      shown[#shown + 1] = value
      shown[#shown + 1] = tonumber(ends)
    end
    from = '(' .. value
  end
until #values < most or #shown >= 2 * most
return shown
