-- What a client has sent and was not read yet.

local packet = require "qvm.gdb.packet"

local Input = {}
Input.__index = Input

local FULL = 1 << 16 -- bytes; gdb sends one packet, and waits for the reply

function Input.new()
  return setmetatable({bytes = "", at = 1}, Input)
end

function Input:add(bytes)
  self.bytes, self.at = self.bytes:sub(self.at) .. bytes, 1
end

function Input:is_empty()
  return self.at > #self.bytes
end

function Input:is_full()
  return #self.bytes - self.at >= FULL
end

-- The next byte; nil where there is none.
function Input:next()
  if not self:is_empty() then
    self.at = self.at + 1
    return self.bytes:sub(self.at - 1, self.at - 1)
  end
end

-- Removes Ctrl-C where it comes next, acknowledgements aside, and tells whether it did.
function Input:take_interrupt()
  local last = self.bytes:match("^[+-]*" .. packet.INTERRUPT .. "()", self.at)
  self.at = last or self.at
  return last ~= nil
end

return Input
