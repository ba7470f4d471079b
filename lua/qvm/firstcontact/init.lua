-- The command qvm-firstcontact: compares a real host with what the documents say of it. It looks
-- first, asks before each signal, prints a row for each check, and writes one archive.

local archive = require "qvm.firstcontact.archive"
local check_env = require "qvm.firstcontact.env"
local checklist = require "qvm.firstcontact.checklist"
local command = require "qvm.cli.command"
local dump_checks = require "qvm.firstcontact.dump"
local host = require "qvm.firstcontact.host"
local qvm = require "qvm"
local requests = require "qvm.firstcontact.requests"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local print = command.print

local firstcontact = {}

local NAME = "qvm-firstcontact"

local OK, DIFFERENT = 0, 1 -- exit statuses; 2: see command.run

-- Arguments -------------------------------------------------------------------------------

local NOTES = [[
Without --look it asks before it sends SIGUSR1, and again before SIGUSR2. If
standard input is no terminal, --yes must allow them. The archive has no guest
memory unless --memory is given; its CONTENTS says what each file holds.

Exit status:
   0  nothing differs from what was expected
   1  something differs
   2  an argument is wrong, or the archive or the output cannot be written]]

local function add_inputs(parser)
  parser:argument("vm", "A VM, by its system name (default: the only one)."):args("?")
  parser:option("--conf", "The VM's configuration, to compare with."):argname("FILE")
  parser:option("--log", "The file that the VM's logger writes to (default: slogger2).")
    :argname("FILE")
  parser:option("--dir", "The directory of the VM's `dump` option."):argname("DIR")
  parser:option("--read", "Examine an existing dump; none is requested."):argname("FILE")
  parser:option("--timeout", "Seconds to wait for the dump (default: 60)."):argname("SECONDS")
    :convert(function(word)
      local seconds = word:find("^[0-9.]+$") and tonumber(word)
      return seconds and seconds > 0 and seconds < 2^31 and seconds or nil,
        "--timeout: not a number of seconds"
    end)
  command.add_root(parser)
end

-- The command's argparse parser.
function firstcontact.parser()
  local parser = command.parser(NAME, "Compares a host with what is documented or assumed of it, "
    .. "and writes what it saw to an archive.", "[<vm>] [option]...", NOTES)
  add_inputs(parser)
  parser:mutex(parser:flag("--look", "Send no signal."),
    parser:flag("--yes", "Do not ask before sending signals."))
  parser:flag("--memory", "Put the first 64 KiB of the dump into the archive, with guest memory.")
  parser:option("--output", "Write the archive to DIR, or to DIR.tar.gz."):argname("DIR")
  return parser
end

-- Asking ----------------------------------------------------------------------------------

-- Returns ask(step), which returns nil if the step is allowed, else why not.
local function new_ask(options)
  return function(step)
    if options.look then
      return "--look sends no signal"
    elseif options.yes then
      return nil
    elseif not system.is_terminal(0) then
      return "not asked: standard input is no terminal; --yes allows it"
    end
    io.write("\n", text.escape_controls(step), "? [y/N] ")
    io.flush()
    local answer = io.read("l")
    io.write("\n")
    return not (answer or ""):find("^%s*[yY]") and "the answer was no" or nil
  end
end

-- The run ---------------------------------------------------------------------------------

-- The VM to examine; nil and a message; nil alone if the host has none.
local function choose(options)
  if options.vm then
    local ok, vm, message = pcall(qvm.vm, options.vm)
    return ok and vm or nil, ok and message or not ok and text.without_place(vm) or nil
  end
  local names = qvm.names() or {}
  if #names > 1 then
    return nil, "several VMs: name one of " .. table.concat(names, ", ")
  end
  return names[1] and qvm.vm(names[1])
end

local function save_dump(list, into, dump, with_memory)
  local head, message = list:call("dump head", dump_checks.head, dump, with_memory)
  if head then
    into:add("dump.head", head, with_memory and "the first 64 KiB of the dump: GUEST MEMORY"
      or "the dump up to the guest's memory: registers")
  end
  local note, why = list:call("dump note", dump_checks.note, dump)
  if note then
    into:add("dump.note", note, "the note of the dump: registers of the vCPUs")
  end
  local log = dump:log()
  if log then
    into:add("dump.log", log, "the text in the dump: a report of qvm and vdevs")
  end
  local lines = {("%s, %d bytes\n"):format(text.escape_controls(dump.path), dump.size)}
  for segment in dump:segments() do
    lines[#lines + 1] = tostring(segment) .. "\n"
  end
  for _, problem in ipairs {head == nil and message or nil, note == nil and why or nil} do
    lines[#lines + 1] = text.escape_controls(problem) .. "\n"
  end
  into:add("dump.txt", table.concat(lines), "name, size and segments of the dump")
end

-- The existing dump of --read, or one on request.
local function get_dump(list, vm, options, ask)
  if options.read then
    local dump, message = list:call("qvm.open", qvm.open, options.read, {partial = true})
    if not dump then
      list:add {"form of the dump", checklist.DOCUMENTED, "ELF64 with the note of sys/kdump.h",
        did = "qvm.open", saw = message, as_expected = false}
    end
    return dump
  end
  return vm and list:part("dump on request", requests.dump, vm, options, ask)
end

-- Goes through all checks, and writes what they find into the archive.
local function examine(list, into, vm, options)
  local ask, conf, status = new_ask(options), nil, nil
  into:add("host.txt", list:part("checks of the host", host.check, vm) or "",
    "versions, and what commands of the host print")
  if vm then
    local bytes
    bytes, conf = list:part("checks of env", check_env, vm, options.conf)
    if bytes and bytes ~= "" and not system.stat(into.path .. "/env.json") then
      into:add("env.json", bytes, "the bytes of env")
    end
    options.dir = options.dir or conf and conf.dump and conf.dump.directory
    status = list:part("status text", requests.status, vm, conf, options.log, ask)
  end
  if status then
    into:add("status.txt", status, "the status text: qvm and its vdevs")
  end
  local dump <close> = get_dump(list, vm, options, ask)
  if dump then
    list:part("checks of the dump", dump_checks.check, dump, vm and vm:env(), conf)
    save_dump(list, into, dump, options.memory)
  end
end

local function finish(list, into)
  into:add("report.txt", list:text(), "every check: what was expected, what was seen")
  into:add("checks.json", list:rows_as_json(), "the same as JSON")
  into:add("calls.json", list:calls_as_json(), "every call, its result and its time")
  into:add_contents()
  print()
  print(list:summary())
  local path, why = into:pack()
  print("archive: " .. text.escape_controls(why and ("%s (not packed: %s)"):format(path, why)
    or path))
end

local function explore(options)
  if options.root then
    qvm.root(options.root)
  end
  local vm, message = choose(options)
  if not vm and message then
    return nil, message
  end
  if options.conf and not system.stat(options.conf) then
    return nil, options.conf .. ": no such file"
  end
  local into, why = archive.create(options.output or archive.name_of(vm), vm, options.conf)
  if not into then
    return nil, why
  end
  print(vm and tostring(vm) or "no VM below " .. text.escape_controls(qvm.root()))
  local list = checklist.new(function(row)
    print("\n" .. checklist.lines(row))
  end)
  if vm then
    list:add {"record", checklist.OURS, "qvm.record holds what the VM reports", did = "qvm.record",
      saw = why or "written", as_expected = not why}
  end
  examine(list, into, vm, options)
  finish(list, into)
  return (list:count "different") > 0 and DIFFERENT or OK
end

-- Runs the command. Returns its exit status.
function firstcontact.run(words)
  return command.run(NAME, firstcontact.parser(), explore, words)
end

return firstcontact
