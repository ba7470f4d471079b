-- Triggering something and waiting for what comes of it: status text in a log,
-- a dump in a directory.

local core = require "qvm.core"
local Dump = require "qvm.dump"

local await = {}

local POLL_MS = 20    -- between two looks at a log
local TICK_MS = 200   -- between two looks at a dump that is being written
local ALIVE_MS = 1000 -- between two looks at the process that writes it
local STILL_MS = 1000 -- without a change, where no closing is reported
local GAIN_MAX = 16 << 20

local function milliseconds(seconds)
  return math.ceil(seconds * 1000)
end

-- Logs ------------------------------------------------------------------------

-- A log that a file holds: where it ends, and what it holds from there on. A
-- file that was replaced or cut is new from its beginning.
local function file_log(path)
  local size, id = core.stat(path)
  local log = {name = path}

  local function start()
    local now, now_id = core.stat(path)
    if size and now and now_id == id and now >= size then
      return size, now
    end
    return 0, now or 0
  end

  function log.gained()
    local from, now = start()
    return now - from
  end

  function log.text()
    local from = start()
    local file <close>, message = io.open(path, "rb")
    if not file then
      return nil, message, "io"
    end
    file:seek("set", from)
    return file:read(GAIN_MAX) or ""
  end

  return log
end

-- The longest end of `before` with which `now` begins: a ring of messages loses
-- its oldest ones while it gains new ones.
local function overlap(before, now)
  local from = 1
  while from <= #before do
    local at = before:find(now:sub(1, 64), from, true)
    if not at then
      at = math.max(from, #before - 62)
    end
    if now:sub(1, #before - at + 1) == before:sub(at) then
      return #before - at + 1
    end
    from = at + 1
  end
  return 0
end

-- A log that a function gives as a whole.
local function function_log(read)
  local before = read()
  local log = {name = "the log"}

  function log.gained()
    log.now = read()
    return log.now == before and 0 or #log.now
  end

  function log.text()
    return log.now:sub(overlap(before, log.now) + 1)
  end

  return log
end

-- Waits until the log has gained something and is quiet. What it gained by the
-- deadline counts: a log that never rests is no reason to lose the text.
local function settled(log, timeout, settle)
  local start = core.now()
  local gained, since = 0, start
  repeat
    local now_gained = log.gained()
    if now_gained ~= gained then
      gained, since = now_gained, core.now()
    elseif gained > 0 and core.now() - since >= settle then
      return true
    end
    core.sleep(POLL_MS)
  until core.now() - start >= timeout
  return gained > 0
end

function await.status(vm, options)
  local timeout = options.timeout or 5
  local log = (type(options.log) == "string" and file_log or function_log)(options.log)
  local sent, message, code = vm:signal("status")
  if not sent then
    return nil, message, code
  end
  if not settled(log, milliseconds(timeout), milliseconds(options.settle or 0.3)) then
    return nil, ("%s: %s gained nothing within %g s: does the VM's logger write "
      .. "the info level there?"):format(vm.name, log.name, timeout), "timeout"
  end
  return log.text()
end

-- Dumps -----------------------------------------------------------------------

-- The second in a dump's name, as the local time it may be: in the hour that a
-- change of the clocks repeats there are two.
local function stamps(date, time)
  local fields = {
    year = tonumber(date:sub(1, 4)), month = tonumber(date:sub(5, 6)),
    day = tonumber(date:sub(7, 8)), hour = tonumber(time:sub(1, 2)),
    min = tonumber(time:sub(3, 4)), sec = tonumber(time:sub(5, 6)),
  }
  local summer, winter = {isdst = true}, {isdst = false}
  for name, value in pairs(fields) do
    summer[name], winter[name] = value, value
  end
  return math.max(os.time(summer), os.time(winter))
end

-- The second at which a dump of this system was asked for, by its file's name:
-- <system>-<YYYYMMDD>-<hhmmss>[-<1..9>].gcore; nil for any other file. The
-- manual prints a seventh digit of the time once; it is passed over.
local function stamp_of(file, system)
  if file:sub(1, #system + 1) ~= system .. "-" then
    return nil
  end
  local date, time, number = file:sub(#system + 2)
    :match("^(%d%d%d%d%d%d%d%d)%-(%d%d%d%d%d%d%d?)(.*)%.gcore$")
  if date and (number == "" or number:find("^%-[1-9]$")) then
    return stamps(date, time)
  end
end

local function dumps_in(directory, system)
  local names, message, code = core.entries(directory)
  if not names then
    return nil, message, code
  end
  local dumps = {}
  for _, name in ipairs(names) do
    dumps[name] = stamp_of(name, system)
  end
  return dumps
end

-- How a new dump is coming on. Looking at it moves its state forward.
local function new_candidate(path)
  local candidate = {path = path, size = -1, changed = core.now()}

  function candidate.look()
    local size = core.stat(path) or 0
    if size ~= candidate.size then
      candidate.size, candidate.changed = size, core.now()
    end
    local extent = core.extent(path)
    candidate.total = extent and extent > 0 and extent or nil
  end

  function candidate.is_still()
    return candidate.total ~= nil and candidate.size >= candidate.total
      and core.now() - candidate.changed >= STILL_MS
  end

  return candidate
end

-- Files that are dumps of this system, were not there before, and are not older
-- than the request (by a second: the clocks are read one after the other).
local function find_new(request)
  local dumps = dumps_in(request.directory, request.vm.name) or {}
  for name, stamp in pairs(dumps) do
    if not request.before[name] and not request.candidates[name]
      and stamp >= request.time - 1 then
      request.candidates[name] = new_candidate(request.directory .. "/" .. name)
    end
  end
end

local function report(request, candidate)
  local progress = request.progress
  if progress and candidate.size ~= candidate.reported then
    candidate.reported = candidate.size
    progress(candidate.size, candidate.total)
  end
end

local function find_done(request)
  for name, candidate in pairs(request.candidates) do
    candidate.look()
    report(request, candidate)
    if request.closed[name]
      or not request.watch:sees_close() and candidate.is_still() then
      return candidate
    end
  end
end

-- Whether the process that writes the dump has ended. Only a clear answer
-- counts: a process that is busy writing may be slow to give one.
local function has_ended(request)
  if core.now() - request.asked < ALIVE_MS then
    return false
  end
  request.asked = core.now()
  local pid, _, code = request.vm:pid()
  return not pid and (code == "gone" or code == "not_found")
end

-- Takes in everything that has happened, and waits only for the first of it.
local function take_events(request, wait)
  local event = request.watch:wait(wait)
  while event do
    if type(event) == "string" then
      request.closed[event] = true
    end
    event = request.watch:wait(0)
  end
  find_new(request)
end

-- A dump that its writer has closed. One that it has removed did not succeed.
local function open_done(request, candidate)
  local dump, message, code = Dump.open(candidate.path)
  if code == "not_found" then
    return nil, ("%s: %s was removed by its writer: is the disk full?")
      :format(request.vm.name, candidate.path), "io"
  end
  return dump, message, code
end

local function fail_late(request)
  local where = ("%s: dump in %s"):format(request.vm.name, request.directory)
  local _, candidate = next(request.candidates)
  if candidate then
    return nil, ("%s: not complete within %g s: %d of %s bytes"):format(where,
      request.timeout, candidate.size,
      candidate.total and ("%d"):format(candidate.total) or "?"), "timeout"
  end
  return nil, ("%s: none within %g s: is this the directory of its `dump` option?")
    :format(where, request.timeout), "timeout"
end

local function wait_for_dump(request)
  local deadline = core.now() + milliseconds(request.timeout)
  repeat
    take_events(request, math.max(0, math.min(TICK_MS, deadline - core.now())))
    local done = find_done(request)
    if done then
      return open_done(request, done)
    end
    if has_ended(request) then
      return nil, request.vm.name .. ": its process ended before the dump was complete", "gone"
    end
  until core.now() >= deadline
  return fail_late(request)
end

function await.dump(vm, directory, options)
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
  request.time = os.time()
  local sent
  sent, message, code = vm:signal("dump")
  if not sent then
    return nil, message, code
  end
  return wait_for_dump(request)
end

return await
