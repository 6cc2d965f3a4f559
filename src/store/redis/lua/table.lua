-- Tables of small hashes ("buckets"), which Redis packs tightly as long as none has more than 128 fields. They grow by
-- linear hashing: a table of b buckets has a field of digest d in bucket d mod 2h, or d mod h if that one is not there yet,
-- with h the largest power of two that is not more than b. So one number says where everything is, and growing by one
-- bucket moves one bucket's fields only. Cost: a split moves about 90 fields, once in about 70 insertions.
local FULL = 100

local function bucket(name, buckets, digest)
  local _, exponent = math.frexp(buckets)
  local number = struct.unpack('>I4', digest) % 2 ^ exponent
  if number >= buckets then
    number = number - 2 ^ (exponent - 1)
  end
  return name .. number
end

-- Splits the bucket that is due, if the one of `key` has too many fields after those that are not `is_live` by their value
-- any more have gone. The field '' is none of the table's: it goes, and is written with the next one that comes. Gives how
-- many buckets there are.
local function grow(name, key, buckets, ttl, is_live)
  local function refill(into, fields)
    redis.call('DEL', into)
    for first = 1, #fields, 200 do
      redis.call('HSET', into, unpack(fields, first, math.min(first + 199, #fields)))
    end
    if #fields > 0 then
      redis.call('EXPIRE', into, ttl)
    end
  end
  local function sorted(from, goes)
    local fields, stay, go = redis.call('HGETALL', from), {}, {}
    for at = 1, #fields, 2 do
      if fields[at] ~= '' and is_live(fields[at + 1]) then
        local side = goes(fields[at]) and go or stay
        side[#side + 1] = fields[at]
        side[#side + 1] = fields[at + 1]
      end
    end
    return stay, go, #fields
  end

  local live, _, all = sorted(key, function() return false end)
  if #live + 2 < all then
    refill(key, live)
  end
  if #live < 1.6 * FULL then
    return buckets
  end
  local _, exponent = math.frexp(buckets)
  local from = name .. buckets - 2 ^ (exponent - 1)
  local stay, go, had = sorted(from, function(field)
    return struct.unpack('>I4', field) % 2 ^ exponent == buckets
  end)
  if #stay < had then
    refill(from, stay)
    refill(name .. buckets, go)
  end
  return buckets + 1
end
