-- Requests a dump, and waits until the dump of this request is complete. What prevents a dump
-- is reported as early as it can be known.

local core = require "qvm.core"
local Dump = require "qvm.dump"
local dump_keep = require "qvm.host.dump_keep"
local dump_name = require "qvm.util.dump_name"
local dump_option = require "qvm.host.dump_option"
local line = require "qvm.util.text"
local unanswered = require "qvm.host.unanswered"

local dumping = {}

local TICK_MS = 200   -- between two checks of a dump that is being written
local ALIVE_MS = 1000 -- between two checks of the process that writes it
local STILL_MS = 1000 -- without a change, if the system does not report the closing
local LATE_MS = 5000  -- until a dump that has not appeared is reported
local FULL = 1 << 20  -- bytes: a disk that has less is called full

local QUARTER = 15 * 60
local ZONES = 15 * 3600

-- Is a dump not older than the request? The time in its name is that of some time zone, not
-- necessarily of this process; zones differ from UTC by multiples of 15 minutes. The clocks
-- are read one after the other, so a few seconds are added.
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
    dumps[name] = (dump_name.stamp_of(name, system))
  end
  return dumps
end

-- Tracks a new dump. look() updates its state and returns the open file that was examined,
-- since the name may refer to another file later. Only regular files are opened: a device may
-- react to it.
local function new_candidate(path)
  local candidate = {path = path, size = -1, reported = 0, changed = core.now()}

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

-- Adds a dump of this system that is new and not older than the request.
local function add_candidate(request, name, stamp)
  if not request.before[name] and not request.candidates[name] and is_since(stamp, request) then
    request.candidates[name] = new_candidate(request.directory .. "/" .. name)
  end
end

-- Adds dumps in the directory, and those that were created, closed and removed in between. An
-- older dump that somebody removed while it was being written is closed too.
local function find_new(request)
  local dumps = dumps_in(request.directory, request.vm.name) or {}
  for name in pairs(request.closed) do
    dumps[name] = request.created[name] and dump_name.stamp_of(name, request.vm.name) or dumps[name]
  end
  for name, stamp in pairs(dumps) do
    add_candidate(request, name, stamp)
  end
end

-- How a file system lacks space for so many bytes (nil: unknown); nil if it does not, or if
-- that is unknown. Holes of a sparse dump take no space.
local function lack_of_space(directory, bytes)
  local free = core.free_space(directory)
  if not free or free >= (bytes or FULL) then
    return nil
  elseif free < FULL then
    return ("its disk is full: %s free"):format(line.in_units(free))
  else
    return ("its disk has %s free for %s: too little, unless the dump has large holes"):format(
      line.in_units(free), line.in_units(bytes))
  end
end

-- Calls the progress function with a note, at most once for each kind of it.
local function note(request, kind, candidate, text)
  if text and request.progress and not request.noted[kind] then
    request.noted[kind] = true
    request.progress(candidate and candidate.size or 0, candidate and candidate.total,
      line.escape_controls(text))
  end
end

local function report(request, candidate)
  local progress = request.progress
  if progress and candidate.size ~= candidate.reported then
    candidate.reported = candidate.size
    progress(candidate.size, candidate.total)
    if candidate.total then
      local lack = lack_of_space(request.directory, candidate.total - candidate.size)
      note(request, "space", candidate, lack and request.directory .. ": " .. lack)
    end
  end
end

-- Why no dump has appeared, or what to check; and a code.
local function why_none(request)
  local cause, code = unanswered.cause(request.vm, request.pid)
  if cause then
    return cause, code
  end
  local lack = lack_of_space(request.directory, request.memory)
  return dump_option.advice(request.vm, request.directory) .. (lack and "; " .. lack or ""),
    "timeout"
end

local function report_late(request)
  if request.progress and not request.noted.late and not next(request.candidates)
    and core.now() - request.began >= LATE_MS then
    note(request, "late", nil, ("%s: no dump in %s so far: %s"):format(request.vm.name,
      request.directory, (why_none(request))))
  end
end

-- Returns a complete candidate and its open file, or one that was removed if there is no other.
-- If the file was closed too early, another process had opened it.
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
      if not candidate.problem then -- otherwise that closing may turn out to be the last
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

-- Has the process that writes the dump ended? Another one may serve the VM by now. Only a
-- definite answer counts: a process that is writing may answer late, and a VM without an env
-- may be rebooting.
local function has_ended(request)
  if core.now() - request.asked < ALIVE_MS then
    return false
  end
  request.asked = core.now()
  local pid, _, code = request.vm:pid()
  local missing = not pid and code == "not_found"
  local another = pid and request.pid and pid ~= request.pid
  local ended = another or not pid and code == "gone" or missing and request.missing
  request.missing = missing
  return ended
end

-- Takes in events, and waits only for the first one. If there are more than can be taken in,
-- the rest is left for the next call.
local function take_events(request, wait)
  local event, created = request.watch:wait(wait)
  for _ = 1, 1000 do
    if type(event) == "string" then
      request.closed[event] = true
    elseif created then
      request.before[created] = nil -- the old file of this name was removed
      request.created[created] = true
    elseif not event then
      break
    end
    event, created = request.watch:wait(0)
  end
  find_new(request)
end

-- Opens the dump that its writer has closed, and deletes older ones if that was asked for. If
-- the writer removed it, the dump failed.
local function open_done(request, candidate, file)
  if candidate.is_gone then
    return nil, line.escape_controls(("%s: %s was removed by its writer: is the disk full?")
      :format(request.vm.name, candidate.path)), "io"
  end
  local _ <close> = file
  local dump, message, code = Dump.open(candidate.path, false, nil, file)
  if not dump then
    return nil, message, code
  elseif not request.keep then
    return dump
  end
  return dump, dump_keep.prune(request.directory, request.vm.name,
    candidate.path:match("[^/]*$"), file, request.keep)
end

local function fail_late(request)
  local where = line.escape_controls(("%s: dump in %s"):format(request.vm.name, request.directory))
  local seconds = line.float("%g", request.timeout)
  local _, candidate = next(request.candidates)
  if candidate and candidate.problem then
    return nil, candidate.problem, candidate.code
  elseif candidate then
    local lack = lack_of_space(request.directory, (candidate.total or 0) - candidate.size)
    return nil, ("%s: not complete within %s s: %d of %s bytes%s"):format(where,
      seconds, candidate.size, candidate.total and ("%d"):format(candidate.total) or "?",
      lack and "; " .. lack or ""), "timeout"
  end
  local why, code = why_none(request)
  return nil, line.escape_controls(("%s: no dump in %s within %s s: %s"):format(request.vm.name,
    request.directory, seconds, why)), code
end

local function wait_for_dump(request)
  local deadline = core.now() + math.ceil(request.timeout * 1000)
  repeat
    take_events(request, math.max(0, math.min(TICK_MS, deadline - core.now())))
    local done, file = find_done(request)
    local ended = not done and has_ended(request)
    if ended then
      take_events(request, 0) -- closing the dump may have been its last action
      done, file = find_done(request)
    end
    if done then
      return open_done(request, done, file)
    elseif ended then
      return nil, line.escape_controls(request.vm.name)
        .. ": its process ended before the dump was complete", "gone"
    end
    report_late(request)
  until core.now() >= deadline
  return fail_late(request)
end

-- Starts the progress, with a note if the VM's memory may not fit on the disk.
local function report_start(request)
  local lack = lack_of_space(request.directory, request.memory)
  if request.progress then
    request.progress(0, nil)
    note(request, "space", nil, lack and request.directory .. ": " .. lack)
  end
end

-- memory: bytes of the VM's memory, nil if they are unknown.
local function new_request(vm, directory, options, memory)
  return {vm = vm, directory = directory, memory = memory, timeout = options.timeout or 60,
    progress = options.progress, keep = options.keep, candidates = {}, closed = {},
    created = {}, noted = {}, asked = core.now()}
end

-- Takes the state of the directory before the request: what is in it is no answer to it.
local function begin(request)
  local before, message, code = dumps_in(request.directory, request.vm.name)
  if not before then
    return nil, message, code
  elseif core.free_space(request.directory) == 0 then
    return nil, line.escape_controls(request.directory) .. ": its disk is full", "io"
  end
  for _ = 1, 1000 do -- the list has everything that happened so far
    if not request.watch:wait(0) then
      break
    end
  end
  request.before, request.time = before, os.time()
  return request.vm:signal("dump")
end

function dumping.await(vm, directory, options)
  local memory, watch, message, code
  if options.conf then
    directory, memory, code = dump_option.directory(vm, options.conf, directory)
    if not directory then
      return nil, memory, code
    end
  end
  local request = new_request(vm, directory, options, memory)
  watch, message, code = core.watch(directory)
  if not watch then
    return nil, message, code
  end
  local _ <close> = watch
  request.watch = watch
  local sent, pid
  sent, pid, code = begin(request)
  if not sent then
    return nil, pid, code -- a message and its code
  end
  request.began, request.pid = core.now(), pid
  report_start(request)
  return wait_for_dump(request)
end

return dumping
