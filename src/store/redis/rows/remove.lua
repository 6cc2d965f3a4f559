-- Removes a row, whoever has a lease of it.
--
-- KEYS     the queues
-- ARGV     1 name of this change, 2 id, 3 the queue
-- returns  1: removed. 0: it is not in this queue
-- cost     O(log n) of the rows of its queue

local change, id = ARGV[1], ARGV[2]
local row = find(id)
if not row then
  local gone = redis.call('GET', gone_key(id))
  return gone and string.match(gone, '%d+$') == change and 1 or 0
end
if row.queue ~= ARGV[3] then
  return 0
end
take_out(id, row)
-- Longer than a request may take, however often it is sent.
redis.call('SET', gone_key(id), (row.change or '0') .. ' ' .. change, 'PX', 10000)
return 1
