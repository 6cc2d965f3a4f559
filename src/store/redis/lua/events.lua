-- Events: one table for each endpoint, `e` with its buckets. A field is an event's digest, its value
--   done: content (8 bytes), until (4, seconds)
--   open: the same, attempts (2), name of the last lease (8), end of that lease (6, milliseconds; 0: released)
-- `e` itself has the number of buckets and until when it is kept (4 bytes each): without it nothing would be found, so it
-- outlives every bucket.
local tag = KEYS[1]
local secs = math.floor(now / 1000)
local DONE = 12

local function is_kept(row)
  return struct.unpack('>I4', row, 9) >= secs
end

local function events_of(sizes)
  if sizes then
    return struct.unpack('>I4I4', sizes)
  end
  return 1, 0
end

-- Writes an event's row. `is_new`: it was not there.
local function keep(event, row, ends, buckets, kept, is_new)
  local name = tag .. 'e'
  local key, ttl = bucket(name, buckets, event), ends - secs + 1
  redis.call('HSET', key, event, row)
  redis.call('EXPIRE', key, ttl)
  local is_larger = false
  if is_new and redis.call('HLEN', key) > FULL then
    -- What has expired goes first; only what is left may be too much.
    local fields, live = redis.call('HGETALL', key), {}
    for at = 1, #fields, 2 do
      if is_kept(fields[at + 1]) then
        live[#live + 1] = fields[at]
        live[#live + 1] = fields[at + 1]
      end
    end
    if #live < #fields then
      refill(key, live, ttl)
    end
    if #live > 1.6 * FULL then
      split(name, buckets, ttl, is_kept)
      buckets, is_larger = buckets + 1, true
    end
  end
  if is_larger or kept < ends then
    kept = math.max(kept, ends + ttl)
    redis.call('SET', name, struct.pack('>I4I4', buckets, kept), 'EX', kept - secs)
  end
end
