-- Puts a row into a queue.
--
-- KEYS     the queues
-- ARGV     1 name of this change, 2 most rows of a queue; from 3 on the row: see `put_in`
-- returns  1: put. 0: a row of this id is in some queue. -n: the queue is full, with n rows
-- cost     O(log n) of the rows of its queue

local change, id, queue = ARGV[1], ARGV[3], ARGV[4]
if redis.call('EXISTS', row_key(id), gone_key(id)) > 0 then
  local row = find(id)
  if row then
    return row.change == change and 1 or 0
  end
  -- Put, delivered and removed by another node before it was sent again: it would be delivered once more.
  local gone = redis.call('GET', gone_key(id))
  if gone and string.match(gone, '^%d+') == change then
    return 1
  end
end
local rows = full(queue, ARGV[2])
if rows then
  return -rows
end
put_in(change, 3)
return 1
