-- Memory as a thread sees it: by virtual address in its address space, or by physical address
-- if the user asked for that, or if the address space is unknown.

local errors = require "qvm.util.errors"

local Memory = {}
Memory.__index = Memory

function Memory.of(dump)
  return setmetatable({dump = dump, is_physical = false}, Memory)
end

-- Returns the memory that the addresses of a thread refer to: its space, or the dump.
function Memory:of_thread(thread)
  return not self.is_physical and thread:space() or self.dump
end

-- Returns the bytes from an address on: as many of n as there are before the first gap. nil if
-- there are none. Their number is found by bisection.
function Memory:read(thread, address, n)
  local memory = self:of_thread(thread)
  local bytes = memory:read(address, n)
  if bytes then
    return bytes
  end
  local there, missing = 0, n
  while missing - there > 1 do
    local middle = there + (missing - there) // 2
    local found = memory:read(address, middle)
    if found then
      bytes, there = found, middle
    else
      missing = middle
    end
  end
  return bytes
end

-- Returns the first address of a pattern among `length` bytes (unsigned) from an address on; nil
-- if there is none; nil and a message if the search failed.
function Memory:find(thread, address, length, pattern)
  if length == 0 then
    return nil
  end
  local memory = self:of_thread(thread)
  local last = address + (length - 1)
  if math.ult(last, address) then
    last = -1
  end
  local options = {from = address, to = last + 1 ~= 0 and last + 1 or nil}
  local ok, found = errors.try(function() return memory:find(pattern, options)() end)
  if ok then
    return found
  end
  return nil, found
end

return Memory
