-- Ends a claim.
--
-- KEYS  1 the endpoint's tag
-- ARGV  1 time (see clock.lua), 2 event, 3 its content, 4 name of the lease, 5 'done' or 'released', 6 retention, s
local event = ARGV[2]
local buckets, kept = events_of(redis.call('GET', tag .. 'e'))
local key = bucket(tag .. 'e', buckets, event)
local row = redis.call('HGET', key, event)
if ARGV[5] == 'released' then
  if row and #row > DONE and string.sub(row, 15, 22) == ARGV[4] then
    redis.call('HSET', key, event, string.sub(row, 1, 22) .. struct.pack('>I6', 0))
  end
  return 0
end
local ends = math.ceil(now / 1000 + ARGV[6])
if row then
  ends = math.max(ends, struct.unpack('>I4', row, 9))
end
keep(event, struct.pack('>c8I4', ARGV[3], ends), ends, buckets, kept, not row)
redis.call('DEL', tag .. 't' .. event)
return 0
