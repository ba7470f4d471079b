-- What the name of a dump file says: <system>-<YYYYMMDD>-<hhmmss>[-<1..9>].gcore, where date
-- and time are those of the request, in the local time of the process that wrote it.

local core = require "qvm.core"

local dump_name = {}

-- Seconds since 1970 of a date and time, as if in UTC; nil if there is no such date. (os.time
-- knows only the local time zone.)
local function seconds_of(year, month, day, hour, minute, second)
  if month < 1 or month > 12 or day < 1 or day > 31 or hour > 23 or minute > 59
    or second > 60 then
    return nil
  end
  -- In years that begin in March, the leap day is the last day.
  local y = month > 2 and year or year - 1
  local days = 365 * y + y // 4 - y // 100 + y // 400
    + (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

-- Returns the local time in the name of a dump, in seconds since 1970 as if it were UTC, and
-- the number before `.gcore`, 0 if it has none; nil for any other file. QNX's manual once
-- prints a seventh digit of the time; it is ignored.
function dump_name.stamp_of(file, system)
  if file:sub(1, #system + 1) ~= system .. "-" then
    return nil
  end
  local date, time, number = file:sub(#system + 2)
    :match("^(%d%d%d%d%d%d%d%d)%-(%d%d%d%d%d%d%d?)(.*)%.gcore$")
  if not date or number ~= "" and not number:find("^%-[1-9]$") then
    return nil
  end
  local digits = {}
  for text in (date .. time):sub(5, 14):gmatch("%d%d") do
    digits[#digits + 1] = tonumber(text)
  end
  return seconds_of(tonumber(date:sub(1, 4)), table.unpack(digits)), tonumber(number:sub(2)) or 0
end

-- Seconds by which local time is ahead of UTC at a time.
local function offset_at(time)
  local stamp = dump_name.stamp_of(os.date("x-%Y%m%d-%H%M%S.gcore", time), "x")
  return stamp and stamp - time
end

local DAY = 24 * 3600

-- The times at which a clock of this time zone shows a stamp: two in the hour that is repeated
-- when summer time ends, none in the hour that is skipped when it begins.
local function times_of(stamp)
  local times = {}
  for _, near in ipairs {stamp + DAY, stamp - DAY} do -- offsets after and before a change
    local offset = offset_at(near)
    local time = offset and stamp - offset
    if time and offset_at(time) == offset and times[1] ~= time then
      times[#times + 1] = time
    end
  end
  table.sort(times)
  return times
end

-- Returns when a dump was requested, in seconds since 1970, by its name; nil for any other
-- file. Where the local time in the name is ambiguous, it is the later time unless the file
-- was last changed before. Where no clock here showed it, it is the time of the file's last
-- change; nil if the file is gone.
function dump_name.time_of(directory, file, system)
  local stamp = dump_name.stamp_of(file, system)
  local times = stamp and times_of(stamp) or {}
  if not stamp or #times == 1 then
    return times[1]
  end
  local changed = select(4, core.stat(directory .. "/" .. file, true))
  return times[2] and changed and changed < times[2] and times[1] or times[2] or changed
end

return dump_name
