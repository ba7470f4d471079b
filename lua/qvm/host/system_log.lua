--- QNX's system log: the messages of a VM, or of all.
--
-- QNX only, and written from its documentation: not yet tried on QNX. slogger2 holds
-- messages in rings, one or more for each process, in which new messages replace the
-- oldest ones. The log is read anew at every call.
-- @classmod qvm.system_log

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local core = require "qvm.core"
local errors = require "qvm.util.errors"
local follow = require "qvm.host.system_log_follow"
local line = require "qvm.util.text"
local losses = require "qvm.host.system_log_losses"

--- @type SystemLog
local SystemLog = {__name = "SystemLog"}

--- Fields of a SystemLog.
-- @table SystemLog
-- @tfield ?qvm.vm.VM vm whose messages these are; nil: those of all processes
-- @tfield ?integer pid id of the process that served the VM when the object was made
-- @tfield ?integer tid id of the vCPU's thread, with the option `vcpu`
-- @usage log = qvm.slog2(vm)

local LogLine = {__name = "LogLine"}

--- A line of the log: a message, or a loss of messages. Of a loss only `kind`, `lost`,
-- `pid`, `text`, `nanoseconds`, `time` and perhaps `buffer` are known.
-- @table LogLine
-- @tfield "message"|"loss" kind
-- @tfield string time `"2026-11-22 10:15:00.123"`, local time; seconds since boot if the
-- process logs with a monotonic clock
-- @tfield integer nanoseconds since 1970, or since boot: 64 bits, unsigned
-- @tfield ?integer severity 0 (shutdown), 1 (critical), 2 (error), 3 (warning),
-- 4 (notice), 5 (info), 6 (debug1), 7 (debug2)
-- @tfield string text without its line end; any characters
-- @tfield ?string buffer name of the ring
-- @tfield integer pid id of the process
-- @tfield ?integer tid id of the thread
-- @tfield ?integer code whatever the program means by it
-- @tfield ?integer sequence number, modulo 65536, among the messages of the process
-- @tfield ?integer lost how many messages a loss is; nil if unknown
-- @usage for l in qvm.slog2(vm):lines() do print(l.time, l.severity, l.text) end

local LEVELS = {"shutdown", "critical", "error", "warning", "notice", "info", "debug1", "debug2"}

LogLine.__tostring = line.tostring("LogLine", function(l)
  return ("%s %d:%s %s %s"):format(l.time, l.pid, l.tid or "-",
    LEVELS[(l.severity or -1) + 1] or l.kind, l.text)
end)

local SECOND = 1000000000

-- The text of a time: an unsigned number of nanoseconds.
local function time_text(nanoseconds, is_monotonic)
  local seconds = nanoseconds >= 0 and nanoseconds // SECOND
    or (nanoseconds >> 1) // (SECOND // 2)
  local rest = nanoseconds - seconds * SECOND
  local is_date, date = false, nil
  if not is_monotonic then -- os.date raises for years that the system does not know
    is_date, date = errors.pcall(os.date, "%Y-%m-%d %H:%M:%S", seconds)
  end
  return ("%s.%03d"):format(is_date and date or seconds, rest // 1000000)
end

-- The line of packet i; nil if the options exclude it.
local function message_line(self, log, i, known)
  local _, nanoseconds, sequence = log:place(i)
  local severity, tid, code, text, is_monotonic = log:message(i)
  if self._level and severity > self._level or self.tid and tid ~= self.tid
    or self._since and not is_monotonic and math.ult(nanoseconds, self._since) then
    return nil
  end
  return setmetatable({kind = "message", nanoseconds = nanoseconds, sequence = sequence,
    time = time_text(nanoseconds, is_monotonic), severity = severity, text = text, tid = tid,
    code = code, pid = known.pid, buffer = known.name}, LogLine)
end

-- The line of a loss before packet i, or at it.
local function loss_line(self, log, i, known, lost)
  local _, nanoseconds = log:place(i)
  local is_monotonic = select(5, log:message(i))
  if self._since and not is_monotonic and math.ult(nanoseconds, self._since) then
    return nil
  end
  local text = lost and line.count(lost, "message") .. " lost" or "messages lost"
  return setmetatable({kind = "loss", lost = lost, pid = known.pid, nanoseconds = nanoseconds,
    buffer = not lost and known.name or nil, time = time_text(nanoseconds, is_monotonic),
    text = text .. ": overwritten before they were read (`set slog-buffer SIZE` enlarges a "
      .. "VM's buffer)"}, LogLine)
end

-- Iterates over the lines of a log as it was read, except what the state knows already.
local function lines_of(self, log, state)
  local new = losses.find(log, state)
  local at, pending = 0, nil
  return function()
    local found = pending
    pending = nil
    while not found and at < #log do
      at = at + 1
      local known, lost, is_loss = new(at)
      if known and lost ~= nil then
        found = loss_line(self, log, at, known, lost or nil)
      end
      local message = known and not is_loss and message_line(self, log, at, known)
      if found then
        pending = message or nil
      else
        found = message or nil
      end
    end
    return found
  end
end

--- Iterates over the lines that slogger2 holds now, the oldest first. Raises if the log
-- cannot be read.
--
-- A loss is a line of its own: if messages were overwritten before they were read, and
-- where numbers of the process are missing in between. Messages that were overwritten
-- before the oldest one cannot be seen.
-- @treturn function():LogLine iterator
-- @usage for l in qvm.slog2(vm, {level = "warning"}):lines() do print(l) end
function SystemLog:lines()
  local log, message = core.slog2(self.pid or 0)
  if not log then
    errors.raise(message)
  end
  return lines_of(self, log, losses.new())
end

--- Iterates over new lines as they come. Raises if the log cannot be read.
--
-- Begins with the lines that come after this call; with the option `since` of
-- `qvm.slog2`, with those since then that are still there. The log is read in intervals:
-- a ring that is overwritten in less than one interval loses messages, which are reported.
-- The loop ends when another process serves the VM, or none.
-- @tparam ?table options
-- @tparam[opt=0.2] number options.interval seconds between two reads
-- @tparam[opt] number options.timeout seconds after which the loop ends
-- @treturn function():LogLine iterator
-- @usage for l in qvm.slog2(vm):follow {timeout = 1} do print(l) end
function SystemLog:follow(options)
  check.options(options, "follow", {interval = "number of seconds", timeout = "number of seconds"})
  local lines, message = follow.lines(self, options or {}, lines_of)
  return lines or errors.raise(message)
end

-- The text of all lines, as `VM:status` needs it; nil, message, code.
function SystemLog:__call()
  local log, message, code = core.slog2(self.pid or 0)
  if not log then
    return nil, message, code
  end
  local texts = {}
  for found in lines_of(self, log, losses.new()) do
    if found.kind == "message" then
      texts[#texts + 1] = found.text .. "\n"
    end
  end
  return table.concat(texts)
end

SystemLog.__tostring = line.tostring("SystemLog", function(self)
  return ("SystemLog of %s%s"):format(
    self.vm and ("%s (process %d)"):format(self.vm.name, self.pid) or "all processes",
    self.tid and (", thread %d"):format(self.tid) or "")
end)

-- Options --------------------------------------------------------------------------------

local function level_of(value)
  for i, name in ipairs(LEVELS) do
    if value == name or value == i - 1 then
      return i - 1
    end
  end
  if type(value) == "string" then
    local known = {}
    for _, name in ipairs(LEVELS) do
      known[name] = true
    end
    check.unknown("option 'level' of 'slog2': no level", value, known)
  end
  errors.raise(("option 'level' of 'slog2' is %d, not 0 to 7"):format(value))
end

-- A time in nanoseconds, within the range of signed 64-bit integers. A float has about a quarter
-- of a microsecond in this century: the time is rounded to microseconds.
local function nanoseconds_of(seconds)
  if seconds <= 0 or seconds ~= seconds then
    return 0
  elseif seconds >= math.maxinteger // SECOND then
    return math.maxinteger
  end
  local whole = math.floor(seconds)
  return whole * SECOND + math.floor((seconds - whole) * 1000000 + 0.5) * 1000
end

-- The id of the thread of a vCPU; nil, message, code.
local function thread_of(vm, index)
  local env, message, code = vm:env()
  local cpu
  if env then
    cpu, message, code = env:vcpu(index)
  end
  if not cpu then
    return nil, message, code
  elseif not cpu.tid then
    return nil, line.escape_controls(("%s: the env has no thread id of vCPU %d"):format(vm.name,
      index)), "not_found"
  end
  return cpu.tid
end

-- Makes the log of a VM (nil: of all processes); nil, message, code.
function SystemLog.open(vm, options)
  options = options or {}
  if options.vcpu and not vm then
    errors.raise("option 'vcpu' of 'slog2' needs a VM")
  end
  local self = setmetatable({vm = vm, _level = options.level and level_of(options.level),
    _since = options.since and nanoseconds_of(options.since)}, SystemLog)
  local message, code
  if vm then
    self.pid, message, code = vm:pid()
    if not self.pid then
      return nil, message, code
    end
  end
  if options.vcpu then
    self.tid, message, code = thread_of(vm, options.vcpu)
    if not self.tid then
      return nil, message, code
    end
  end
  local log
  log, message, code = core.slog2(self.pid or 0)
  if not log then
    return nil, message, code
  end
  return self
end

classes.publish(SystemLog, "open")

return SystemLog
