-- Leases rows of an endpoint that are due, those that have been due for longest first.
--
-- KEYS     the queues
-- ARGV     1 the time of leases: see `clock.lua`, 2 endpoint, 3 the taker's time, 4 how long a lease is (ms), 5 most rows,
--          6 number of the first lease, 7 most sealed bytes (one row is given whatever its length)
-- returns  rows, each: id, its lease, and the row as `HMGET` tells it
-- cost     O(log n) for each row and for each lease that has ended; those are cut off at 1,000, and looked at again by the
--          next take
--
-- Sent a second time it leases other rows; those of the first time are due again when their leases end.

local endpoint, due_at, most = ARGV[2], ARGV[3], tonumber(ARGV[5])
local keys = pending_keys(endpoint)

for _, ended in ipairs(redis.call('ZRANGEBYSCORE', keys.leases, '-inf', now, 'LIMIT', 0, 1000)) do
  local lane, id = string.sub(ended, 1, 16), string.sub(ended, 17)
  end_lease(keys, id, lane)
  redis.call('HDEL', row_key(id), 'lease')
  offer(keys, lane)
end

local taken, bytes = {}, 0
for _, lane in ipairs(redis.call('ZRANGEBYSCORE', keys.due, '-inf', due_at, 'LIMIT', 0, most)) do
  local first = redis.call('ZRANGEBYLEX', keys.lanes, '[' .. lane, '(' .. lane .. '~', 'LIMIT', 0, 1)[1]
  local id = first and string.sub(first, 49)
  local row = id and redis.call('HMGET', row_key(id), 'queue', 'endpoint', 'reason', 'place', 'entered', 'next', 'attempts', 'sealed')
  if not row or not row[1] and redis.call('EXISTS', row_key(id)) == 0 then
    offer(keys, lane) -- somebody deleted the row
  else
    bytes = bytes + (row[8] and #row[8] or 0)
    if #taken > 0 and bytes > tonumber(ARGV[7]) then
      break
    end
    local lease = string.format('%.0f', ARGV[6] + #taken)
    redis.call('ZREM', keys.due, lane)
    redis.call('ZADD', keys.leases, now + ARGV[4], lane .. id)
    redis.call('HSET', keys.taken, lane, id)
    redis.call('HSET', row_key(id), 'lease', lease)
    taken[#taken + 1] = { id, lease, row }
  end
end
return taken
