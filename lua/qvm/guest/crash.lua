--- What the log of a Linux guest says about a crash.
-- @classmod qvm.crash

-- Reports are found by how their lines begin (qvm.guest.crash_lines). Only messages of the
-- kernel itself count: programs write to the log too, under another facility.
--
-- A report is a run of messages of one caller, so that what other CPUs print meanwhile is not
-- part of it. The log is read once, from its beginning. One report for each caller is open at
-- a time; of those that have ended, only the most severe is kept.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local patterns = require "qvm.guest.crash_lines"

local crash = {}

--- The most severe report of a crash in the log of a Linux kernel.
--
-- tostring has the kind, the time, the vCPU, the message and the cause, in one line.
-- @table Crash
-- @tfield "panic"|"oops"|"bug"|"lockup"|"stall"|"hung"|"oom"|"warning" kind in the order of
-- severity. oops: an exception in the kernel; bug: a failed assertion (BUG) or a report that
-- begins so (KASAN, "scheduling while atomic"); lockup: a CPU that a watchdog found stuck;
-- stall: RCU waits for a CPU or a task; hung: a task that sleeps for minutes; oom: a process
-- was killed for its memory; warning: WARN and lockdep
-- @tfield string message the report's decisive line, without "Kernel panic - not syncing: ";
-- with any characters
-- @tfield ?string cause the decisive line of the report that led to a panic; nil if the panic
-- has none
-- @tfield ?string time of the decisive line, in seconds since boot, with 9 decimals; nil for a
-- panic that is not in the log
-- @tfield ?integer vcpu the kernel's number of the CPU, which is the index of the vCPU; nil if
-- the report does not say it
-- @tfield ?CrashTask task what ran there; for `hung` the task that sleeps, for `oom` the
-- process that was killed; nil if the report does not say it
-- @tfield {string,...} lines the messages of the report, as dmesg(1) prints them: at most 640
-- @tfield integer left_out number of its messages that are not in `lines`, as there are more
-- @usage print(dump:crash())

--- A task that a report names; tostring is its name and pid.
-- @table CrashTask
-- @tfield string name as the report has it, with any characters
-- @tfield integer pid
-- @usage crash = dump:crash() print(crash and crash.task)

local Crash, Task = {__name = "Crash"}, {__name = "CrashTask"}

Crash.__tostring = line.tostring("crash", function(found)
  return ("%s%s%s: %s%s"):format(found.kind,
    found.time and (" at %s s"):format(found.time:sub(1, -4)) or "",
    found.vcpu and (" on vCPU %d"):format(found.vcpu) or "", line.cut(found.message),
    found.cause and (" (%s)"):format(line.cut(found.cause)) or "")
end)

Task.__tostring = line.tostring("task", function(task)
  return ("task %d: %s"):format(task.pid, line.cut(task.name))
end)

-- Bounds for hostile logs.
local OPEN_MAX = 16     -- reports that are open at a time: callers
local LINES_MAX = 512   -- messages of a report
local AFTER_MAX = 128   -- more of them, after the line of a panic
local TEXT_MAX = 2048   -- bytes of a message: the kernel prints at most as many
local PID_DIGITS = 10
local CPUS_MAX = 1 << 13 -- CONFIG_NR_CPUS is at most 8192
local GAP = 10000000000 -- nanoseconds between two messages of a report

local SEVERITY = {panic = 8, oops = 7, bug = 6, lockup = 5, stall = 4, hung = 3, oom = 2,
  warning = 1}

-- A number of the guest's text as an integer, or nil.
local function number_of(digits)
  return digits and #digits <= PID_DIGITS and math.tointeger(tonumber(digits)) or nil
end

-- Reports ------------------------------------------------------------------------------------

-- A report while it is read:
--   lines, most    its messages, cut to TEXT_MAX, and how many they may be
--   more           how many messages it has beyond them
--   last           nanoseconds of the last one
--   kind, message, time, cause, head   once the line is there that says what it is about
--   runner         from the line "CPU: ...", the first one
--   ended          the number of messages at its end, once that was reached; more may follow,
--                  if it turns out to be the cause of a panic
--   ended_more     `more` at its end
--   in_trace       its call trace has begun
--   has_end        it ends with a line of its own, "---[ end trace"
--   order          the reports are numbered as they begin

local function add_message(report, message)
  report.last = message.nanoseconds
  local lines = report.lines
  if #lines < report.most then
    lines[#lines + 1] = setmetatable({time = message.time, text = message.text:sub(1, TEXT_MAX)},
      getmetatable(message))
  else
    report.more = report.more + 1
  end
end

local function end_report(report)
  report.ended, report.ended_more = #report.lines, report.more
end

-- Does a line that says what a report is about continue an open one?
local function continues(report, head)
  if not report.kind then
    return true -- only its first line was there
  elseif head.kind == "panic" then
    return not report.ended or report.kind ~= "warning"
  elseif report.ended then
    return false
  end
  local is_dying = report.kind == "panic" or report.kind == "oops" -- faults while it prints
  local is_bug = report.message:find("^[kK]ernel BUG at ") and head.kind == "oops"
  local is_watchdog = report.kind == "warning" and head.kind == "lockup"
  return is_dying or is_bug or is_watchdog
end

-- Does a line that begins reports belong to an open one? The kernel may warn while it dies; a
-- frame also ends a report.
local function is_within(report)
  return report.kind and not report.ended and (report.kind == "panic" or report.kind == "oops"
    or report.message:find(patterns.FRAMED))
end

-- Enters what a head says. BUG is followed by the exception that it raises.
local function apply_head(report, head, message)
  local is_worse = not report.kind or SEVERITY[head.kind] > SEVERITY[report.kind]
  if report.kind == "bug" and head.kind == "oops" then
    is_worse = false
  end
  if not is_worse then
    return
  elseif head.kind == "panic" then
    report.cause = report.message
    report.ended, report.most = nil, #report.lines + AFTER_MAX
  end
  report.kind, report.message, report.time = head.kind, head.message, message.time
  report.head, report.has_end = head, report.has_end or head.kind == "oops"
end

-- Enters what else a line says.
local function note(report, text)
  report.runner = report.runner or patterns.runner_of(text)
  if report.kind == "stall" and not report.head.cpu then
    report.head.cpu = text:match("^rcu:%s+(%d+)%-") or text:match("^%s+(%d+)%-")
  end
  if text:find("^Call [Tt]race:") then
    report.in_trace = true
  elseif text:find(patterns.CUT_HERE) then
    report.has_end = true
  end
end

-- Does a report end before a line?
local function ends_before(report, text)
  return report.in_trace and not report.has_end and report.kind and report.kind ~= "panic"
    and not report.message:find(patterns.FRAMED) and not patterns.is_after_trace(text)
end

-- Does a report end with a line?
local function ends_with(report, text)
  if report.kind == "panic" then
    return text:find("^%-%-%-%[ end Kernel panic") ~= nil
  end
  return text:find("^%-%-%-%[ end trace") ~= nil
    or report.kind == "oom" and text == report.message
    or report.kind and report.message:find(patterns.FRAMED) and text:find("^=====+$") ~= nil
end

-- Of two reports, is the first the one to keep? A panic does not return, so that the first
-- one counts, and otherwise the last one.
local function is_better(report, best)
  if not best or report.kind ~= best.kind then
    return not best or SEVERITY[report.kind] > SEVERITY[best.kind]
  elseif report.kind == "panic" then
    return report.order < best.order
  end
  return report.order > best.order
end

local function close(state, key)
  local report = state.open[key]
  state.open[key], state.count = nil, state.count - 1
  if report.kind and is_better(report, state.best) then
    state.best = report
  end
end

-- Closes the report that began first.
local function close_oldest(state)
  local oldest
  for key, report in pairs(state.open) do
    if not oldest or report.order < state.open[oldest].order then
      oldest = key
    end
  end
  close(state, oldest)
end

local function open(state, key)
  if state.open[key] then
    close(state, key)
  elseif state.count == OPEN_MAX then
    close_oldest(state)
  end
  state.order = state.order + 1
  local report = {lines = {}, more = 0, most = LINES_MAX, order = state.order}
  state.open[key], state.count = report, state.count + 1
  return report
end

-- Adds a line to the open report of its caller. head: what it says the report is about, or nil.
local function continue(report, message, text, head)
  if not head and not report.ended and ends_before(report, text) then
    end_report(report)
  end
  add_message(report, message)
  if not report.ended then
    note(report, text)
    if ends_with(report, text) then
      end_report(report)
    end
  end
end

local function read_message(state, message)
  local text = message.text:sub(1, TEXT_MAX):match("^\n*([^\n]*)")
  local key = message.caller or ""
  local report = state.open[key]
  if report and math.abs(message.nanoseconds - report.last) > GAP then
    close(state, key)
    report = nil
  end
  local head = patterns.head_of(text)
  if head then
    if not report or not continues(report, head) then
      report = open(state, key)
    end
    apply_head(report, head, message)
  elseif patterns.is_opening(text) and not (report and is_within(report)) then
    report = open(state, key)
  end
  if report then
    continue(report, message, text, head)
  end
end

-- The answer ---------------------------------------------------------------------------------

-- The vCPU and the task of a report. Those of a panic are in the line "CPU: ..."; others may
-- have been found by another CPU.
local function place_of(report)
  local head, runner = report.head, report.runner
  if report.kind == "panic" then
    return runner or {}
  elseif head.name or report.kind == "stall" and not head.cpu then
    return head
  elseif runner and head.cpu and head.cpu ~= runner.cpu then
    return {cpu = head.cpu}
  end
  return runner or {cpu = head.cpu}
end

local function answer_of(report)
  local place, lines = place_of(report), {}
  for i = 1, report.ended or #report.lines do
    lines[i] = tostring(report.lines[i])
  end
  local pid = number_of(place.pid)
  return setmetatable({kind = report.kind, message = report.message, cause = report.cause,
    time = report.time, vcpu = number_of(place.cpu),
    task = pid and setmetatable({name = place.name, pid = pid}, Task), lines = lines,
    left_out = report.ended and report.ended_more or report.more}, Crash)
end

-- Reads messages from an iterator. Returns a Crash, or nil if they have no report.
function crash.of_messages(messages)
  local state = {open = {}, count = 0, order = 0}
  for message in messages do
    if not message.facility or message.facility == "kern" then
      read_message(state, message)
    end
  end
  for key in pairs(state.open) do
    close(state, key)
  end
  return state.best and answer_of(state.best)
end

-- The CPU that the kernel has noted as the one that panics (atomic_t panic_cpu in
-- kernel/panic.c; -1: none); nil if it is not known. Where there is a log, symbols in use were
-- verified to be of this kernel.
local function panic_cpu(dump, guest, count)
  local symbols = guest.symbols_in_use(dump)
  local address = symbols and symbols:address("panic_cpu")
  local space = address and guest.kernel_space(dump)
  local cpu = space and space:i32(address)
  return cpu and cpu >= 0 and cpu < count and cpu or nil
end

-- Adds what panic_cpu says to what was found. The kernel numbers CPUs from 0, as the dump does
-- its vCPUs: a number that no vCPU has is not the kernel's. A dump without records of vCPUs does
-- not say how many there are.
local function complete(dump, guest, found)
  local count = core.dump.vcpu_count(dump)
  count = count ~= 0 and count or CPUS_MAX
  if found and found.vcpu and found.vcpu >= count then
    found.vcpu = nil
  end
  if found and (found.kind ~= "panic" or found.vcpu) then
    return found
  end
  local cpu = panic_cpu(dump, guest, count)
  if found then
    found.vcpu = cpu
  elseif cpu then
    found = setmetatable({kind = "panic", vcpu = cpu, lines = {}, left_out = 0,
      message = "the kernel panics, and its log does not say why"}, Crash)
  end
  return found
end

-- A Crash; nil alone: there is no sign of one; nil, message, code. guest: the module qvm.guest.
function crash.of_dump(dump, guest)
  local messages, log, code = guest.dmesg(dump)
  if not messages then
    return nil, log, code
  end
  local found, problem, kind = errors.returned(crash.of_messages, messages)
  if problem then
    return nil, problem, kind
  end
  found = complete(dump, guest, found)
  if not found and log.skipped > 0 then
    return nil, ("%s: no sign of a crash in the kernel log, but %d of its records were skipped: "
      .. "%s"):format(dump.path, log.skipped, log.reason or "they are corrupt"), "malformed"
  elseif not found and log.given == 0 then
    return nil, dump.path .. ": the kernel log is empty", "not_found"
  end
  return found
end

return crash
