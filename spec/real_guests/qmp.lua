-- A client of the QEMU machine protocol, over the two FIFOs of `-qmp pipe:PATH` or a socket. It
-- waits for answers without a limit, so QEMU itself must have one.

local cjson = require "cjson"
local unix = require "socket.unix"

local qmp = {}
qmp.__index = qmp

-- Returns the next message; raises an error when QEMU has ended.
function qmp:read()
  local line = self.output:read("l")
  if not line then
    error("QEMU ended before it answered", 0)
  end
  return cjson.decode(line)
end

local function greet(input, output)
  local self = setmetatable({input = input, output = output}, qmp)
  self.version = self:read().QMP.version.qemu
  self:call("qmp_capabilities")
  return self
end

-- Connects to a running QEMU; without one, opening a FIFO would block forever.
function qmp.open(path)
  return greet(assert(io.open(path .. ".in", "w")), assert(io.open(path .. ".out", "r")))
end

-- Connects to the socket of `-qmp unix:PATH`.
function qmp.connect(path)
  local socket = assert(unix())
  assert(socket:connect(path))
  local stream = {
    write = function(_, ...) return socket:send(table.concat {...}) end,
    flush = function() end,
    read = function() return (socket:receive("*l")) end,
    close = function() return socket:close() end,
  }
  return greet(stream, stream)
end

-- Runs a command and returns its result. Raises errors that QEMU reports.
function qmp:call(command, arguments)
  self.input:write(cjson.encode {execute = command, arguments = arguments}, "\n")
  self.input:flush()
  while true do
    local answer = self:read()
    if answer.error then
      error(("QEMU: %s: %s"):format(command, answer.error.desc), 0)
    elseif answer["return"] then
      return answer["return"]
    end -- otherwise an event
  end
end

-- The human monitor's answer, with Unix newlines; cpu: an index.
function qmp:monitor(command, cpu)
  local text = self:call("human-monitor-command", {["command-line"] = command,
    ["cpu-index"] = cpu})
  return (text:gsub("\r\n", "\n"))
end

-- Ends QEMU, which may exit before it answers.
function qmp:quit()
  pcall(self.call, self, "quit")
  self.input:close()
  self.output:close()
end

return qmp
