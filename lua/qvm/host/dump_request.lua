-- Asking for a dump, and waiting until this request's dump is complete.

local core = require "qvm.core"
local Dump = require "qvm.dump"
local line = require "qvm.util.text"

local dumping = {}

local TICK_MS = 200   -- between two looks at a dump that is being written
local ALIVE_MS = 1000 -- between two looks at the process that writes it
local STILL_MS = 1000 -- without a change, where no closing is reported

-- Seconds from 1970 of a date and time without a time zone; nil where there is
-- no such date. (os.time knows the local zone only.)
local function seconds_of(year, month, day, hour, minute, second)
  if month < 1 or month > 12 or day < 1 or day > 31 or hour > 23 or minute > 59
    or second > 60 then
    return nil
  end
  -- Years that begin in March have their leap day at the end.
  local y = month > 2 and year or year - 1
  local days = 365 * y + y // 4 - y // 100 + y // 400
    + (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

-- The local time in a dump's name, as if it were UTC:
-- <system>-<YYYYMMDD>-<hhmmss>[-<1..9>].gcore; nil for any other file. The
-- manual prints a seventh digit of the time once; it is passed over.
function dumping.stamp_of(file, system)
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
  return seconds_of(tonumber(date:sub(1, 4)), table.unpack(digits))
end

local QUARTER = 15 * 60
local ZONES = 15 * 3600

-- Was this asked for since the request? A name tells the time of some zone,
-- which need not be that of this process: zones differ from UTC by quarters of
-- an hour. The clocks are read one after the other, hence the seconds more.
local function is_since(stamp, request)
  local elapsed = os.time() - request.time
  local difference = stamp - request.time + 1
  return math.abs(difference) <= ZONES + elapsed
    and (elapsed + 2 >= QUARTER or difference % QUARTER <= elapsed + 2)
end

local function dumps_in(directory, system)
  local names, message, code = core.entries(directory)
  if not names then
    return nil, message, code
  end
  local dumps = {}
  for _, name in ipairs(names) do
    dumps[name] = dumping.stamp_of(name, system)
  end
  return dumps
end

-- How a new dump is coming on. Looking at it moves its state forward, and gives the
-- file that was looked at, open: by its name another file may be found later. What is
-- no file is not opened: a writer makes none, and a device may act when it is.
local function new_candidate(path)
  local candidate = {path = path, size = -1, changed = core.now()}

  function candidate.look()
    local file, problem, code = core.open_file(path, true)
    candidate.is_gone = code == "not_found"
    candidate.is_other = code == "unsupported"
    local size, extent
    if file then
      size, problem, code = core.stat(file, path)
    end
    if size then
      extent, problem, code = core.whole_size(file, path)
    end
    size = size or 0
    if size ~= candidate.size then
      candidate.size, candidate.changed = size, core.now()
    end
    local failed = code == "io" or code == "permission"
    candidate.problem, candidate.code = failed and problem or nil, failed and code or nil
    candidate.total = extent and extent > 0 and extent or nil
    return file
  end

  function candidate.is_still()
    return core.now() - candidate.changed >= STILL_MS
  end

  return candidate
end

-- A dump of this system that was not there before and is not older than the
-- request.
local function add_candidate(request, name, stamp)
  if not request.before[name] and not request.candidates[name] and is_since(stamp, request) then
    request.candidates[name] = new_candidate(request.directory .. "/" .. name)
  end
end

-- In the directory, or closed and removed before anybody could look.
local function find_new(request)
  local dumps = dumps_in(request.directory, request.vm.name) or {}
  for name in pairs(request.closed) do
    dumps[name] = dumping.stamp_of(name, request.vm.name)
  end
  for name, stamp in pairs(dumps) do
    add_candidate(request, name, stamp)
  end
end

local function report(request, candidate)
  local progress = request.progress
  if progress and candidate.size ~= candidate.reported then
    candidate.reported = candidate.size
    progress(candidate.size, candidate.total)
  end
end

-- A candidate that is complete, with its open file, or one that was removed if there
-- is no other. A closing that comes too early is somebody else's, who has touched the
-- file.
local function find_done(request)
  local removed, others
  for name, candidate in pairs(request.candidates) do
    local file = candidate.look()
    report(request, candidate)
    candidate.was_closed = candidate.was_closed or request.closed[name]
    local whole = candidate.total and candidate.size >= candidate.total
    if candidate.is_other then
      request.candidates[name] = nil
    elseif request.closed[name] and whole then
      return candidate, file
    elseif candidate.was_closed and candidate.is_gone then
      removed = candidate
    else
      others = others or not candidate.is_gone
      if not candidate.problem then -- else its closing may yet turn out to be the last
        request.closed[name] = nil
      end
      if whole and not request.watch:sees_close() and candidate.is_still() then
        return candidate, file
      end
    end
    if file then
      file:close()
    end
  end
  return not others and removed or nil
end

-- Whether the process that writes the dump has ended. Only a clear answer
-- counts: a process that is busy writing may be slow to give one, and a VM
-- without an env may be rebooting.
local function has_ended(request)
  if core.now() - request.asked < ALIVE_MS then
    return false
  end
  request.asked = core.now()
  local pid, _, code = request.vm:pid()
  local missing = not pid and code == "not_found"
  local ended = not pid and code == "gone" or missing and request.missing
  request.missing = missing
  return ended
end

-- Takes in what has happened, and waits only for the first of it. A directory
-- in which more happens than can be taken in is looked at again later.
local function take_events(request, wait)
  local event, created = request.watch:wait(wait)
  for _ = 1, 1000 do
    if type(event) == "string" then
      request.closed[event] = true
    elseif created then
      request.before[created] = nil -- what had this name was removed
    elseif not event then
      break
    end
    event, created = request.watch:wait(0)
  end
  find_new(request)
end

-- A dump that its writer has closed. One that it has removed did not succeed.
local function open_done(request, candidate, file)
  if candidate.is_gone then
    return nil, line.harmless(("%s: %s was removed by its writer: is the disk full?")
      :format(request.vm.name, candidate.path)), "io"
  end
  local _ <close> = file
  return Dump.open(candidate.path, false, nil, file)
end

local function fail_late(request)
  local where = line.harmless(("%s: dump in %s"):format(request.vm.name, request.directory))
  local seconds = line.float("%g", request.timeout)
  local _, candidate = next(request.candidates)
  if candidate and candidate.problem then
    return nil, candidate.problem, candidate.code
  elseif candidate then
    return nil, ("%s: not complete within %s s: %d of %s bytes"):format(where,
      seconds, candidate.size,
      candidate.total and ("%d"):format(candidate.total) or "?"), "timeout"
  end
  return nil, ("%s: none within %s s: is this the directory of its `dump` option?")
    :format(where, seconds), "timeout"
end

local function wait_for_dump(request)
  local deadline = core.now() + math.ceil(request.timeout * 1000)
  repeat
    take_events(request, math.max(0, math.min(TICK_MS, deadline - core.now())))
    local done, file = find_done(request)
    local ended = not done and has_ended(request)
    if ended then
      take_events(request, 0) -- the last it did may have been to close the dump
      done, file = find_done(request)
    end
    if done then
      return open_done(request, done, file)
    elseif ended then
      return nil, line.harmless(request.vm.name)
        .. ": its process ended before the dump was complete", "gone"
    end
  until core.now() >= deadline
  return fail_late(request)
end

function dumping.await(vm, directory, options)
  local watch <close>, message, code = core.watch(directory)
  if not watch then
    return nil, message, code
  end
  local request = {
    vm = vm, directory = directory, watch = watch,
    timeout = options.timeout or 60, progress = options.progress,
    candidates = {}, closed = {}, asked = core.now(),
  }
  request.before, message, code = dumps_in(directory, vm.name)
  if not request.before then
    return nil, message, code
  end
  for _ = 1, 1000 do -- what has happened until now is in that list
    if not watch:wait(0) then
      break
    end
  end
  request.time = os.time()
  local sent
  sent, message, code = vm:signal("dump")
  if not sent then
    return nil, message, code
  end
  return wait_for_dump(request)
end

return dumping
