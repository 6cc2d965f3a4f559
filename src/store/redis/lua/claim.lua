-- Takes a nonce and an event, and answers what the policy asks about it.
--
-- KEYS  1 the endpoint's tag
-- ARGV  1 time (see clock.lua)        2 name of the new lease        3 its length, ms        4 retention, s
--       5 event                       6 its content                  7 nonce, or nothing     8 its slot
--       9 until when it is wanted, s  10 until when its slot is, s   11 order, or nothing    12 number of lists asked
--       then for each list its key and the value, then each counter
-- Gives 1 replayed, 2 done, 3 in flight, 4 other content; or, if it was taken, an array of
--       attempt, order or nil, lists as '0' and '1', two numbers for each counter
--
-- Sent again with the name of the lease that the event has, it answers the same again.
local REPLAYED, DUPLICATE, IN_FLIGHT, CONFLICT = 1, 2, 3, 4
local lease, event, content, nonce = ARGV[2], ARGV[5], ARGV[6], ARGV[7]
local nonces = tag .. 'n' .. ARGV[8]
local sizes = redis.call('MGET', tag .. 'e', nonces)
local buckets, kept = events_of(sizes[1])
local row = redis.call('HGET', bucket(tag .. 'e', buckets, event), event)
local is_known = row and is_kept(row)
local is_ours = is_known and #row > DONE and string.sub(row, 15, 22) == lease

-- A nonce that would be stale by now is not looked up: its timestamp passes nowhere.
if nonce ~= '' and tonumber(ARGV[9]) >= secs then
  local size = tonumber(sizes[2]) or 1
  local key, ttl = bucket(nonces .. ':', size, nonce), ARGV[10] - secs + 1
  if redis.call('HSETNX', key, nonce, '') == 0 then
    if not is_ours then
      return REPLAYED
    end
  else
    redis.call('EXPIRE', key, ttl)
    if redis.call('HLEN', key) > FULL then
      split(nonces .. ':', size, ttl, function() return true end)
      redis.call('SET', nonces, size + 1, 'EX', ttl)
    end
  end
end

local attempt = 1
if is_known then
  if string.sub(row, 1, 8) ~= content then
    return CONFLICT
  elseif #row == DONE then
    return DUPLICATE
  end
  local ends
  attempt, ends = struct.unpack('>I2', row, 13), struct.unpack('>I6', row, 23)
  if not is_ours then
    if ends > now then
      return IN_FLIGHT
    end
    attempt = math.min(attempt + 1, 65535)
  end
end

local length, retention = tonumber(ARGV[3]), tonumber(ARGV[4])
local ends = math.ceil((now + math.max(retention * 1000, length)) / 1000)
local taken = struct.pack('>c8I4I2c8I6', content, ends, attempt, lease, now + length)
keep(event, taken, ends, buckets, kept, not row)

local order = false
if ARGV[11] ~= '' then
  order = redis.call('GET', tag .. 'o' .. ARGV[11])
  if order and struct.unpack('>I4', order) < secs then
    order = false
  end
end
local first, lists = 13, {}
for number = 1, tonumber(ARGV[12]) do
  local until_secs = redis.call('ZSCORE', ARGV[first], ARGV[first + 1])
  lists[number] = until_secs and tonumber(until_secs) >= secs and '1' or '0'
  first = first + 2
end
local answers = { attempt, order, table.concat(lists) }
if first <= #ARGV and count(event, first, answers, true, not is_known) then
  redis.call('EXPIRE', tag .. 't' .. event, ends - secs + 1)
end
return answers
