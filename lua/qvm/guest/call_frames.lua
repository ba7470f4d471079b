-- How debuggers find the frames of a kernel's functions: DWARF call frame information, as
-- .debug_frame has it (DWARF 4, 6.4 and 7.24). Numbers of registers are those of the ABIs: "DWARF
-- for the Arm 64-bit Architecture", 4.1; System V ABI, AMD64 supplement, figure 3.36.
--
-- A kernel of aarch64 keeps frame pointers: one rule holds in all of its code, except in the first
-- and last instructions of a function. One of x86_64 has ORC tables, which say the same as DWARF
-- in another form: they are translated entry by entry.

local core = require "qvm.core"

local call_frames = {}

local CIE_ID, VERSION = 0xffffffff, 1
local WORD = 8
local FACTOR = "\x78" -- of data: -8, as LEB128

-- Instructions: DW_CFA_*. OFFSET, ADVANCE and BREG have a number in their low bits.
local NOP, OFFSET, ADVANCE, ADVANCE_1, ADVANCE_2, ADVANCE_4 = "\0", 0x80, 0x40, 2, 3, 4
local DEF_CFA, DEF_CFA_EXPRESSION, EXPRESSION, UNDEFINED, SAME = 0x0c, 0x0f, 0x10, 0x07, 0x08
-- DW_OP_*
local BREG, DEREF, CONST_4, PLUS = 0x70, 0x06, 0x0d, 0x22

-- A CIE or an FDE: its length and its bytes, padded to whole words.
local function entry(order, bytes)
  bytes = bytes .. NOP:rep(-(#bytes + 4) % WORD)
  return string.pack(order .. "I4", #bytes) .. bytes
end

-- augmentation: "S" for frames that were interrupted: their addresses do not follow a call.
local function cie(order, augmentation, return_register, instructions)
  return entry(order, string.pack(order .. "I4BzB", CIE_ID, VERSION, augmentation, 1) .. FACTOR
    .. string.char(return_register) .. instructions)
end

local function fde(order, cie_at, first, last, instructions)
  return entry(order, string.pack(order .. "I4i8i8", cie_at, first, last - first) .. instructions)
end

-- aarch64 ----------------------------------------------------------------------------------

local X29, X30 = 29, 30

-- A frame record has the caller's x29 and the return address, and x29 points to it.
local RECORD = string.char(DEF_CFA, X29, 2 * WORD, OFFSET | X29, 2, OFFSET | X30, 1)

local function of_records(order, extents)
  local parts = {cie(order, "", X30, RECORD)}
  for _, extent in ipairs(extents) do
    parts[#parts + 1] = fde(order, 0, extent[1], extent[2], "")
  end
  return table.concat(parts)
end

-- x86_64 -----------------------------------------------------------------------------------

local NUMBERS = {rax = 0, rdx = 1, rdi = 5, rbp = 6, rsp = 7, r10 = 10, r13 = 13}
local RBP, RSP, RIP = 6, 7, 16
local ENTRIES_MAX = 1 << 20 -- real kernels have 400000
local CHUNK = 64            -- entries of an FDE: a debugger executes all those before an address
local RULES_MAX = 1 << 12   -- rules that are kept for entries that say the same
local SIZE_MAX = 16 << 20   -- bytes of the information: 4 MiB for real kernels

-- Rules of registers that are saved so many words below the CFA.
local function saved(words)
  local parts = {}
  for register, count in pairs(words) do
    parts[#parts + 1] = string.char(OFFSET | register, count)
  end
  table.sort(parts)
  return table.concat(parts)
end

-- What holds for all entries of a type. The CFA is the end of what is saved there: the return
-- address, struct pt_regs, or what the processor pushes.
local CFA = string.char(DEF_CFA, RSP, WORD)
local TYPES = {
  call = {augmentation = "", size = 0, rules = CFA .. saved {[RIP] = 1}},
  regs = {augmentation = "S", size = 21 * WORD, rules = CFA .. saved {[RIP] = 5, [RSP] = 2,
    [RBP] = 17, [0] = 11, [1] = 9, [2] = 10, [3] = 16, [4] = 8, [5] = 7, [8] = 12, [9] = 13,
    [10] = 14, [11] = 15, [12] = 18, [13] = 19, [14] = 20, [15] = 21}},
  partial = {augmentation = "S", size = 5 * WORD, rules = CFA .. saved {[RIP] = 5, [RSP] = 2}},
  undefined = {augmentation = "", size = 0, rules = CFA .. string.char(UNDEFINED, RIP)},
}
local TYPE_NAMES = {"call", "regs", "partial", "undefined"}

local function sleb(value)
  local bytes = {}
  while value < -64 or value > 63 do
    bytes[#bytes + 1] = string.char(value & 0x7f | 0x80)
    value = value >> 7 | (value < 0 and -1 << 57 or 0)
  end
  return table.concat(bytes) .. string.char(value & 0x7f)
end

-- The expression of an address: a register and an offset; or what is stored at bp + offset, or
-- at sp, + offset. `more` is added. nil if the base is none of these.
local function address_of(base, offset, more)
  local bytes
  if base == "*rbp" then
    bytes = string.char(BREG | RBP) .. sleb(offset) .. string.char(DEREF)
      .. string.pack("<Bi4B", CONST_4, more, PLUS)
  elseif base == "*rsp" then
    bytes = string.char(BREG | RSP) .. sleb(0) .. string.char(DEREF)
      .. string.pack("<Bi4B", CONST_4, offset + more, PLUS)
  elseif NUMBERS[base] then
    bytes = string.char(BREG | NUMBERS[base]) .. sleb(offset + more)
  end
  return bytes and string.char(#bytes) .. bytes
end

-- The instruction for the CFA; nil if the base is unknown.
local function cfa_of(base, offset, more)
  local distance, expression = offset + more, address_of(base, offset, more)
  if NUMBERS[base] and distance >= 0 and distance < 1 << 14 then
    return string.char(DEF_CFA, NUMBERS[base], distance & 0x7f | 0x80, distance >> 7)
  end
  return expression and string.char(DEF_CFA_EXPRESSION) .. expression
end

-- The instructions for an entry, and its type; undefined if its bases are unknown.
local function rules_of(kind, sp, sp_offset, bp, bp_offset)
  local rules = cfa_of(sp, sp_offset, TYPES[kind].size)
  if kind == "undefined" or not rules then
    return "", "undefined"
  end
  if kind ~= "call" then
    return rules, kind
  elseif bp == "previous" and bp_offset < 0 and bp_offset % WORD == 0 and bp_offset >= -1000 then
    return rules .. string.char(OFFSET | RBP, -bp_offset // WORD), kind
  elseif bp == "rbp" then
    return rules .. string.char(EXPRESSION, RBP) .. address_of(bp, bp_offset, 0), kind
  end
  return rules .. string.char(bp == "none" and SAME or UNDEFINED, RBP), kind
end

local function advance(distance)
  return distance < 0x40 and string.char(ADVANCE | distance)
    or distance < 0x100 and string.char(ADVANCE_1, distance)
    or distance < 0x10000 and string.pack("<BI2", ADVANCE_2, distance)
    or string.pack("<BI4", ADVANCE_4, distance)
end

-- Iterates over the entries of the kernel's table: address, rules, type. Ends at one that cannot
-- be read.
local function entries_of(space, orc)
  local index, known, count = -1, {}, 0
  return function()
    index = index + 1
    local at, kind, sp, sp_offset, bp, bp_offset = core.orc_entry(space, orc, index)
    if not at or index >= ENTRIES_MAX then
      return nil
    end
    local key = ("%s %s %d %s %d"):format(kind, sp, sp_offset, bp, bp_offset)
    local rules = known[key]
    if not rules then
      rules = {rules_of(kind, sp, sp_offset, bp, bp_offset)}
      count = count + 1
      if count % RULES_MAX == 0 then
        known = {}
      end
      known[key] = rules
    end
    return at, rules[1], rules[2]
  end
end

-- An FDE is for consecutive entries of one type.
local function of_orc(space, orc)
  local parts, cies, size = {}, {}, 0
  local function add(bytes)
    parts[#parts + 1], size = bytes, size + #bytes
  end
  for _, name in ipairs(TYPE_NAMES) do
    cies[name] = size
    add(cie("<", TYPES[name].augmentation, RIP, TYPES[name].rules))
  end
  local list, first, last, current
  local function finish(stop)
    add(fde("<", cies[current], first, stop, table.concat(list)))
    list = nil
  end
  for at, rules, kind in entries_of(space, orc) do
    local is_after = not last or math.ult(last, at)
    if list and is_after and (kind ~= current or #list >= 2 * CHUNK) then
      finish(at)
    end
    if not list then
      list, first, last, current = {rules}, at, at, kind
    elseif is_after then
      list[#list + 1] = advance(at - last)
      list[#list + 1] = rules
      last = at
    end
    if size > SIZE_MAX then
      break
    end
  end
  if list then
    finish(last)
  end
  return table.concat(parts)
end

-- The information for code: an array of {first address, end}. orc: tables of core.orc, and the
-- space that they are in, or nil. Empty if nothing is known.
function call_frames.of(machine, order, extents, orc, space)
  if machine == "aarch64" then
    return of_records(order, extents)
  end
  return orc and of_orc(space, orc) or ""
end

return call_frames
