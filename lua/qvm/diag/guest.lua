-- Collects what a dump says of its Linux guest, in the order in which a person asks: which guest
-- it is, whether it crashed, what each vCPU did, which tasks are stuck, how the log ends. What the
-- dump cannot provide is in `missing`, with the reason.

local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local qvm = require "qvm"
local text = require "qvm.cli.text"

local guest = {}

-- Limits of a report: vCPUs and stuck tasks with stacks, frames of one, messages of the log. What
-- is left out is counted in members `..._left_out`, which are nil if nothing is.
local STACKS_MAX, FRAMES_MAX, LOG_MAX = 64, 64, 20

local function count_of(left_out)
  return left_out > 0 and left_out or nil
end

-- Notes that a part of the report is missing.
local function lack(about, what, reason)
  about.missing[#about.missing + 1] = {what = what, reason = reason}
end

-- Runs a part of the report. If it fails, what is missing is noted: a Linux guest's dump may
-- lack any part.
local function part(about, what, f, ...)
  local ok, found, message = errors.try(f, ...)
  if ok and found ~= nil then
    return found
  end
  local reason = not ok and found or message
  if reason then
    lack(about, what, tostring(reason):gsub("^[^ ]+:%d+: ", ""))
  end
end

-- Adds a stack to what a vCPU or a task did. whose: "vCPU 0".
local function add_stack(about, did, whose, subject)
  did.stack = part(about, "the stack of " .. whose, function()
    local frames, count, each, missing = {}, 0, subject:backtrace()
    if missing then
      lack(about, "a part of the stack of " .. whose, missing)
    end
    for frame in each do
      count = count + 1
      if count <= FRAMES_MAX then
        frames[count] = {address = qvm.hex(frame.address), symbol = frame.symbol,
          module = frame.module, how = frame.how}
      end
    end
    did.stack_left_out = count_of(count - #frames)
    return frames
  end)
end

local function task_of(task)
  return {pid = task.pid, tgid = task.tgid, ppid = task.ppid, name = task.name,
    state = task.state, cpu = task.cpu, kernel = task.kernel}
end

local VCPUS_UNKNOWN = "the dump has no readable records of vCPUs, so it does not say how many the "
  .. "guest had"

local NULLABLE = {nullable = {"vcpus"}} -- unknown, which JSON writes as null

local function identity(dump)
  local about, message = dump:guest()
  if not about then
    return nil, message
  elseif not about.os then
    local _, reason = dump:vmcoreinfo()
    return nil, not reason:find "neither as a note nor in memory$" and reason
      or "no VMCOREINFO of a Linux kernel in its notes or memory"
  end
  return setmetatable({os = about.os, release = about.release, build = about.build,
    node = about.node, machine = about.machine, vcpus = about.vcpus,
    last_message = about.last_message}, NULLABLE)
end

local function crash_of(dump)
  local crash, message = dump:crash()
  if not crash and message then
    return nil, message
  elseif not crash then
    return false -- no sign of one
  end
  return {kind = crash.kind, message = crash.message, cause = crash.cause, time = crash.time,
    vcpu = crash.vcpu, task = crash.task and {pid = crash.task.pid, name = crash.task.name},
    lines = crash.lines, lines_left_out = count_of(crash.left_out)}
end

-- What a vCPU did: its task, and its stack.
local function activity(about, cpu)
  local did = {index = cpu.index}
  did.task = part(about, ("the task of vCPU %d"):format(cpu.index), function()
    local task, message = cpu:task()
    return task and task_of(task), message
  end)
  add_stack(about, did, ("vCPU %d"):format(cpu.index), cpu)
  return did
end

local function activities(dump, about)
  local list = {}
  for cpu in dump:vcpus() do
    if #list == STACKS_MAX then
      break
    end
    list[#list + 1] = activity(about, cpu)
  end
  if not list[1] then
    return nil, VCPUS_UNKNOWN
  end
  about.vcpus_left_out = count_of(about.identity.vcpus - #list)
  return list
end

-- The number of tasks in each state, and those in an uninterruptible sleep, with their stacks.
local function tasks_of(dump, about)
  local found = {total = 0, states = {}, stuck = {}}
  for task in dump:tasks() do
    found.total = found.total + 1
    found.states[task.state] = (found.states[task.state] or 0) + 1
    if task.state == "D" and #found.stuck < STACKS_MAX then
      local stuck = task_of(task)
      add_stack(about, stuck, ("task %d"):format(task.pid), task)
      found.stuck[#found.stuck + 1] = stuck
    end
  end
  found.stuck_left_out = count_of((found.states.D or 0) - #found.stuck)
  return found
end

-- Reports what is missing from a kernel log that was read. An empty one is no failure, but worth
-- a warning. log: its LogCount; level: the one that was asked for, of which there may be no
-- message. Returns both messages, without the path; nil for what is not the case.
function guest.report_log(problems, path, log, level)
  local skipped = log.skipped > 0 and ("%s of the kernel log %s"):format(
    text.count(log.skipped, "record"), log.reason and "left out: " .. log.reason
    or "corrupt, and left out") or nil
  local empty = log.given == 0 and not level and "the kernel log is empty" or nil
  if skipped then
    problems:add(path .. ": " .. skipped)
  end
  if empty then
    problems:warn(path .. ": " .. empty)
  end
  return skipped, empty
end

local function log_of(dump, about, problems)
  local lines, messages, log = {}, dump:dmesg {last = LOG_MAX}
  for m in messages do
    lines[#lines + 1] = {time = m.time, level = m.level, facility = m.facility, text = m.text}
  end
  local skipped, empty = guest.report_log(problems, dump.path, log)
  if skipped then
    lack(about, "a part of the kernel's log", skipped)
  end
  return not empty and lines or nil, empty
end

-- Removes the dump's name from the reasons: a report has it once.
local function named_once(about, dump)
  for _, missing in ipairs(about.missing) do
    missing.reason = line.without_path(missing.reason, dump.path)
  end
  return about
end

-- What is known of the guest in a dump. A dump of another guest has only `missing`. problems
-- receives what is wrong with its log.
function guest.of(dump, problems)
  local about = {missing = {}}
  about.identity = part(about, "the guest", identity, dump)
  if not about.identity then
    return named_once(about, dump)
  end
  about.crash = part(about, "the crash", crash_of, dump)
  part(about, "symbols", dump.symbols, dump)
  about.vcpus = part(about, "vCPUs", activities, dump, about)
  about.tasks = part(about, "tasks", tasks_of, dump, about)
  about.log = part(about, "the kernel's log", log_of, dump, about, problems)
  return named_once(about, dump)
end

return guest
