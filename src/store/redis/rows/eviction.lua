-- What Redis does when its memory is full.
--
-- KEYS     the queues
-- returns  `maxmemory` and `maxmemory_policy` as `INFO memory` tells them; empty where this user may not ask
-- cost     that of `INFO memory`

local told = redis.pcall('INFO', 'memory')
if type(told) ~= 'string' then
  return { '', '' }
end
return { string.match(told, 'maxmemory:(%d+)') or '', string.match(told, 'maxmemory_policy:([%w-]+)') or '' }
