-- A row, if it is in this queue.
--
-- KEYS     the queues
-- ARGV     1 id, 2 the queue
-- returns  the row as `HMGET` tells it, or nil
-- cost     O(length of the row)

local told = redis.call('HMGET', row_key(ARGV[1]), 'queue', 'endpoint', 'reason', 'place', 'entered', 'next', 'attempts', 'sealed')
return told[1] == ARGV[2] and told
