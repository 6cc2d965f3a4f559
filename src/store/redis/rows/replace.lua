-- Puts a row in place of that of the same id in another queue, or in the same.
--
-- KEYS     the queues
-- ARGV     1 name of this change, 2 most rows of a queue, 3 the queue that it leaves, 4 the lease that the caller has of it,
--          empty without one; from 5 on the row: see `put_in`
-- returns  1: put. 0: it is not in that queue, or leased to somebody else. -n: the queue is full, with n rows
-- cost     O(log n) of the rows of the two queues

local change, id, queue = ARGV[1], ARGV[5], ARGV[6]
local row = find(id)
if row and row.change == change then
  return 1
end
if not row or row.queue ~= ARGV[3] or (row.lease or '') ~= ARGV[4] then
  return 0
end
local rows = queue ~= row.queue and full(queue, ARGV[2])
if rows then
  return -rows
end
take_out(id, row)
put_in(change, 5)
return 1
