"""Lua scripts that Redis runs by itself, entity by entity and atomically, the same on Valkey and on a cluster.

A log is one string: 8 bytes that number its first row, 8 with the second at which its expiry was last set, then rows of
one width. Appending to it and reading its end cost the same however long it is; when a quarter of it is older than what
windows look at, the rest is written again. A new log's first row is numbered by the microseconds since 1970, so that no
number means rows of two logs of the same name, one of which has expired.
"""

EXCHANGE = """
-- KEYS: logs. ARGV: width, retained_ns, ttl_s, mode (read, write or again), the heads (known, oldest_ns and bytes of
-- each log's new rows), all new rows. Returns place, start, unread of logs that are new or that others have written.
local width, retained, ttl, mode = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local heads, rows = ARGV[5], ARGV[6]
local call, unpack_, pack_, sub, find = redis.call, struct.unpack, struct.pack, string.sub, string.find
local time = call('TIME')
local second = tonumber(time[1])
local reply, at = {}, 1

local function aligned(text, what)
  local found = find(text, what, 1, true)
  while found and (found - 1) % width ~= 0 do
    found = find(text, what, found + 1, true)
  end
  return found
end

-- The rows of data that are not in unread yet. An outcome counts as there only after its event, which it needs.
local function missing(unread, data)
  local fresh, added = {}, {}
  for from = 1, #data, width do
    local row = sub(data, from, from + width - 1)
    local event = sub(row, 1, 16) .. '\\0\\0\\0\\0\\0\\0\\0\\0'
    local there = nil
    if string.byte(row, 17) == 0 then
      there = aligned(unread, event)
      added[event] = not there
    elseif mode ~= 'read' and not added[event] then
      there = aligned(unread, row)
      local its = there and aligned(unread, event)
      if its and its > there then
        there = aligned(sub(unread, its), row)
      end
    end
    if not there then
      fresh[#fresh + 1] = row
    end
  end
  return table.concat(fresh)
end

-- Whether what is under a key is a log, or nothing; its length, head and number of rows.
local function log_of(key)
  local bytes = redis.pcall('STRLEN', key)
  if type(bytes) ~= 'number' or (bytes > 0 and (bytes < 16 or (bytes - 16) % width ~= 0)) then
    return false
  end
  if bytes == 0 then
    return call('EXISTS', key) == 0, 0, 0, 0, 0
  end
  local base, touched = unpack_('<i8i8', call('GETRANGE', key, 0, 15))
  local sound = base > 0 and base <= (second + 86400) * 1000000 and touched >= 0 and touched <= second + 86400
  return sound, bytes, base, touched, (bytes - 16) / width
end

for i = 1, #KEYS do
  local key = KEYS[i]
  local known, since, size = unpack_('<i8i8i8', heads, 24 * i - 23)
  local data = sub(rows, at, at + size - 1)
  at = at + size
  local sound, bytes, base, touched, count = log_of(key)
  if not sound then
    for k = i, #KEYS do  -- All that are bad, so that making the store again meets none of them twice.
      if not log_of(KEYS[k]) then
        call('DEL', KEYS[k])
      end
    end
    return redis.error_reply('LOGBAD ' .. key)
  end
  if known > base + count then
    return redis.error_reply('LOGLOST ' .. key)
  end
  if bytes == 0 and size > 0 then
    base = second * 1000000 + tonumber(time[2])
  end
  local start, unread = known, ''
  if known < base then
    start = base
  end
  if base + count > start then
    unread = call('GETRANGE', key, 16 + (start - base) * width, -1)
    if size > 0 then
      data = missing(unread, data)
    end
  end
  if #data > 0 then
    if bytes == 0 then
      call('SET', key, pack_('<i8i8', base, second) .. data, 'EX', ttl)
    else
      call('APPEND', key, data)
      local before = count
      count = count + #data / width
      local quarter = math.floor(count / 4)
      if quarter >= 4 and math.floor(before / 8) ~= math.floor(count / 8) then
        local horizon, expired = since - retained - 1024, 0  -- Numbers are exact to some hundred ns only.
        local oldest = call('GETRANGE', key, 16, 15 + quarter * width)
        while expired < quarter and unpack_('<i8', oldest, expired * width + 1) < horizon do
          expired = expired + 1
        end
        if expired == quarter then
          local rest = call('GETRANGE', key, 16 + quarter * width, -1)
          call('SET', key, pack_('<i8i8', base + quarter, second) .. rest, 'EX', ttl)
          touched = second
        end
      end
      if second - touched > ttl / 16 or second < touched then
        call('SETRANGE', key, 8, pack_('<i8', second))
        call('EXPIRE', key, ttl)
      end
    end
  end
  if mode ~= 'write' and (start ~= known or #unread > 0) then
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3] = i - 1, start, #unread > 0 and unread .. data or ''
  end
end
return reply
"""

SHOW = """
-- KEYS: hashes. ARGV: ttl_s, plan, number of values, their names, then rows, watermark, freshness, values for each.
local ttl, plan, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local call = redis.call
local at = 4 + count
for i = 1, #KEYS do
  local key = KEYS[i]
  local had = redis.pcall('HGET', key, 'log') or ''
  if type(had) == 'table' then  -- It is no hash.
    call('DEL', key)
    had = ''
  end
  local had_plan, had_rows = string.match(had, '^(.-):(%d+)$')
  if had_plan ~= plan or tonumber(had_rows) <= tonumber(ARGV[at]) then
    local fields = {'watermark', ARGV[at + 1], 'freshness', ARGV[at + 2], 'log', plan .. ':' .. ARGV[at]}
    for k = 1, count do
      fields[#fields + 1] = ARGV[3 + k]
      fields[#fields + 1] = ARGV[at + 2 + k]
    end
    if had_plan and had_plan ~= plan then
      call('DEL', key)
    end
    call('HSET', key, unpack(fields))
    call('EXPIRE', key, ttl)
  end
  at = at + 3 + count
end
return #KEYS
"""

MARK = """
-- KEYS: the mark, `epoch:entry`. ARGV: the epoch and the entry that it had at least ('' for whatever), the new entry.
local had = redis.pcall('GET', KEYS[1])
if type(had) == 'table' then  -- It is no text.
  redis.call('DEL', KEYS[1])
  had = false
end
if ARGV[1] ~= '' then
  local epoch, entry = string.match(had or '', '^(%d+):(%d+)$')
  if epoch ~= ARGV[1] or tonumber(entry) < tonumber(ARGV[2]) then
    return redis.error_reply('LOGLOST the mark is ' .. (had or 'gone'))
  end
  if ARGV[3] ~= '' and tonumber(ARGV[3]) > tonumber(entry) then
    redis.call('SET', KEYS[1], epoch .. ':' .. ARGV[3])
  end
end
return had
"""

BEGIN = """
-- KEYS: the mark, the counter of epochs. ARGV: the entry. Callers that knew an earlier epoch learn that logs were lost.
-- Where the counter can't be read, the seconds since 1970 begin it again: higher than any count.
local epoch = redis.pcall('INCR', KEYS[2])
local had = redis.pcall('GET', KEYS[1])
local before = type(had) == 'string' and tonumber(string.match(had, '^(%d+):')) or 0
if before > 9000000000 then
  before = 0
end
if type(epoch) == 'table' or epoch < 1 or epoch > 9000000000 then
  epoch = math.max(before + 1, tonumber(redis.call('TIME')[1]))
  redis.call('SET', KEYS[2], string.format('%d', epoch))
elseif epoch <= before then
  epoch = before + 1
  redis.call('SET', KEYS[2], string.format('%d', epoch))
end
local mark = string.format('%d', epoch) .. ':' .. ARGV[1]
redis.call('SET', KEYS[1], mark)
return mark
"""

TAKE = """
-- KEYS: the lock. ARGV: a token, how long it is held in milliseconds. Returns 1 where it was free; a lock that would be
-- held for longer than any is, or for ever, is none of ours.
local left = redis.call('PTTL', KEYS[1])
if left == -1 or left > 2 * tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[1])
end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""

SIGN = """
-- KEYS: the roster, `name:state:run:microseconds;` of each process. ARGV: a name, its state, the run of the server
-- that it knows, for how many microseconds signs are kept. Returns the server's time in microseconds and the roster.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local had, kept = redis.pcall('GET', KEYS[1]), {}
if type(had) ~= 'string' then  -- There is none, or it is no text.
  had = ''
end
for name, sign, at in string.gmatch(had, '(%x+):(%a+:%w*):(%d+);') do
  if name ~= ARGV[1] and math.abs(now - tonumber(at)) < tonumber(ARGV[4]) and #kept < 1000 then
    kept[#kept + 1] = name .. ':' .. sign .. ':' .. at .. ';'
  end
end
kept[#kept + 1] = ARGV[1] .. ':' .. ARGV[2] .. ':' .. ARGV[3] .. ':' .. string.format('%.0f', now) .. ';'
had = table.concat(kept)
redis.call('SET', KEYS[1], had, 'EX', 86400)
return {string.format('%.0f', now), had}
"""
