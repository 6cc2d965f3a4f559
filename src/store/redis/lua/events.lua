-- Events: one table for each endpoint, `e` with its buckets. A field is an event's digest, its value
--   done: content (8 bytes), until (4, seconds)
--   open: the same, attempts (2), name of the last lease (8), end of that lease (6, milliseconds; 0: released), and `t` if
--         it was told of counters
-- The field '' of a bucket says until when the bucket is kept (4), so that not every event has to prolong it. `e` itself
-- has the number of buckets and until when it is kept (4 bytes each): without it nothing would be found, so it outlives
-- every bucket.
local tag = KEYS[1]
local secs = math.floor(now / 1000)
local DONE = 12

local function is_kept(row)
  return struct.unpack('>I4', row, 9) >= secs
end

-- Where an event is: its bucket, its row if there is one, until when the bucket is kept, and how its table is.
local function find(event, sizes)
  local buckets, kept = 1, 0
  if sizes then
    buckets, kept = struct.unpack('>I4I4', sizes)
  end
  local key = bucket(tag .. 'e', buckets, event)
  local found = redis.call('HMGET', key, event, '')
  return key, found[1], found[2] and struct.unpack('>I4', found[2]) or 0, buckets, kept
end

-- Writes an event's row. `is_new`: it was not there. One in four looks whether its bucket is full.
local function keep(key, event, row, ends, bucket_ends, buckets, kept, is_new)
  local name, spare = tag .. 'e', math.ceil((ends - secs) / 4)
  if bucket_ends < ends then
    bucket_ends = ends + spare
    redis.call('HSET', key, event, row, '', struct.pack('>I4', bucket_ends))
    redis.call('EXPIRE', key, bucket_ends - secs + 1)
  else
    redis.call('HSET', key, event, row)
  end
  local before = buckets
  if is_new and string.byte(event, 16) % 4 == 0 and redis.call('HLEN', key) > FULL then
    buckets = grow(name, key, buckets, ends - secs + 1, is_kept)
  end
  if buckets > before or kept <= bucket_ends then
    kept = math.max(kept, bucket_ends + spare)
    redis.call('SET', name, struct.pack('>I4I4', buckets, kept), 'EX', kept - secs + 1)
  end
end
