-- Tables of small hashes ("buckets"), which Redis packs tightly as long as none has more than 128 fields. They grow by
-- linear hashing: a table of b buckets has a field of digest d in bucket d mod 2h, or d mod h if that one is not there yet,
-- with h the largest power of two that is not more than b. So one number says where everything is, and growing by one
-- bucket moves one bucket's fields only. Cost: a split moves about 90 fields, once in about 70 insertions.
local FULL = 110

local function bucket(name, buckets, digest)
  local _, exponent = math.frexp(buckets)
  local number = struct.unpack('>I4', digest) % 2 ^ exponent
  if number >= buckets then
    number = number - 2 ^ (exponent - 1)
  end
  return name .. number
end

local function refill(key, fields, ttl)
  redis.call('DEL', key)
  for first = 1, #fields, 200 do
    redis.call('HSET', key, unpack(fields, first, math.min(first + 199, #fields)))
  end
  if #fields > 0 then
    redis.call('EXPIRE', key, ttl)
  end
end

-- Adds one bucket, and gives it what belongs there. `is_live` tells by its value whether a field is still wanted.
local function split(name, buckets, ttl, is_live)
  local _, exponent = math.frexp(buckets)
  local from = name .. buckets - 2 ^ (exponent - 1)
  local fields, stay, go = redis.call('HGETALL', from), {}, {}
  for at = 1, #fields, 2 do
    if is_live(fields[at + 1]) then
      local side = struct.unpack('>I4', fields[at]) % 2 ^ exponent == buckets and go or stay
      side[#side + 1] = fields[at]
      side[#side + 1] = fields[at + 1]
    end
  end
  if #stay < #fields then
    refill(from, stay, ttl)
    refill(name .. buckets, go, ttl)
  end
end
