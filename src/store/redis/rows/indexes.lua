-- The indexes of the queues. Stands before every script of this folder; keys and fields are described in `mod.rs`.
--
-- KEYS[1]  the tag of the queues: every other key begins with it. The key of just this name counts turns.
--
-- A script may be sent again when a connection breaks before the answer is there. So each change has a name, by which
-- it is known when it comes a second time, and then gives the answer that it gave.
--
-- Of a script that changes something, the first write frees memory and never asks for any (`ZREM` rather than `ZADD`), but
-- for `put`: with `maxmemory` reached, Redis refuses a script at its first write that asks for memory, and what waits
-- must be delivered and removed all the same.

local base = KEYS[1] .. ':'

local function row_key(id)
  return base .. 'row:' .. id
end

-- Names, for a while, the put and the removal of a row that has gone.
local function gone_key(id)
  return base .. 'gone:' .. id
end

local function list_keys(queue, endpoint)
  return base .. 'list:' .. queue, base .. 'list:' .. queue .. ':' .. endpoint
end

local function pending_keys(endpoint)
  return {
    lanes = base .. 'lanes:' .. endpoint,
    due = base .. 'due:' .. endpoint,
    leases = base .. 'leases:' .. endpoint,
    taken = base .. 'taken:' .. endpoint,
  }
end

-- Names a place in a lane: lane (16 digits), time of receipt (16), turn (16). With the id behind it, the member of `lanes`.
local function lane_of(place)
  return string.sub(place, 1, 16)
end

-- The first row of a lane stands for it in `due`; nothing does while one of the lane is leased. Rows that somebody
-- deleted are forgotten on the way.
local function offer(keys, lane)
  local is_taken = redis.call('HEXISTS', keys.taken, lane) == 1
  while not is_taken do
    local first = redis.call('ZRANGEBYLEX', keys.lanes, '[' .. lane, '(' .. lane .. '~', 'LIMIT', 0, 1)[1]
    if not first then
      break
    end
    local row = row_key(string.sub(first, 49))
    local next_at = tonumber(redis.call('HGET', row, 'next'))
    if next_at or redis.call('EXISTS', row) == 1 then
      redis.call('ZADD', keys.due, next_at or 0, lane)
      return
    end
    redis.call('ZREM', keys.lanes, first)
  end
  redis.call('ZREM', keys.due, lane)
end

-- Ends the lease of a row, if it has one.
local function end_lease(keys, id, lane)
  redis.call('ZREM', keys.leases, lane .. id)
  if redis.call('HGET', keys.taken, lane) == id then
    redis.call('HDEL', keys.taken, lane)
  end
end

-- A row is no longer one of its lane.
local function leave_lane(id, row)
  local keys, lane = pending_keys(row.endpoint), lane_of(row.place)
  redis.call('ZREM', keys.lanes, row.place .. id)
  end_lease(keys, id, lane)
  offer(keys, lane)
end

-- A row is one of its lane.
local function join_lane(id, row)
  local keys = pending_keys(row.endpoint)
  redis.call('ZADD', keys.lanes, 0, row.place .. id)
  offer(keys, lane_of(row.place))
end

-- What the indexes know of a row; nil: there is none. A field that somebody deleted is empty.
local function find(id)
  local told = redis.call('HMGET', row_key(id), 'queue', 'endpoint', 'place', 'lease', 'aside', 'change')
  if not told[1] then
    return nil
  end
  local row = { queue = told[1], endpoint = told[2] or '', place = told[3] or '' }
  row.lease, row.aside, row.change = told[4], told[5], told[6]
  return row
end

-- Takes a row out of the queues.
local function take_out(id, row)
  local all, own = list_keys(row.queue, row.endpoint)
  redis.call('ZREM', all, id)
  redis.call('ZREM', own, id)
  if redis.call('EXISTS', own) == 0 then
    redis.call('SREM', base .. 'lists', row.queue .. ':' .. row.endpoint)
  end
  if row.aside then
    redis.call('ZREM', base .. 'aside', id)
  end
  redis.call('DEL', row_key(id))
  if row.queue == 'pending' then
    leave_lane(id, row)
  end
end

-- Puts a row as ARGV[first] and what follows tell it: id, queue, endpoint, reason, lane and time of receipt, time of entry,
-- next time, attempts, sealed bytes. `change` names the change.
local function put_in(change, first)
  local id, queue, endpoint, reason, place, entered, next_at, attempts, sealed = unpack(ARGV, first, first + 8)
  place = place .. string.format('%016.0f', redis.call('INCR', KEYS[1]))
  redis.call('HSET', row_key(id), 'queue', queue, 'endpoint', endpoint, 'reason', reason, 'place', place,
    'entered', entered, 'next', next_at, 'attempts', attempts, 'sealed', sealed, 'change', change)
  local all, own = list_keys(queue, endpoint)
  redis.call('ZADD', all, entered, id)
  redis.call('ZADD', own, entered, id)
  redis.call('SADD', base .. 'lists', queue .. ':' .. endpoint)
  if queue == 'pending' then
    join_lane(id, { endpoint = endpoint, place = place })
  end
end

-- How many rows a queue has, if no more fit; nil: there is room.
local function full(queue, most)
  local rows = redis.call('ZCARD', base .. 'list:' .. queue)
  return rows >= tonumber(most) and rows or nil
end
