#!/usr/bin/env lua5.4
-- A dump for gdb: vCPUs as threads, their registers, memory by virtual address.
--
--     gdb -ex 'target remote | lua5.4 examples/gdbserve.lua linux1-20261122-101500.gcore'
--     lua5.4 examples/gdbserve.lua --port 1234 linux1-20261122-101500.gcore
--
-- Exit status: 0, 1 where the dump cannot be served, 2 for a mistake in the arguments,
-- 130 after Ctrl-C.

-- Sees to it that nothing is loaded from the current directory: lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local begin = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-gdbserve: the qvm library is missing: run `make install`\n") and 1)
local need = begin("qvm-gdbserve", here, 1)

local function fail(message)
  io.stderr:write("qvm-gdbserve: ", message, "\n")
  os.exit(1, true)
end

local argparse = need "argparse"
local qvm = need "qvm"
local arguments = need "qvm.diag.arguments"
local line = need "qvm.util.text"
local terminal = need "qvm.diag.terminal"
local Session = need "qvm.gdb.session"
local pipe = need "qvm.gdb.pipe"
local port = need "qvm.gdb.port"

-- What a user is told goes to stderr: gdb has the output.
local function say(format, ...)
  io.stderr:write("qvm-gdbserve: ", line.harmless(format:format(...)), "\n")
end

local function open(path)
  local dump, message = qvm.open(path, {partial = true})
  if not dump then
    fail(line.harmless(message))
  end
  say("%s", tostring(dump))
  if not dump.complete then
    say("not whole: what is missing cannot be read")
  end
  if dump.byteorder == "big" then
    say("big-endian: in gdb, before it connects: set endian big")
  end
  local session
  session, message = Session.of(dump)
  return session and dump or fail(line.harmless(message))
end

local function main()
  local parser = argparse("qvm-gdbserve", "A dump for gdb, by its remote protocol.")
    :epilog("Without --port, from gdb: target remote | qvm-gdbserve DUMP")
  parser:argument("dump", "The dump.")
  parser:option("--port", "Serve this port of the loopback interface; 0: any.")
    :argname("N"):convert(function(text)
      local number = math.tointeger(tonumber(text))
      return number and number >= 0 and number <= 65535 and number or nil, "not a port: " .. text
    end)
  local options = arguments.of(parser, "qvm-gdbserve")
  local dump = open(options.dump)
  if options.port then
    need("socket", "--port needs LuaSocket (lua-socket), which is not installed")
    local _, message = port.serve(dump, options.port, say)
    fail(message)
  end
  if terminal.is_one(0) then
    say("waits for gdb on its standard input: target remote | qvm-gdbserve DUMP, or --port")
  end
  pipe(assert(Session.of(dump)))
end

local ok, problem = xpcall(main, function(problem)
  return tostring(problem):find("interrupted!", 1, true) and "" or debug.traceback(problem)
end)
if not ok then -- Ctrl-C is no failure of the program
  io.stderr:write(problem, "\n")
  os.exit(problem == "" and 130 or 1, true)
end
