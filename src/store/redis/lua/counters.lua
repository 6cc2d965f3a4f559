-- Counters: keys of their own, named by a letter for the measure and by the counter's digest, which a counter that is
-- defined anew does not keep.
--   C count, S sum   {slice, sum of it, …} (MessagePack); slices are numbered since the epoch
--   D distinct       sorted set: value -> slice in which it came last
--   L last           place in time, value (8 bytes each)
--   F first seen     first and last sight (8 bytes each)
-- What an event was told lies in `t` with the event's digest until the event is done: counter -> before, after.
local LARGEST = 9007199254740992 -- what Lua's numbers count exactly to

local function clamp(sum)
  return math.max(-LARGEST, math.min(LARGEST, sum))
end

local function slices(key, ask, left, oldest)
  local packed = redis.call('GET', key)
  local known = packed and cmsgpack.unpack(packed) or {}
  local before = 0
  for at = 1, #known, 2 do
    if known[at] >= oldest then
      before = before + known[at + 1]
    end
  end
  local number = math.floor(ask.at / ask.slice)
  if not ask.number or number < oldest then
    return clamp(before), clamp(before)
  end
  local newest = number
  for at = 1, #known, 2 do
    newest = math.max(newest, known[at])
  end
  local first, moved, after, is_there = newest - math.ceil(ask.window / ask.slice), {}, 0, false
  for at = 1, #known, 2 do
    local sum = known[at + 1]
    if known[at] == number then
      sum, is_there = clamp(sum + ask.number), true
    end
    if known[at] >= first then
      moved[#moved + 1] = known[at]
      moved[#moved + 1] = sum
    end
    if known[at] >= oldest then
      after = after + sum
    end
  end
  if not is_there then
    moved[#moved + 1] = number
    moved[#moved + 1] = clamp(ask.number)
    after = after + clamp(ask.number)
  end
  redis.call('SET', key, cmsgpack.pack(moved), 'PX', ask.window + ask.slice)
  return clamp(before), clamp(after)
end

local function distinct(key, ask, left, oldest)
  local before = redis.call('ZCOUNT', key, oldest, '+inf')
  local number = math.floor(ask.at / ask.slice)
  if not ask.member or number < oldest then
    return before, before
  end
  local last = redis.call('ZSCORE', key, ask.member)
  if last and tonumber(last) >= number then
    return before, before
  end
  redis.call('ZADD', key, number, ask.member)
  redis.call('PEXPIRE', key, ask.window + ask.slice)
  if last then
    return before, tonumber(last) < oldest and before + 1 or before
  elseif redis.call('ZCARD', key) <= ask.exact + 1 then
    return before, before + 1
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. oldest)
  if redis.call('ZCARD', key) > ask.exact + 1 then
    redis.call('ZPOPMIN', key)
  end
  return before, redis.call('ZCOUNT', key, oldest, '+inf')
end

local function last(key, ask, left)
  local known, at, value = redis.call('GET', key), left, 0
  if known then
    at, value = struct.unpack('>i8i8', known)
    if at <= left then
      at, value = left, 0
    end
  end
  if not ask.number or ask.at <= left or at > ask.at then
    return value, value
  end
  redis.call('SET', key, struct.pack('>i8i8', ask.at, ask.number), 'PX', ask.window)
  return value, ask.number
end

local function first_seen(key, ask, left)
  local known, first, newest = redis.call('GET', key), 0, left
  if known then
    first, newest = struct.unpack('>i8i8', known)
    if newest <= left then
      first, newest = 0, left
    end
  end
  if not ask.number or ask.at <= left then
    return first, first
  end
  local is_known = newest > left
  local from = is_known and math.min(first, ask.at) or ask.at
  redis.call('SET', key, struct.pack('>i8i8', from, math.max(newest, ask.at)), 'PX', ask.window)
  return first, from
end

local MEASURES = { C = slices, S = slices, D = distinct, L = last, F = first_seen }

-- Puts two answers for each counter asked, from ARGV[first] on, into `answers`: before and after, or false twice for an
-- amount that does not fit. `may_move`: the event is open.
local function count(event, first, answers, may_move, is_new)
  local key, ids, told, news = tag .. 't' .. event, {}, {}, {}
  for at = first, #ARGV do
    ids[#ids + 1] = string.sub(ARGV[at], 2, 17)
  end
  if is_new then
    redis.call('DEL', key) -- of an event that was forgotten
  else
    for number, was in ipairs(redis.call('HMGET', key, unpack(ids))) do
      told[ids[number]] = was
    end
  end
  for at = first, #ARGV do
    local before, after = false, false
    local was = told[ids[at - first + 1]]
    if was then
      before, after = struct.unpack('>i8i8', was)
    else
      local ask, measure, id, kind = {}, nil, nil, nil
      measure, id, ask.window, ask.slice, ask.at, ask.exact, kind = struct.unpack('>c1c16I4I4i8I2c1', ARGV[at])
      ask.at = math.min(ask.at, now)
      if may_move and kind == 'n' then
        ask.number = struct.unpack('>i8', ARGV[at], 37)
      elseif may_move and kind == 'm' then
        ask.member = string.sub(ARGV[at], 37, 44)
      end
      if not may_move or kind ~= 'x' then
        local left = now - ask.window
        before, after = MEASURES[measure](tag .. measure .. id, ask, left, math.floor(left / ask.slice))
        news[#news + 1] = id
        news[#news + 1] = struct.pack('>i8i8', before, after)
        told[id] = news[#news]
      end
    end
    answers[#answers + 1] = before
    answers[#answers + 1] = after
  end
  if may_move and #news > 0 then
    redis.call('HSET', key, unpack(news))
  end
  return #news > 0
end
