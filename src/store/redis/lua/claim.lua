-- Takes a nonce and an event, and answers what the policy asks about it.
--
-- KEYS  1 the endpoint's tag
-- ARGV  1 time (see clock.lua)        2 name of the new lease        3 its length, ms        4 retention, s
--       5 event                       6 its content                  7 nonce, or nothing     8 its slot
--       9 until when it is wanted, s  10 that after it was signed, s  11 order, or nothing    12 number of lists asked
--       then for each list its key and the value, then each counter
-- Gives 1 replayed, 2 done, 3 in flight, 4 other content; or, if it was taken, an array of
--       attempt, order or nil, lists as '0' and '1', two numbers for each counter
-- Cost  6 calls and a quarter, an order and each list one more, a counter 2 to 5; 2 or 3 more for all counters together
--
-- Sent again with the name of the lease that the event has, it answers the same again.
local REPLAYED, DUPLICATE, IN_FLIGHT, CONFLICT = 1, 2, 3, 4
-- A slot has 60 s and is kept for so many more: longer than a nonce of the usual windows is wanted, so that only its first
-- has to say so, and none is lost when a window is widened. With wider ones each says so.
local SLOT, KEPT = 60, 600
local lease, event, content, nonce = ARGV[2], ARGV[5], ARGV[6], ARGV[7]
local nonces = tag .. 'n' .. ARGV[8]
local sizes = redis.call('MGET', tag .. 'e', nonces)
local key, row, bucket_ends, buckets, kept = find(event, sizes[1])
local is_known = row and is_kept(row)
local is_ours = is_known and #row > DONE and string.sub(row, 15, 22) == lease

-- A nonce that would be stale by now is not looked up: its timestamp passes nowhere.
if nonce ~= '' and tonumber(ARGV[9]) >= secs then
  local size = tonumber(sizes[2]) or 1
  local nonce_key = bucket(nonces .. ':', size, nonce)
  if redis.call('HSETNX', nonce_key, nonce, '') == 1 then
    local fields, wanted = redis.call('HLEN', nonce_key), tonumber(ARGV[10])
    local ttl = math.max((ARGV[8] + 1) * SLOT - secs, 0) + math.max(wanted, KEPT) + 1
    if fields == 1 or wanted > KEPT then
      redis.call('EXPIRE', nonce_key, ttl)
    end
    if fields > FULL then
      local larger = grow(nonces .. ':', nonce_key, size, ttl, function() return true end)
      redis.call('SET', nonces, larger, 'EX', ttl)
    end
  elseif not is_ours then
    return REPLAYED
  end
end

local attempt, told = 1, ''
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
  told = string.sub(row, 29)
end

local first = 13 + 2 * ARGV[12]
if first <= #ARGV then
  told = 't'
end
local length, retention = tonumber(ARGV[3]), tonumber(ARGV[4])
local ends = math.ceil((now + math.max(retention * 1000, length)) / 1000)
local taken = struct.pack('>c8I4I2c8I6', content, ends, attempt, lease, now + length) .. told
keep(key, event, taken, ends, bucket_ends, buckets, kept, not row)

local order = false
if ARGV[11] ~= '' then
  order = redis.call('GET', tag .. 'o' .. ARGV[11])
  if order and struct.unpack('>I4', order) < secs then
    order = false
  end
end
local lists = ''
for at = 13, first - 1, 2 do
  local listed_until = redis.call('ZSCORE', ARGV[at], ARGV[at + 1])
  lists = lists .. (listed_until and tonumber(listed_until) >= secs and '1' or '0')
end
local answers = { attempt, order, lists }
if first > #ARGV then
  return answers
end
