-- Moves and reads counters of an event that was claimed before.
--
-- KEYS  1 the endpoint's tag
-- ARGV  1 time (see clock.lua), 2 event, then each counter
-- Gives two numbers for each counter
local key, row = find(ARGV[2], redis.call('GET', tag .. 'e'))
local is_open = row and is_kept(row) and #row > DONE
local answers = {}
if count(ARGV[2], 3, answers, is_open, false) and is_open then
  redis.call('EXPIRE', tag .. 't' .. ARGV[2], struct.unpack('>I4', row, 9) - secs + 1)
  if string.sub(row, 29) == '' then
    redis.call('HSET', key, ARGV[2], row .. 't')
  end
end
return answers
