#!/usr/bin/env lua5.4
-- A dump for gdb: vCPUs as threads, their registers, memory by virtual address.
--
--     gdb -ex 'target remote | lua5.4 examples/gdbserve.lua linux1-20261122-101500.gcore'
--     lua5.4 examples/gdbserve.lua --port 1234 linux1-20261122-101500.gcore
--
-- Exit status: 0, 1 where the dump cannot be served, 2 for a mistake in the arguments,
-- 130 after Ctrl-C.

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

local function fail(message)
  io.stderr:write("qvm-gdbserve: ", message, "\n")
  os.exit(1, true)
end

local function need(name, reason)
  local ok, module = pcall(require, name)
  return ok and module or fail(reason or tostring(module):match("^[^\n]*"))
end

local argparse = need "argparse"
local qvm = need "qvm"
local arguments = need "qvm.diag.arguments"
local line = need "qvm.util.text"
local terminal = need "qvm.diag.terminal"
local Session = need "qvm.gdb.session"
local serve = need "qvm.gdb.serve"

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

local function serve_pipe(dump)
  if terminal.is_one(0) then
    say("waits for gdb on its standard input: target remote | qvm-gdbserve DUMP, or --port")
  end
  io.stdout:setvbuf("full")
  serve(assert(Session.of(dump)), function() return io.read(1) end, function(bytes)
    return io.write(bytes) and io.flush()
  end)
end

local PATIENCE = 0.5 -- seconds until Ctrl-C, and who else would be served, is looked for

-- Whoever comes while another one is served: left to wait, gdb would go out of step.
local function turn_away(server)
  server:settimeout(0)
  local other = server:accept()
  server:settimeout(PATIENCE)
  if other then
    other:close()
    say("one client at a time: another one was turned away")
  end
end

-- Waits, without an end, for what a client sends or takes.
local function patiently(server, attempt)
  local result, problem, part
  repeat
    result, problem, part = attempt(part)
    if problem == "timeout" then
      turn_away(server)
    end
  until problem ~= "timeout"
  return result
end

local function serve_client(dump, client, server)
  client:settimeout(PATIENCE)
  client:setoption("tcp-nodelay", true)
  client:setoption("keepalive", true)
  local session, message = Session.of(dump)
  if not session then -- the file was cut meanwhile
    say("%s", message)
    return client:close()
  end
  serve(session, function()
    return patiently(server, function() return client:receive(1) end)
  end, function(bytes)
    return patiently(server, function(sent) return client:send(bytes, (sent or 0) + 1) end)
  end)
  client:close()
end

-- One client after the other, on the loopback interface and nowhere else.
local function serve_port(dump, port)
  local socket = need("socket", "--port needs LuaSocket (lua-socket), which is not installed")
  local server, message = socket.bind("127.0.0.1", port)
  if not server then
    fail(("port %d: %s"):format(port, message))
  end
  local _, bound = server:getsockname()
  server:settimeout(PATIENCE)
  say("target remote localhost:%d (Ctrl-C ends this)", bound)
  while true do
    local client = server:accept()
    if client then
      serve_client(dump, client, server)
      say("the client has left; waiting for the next one")
    end
  end
end

local function main()
  local parser = argparse("qvm-gdbserve", "A dump for gdb, by its remote protocol.")
    :epilog("Without --port, from gdb: target remote | qvm-gdbserve DUMP")
  parser:argument("dump", "The dump.")
  parser:option("--port", "Serve this port of the loopback interface; 0: any.")
    :argname("N"):convert(function(text)
      local port = math.tointeger(tonumber(text))
      return port and port >= 0 and port <= 65535 and port or nil, "not a port: " .. text
    end)
  local options = arguments.of(parser, "qvm-gdbserve")
  local dump = open(options.dump)
  if options.port then
    serve_port(dump, options.port)
  else
    serve_pipe(dump)
  end
end

local ok, problem = xpcall(main, function(problem)
  return tostring(problem):find("interrupted!", 1, true) and "" or debug.traceback(problem)
end)
if not ok then -- Ctrl-C is no failure of the program
  io.stderr:write(problem, "\n")
  os.exit(problem == "" and 130 or 1, true)
end
