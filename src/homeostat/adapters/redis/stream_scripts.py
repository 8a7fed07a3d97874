"""Scripts on the server for the steps that Redis Streams must do at once."""

from __future__ import annotations

# Which of some entries are pending with this consumer. ids rise.
_MINE = """
local function mine(key, group, consumer, first, last)
  local found, from = {}, first
  while true do
    local page = redis.call('XPENDING', key, group, from, last, 1000, consumer)
    for _, entry in ipairs(page) do found[entry[1]] = true end
    if #page < 1000 then return found end
    from = '(' .. page[#page][1]
  end
end
"""

# KEYS: decisions, dead letters, then the streams read from. ARGV: group, consumer, kept, number of decisions, number of
# dead letters; for each stream read from the number of ids and these; for each message value, key, traceparent.
# Returns 1; 0 where an entry is not this consumer's: nothing was done then.
PUBLISH = (
    _MINE
    + """
local group, consumer, kept = ARGV[1], ARGV[2], ARGV[3]
local at = 6
local done = {}
for k = 3, #KEYS do
  local n = tonumber(ARGV[at])
  local found = mine(KEYS[k], group, consumer, ARGV[at + 1], ARGV[at + n])
  for i = at + 1, at + n do
    if not found[ARGV[i]] then return 0 end
  end
  done[k] = {at + 1, at + n}
  at = at + n + 1
end
for which = 1, 2 do
  for _ = 1, tonumber(ARGV[3 + which]) do
    local entry = {'XADD', KEYS[which], 'MAXLEN', '~', kept, '*', 'value', ARGV[at]}
    if ARGV[at + 1] ~= '' then
      entry[#entry + 1] = 'key'
      entry[#entry + 1] = ARGV[at + 1]
    end
    if ARGV[at + 2] ~= '' then
      entry[#entry + 1] = 'traceparent'
      entry[#entry + 1] = ARGV[at + 2]
    end
    redis.call(unpack(entry))
    at = at + 3
  end
end
for k = 3, #KEYS do
  for i = done[k][1], done[k][2], 500 do
    redis.call('XACK', KEYS[k], group, unpack(ARGV, i, math.min(i + 499, done[k][2])))
  end
end
return 1
"""
)

# KEYS: a stream. ARGV: group, consumer, ids. Returns 1 or 0 for each.
OWNED = (
    _MINE
    + """
local found = mine(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[#ARGV])
local owned = {}
for i = 3, #ARGV do owned[i - 2] = found[ARGV[i]] and 1 or 0 end
return owned
"""
)

# KEYS: a stream. ARGV: group, consumer, idle time in milliseconds. Says of all that is pending with this consumer that
# it was idle for so long: 0 keeps it, much lets others claim it at once. Returns how many there are.
SET_IDLE = """
local from, count = '-', 0
while true do
  local page = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', 500, ARGV[2])
  if #page == 0 then return count end
  local ids = {}
  for i, entry in ipairs(page) do ids[i] = entry[1] end
  local command = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids)}
  for _, option in ipairs({'IDLE', ARGV[3], 'JUSTID'}) do command[#command + 1] = option end
  redis.call(unpack(command))
  count = count + #page
  from = '(' .. ids[#ids]
end
"""
