--- Backtraces of vCPUs.
-- @classmod qvm.backtrace

local line = require "qvm.util.text"

local Frame = {__name = "Frame"}

--- A frame of a vCPU's backtrace.
-- @table Frame
-- @tfield integer index from 0, the innermost
-- @tfield integer address program counter, or return address
-- @tfield "registers"|"frame"|"exception"|"scan" how it was found: in the vCPU's registers; by
-- a frame pointer; in the registers that an interrupt or exception saved; by searching the
-- stack, or in the link register. A frame found by `scan` may be left over from a call that
-- returned long ago
-- @tfield ?string symbol as returned by `Dump:symbol`; for a return address, the symbol of
-- the calling function
-- @usage for frame in cpu:backtrace() do print(frame) end

local marks = {scan = "? ", exception = "! "}

Frame.__tostring = line.tostring("frame", function(frame)
  return ("#%-3d0x%016x %s%s"):format(frame.index, frame.address, marks[frame.how] or "",
    frame.symbol and line.cut(frame.symbol) or "(no symbol)")
end)

-- The symbols of a dump, for the unwinder: which one contains an address, and whether an
-- address is in init code, which the kernel frees.
local function names_of(dump)
  local symbols = require "qvm.guest".symbols_in_use(dump)
  local first = symbols and symbols:address "_sinittext"
  local last = symbols and symbols:address "_einittext"
  local names = {}
  function names.at(address)
    if symbols then
      return symbols:at(address)
    end
  end
  function names.is_init(address)
    return first ~= nil and last ~= nil and math.ult(first, address)
      and not math.ult(last, address)
  end
  return names
end

-- Iterates over the frames of a vCPU; nil, message, code.
return function(dump, cpu, space)
  local unwind = require "qvm.guest.unwind"[dump.machine]
  if not unwind then
    return nil, ("%s: no backtraces of %s"):format(dump.path, dump.machine), "unsupported"
  end
  local message, code
  if not space then
    space, message, code = dump:space(cpu)
    if not space then
      return nil, message, code
    end
  end
  local names = names_of(dump)
  local found = unwind(space, cpu, names)
  local index = 0
  return function()
    local frame = found[index + 1]
    if frame then
      -- After a call that is the last instruction of its function another function begins.
      local back = (frame.how == "registers" or frame.how == "exception") and 0 or 1
      local name, offset, size = names.at(frame.address - back)
      frame.symbol = name and ("%s+0x%x/0x%x"):format(name, offset + back, size)
      frame.index = index
      index = index + 1
      return setmetatable(frame, Frame)
    end
  end
end
