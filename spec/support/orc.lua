-- Writes ORC unwind tables of x86_64 kernels, as arch/x86/include/asm/orc_types.h of Linux
-- describes them in its versions.

local orc = {}

-- Numbers of the bases, to 6.x and from 7.x on.
local old = {none = 0, prev = 1, dx = 2, di = 3, bp = 4, sp = 5, r10 = 6, r13 = 7,
  bp_indirect = 8, sp_indirect = 9, ax = 10}
local new = {none = 0, ax = 1, dx = 2, sp = 3, bp = 4, di = 5, r10 = 6, r13 = 7, prev = 8,
  sp_indirect = 9, bp_indirect = 10}

-- The last 16 bits of an entry: {sp=, bp=, type=, signal=}, by kernel version.
local forms = {}

local function bases(e, numbers)
  return (numbers[e.sp or "none"] or e.sp) | (numbers[e.bp or "none"] or e.bp) << 4
end

local first_types = {undefined = 0, ["end"] = 0, call = 0, regs = 1, partial = 2}

forms["4.14"] = function(e)
  return bases(e, old) | first_types[e.type] << 8 | (e.type == "end" and 1 or 0) << 10
end

forms["6.3"] = function(e)
  return bases(e, old) | first_types[e.type] << 8 | (e.signal and 1 or 0) << 10
    | (e.type == "end" and 1 or 0) << 11
end

local types = {undefined = 0, ["end"] = 1, call = 2, regs = 3, partial = 4}

forms["6.4"] = function(e)
  return bases(e, old) | (types[e.type] or e.type) << 8 | (e.signal and 1 or 0) << 11
end

forms["7.2"] = function(e)
  return bases(e, new) | (types[e.type] or e.type) << 8 | (e.signal and 1 or 0) << 11
end

orc.versions = {"4.14", "6.3", "6.4", "7.2"}

-- The tables at two addresses: entries {address=, sp=, sp_offset=, bp=, bp_offset=, type=,
-- signal=} in the order they are in. Returns the bytes of .orc_unwind_ip and of .orc_unwind.
function orc.tables(version, at, entries)
  local ips, list = {}, {}
  for i, e in ipairs(entries) do
    ips[i] = string.pack("<i4", e.address - (at + 4 * (i - 1)))
    list[i] = string.pack("<i2i2I2", e.sp_offset or 0, e.bp_offset or 0, forms[version](e))
  end
  return table.concat(ips), table.concat(list)
end

return orc
