-- A client of QEMU's machine protocol, over the two FIFOs of `-qmp pipe:PATH`.
-- Answers are waited for without a limit: QEMU itself must have one.

local cjson = require "cjson"

local qmp = {}
qmp.__index = qmp

-- The next message; raises when QEMU has ended.
function qmp:read()
  local line = self.output:read("l")
  if not line then
    error("QEMU ended while it was being asked", 0)
  end
  return cjson.decode(line)
end

-- Connects to a QEMU that runs: with none, opening a FIFO would block for ever.
function qmp.open(path)
  local self = setmetatable({input = assert(io.open(path .. ".in", "w")),
    output = assert(io.open(path .. ".out", "r"))}, qmp)
  self.version = self:read().QMP.version.qemu
  self:call("qmp_capabilities")
  return self
end

-- Runs a command and returns its result. An error that QEMU reports is raised.
function qmp:call(command, arguments)
  self.input:write(cjson.encode {execute = command, arguments = arguments}, "\n")
  self.input:flush()
  while true do
    local answer = self:read()
    if answer.error then
      error(("QEMU: %s: %s"):format(command, answer.error.desc), 0)
    elseif answer["return"] then
      return answer["return"]
    end -- else an event
  end
end

-- What the human monitor answers, with newlines as on Unix; cpu: an index.
function qmp:monitor(command, cpu)
  local text = self:call("human-monitor-command", {["command-line"] = command,
    ["cpu-index"] = cpu})
  return (text:gsub("\r\n", "\n"))
end

-- Ends QEMU, which may be gone before it has answered.
function qmp:quit()
  pcall(self.call, self, "quit")
  self.input:close()
  self.output:close()
end

return qmp
