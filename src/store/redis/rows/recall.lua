-- Gives rows that are aside another try: a node that starts may have the key that was missing.
--
-- KEYS     the queues
-- ARGV     1 what was set aside until this turn; empty: until now. 2 most rows
-- returns  the turn, and how many rows were recalled: fewer than the most were all
-- cost     O(log n) for each row

local turn = ARGV[1] ~= '' and ARGV[1] or redis.call('GET', KEYS[1]) or '0'
local ids = redis.call('ZRANGEBYSCORE', base .. 'aside', '-inf', turn, 'LIMIT', 0, tonumber(ARGV[2]))
for _, id in ipairs(ids) do
  local row = find(id)
  redis.call('ZREM', base .. 'aside', id)
  if row then
    redis.call('HDEL', row_key(id), 'aside')
    if row.queue == 'pending' then
      join_lane(id, row)
    end
  end
end
return { turn, #ids }
