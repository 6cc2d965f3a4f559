-- Whether values are on lists: what a claim asks beside its script where lists lie in another slot.
--
-- KEYS  1 the tag of the lists
-- ARGV  1 time (see clock.lua), then for each list its key and the value
-- Gives '0' and '1' for each
local secs = math.floor(now / 1000)
local lists = {}
for at = 2, #ARGV, 2 do
  local ends = redis.call('ZSCORE', ARGV[at], ARGV[at + 1])
  lists[#lists + 1] = ends and tonumber(ends) >= secs and '1' or '0'
end
return table.concat(lists)
