-- Ends a lease without success.
--
-- KEYS     the queues
-- ARGV     1 id, 2 the lease, 3 attempts, 4 when it is due again
-- returns  1: done. 0: the lease is not the taker's any more
-- cost     O(log n) of the rows of its endpoint

local id = ARGV[1]
local row = find(id)
if not row or row.queue ~= 'pending' or row.lease ~= ARGV[2] then
  return 0
end
local keys, lane = pending_keys(row.endpoint), lane_of(row.place)
end_lease(keys, id, lane)
redis.call('HDEL', row_key(id), 'lease')
redis.call('HSET', row_key(id), 'attempts', ARGV[3], 'next', ARGV[4])
offer(keys, lane)
return 1
