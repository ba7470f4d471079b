-- What goes wrong on the way: said once, kept for the report.

local terminal = require "qvm.diag.terminal"
local text = require "qvm.diag.text"

local Problems = {}
Problems.__index = Problems

-- put, if given, takes the messages in place of the standard error.
function Problems.new(name, put)
  return setmetatable({name = name, put = put, list = {}, failed = false, _said = {}}, Problems)
end

-- Says it, and no more.
function Problems:complain(message)
  message = text.harmless(message)
  if self.put then
    return self.put(message)
  end
  self._paint = self._paint or terminal.painter(2)
  io.stderr:write(self._paint(self.name .. ":", "bad"), " ", message, "\n")
end

-- A step that failed: said once, and the other steps go on.
function Problems:add(message)
  self.failed = true
  self:warn(message)
end

-- What is odd or left out, though no step failed.
function Problems:warn(message)
  if not self._said[message] then
    self._said[message] = true
    self.list[#self.list + 1] = message
    self:complain(message)
  end
end

return Problems
