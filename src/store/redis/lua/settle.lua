-- Ends a claim.
--
-- KEYS  1 the endpoint's tag
-- ARGV  1 time (see clock.lua), 2 event, 3 its content, 4 name of the lease, 5 'done' or 'released', 6 retention, s
-- Cost  4 calls, one more if the event was told of counters
local event = ARGV[2]
local key, row, bucket_ends, buckets, kept = find(event, redis.call('GET', tag .. 'e'))
if ARGV[5] == 'released' then
  if row and #row > DONE and string.sub(row, 15, 22) == ARGV[4] then
    redis.call('HSET', key, event, string.sub(row, 1, 22) .. struct.pack('>I6', 0) .. string.sub(row, 29))
  end
  return 0
end
local ends = math.ceil(now / 1000 + ARGV[6])
if row then
  ends = math.max(ends, struct.unpack('>I4', row, 9))
end
keep(key, event, struct.pack('>c8I4', ARGV[3], ends), ends, bucket_ends, buckets, kept, not row)
if row and string.sub(row, 29) == 't' then
  redis.call('DEL', tag .. 't' .. event)
end
return 0
