#!/usr/bin/env lua5.4
-- A Lua prompt for the VMs of this host, and for dumps.
--
--     lua5.4 examples/explore.lua
--     lua5.4 examples/explore.lua linux1-20261122-101500.gcore
--
-- Exit status: 0, 1 where a dump that is named cannot be opened, 2 for a mistake in the
-- arguments.

-- Sees to it that nothing is loaded from the current directory: lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local begin = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-explore: the qvm library is missing: run `make install`\n") and 1)
local need = begin("qvm-explore", here, 1)

local argparse = need "argparse"
local qvm = need "qvm"
local arguments = need "qvm.diag.arguments"
local columns = need "qvm.util.columns"
local complete = need "qvm.prompt.complete"
local editor = need "qvm.prompt.line_editor"
local line = need "qvm.util.text"
local prompt = need "qvm.prompt.repl"

local HELP = [[
vms              the VMs; vms.linux1 is one of them, found anew each time
d, dumps         the dump that was opened at the start; all of them
list(x, n)       what an iterator gives, as d:find "Linux": n items, or all
show(x)          more of anything: its parts and fields
hexdump(d, a, n) n bytes of memory at the address a
hex(n)           a number in hexadecimal
qvm              the library: qvm.open "file" opens a dump
Tab completes, Ctrl-C ends what runs, Ctrl-D leaves.]]

local function complain(message)
  io.stderr:write("qvm-explore: ", line.harmless(message), "\n")
end

-- The VMs, by name: each use finds one anew. As text, a line for each.
local function vm_line(vm)
  local name = columns.pad(line.harmless(vm.name), 20)
  local state, why = vm:state()
  local env = (state == "running" or state == "suspended" or state == "unknown") and vm:env()
  local vcpus = 0
  for _ in env and env:vcpus() or function() end do
    vcpus = vcpus + 1
  end
  if vcpus == 0 then
    return ("%s %-10s %s"):format(name, state or "unknown",
      line.harmless(why or "no answer any more"))
  end
  return ("%s %-10s %d vCPU%s"):format(name, state, vcpus, vcpus == 1 and "" or "s")
end

local function vms_text()
  local lines = {}
  for vm in qvm.vms() do
    lines[#lines + 1] = vm_line(vm)
  end
  return lines[1] and table.concat(lines, "\n") or ("no VMs below %s"):format(qvm.root())
end

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

local failed = false

-- Opens the dumps that are named; one that is not whole as far as it goes.
local function open(paths)
  local dumps = {}
  for _, path in ipairs(paths) do
    local dump, message = qvm.open(path, {partial = true})
    if dump then
      dumps[#dumps + 1] = dump
      print(("dumps[%d]  %s"):format(#dumps, tostring(dump):match("([^/]*:[^:]*)$")))
      if not dump.complete then
        complain(path .. ": not whole: what is missing cannot be read")
      end
    else
      failed = true
      complain(message)
    end
  end
  return dumps
end

local own = {vms = "vms", d = "d,", dumps = "d,", list = "list"}

-- The line of HELP about one of the prompt's own names; nil for others.
local function own_help(about)
  local start = own[about]
  return start and ("\n" .. HELP):match("\n(" .. start .. "[^\n]*)")
end

-- `help` alone is about the prompt, help(x) about a part of the library.
local help = setmetatable({}, {
  __tostring = function()
    return HELP .. "\nhelp dump.find, help(d), help list: what there is to know of one of those."
  end,
  __call = function(self, about)
    if about == nil then
      return self
    end
    local text = own_help(about)
    if text then
      return text
    end
    return qvm.help(about)
  end,
})

-- What people type to leave.
local leave = setmetatable({}, {
  __tostring = function() return "Ctrl-D leaves" end,
  __call = function() os.exit(true, true) end,
})

-- What a line may use besides Lua's own.
local function globals(dumps)
  return setmetatable({qvm = qvm, vms = vms, d = dumps[1], dumps = dumps, hex = qvm.hex,
    show = qvm.show, hexdump = qvm.hexdump, list = prompt.list, help = help,
    print = prompt.print, exit = leave, quit = leave}, {__index = _G})
end

local function greet(kind)
  if kind == "plain" then
    print("lua-readline is not installed: no history, and Tab completes nothing")
  end
  if kind ~= "script" then
    print("vms, d, dumps, list, show, hexdump, hex, qvm: `help` says more; Ctrl-D leaves")
  end
end

local function main()
  local parser = argparse("qvm-explore", "A Lua prompt for the VMs of this host, and for dumps.")
  parser:argument("dump", "Dumps to open: d is the first, dumps has all."):args("*")
  parser:option("--root", "Where the VMs are, instead of $QVM_ROOT or /dev/qvm."):argname("DIR")
  local options = arguments.of(parser, "qvm-explore")
  if options.root then
    qvm.root(options.root)
  end
  local listed, text = pcall(vms_text)
  print(listed and text or line.harmless(tostring(text)))
  local env = globals(open(options.dump))
  local read, kind = editor.open(function(typed) return complete(typed, env) end)
  greet(kind)
  prompt.run(read, env, kind == "script")
end

main()
os.exit(failed and 1 or 0, true)
