"""What Redis does by itself, entity by entity and atomically: Lua scripts, the same on Valkey and on a cluster.

A log is one string: 8 bytes that number its first row, then rows of one width. Appending to it and reading its end cost
the same however long it is; when a quarter of it has expired, the rest is written anew.
"""

EXCHANGE = """
-- KEYS: logs. ARGV: width, retained_ns, ttl_ms, read, then known, newest_ns, data for each log.
local width, retained, ttl, read = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'
local call = redis.call
local reply, at = {}, 5
for i = 1, #KEYS do
  local key, known, newest, data = KEYS[i], tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2]
  at = at + 3
  local bytes = call('STRLEN', key)
  local base, rows = 0, 0
  if bytes > 0 then
    base = struct.unpack('<I8', call('GETRANGE', key, 0, 7))
    rows = (bytes - 8) / width
  end
  if known > base + rows then
    return redis.error_reply('LOGLOST ' .. key)
  end
  local start = known > base and known or base
  local unread = ''
  if base + rows > start then
    unread = call('GETRANGE', key, 8 + (start - base) * width, -1)
    if #data > 0 then  -- Events that are there already are not appended again.
      local fresh = {}
      for from = 1, #data, width do
        local there = false
        if string.byte(data, from + 16) == 0 then
          local head = string.sub(data, from, from + 23)
          local found = string.find(unread, head, 1, true)
          while found and (found - 1) % width ~= 0 do
            found = string.find(unread, head, found + 1, true)
          end
          there = found ~= nil
        end
        if not there then
          fresh[#fresh + 1] = string.sub(data, from, from + width - 1)
        end
      end
      data = table.concat(fresh)
    end
  end
  if #data > 0 then
    if bytes == 0 then
      call('SET', key, struct.pack('<I8', 0) .. data)
    else
      call('APPEND', key, data)
    end
    local before = rows
    rows = rows + #data / width
    local quarter = math.floor(rows / 4)
    if quarter >= 4 and math.floor(before / 8) ~= math.floor(rows / 8) then
      local horizon, expired = newest - retained, 0
      local oldest = call('GETRANGE', key, 8, 7 + quarter * width)
      while expired < quarter and struct.unpack('<i8', oldest, expired * width + 1) < horizon do
        expired = expired + 1
      end
      if expired == quarter then
        local rest = call('GETRANGE', key, 8 + quarter * width, -1)
        call('SET', key, struct.pack('<I8', base + quarter) .. rest)
      end
    end
    call('PEXPIRE', key, ttl)
  end
  reply[#reply + 1] = start
  reply[#reply + 1] = (#unread > 0 and read) and (unread .. data) or false
end
return reply
"""

SHOW = """
-- KEYS: hashes. ARGV: ttl_ms, plan, number of values, their names, then rows, watermark, freshness, values for each.
local ttl, plan, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local call = redis.call
local at = 4 + count
for i = 1, #KEYS do
  local key = KEYS[i]
  local had = call('HMGET', key, 'plan', 'rows')
  if had[1] ~= plan or tonumber(had[2]) <= tonumber(ARGV[at]) then
    local fields = {'plan', plan, 'rows', ARGV[at], 'watermark', ARGV[at + 1], 'freshness', ARGV[at + 2]}
    for k = 1, count do
      fields[#fields + 1] = ARGV[3 + k]
      fields[#fields + 1] = ARGV[at + 2 + k]
    end
    if had[1] and had[1] ~= plan then
      call('DEL', key)
    end
    call('HSET', key, unpack(fields))
    call('PEXPIRE', key, ttl)
  end
  at = at + 3 + count
end
return #KEYS
"""

MARK = """
-- KEYS: the mark, `epoch:entry`. ARGV: the epoch and the entry that it had at least ('' for whatever), the new entry.
local had = redis.call('GET', KEYS[1])
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
-- KEYS: the mark, the counter of epochs. ARGV: the entry. Whoever knew an earlier epoch is told that logs were lost.
local epoch = redis.call('INCR', KEYS[2])
local had = redis.call('GET', KEYS[1])
local before = had and tonumber(string.match(had, '^(%d+):')) or 0
if epoch <= before then
  epoch = before + 1
  redis.call('SET', KEYS[2], epoch)
end
redis.call('SET', KEYS[1], epoch .. ':' .. ARGV[1])
return epoch .. ':' .. ARGV[1]
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""
