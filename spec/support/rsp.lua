-- A client of the GDB remote protocol, independent of the server's code. It sends all requests
-- at once through a pipe, then parses and checks the output.

local files = require "support.files"
local process = require "support.process"

local rsp = {}

-- The environment in which a child process finds the tested library.
function rsp.env()
  return {LD_PRELOAD = os.getenv("LD_PRELOAD"), QVM_BUILD = os.getenv("QVM_BUILD")}
end

function rsp.sum(text)
  local sum = 0
  for c in text:gmatch(".") do
    sum = (sum + c:byte()) % 256
  end
  return ("%02x"):format(sum)
end

function rsp.packet(text)
  return "$" .. text .. "#" .. rsp.sum(text)
end

function rsp.hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function rsp.bytes(digits)
  return (digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- The server's arguments in a command line. path: of the dump; or a table, if its threads are
-- tasks: {tasks = path}.
local function arguments(path)
  return type(path) == "table" and "--tasks " .. process.quote(path.tasks) or process.quote(path)
end

-- Serves a client's bytes. Returns the output, the errors and the exit status.
function rsp.serve(path, input)
  local file = files.write("client", input)
  local status, output, errors = process.run({"sh", "-c", ("%s examples/gdbserve.lua %s <%s")
    :format(process.lua, arguments(path), process.quote(file))}, {env = rsp.env()})
  return output, errors, status
end

-- The contents of the packets in the output; raises if it contains anything else.
function rsp.texts(output)
  local texts, at = {}, 1
  while at <= #output do
    local escaped, sum, next_at = output:match("^%$([^$#]*)#(%x%x)()", at)
    assert(escaped, "not a packet: " .. output:sub(at, at + 40))
    assert(sum == rsp.sum(escaped), "wrong checksum: " .. escaped)
    texts[#texts + 1] = escaped:gsub("}(.)", function(c)
      return string.char(c:byte() ~ 0x20)
    end)
    at = next_at
  end
  return texts
end

-- The replies to requests, without acknowledgements.
function rsp.ask(path, ...)
  local packets = {rsp.packet "QStartNoAckMode", "+"}
  for i, request in ipairs {...} do
    packets[i + 2] = rsp.packet(request)
  end
  local output, errors, status = rsp.serve(path, table.concat(packets))
  assert(status == 0, errors)
  local prefix, rest = output:match("^(%+%$OK#9a)(.*)$")
  assert(prefix, output)
  return table.unpack(rsp.texts(rest))
end

-- The output of monitor commands.
function rsp.monitor(path, ...)
  local requests = {...}
  for i, command in ipairs(requests) do
    requests[i] = "qRcmd," .. rsp.hex(command)
  end
  local parts = {}
  for _, text in ipairs {rsp.ask(path, table.unpack(requests))} do
    parts[#parts + 1] = text:match("^O(%x+)$")
  end
  return rsp.bytes(table.concat(parts))
end

-- Runs gdb commands on a dump, `before` before it connects. Returns gdb's output and its errors,
-- which include the output of monitor commands.
function rsp.gdb(path, before, ...)
  local command = {"gdb-multiarch", "-nx", "-batch", "-ex", "set pagination off", "-ex",
    "set remotetimeout 60"} -- the machine may be busy
  local preload = os.getenv("LD_PRELOAD")
  local connect = ("target remote | %s%s examples/gdbserve.lua %s"):format(
    preload and "env LD_PRELOAD=" .. preload .. " " or "", process.lua, arguments(path))
  for _, gdb_command in ipairs {before, connect, ...} do
    command[#command + 1] = "-ex"
    command[#command + 1] = gdb_command
  end
  local _, output, errors = process.run(command, {env = {QVM_BUILD = os.getenv("QVM_BUILD")}})
  return output, errors
end

return rsp
