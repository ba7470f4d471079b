-- The command qvm-watchdog: waits for changes among the VMs, prints them, and captures a VM
-- that was suspended or restarted, or is stuck.
--
-- A capture may wait for a minute until a dump is complete. So the watchdog starts itself once
-- more for each, with --capture, and does not wait for it: see capture.lua.

local capture = require "qvm.cli.capture"
local captures = require "qvm.cli.captures"
local command = require "qvm.cli.command"
local errors = require "qvm.util.errors"
local qvm = require "qvm"
local text = require "qvm.cli.text"

local watchdog = {}

local NAME = "qvm-watchdog"

local NOTES = [[
A capture is a directory DIR/<vm>-<time>-<reason> with event.json, which says
what happened and what is missing; env.json, status.txt.gz and the dump,
compressed. The dump is removed from the directory into which the VM wrote it.

Examples:
   qvm-watchdog --dir /captures --log '/var/log/{vm}.log' --dump /dumps
   qvm-watchdog --dir /captures --log slog --keep 3 --max-size 500M linux1
   qvm-watchdog --dir /captures --dump /dumps --capture linux1

Exit status:
   0  Ctrl-C; --capture: everything was captured
   1  the VMs cannot be watched, or the output cannot be written; --capture:
      something is missing
   2  an argument is wrong]]

function watchdog.parser()
  local parser = command.parser(NAME, "Captures status text and a dump of a VM that is suspended, "
    .. "restarted or stuck.", "--dir DIR [option]... [<vm>]...", NOTES)
  parser:argument("vm", "Watch only these VMs."):args("*")
  parser:option("--dir", "Directory of the captures, to which other users cannot write; it is made "
    .. "if it does not exist."):argname("DIR"):count(1)
  parser:option("--log", "The file that the VM's logger writes to; {vm} in it is the VM's name. "
    .. "slog: QNX's system log."):argname("LOG")
  parser:option("--dump", "The directory of the VM's `dump` option; {vm} as for --log.")
    :argname("DIR")
  parser:option("--keep", "How many captures of each VM to keep (default: 5)."):argname("N")
  parser:option("--max-size", "Bytes that all captures may take, with K, M or G (default: 1G). "
    .. "The oldest are removed, and a dump that alone is larger."):argname("SIZE")
  parser:option("--interval", "Seconds between two checks of the VMs (default: 0.5).")
    :argname("SECONDS")
  parser:option("--timeout", "Seconds to wait for a status text (default: 5) or a dump "
    .. "(default: 60)."):argname("SECONDS")
  parser:option("--capture", "Capture this VM now, and exit."):argname("VM")
  parser:option("--reason", "With --capture: the reason in the capture's name (default: asked).")
    :argname("WORD")
  command.add_root(parser)
  return parser
end

local UNITS = {[""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30}

local function bytes_of(word)
  local digits, unit = word:match("^(%d+)([KMG]?)$")
  local is_small = digits and #digits < (unit == "" and 16 or 10) -- no overflow
  return is_small and math.tointeger(digits) * UNITS[unit]
end

local function seconds_of(word)
  local seconds = word:find("^[0-9.]+$") and tonumber(word)
  return seconds and seconds > 0 and seconds < 2^31 and seconds
end

-- Reads the values of options; nil and the mistake in them.
local function settle(options)
  options.keep = math.tointeger(options.keep or "5")
  options.max_size = bytes_of(options.max_size or "1G")
  options.interval = seconds_of(options.interval or "0.5")
  options.timeout = options.timeout and (seconds_of(options.timeout) or 0)
  options.names = options.vm[1] and options.vm
  if not options.keep or options.keep < 1 then
    return nil, "--keep: not a number from 1 on"
  elseif not options.max_size then
    return nil, "--max-size: not a number of bytes, such as 500M"
  elseif not options.interval then
    return nil, "--interval: not a number of seconds"
  elseif options.timeout == 0 then
    return nil, "--timeout: not a number of seconds"
  elseif options.reason and not options.reason:find("^%l+$") then
    return nil, "--reason: not a word of small letters"
  elseif options.capture and not pcall(qvm.vm, options.capture) then
    return nil, ("%q is no system name"):format(options.capture)
  end
  return options
end

-- Writes a line of the watchdog, in one piece: its children write to the same place.
local function say(format, ...)
  command.print(os.date "%Y-%m-%dT%H:%M:%S " .. text.escape_controls(format:format(...)))
  command.flush()
end

-- Starting captures ---------------------------------------------------------------------

-- The words that started this program, before its arguments.
local function program(arguments)
  local words, first = {}, 0
  while arguments[first - 1] do
    first = first - 1
  end
  for i = first, 0 do
    words[#words + 1] = arguments[i]
  end
  return words
end

local function quoted(words)
  local list = {}
  for i, word in ipairs(words) do
    list[i] = "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(list, " ")
end

-- Seconds for which a capture may change nothing: it waits for the text, then for the dump.
local function patience(options)
  return (options.timeout and 2 * options.timeout or 65) + 60
end

-- Starts the capture of a VM in the background. One at a time for each VM. With `set -m` it is in
-- a process group of its own, which Ctrl-C does not reach.
local function start(options, words, name, reason)
  local path, message = captures.begin(options.dir, name, reason, patience(options))
  if not path then
    return say("%s not captured: %s", name, message)
  end
  -- With "=": a value may begin with "-".
  local list = table.move(words, 1, #words, 1, {})
  for _, option in ipairs {"dir", "log", "dump", "root"} do
    list[#list + 1] = options[option] and ("--%s=%s"):format(option, options[option])
  end
  table.move({("--keep=%d"):format(options.keep), ("--max-size=%d"):format(options.max_size),
    "--capture=" .. name, "--into=" .. path}, 1, 4, #list + 1, list)
  if options.timeout then
    list[#list + 1] = "--timeout=" .. text.float("%g", options.timeout)
  end
  -- A capture that fails removes what it has. rmdir is for one that could not even start.
  os.execute(("set -m 2>/dev/null; (%s; rmdir -- %s 2>/dev/null) </dev/null &"):format(
    quoted(list), quoted {captures.partial(path)}))
end

-- Watching --------------------------------------------------------------------------------

-- States of a VM that has a process.
local ALIVE = {running = true, suspended = true}

-- The reason to capture a VM after an event; nil if there is none. lost: the VMs that
-- disappeared. One that appears again was restarted, as was one that was dead from the start.
local function reason_of(event, lost)
  local name = event.vm.name
  if event.kind == "disappeared" then
    lost[name] = true
  elseif event.kind == "restarted" or event.kind == "appeared" and lost[name]
    or event.before == "gone" and event.pid then
    lost[name] = nil
    return "restarted"
  elseif (event.kind == "state" or event.kind == "appeared")
    and (event.state == "suspended" or event.state == "stuck") then
    return event.state
  end
end

local function watch(options, words)
  local lost = {}
  say("watching %s in %s", options.names and table.concat(options.names, ", ") or "all VMs",
    qvm.root())
  for event in qvm.watch {interval = options.interval, names = options.names} do
    say("%s %s: %s%s%s", event.vm.name, event.kind,
      event.before and event.before ~= event.state and event.before .. " to " or "", event.state,
      event.pid and (", process %d"):format(event.pid) or "")
    if not event.pid and event.kind == "appeared" and ALIVE[event.state] then
      say("%s: its process cannot be examined: a restart is not noticed", event.vm.name)
    end
    local reason = reason_of(event, lost)
    if reason then
      start(options, words, event.vm.name, reason)
    end
  end
end

-- Fills a capture that was begun, or removes it. Returns what capture.take does.
local function fill(path, options)
  local ok, what, message = pcall(capture.take, path, options)
  if not (ok and what) then
    captures.discard(path)
    return nil, ok and message or text.without_place(what)
  end
  return what
end

-- Captures one VM, into a path if the watchdog that started this has begun one.
local function capture_now(options, problems)
  local path, message = options.into, nil
  if not path then
    path, message = captures.begin(options.dir, options.capture, options.reason or "asked",
      patience(options))
  end
  local what
  if path then
    what, message = fill(path, options)
  end
  if not what then
    problems:add(message)
    return 1
  end
  for _, problem in ipairs(captures.prune(options.dir, options.keep, options.max_size)) do
    problems:warn(problem)
  end
  say("%s captured: %s", options.capture, what.text)
  return what.is_complete and 0 or 1
end

-- Runs the command. Returns its exit status.
function watchdog.run(arguments)
  local problems = command.problems(NAME)
  local parser = watchdog.parser()
  parser:option("--into"):hidden(true)
  local options, mistake = command.parse(parser, arguments)
  if options then
    options, mistake = settle(options)
  end
  if not options then
    problems:report(mistake)
    return 2
  end
  if options.root then
    qvm.root(options.root)
  end
  local opened, message = captures.open(options.dir)
  if not opened then
    problems:add(message)
    return 1
  elseif options.capture then
    return command.finish(NAME, capture_now(options, problems), 1)
  end
  local _, why = pcall(watch, options, program(arguments))
  if errors.is_interrupt(why) then
    return command.finish(NAME, 0, 1)
  end
  problems:add(text.without_place(why))
  return 1
end

return watchdog
