-- How debuggers find the frames of a kernel's functions: DWARF call frame information, as
-- .debug_frame has it (DWARF 4, 6.4 and 7.24; the numbers of registers are those of the ABI, "DWARF
-- for the Arm 64-bit Architecture", 4.1).
--
-- A kernel of aarch64 keeps frame pointers: one rule holds in all of its code, except in the first
-- and last instructions of a function.

local call_frames = {}

local CIE_ID, VERSION = 0xffffffff, 1
local DEF_CFA, OFFSET, NOP = 0x0c, 0x80, "\0" -- DW_CFA_*; OFFSET has the register in its low bits
local WORD = 8
local X29, X30 = 29, 30

-- A frame record has the caller's x29 and the return address, and x29 points to it.
local RECORD = string.pack("BBBBBBB", DEF_CFA, X29, 2 * WORD, OFFSET | X29, 2, OFFSET | X30, 1)

-- An entry: its length and its bytes, padded to whole words.
local function entry(order, bytes)
  bytes = bytes .. NOP:rep(-(#bytes + 4) % WORD)
  return string.pack(order .. "I4", #bytes) .. bytes
end

-- The information for code: an array of {first address, end}. Empty for machines other than
-- aarch64.
function call_frames.of(machine, order, extents)
  if machine ~= "aarch64" then
    return ""
  end
  -- Version, no augmentation, factors of code and data (-8, as LEB128), the return address.
  local parts = {entry(order, string.pack(order .. "I4BzBBB", CIE_ID, VERSION, "", 1, 0x78, X30)
    .. RECORD)}
  for _, extent in ipairs(extents) do
    parts[#parts + 1] = entry(order, string.pack(order .. "I4i8i8", 0, extent[1],
      extent[2] - extent[1]))
  end
  return table.concat(parts)
end

return call_frames
