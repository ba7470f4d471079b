-- The commands of gdb's "monitor" about a Linux guest: its tasks, its modules, its crash. They
-- have the form of those in qvm.gdb.monitor.

local errors = require "qvm.util.errors"
local text = require "qvm.cli.text"

local commands = {}

local LINES_MAX = 2000 -- of a list

-- Says a line for each element of an iterator, as far as line_of(element) returns one. A list may
-- have 100000 elements, and a damaged one more: only the first lines are said, the others are
-- counted. Returns the number of elements that had a line.
local function say_list(say, iterator, line_of)
  local count = 0
  local ok, problem = errors.try(function()
    for element in iterator do
      local line = line_of(element)
      count = count + (line and 1 or 0)
      if line and count <= LINES_MAX then
        say(line)
      end
    end
  end)
  if count > LINES_MAX then
    say(("%d more were left out"):format(count - LINES_MAX))
  end
  if not ok then
    say(text.without_place(problem))
  end
  return count, ok
end

-- An iterator of the dump, or nil after saying why there is none.
local function started(say, make, dump)
  local ok, iterator = errors.try(make, dump)
  if not ok then
    return say(text.without_place(iterator))
  end
  return iterator
end

-- A name in brackets is that of a thread of the kernel, as in ps.
local function name_of(task)
  local name = text.field(task.name)
  return (task.kernel and "[%s]" or "%s"):format(name)
    .. (task.pid ~= task.tgid and (", thread of %d"):format(task.tgid) or "")
end

local function ps_line(task)
  return ("%s %7d %7d  %s   %4s  %s"):format(task.running and ">" or " ", task.pid, task.ppid,
    task.state, task.cpu or "?", name_of(task))
end

function commands.ps(session, argument, say)
  local tasks = started(say, session.dump.tasks, session.dump)
  if not tasks then
    return
  end
  say "      PID    PPID  S   CPU  NAME"
  local count, is_whole = say_list(say, tasks, function(task)
    return task.name:find(argument, 1, true) and ps_line(task)
  end)
  if count == 0 and is_whole and argument ~= "" then
    say(("no task has %s in its name"):format(text.field(argument)))
  end
end

-- The arguments in one line, as ps has them; why there are none.
local function arguments_of(task)
  local arguments, message = task:arguments()
  return arguments and "command line: " .. text.cut(table.concat(arguments, " "), 2000) or message
end

function commands.task(session, argument, say)
  local pid = math.tointeger(tonumber(argument))
  if not pid then
    return say "usage: monitor task PID"
  end
  local task, message = session.dump:task(pid)
  if not task then
    return say(message)
  end
  say(tostring(task))
  if not task.kernel then
    say(arguments_of(task))
  end
  local frames = started(say, task.backtrace, task)
  if frames then
    say_list(say, frames, tostring)
  end
end

function commands.modules(session, _, say)
  local modules = started(say, session.dump.modules, session.dump)
  if not modules then
    return
  end
  say(("%-18s  %8s  %s"):format("BASE", "BYTES", "NAME (TAINTS)"))
  say_list(say, modules, function(module)
    return ("0x%016x  %8d  %s%s"):format(module.base, module.size, text.field(module.name),
      module.taints ~= "" and (" (%s)"):format(module.taints) or "")
  end)
end

function commands.crash(session, _, say)
  local crash, message = session.dump:crash()
  if not crash then
    return say(message or "no sign of a crash in the log of the kernel")
  end
  say(tostring(crash))
  if crash.task then
    say(tostring(crash.task))
  end
  for _, line in ipairs(crash.lines) do
    say(line)
  end
end

return commands
