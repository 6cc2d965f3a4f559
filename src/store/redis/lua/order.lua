-- A registered order, or nil.
--
-- KEYS  1 the endpoint's tag
-- ARGV  1 time (see clock.lua), 2 order
local order = redis.call('GET', KEYS[1] .. 'o' .. ARGV[2])
if not order or struct.unpack('>I4', order) < math.floor(now / 1000) then
  return false
end
return order
