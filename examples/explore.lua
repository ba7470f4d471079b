#!/usr/bin/env lua5.4
-- A Lua prompt for the VMs of this host, and for dumps.
--
--     lua5.4 examples/explore.lua
--     lua5.4 examples/explore.lua linux1-20261122-101500.gcore
--
-- Exit status: 0, 1 where a dump that is named cannot be opened, 2 for a mistake in the
-- arguments.

-- qvm need not be on the path: look for it from where this file is, in a checkout,
-- below the prefix of `make install`, or in a tree of luarocks.
local here = arg[0]:match("^(.*)/[^/]*$") or "."

local function look_in(lua_directory, c_directory)
  package.path = ("%s;%s/?.lua;%s/?/init.lua"):format(package.path, lua_directory, lua_directory)
  package.cpath = ("%s;%s/?.so"):format(package.cpath, c_directory)
end

look_in(here .. "/../lua", os.getenv("QVM_BUILD") or here .. "/../build")
for _, prefix in ipairs {here .. "/..", here .. "/../../../../../.."} do
  look_in(prefix .. "/share/lua/5.4", prefix .. "/lib/lua/5.4")
end

local function need(name)
  local ok, module = pcall(require, name)
  if not ok then
    io.stderr:write("qvm-explore: ", tostring(module):match("^[^\n]*"), "\n")
    os.exit(1, true)
  end
  return module
end

local argparse = need "argparse"
local qvm = need "qvm"
local arguments = require "qvm.diag.arguments"
local complete = require "qvm.prompt.complete"
local editor = require "qvm.prompt.line_editor"
local line = require "qvm.util.text"
local prompt = require "qvm.prompt.repl"

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
  local state, why = vm:state()
  local env = (state == "running" or state == "suspended" or state == "unknown") and vm:env()
  local vcpus = 0
  for _ in env and env:vcpus() or function() end do
    vcpus = vcpus + 1
  end
  if vcpus == 0 then
    return ("%-20s %-11s %s"):format(vm.name, state or "unknown", why or "no answer any more")
  end
  return ("%-20s %-11s %d vCPU%s"):format(vm.name, state, vcpus, vcpus == 1 and "" or "s")
end

local function vms_text()
  local lines = {}
  for vm in qvm.vms() do
    lines[#lines + 1] = line.harmless(vm_line(vm))
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

-- `help` alone tells of the prompt, help(x) of a part of the library.
local help = setmetatable({}, {
  __tostring = function()
    return HELP .. (qvm.help and '\nhelp "VM:dump" or help(d) says what is to know of those.' or "")
  end,
  __call = function(self, about)
    if about == nil or not qvm.help then
      return self
    end
    return qvm.help(about)
  end,
})

-- What a line may use besides Lua's own.
local function globals(dumps)
  return setmetatable({qvm = qvm, vms = vms, d = dumps[1], dumps = dumps, hex = qvm.hex,
    show = qvm.show, hexdump = qvm.hexdump, list = prompt.list, help = help,
    print = prompt.print}, {__index = _G})
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
  local read, finish, kind = editor.open(function(typed) return complete(typed, env) end)
  greet(kind)
  prompt.run(read, env, kind == "script")
  finish()
end

main()
os.exit(failed and 1 or 0, true)
