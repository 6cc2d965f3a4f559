-- How full each queue of each endpoint is.
--
-- KEYS     the queues
-- returns  for each that is not empty: queue, endpoint, rows, time of entry of the oldest
-- cost     O(lists), at most three for each endpoint

local depths = {}
for _, list in ipairs(redis.call('SMEMBERS', base .. 'lists')) do
  local queue, endpoint = string.match(list, '^(%l+):(.*)$')
  local oldest = queue and redis.call('ZRANGE', base .. 'list:' .. list, 0, 0, 'WITHSCORES')[2]
  if oldest then
    local rows = redis.call('ZCARD', base .. 'list:' .. list)
    depths[#depths + 1] = { queue, endpoint, rows, string.format('%.0f', oldest) }
  end
end
return depths
