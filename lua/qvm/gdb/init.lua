-- The command qvm-gdbserve: shows a dump to gdb, by its remote protocol. A client is either
-- the gdb that started the command, connected by a pipe, or one that connects to a port.
-- Standard output belongs to the client; messages for the user go to stderr.

local command = require "qvm.cli.command"
local errors = require "qvm.util.errors"
local qvm = require "qvm"
local Session = require "qvm.gdb.session"
local transport = require "qvm.gdb.transport"

local gdb = {}

local NAME = "qvm-gdbserve"

local FAILED, MISTAKE, INTERRUPTED = 1, 2, 130 -- exit statuses

local NOTES = [[
Without --port, gdb starts the command itself. In gdb:
   target remote | qvm-gdbserve DUMP
With --port, gdb connects to it:
   target remote localhost:PORT

vCPUs are threads, or with --tasks the tasks of a Linux guest. Addresses are
virtual. `monitor help` in gdb lists what the dump can be asked beyond that.

Exit status:
   0    the client left
   1    the dump cannot be served
   2    an argument is wrong
   130  Ctrl-C]]

local function port_of(word)
  local number = math.tointeger(tonumber(word))
  return number and number >= 0 and number <= 65535 and number or nil, "not a port: " .. word
end

function gdb.parser()
  local parser = command.parser(NAME, "Shows a dump to gdb: threads, registers and memory.",
    "[--tasks] [--port PORT] <dump>", NOTES)
  parser:argument("dump", "The dump, which may be gzip-compressed.")
  parser:flag("--tasks", "The guest's tasks are threads, instead of its vCPUs.")
  parser:option("--port", "Listen on this port of the loopback interface; 0: any free port.")
    :argname("PORT"):convert(port_of)
  return parser
end

local function say(format, ...)
  command.say(NAME, format:format(...))
end

-- Opens a dump that gdb can look at. Returns a function that returns a new session, and the
-- first session; nil and a message.
local function open(options)
  local dump, message = qvm.open(options.dump, {partial = true})
  if not dump then
    return nil, message
  end
  say("%s", tostring(dump))
  command.say_warnings(NAME, dump)
  if dump.byteorder == "big" then
    say("big-endian: before gdb connects, it needs: set endian big")
  end
  local function new_session()
    return Session.of(dump, options.tasks, function(problem) say("%s", problem) end)
  end
  local session
  session, message = new_session()
  return session and new_session, session or message
end

-- Returns nil, message: it ends by Ctrl-C.
local function serve_port(new_session, number)
  local ok, problem = pcall(require, "socket")
  if not ok then
    return nil, problem:find("module 'socket' not found", 1, true)
      and "--port needs LuaSocket (lua-socket), which is not installed"
      or problem:match("[^\n]*")
  end
  return transport.serve_port(new_session, number, say)
end

-- Returns true, or nil and a message.
local function serve(options)
  local new_session, session = open(options)
  if not new_session then
    return nil, session
  elseif options.port then
    return serve_port(new_session, options.port)
  end
  if command.is_terminal(0) then
    say("waiting for gdb on standard input: target remote | qvm-gdbserve DUMP, or --port")
  end
  transport.serve_pipe(session)
  return true
end

local function describe_error(problem)
  return errors.is_interrupt(problem) and INTERRUPTED
    or debug.traceback(tostring(problem))
end

-- Runs the command. Returns its exit status.
function gdb.run(words)
  local options, mistake = command.parse(gdb.parser(), words)
  if not options then
    command.say(NAME, mistake)
    return MISTAKE
  end
  local ok, result, message = xpcall(serve, describe_error, options)
  if ok and not result then
    command.say(NAME, message)
  elseif not ok and result == INTERRUPTED then
    io.stderr:write("\n")
    return INTERRUPTED
  elseif not ok then
    io.stderr:write(result, "\n")
  end
  return ok and result and 0 or FAILED
end

return gdb
