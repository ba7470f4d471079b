--- The kernel log of a Linux guest.
-- @classmod qvm.printk

-- The log is found by VMCOREINFO: the lockless ring of 5.10 and later (printk_ring.lua), or the
-- buffer of records before it (printk_buffer.lua).
--
-- A message is a record. The kernel itself joins the parts of a line that is printed with
-- several calls, as long as nobody else prints (prb_reserve_in_last; the buffer `cont` before
-- 5.10); what it could not join are records of their own, which the console and dmesg(1) print
-- as lines of their own (record_print_text), and so they are here.

local buffer = require "qvm.guest.printk_buffer"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local ring = require "qvm.guest.printk_ring"
local selection = require "qvm.guest.printk_options"

local printk = {}

local Message = {__name = "Message"}

--- A message of the kernel's log; tostring formats it like dmesg.
-- @table Message
-- @tfield integer seq sequence number
-- @tfield string time seconds since boot, with 9 decimals
-- @tfield integer nanoseconds since boot
-- @tfield ?string caller `"T123"`: task 123; `"C1"`: CPU 1, outside of any task; nil if the
-- kernel does not record it
-- @tfield ?integer level severity: 0 (emerg), 1 (alert), 2 (crit), 3 (err), 4 (warn),
-- 5 (notice), 6 (info) or 7 (debug); nil if the record's layout is not known
-- @tfield ?string facility as in syslog: `"kern"` is the kernel itself, `"user"` or
-- `"daemon"`, for example, a program that wrote to /dev/kmsg; a number, as a string, where
-- syslog has no name; nil with the level
-- @tfield string text as the guest wrote it, with any characters
-- @usage for message in dump:dmesg() do print(message.level, message.facility) end

--- Counts what reading the log has found so far.
-- @table LogCount
-- @tfield integer given messages that the iterator has returned
-- @tfield integer skipped records that were not read, because they are corrupt or because
-- of `reason`
-- @tfield ?string reason why reading ended early: the records overlap, or there are too many; or
-- that the dump does not have the memory of all records
-- @usage messages, count = dump:dmesg()

local Count = {__name = "LogCount"}

Count.__tostring = line.tostring("log count", function(count)
  return ("%d messages given, %d records skipped%s"):format(count.given, count.skipped,
    count.reason and ": " .. count.reason or "")
end)

-- As dmesg(1) prints it: with microseconds; further lines are indented.
function Message:__tostring()
  local prefix = ("[%12s] "):format(self.time:sub(1, -4))
  return prefix .. line.escape_lines(self.text):gsub("\n", "\n" .. (" "):rep(#prefix))
end

-- Formats nanoseconds, which are unsigned, as seconds with 9 decimals.
local function seconds(nanoseconds)
  local whole = nanoseconds >= 0 and nanoseconds // 1000000000
    or (nanoseconds >> 1) // 500000000
  return ("%d.%09d"):format(whole, nanoseconds - whole * 1000000000)
end

-- As the kernel prints it: the id of a task, or else the CPU.
local function caller(id)
  return id & 0x80000000 == 0 and "T" .. id or "C" .. (id & 0x7fffffff)
end

-- The names of the facilities, as in syslog.h.
local FACILITIES = {[0] = "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
  "uucp", "cron", "authpriv", "ftp", [16] = "local0", [17] = "local1", [18] = "local2",
  [19] = "local3", [20] = "local4", [21] = "local5", [22] = "local6", [23] = "local7"}

-- Makes a Message of a record: seq, time (nanoseconds), caller (its id, or nil), facility and
-- level (or nil), text.
local function message(r)
  return setmetatable({seq = r.seq, time = seconds(r.time), nanoseconds = r.time,
    caller = r.caller and caller(r.caller), level = r.level,
    facility = r.facility and (FACILITIES[r.facility] or tostring(r.facility)), text = r.text},
    Message)
end

-- Iterates over the messages, and returns a LogCount; nil, what is wrong, and a code
-- if memory cannot be read. options: what
-- printk_options.checked returns, or nil.
function printk.messages(dump, space, info, options)
  local log = setmetatable({given = 0, skipped = 0}, Count)
  local form = info.symbols.prb and ring or buffer
  local source, problem, code = errors.catch(form.open, dump, space, info)
  if not source then
    return nil, problem, code
  end
  local level, last = options and options.level, options and options.last
  if level and not source.has_levels then
    return nil, "the levels of its messages are not known"
  end
  local each = form.records(source, log)
  each = level and selection.of_level(each, level) or each
  each = last and selection.last_of(each, last) or each
  return function()
    local found, failure, kind = errors.catch(each)
    if failure then
      errors.raise(failure, kind)
    end
    log.given = log.given + (found and 1 or 0)
    return found and message(found)
  end, log
end

return printk
