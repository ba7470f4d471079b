--- Backtraces.
-- @classmod qvm.backtrace

local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"

local Frame = {__name = "Frame"}

--- A frame of a backtrace.
-- @table Frame
-- @tfield integer index from 0, the innermost
-- @tfield integer address program counter, or return address
-- @tfield "registers"|"orc"|"frame"|"exception"|"scan" how it was found: in the registers that
-- the backtrace starts with; by the kernel's ORC unwind tables; by a frame pointer, or in the
-- link register of a function without a frame; in the registers that an interrupt or exception
-- saved; by searching the stack, or in a link register that may be out of date. A frame found by
-- `scan` may be left over from a call that returned long ago
-- @tfield ?string symbol as returned by `Dump:symbol`; for a return address, the symbol of
-- the calling function
-- @tfield ?string module that contains the symbol; nil if it is the kernel's, or not known
-- @usage for frame in cpu:backtrace() do print(frame) end

local marks = {scan = "? ", exception = "! "}

Frame.__tostring = line.tostring("frame", function(frame)
  return ("#%-3d0x%016x %s%s"):format(frame.index, frame.address, marks[frame.how] or "",
    frame.symbol and line.cut(frame.symbol) or "(no symbol)")
end)

local backtrace = {}

-- Are these hows of addresses that do not follow a call?
local interrupted = {registers = true, exception = true}

-- Iterates over Frames. Also returns which memory the dump lacks, if that hides frames.
function backtrace.iterator(frames)
  if frames.missing then
    return iterators.values(frames), frames.missing
  end
  return iterators.values(frames)
end

-- Makes Frames of an array of {address, how}. names.at(address): the symbol that contains it.
-- is_return: the address of the first one follows a call.
function backtrace.frames(found, names, is_return)
  for i, frame in ipairs(found) do
    -- After a call that is the last instruction of its function another function begins.
    local back = (not interrupted[frame.how] or i == 1 and is_return) and 1 or 0
    local name, offset, size, module = names.at(frame.address - back)
    frame.symbol = line.symbol(name, offset and offset + back, size, module)
    frame.index, frame.module = i - 1, module
    setmetatable(frame, Frame)
  end
  return found
end

return backtrace
