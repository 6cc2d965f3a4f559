-- One page of a queue, the oldest rows first.
--
-- KEYS     the queues
-- ARGV     1 queue, 2 endpoint, 3 reason, 4 entered since, 5 entered before, 6 and 7 time of entry and id of the row behind
--          which the page begins; each may be empty. 8 most rows, 9 most rows that are looked at
-- returns  where the next page begins: time of entry and id, both empty if this page is the last; then rows, each: id, and
--          the row's head as `HMGET` tells it
-- cost     O(log n) of the rows of the queue, and O(rows that are looked at)

local queue, endpoint, reason, since, before = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local most, most_scanned = tonumber(ARGV[8]), tonumber(ARGV[9])
local key = base .. 'list:' .. queue .. (endpoint ~= '' and ':' .. endpoint or '')

-- How many rows stand before the page. Rows of one time of entry are in the order of their ids, so where one is or would be
-- is found by halving.
local function begin_behind(entered, id)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. entered)
  local high = redis.call('ZCOUNT', key, '-inf', entered)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZRANGE', key, middle, middle)[1] <= id then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local at = 0
if ARGV[6] ~= '' then
  at = begin_behind(ARGV[6], ARGV[7])
end
if since ~= '' then
  at = math.max(at, redis.call('ZCOUNT', key, '-inf', '(' .. since))
end

local page, scanned = { '', '' }, 0
while true do
  local batch = redis.call('ZRANGE', key, at, at + 99, 'WITHSCORES')
  for i = 1, #batch, 2 do
    local id, entered = batch[i], tonumber(batch[i + 1])
    if before and entered >= before then
      return page
    end
    at, scanned = at + 1, scanned + 1
    if reason == '' or redis.call('HGET', row_key(id), 'reason') == reason then
      local told = redis.call('HMGET', row_key(id), 'queue', 'endpoint', 'reason', 'place', 'entered', 'next', 'attempts', 'aside')
      if told[1] then
        page[#page + 1] = { id, told }
      end
    end
    if #page - 2 >= most or scanned >= most_scanned then
      if redis.call('ZCARD', key) > at then
        page[1], page[2] = string.format('%.0f', entered), id
      end
      return page
    end
  end
  if #batch == 0 then
    return page
  end
end
