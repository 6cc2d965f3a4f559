-- Registers orders.
--
-- KEYS  1 the endpoint's tag
-- ARGV  1 time (see clock.lua), then for each order its digest, until when it is remembered (s), and what it says, of which
--       the first 8 bytes tell when it was registered and do not count
-- Gives for each 0 new, 1 said the same, 2 said something else
local secs = math.floor(now / 1000)
local told = {}
for at = 2, #ARGV, 3 do
  local key, ends, says = KEYS[1] .. 'o' .. ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local known = redis.call('GET', key)
  if not known or struct.unpack('>I4', known) < secs then
    told[#told + 1] = 0
  else
    told[#told + 1] = string.sub(known, 13) == string.sub(says, 9) and 1 or 2
  end
  redis.call('SET', key, struct.pack('>I4', ends) .. says, 'EX', math.max(1, ends - secs + 1))
end
return told
