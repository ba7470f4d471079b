-- The command qvm-explore: a Lua prompt for the VMs of this host and for dumps. The prompt
-- itself is in qvm.prompt; here are the command line, the names that a line can use besides
-- Lua's own, and the texts at the start.

local command = require "qvm.cli.command"
local qvm = require "qvm"
local complete = require "qvm.prompt.complete"
local iterators = require "qvm.util.iterators"
local line_editor = require "qvm.prompt.line_editor"
local repl = require "qvm.prompt.repl"
local text = require "qvm.cli.text"

local explore = {}

local NAME = "qvm-explore"

local HELP = [[
vms              the VMs; vms.linux1 looks up the VM linux1 at each use
d, dumps         the first dump of the command line; all of them
list(x, n)       prints what an iterator returns, n items or all: list(d:tasks(), 5)
show(x)          everything about x: its parts and fields
hexdump(d, a, n) n bytes of memory from address a
hex(n)           a number in hexadecimal
_                the value of the last line
qvm              the library: qvm.open "file" opens a dump
Tab completes, Ctrl-C stops what runs, Ctrl-D, exit and quit leave.]]

-- VMs -------------------------------------------------------------------------------------

local HAS_ENV = {running = true, suspended = true, unknown = true}

local function vm_line(vm)
  local name = text.pad(text.escape_controls(vm.name), 20)
  local state, why = vm:state()
  local env = HAS_ENV[state] and vm:env()
  local vcpus = 0
  for _ in env and env:vcpus() or function() end do
    vcpus = vcpus + 1
  end
  if vcpus == 0 then
    return ("%s %-10s %s"):format(name, state or "unknown",
      text.escape_controls(why or "it no longer answers"))
  end
  return ("%s %-10s %s"):format(name, state, text.count(vcpus, "vCPU"))
end

local function vms_text()
  local lines = {}
  for vm in qvm.survey() do
    lines[#lines + 1] = vm_line(vm)
  end
  return lines[1] and table.concat(lines, "\n")
    or ("no VMs below %s (--root or $QVM_ROOT names another directory)"):format(qvm.root())
end

-- The VMs by name; each use looks one up. As text, a line for each.
local vms = setmetatable({}, {
  __index = function(_, name)
    local vm, message = qvm.vm(name)
    return vm or error(message, 0)
  end,
  __pairs = function()
    local next_vm = qvm.vms()
    return function()
      local vm = next_vm()
      if vm then
        return vm.name, vm
      end
    end
  end,
  __tostring = vms_text,
})

-- The names that a line can use -----------------------------------------------------------

local own = {vms = "vms", d = "d,", dumps = "d,", list = "list", _ = "_"}

-- The line of HELP about one of the prompt's own names; nil for other names.
local function own_help(about)
  local start = own[about]
  return start and ("\n" .. HELP):match("\n(" .. start .. "[^\n]*)")
end

-- `help` alone is about the prompt, help(x) about a part of the library.
local help = setmetatable({}, {
  __tostring = function()
    return HELP .. "\nhelp dump.find, help(d), help list: more about one of these."
  end,
  __call = function(self, about)
    if about == nil then
      return self
    end
    local known = own_help(about)
    if known then
      return known
    end
    return qvm.help(about)
  end,
})

local function globals(dumps)
  return setmetatable({qvm = qvm, vms = vms, d = dumps[1], dumps = dumps, hex = qvm.hex,
    show = qvm.show, hexdump = qvm.hexdump, list = repl.list, help = help,
    print = repl.print, exit = repl.leave, quit = repl.leave}, {__index = _G})
end

-- The command -----------------------------------------------------------------------------

local NOTES = [[
At the start the prompt opens the dumps, and lists them and the VMs on standard
error. A line is Lua; the value of an expression is printed. `help` lists what a
line can use.

Examples:
   qvm-explore
   qvm-explore linux1-20261122-101500.gcore
   qvm-explore -e 'd:crash()' linux1-20261122-101500.gcore
   echo 'vms.linux1:state()' | qvm-explore

Exit status:
   0  the input ended
   1  a dump cannot be opened, or the output cannot be written; or, without a
      terminal or with -e, a line failed
   2  an argument is wrong]]

function explore.parser()
  local parser = command.parser(NAME, "A Lua prompt for the VMs of this host, and for dumps.",
    "[--root DIR] [-e LINE]... [<dump>]...", NOTES)
  parser:argument("dump", "A dump to open: `d` is the first, `dumps` has all."):args("*")
  command.add_root(parser)
  parser:option("-e", "Run LINE and print its value, instead of reading lines; may be repeated.")
    :argname("LINE"):count("*"):target("lines")
  return parser
end

-- Texts at the start are not results, so they go to stderr.
local function tell(message)
  io.stderr:write(message, "\n")
end

-- Opens dumps, incomplete ones as far as they go. Returns an array, and whether all are open.
local function open(paths, is_quiet)
  local dumps, all_open = {}, true
  for _, path in ipairs(paths) do
    local dump, message = qvm.open(path, {partial = true})
    if dump then
      dumps[#dumps + 1] = dump
      if not is_quiet then
        tell(("dumps[%d]  %s"):format(#dumps, tostring(dump):match("([^/]*:[^:]*)$")))
      end
      command.say_warnings(NAME, dump)
    else
      all_open = false
      command.say(NAME, message)
    end
  end
  return dumps, all_open
end

local function greet(kind)
  if kind == "plain" then
    tell "lua-readline is not installed: no history, and Tab completes nothing"
  end
  if kind ~= "script" then
    tell "vms, d, dumps, list, show, hexdump, hex, qvm: `help` says more; Ctrl-D leaves"
  end
end

-- Runs the lines of the command line. Returns whether none failed.
local function run_lines(lines, env)
  local next_line = iterators.values(lines)
  return repl.run(function(prompt) -- a line is not continued by the next one
    return prompt == "> " and next_line() or nil
  end, env, true)
end

-- Runs the prompt. Returns whether no line of a script failed.
local function run_prompt(env)
  local read, kind, problem = line_editor.open(function(typed) return complete(typed, env) end)
  if problem then
    command.say(NAME, problem)
  end
  greet(kind)
  return repl.run(read, env, kind == "script") or kind ~= "script"
end

-- Runs the command. Returns its exit status.
function explore.run(words)
  local options, mistake = command.parse(explore.parser(), words)
  if not options then
    command.say(NAME, mistake)
    return 2
  end
  if options.root then
    qvm.root(options.root)
  end
  local lines = options.lines[1] and options.lines
  if not lines then
    local is_listed, list = pcall(vms_text)
    tell(is_listed and list or text.escape_controls(tostring(list)))
  end
  local dumps, all_open = open(options.dump, lines)
  local env = globals(dumps)
  local is_good
  if lines then
    is_good = run_lines(lines, env)
  else
    is_good = run_prompt(env)
  end
  return command.finish(NAME, all_open and is_good and 0 or 1, 1)
end

return explore
