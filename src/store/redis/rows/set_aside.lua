-- Keeps a row aside: it stays in its queue, and is no longer one of its lane.
--
-- KEYS     the queues
-- ARGV     1 name of this change, 2 id
-- returns  1: it is aside now. 0: it was, or there is none
-- cost     O(log n) of the rows of its endpoint

local change, id = ARGV[1], ARGV[2]
local row = find(id)
if not row or row.aside then
  return row and row.aside == change and 1 or 0
end
if row.queue == 'pending' then
  leave_lane(id, row)
end
redis.call('HDEL', row_key(id), 'lease')
redis.call('HSET', row_key(id), 'aside', change)
redis.call('ZADD', base .. 'aside', redis.call('INCR', KEYS[1]), id)
return 1
