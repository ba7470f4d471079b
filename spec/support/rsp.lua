-- A client of the GDB remote protocol, apart from the code that serves it: requests go in
-- through a pipe, all at once; what comes out is taken apart and checked.

local files = require "support.files"
local process = require "support.process"

local rsp = {}

local lua = os.getenv("LUA") or "lua5.4"

-- What a child of the specs needs to find the library that is tested.
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

-- Serves some bytes of a client: what comes back, the errors, the exit status.
function rsp.serve(path, input)
  local file = files.write("client", input)
  local status, output, errors = process.run({"sh", "-c", ("%s examples/gdbserve.lua %s <%s")
    :format(lua, process.quote(path), process.quote(file))}, {env = rsp.env()})
  return output, errors, status
end

-- The texts of the packets in what came back; raises where anything else is in it.
function rsp.texts(output)
  local texts, at = {}, 1
  while at <= #output do
    local escaped, sum, behind = output:match("^%$([^$#]*)#(%x%x)()", at)
    assert(escaped, "no packet: " .. output:sub(at, at + 40))
    assert(sum == rsp.sum(escaped), "wrong checksum: " .. escaped)
    texts[#texts + 1] = escaped:gsub("}(.)", function(c)
      return string.char(c:byte() ~ 0x20)
    end)
    at = behind
  end
  return texts
end

-- The answers to some requests, one text each, without acknowledgements.
function rsp.ask(path, ...)
  local packets = {rsp.packet "QStartNoAckMode", "+"}
  for i, request in ipairs {...} do
    packets[i + 2] = rsp.packet(request)
  end
  local output, errors, status = rsp.serve(path, table.concat(packets))
  assert(status == 0, errors)
  local begin, rest = output:match("^(%+%$OK#9a)(.*)$")
  assert(begin, output)
  return table.unpack(rsp.texts(rest))
end

-- What "monitor" prints.
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

-- Runs commands of gdb on a dump; what it prints, without its warnings.
function rsp.gdb(path, before, ...)
  local command = {"gdb-multiarch", "-nx", "-batch", "-ex", "set pagination off", "-ex",
    "set remotetimeout 60"} -- this machine may have other work
  local preload = os.getenv("LD_PRELOAD")
  local connect = ("target remote | %s%s examples/gdbserve.lua '%s'"):format(
    preload and "env LD_PRELOAD=" .. preload .. " " or "", lua, path)
  for _, one in ipairs {before, connect, ...} do
    command[#command + 1] = "-ex"
    command[#command + 1] = one
  end
  local _, output, errors = process.run(command, {env = {QVM_BUILD = os.getenv("QVM_BUILD")}})
  return output, errors
end

return rsp
