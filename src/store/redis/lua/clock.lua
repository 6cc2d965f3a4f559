-- The time that a script goes by, in milliseconds: the server's own, unless a test gives another as ARGV[1].
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
