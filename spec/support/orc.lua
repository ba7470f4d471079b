-- Writes ORC unwind tables of x86_64 kernels, as arch/x86/include/asm/orc_types.h of Linux
-- describes them in its versions; and dumps of a small kernel that has them.

local pagetables = require "support.pagetables"
local writer = require "support.dumpwriter"

local x86 = pagetables.x86

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

-- A kernel --------------------------------------------------------------------------------

local BASE = 0xffffffff81000000 -- code: functions of 0x100 bytes
local IPS, ENTRIES = BASE + 0x20000, BASE + 0x28000

orc.BASE, orc.IRQ, orc.TASK = BASE, 0xffffc90000001000, 0xffffc90000100000 -- code, stacks
orc.PROGRAM, orc.USER_STACK = 0x400000, 0x7fff0000

local functions = {"inner", "middle", "entry", "victim", "outer", "start", "odd", "last"}
orc.at = {} -- addresses of the functions
for i, name in ipairs(functions) do
  orc.at[name] = BASE + 0x100 * (i - 1)
end

-- A return address in a function.
function orc.into(name)
  return orc.at[name] + 0x15
end

local function map_text(count, skip, names)
  local lines = {}
  for _, name in ipairs(functions) do
    lines[#lines + 1] = ("%x T %s"):format(orc.at[name], names and names[name] or name)
  end
  for name, address in pairs {code_end = BASE + 0x1000, __start_orc_unwind_ip = IPS,
    __stop_orc_unwind_ip = IPS + 4 * count, __start_orc_unwind = ENTRIES,
    __stop_orc_unwind = ENTRIES + 6 * count} do
    if not skip then
      lines[#lines + 1] = ("%x D %s"):format(address, name)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

-- The entries of the functions, by name; plain calls, as most of a kernel's are; and some of
-- saved registers.
function orc.entries_of(by_name)
  local entries = {}
  for _, name in ipairs(functions) do
    local e = {address = orc.at[name]}
    for key, value in pairs(by_name[name] or {sp = "sp", sp_offset = 8, type = "call"}) do
      e[key] = value
    end
    entries[#entries + 1] = e
  end
  for i = 0, 39 do
    entries[#entries + 1] = {address = BASE + 0x900 + 16 * i, sp = "sp", sp_offset = 8,
      type = "call"}
  end
  for i = 0, 3 do
    entries[#entries + 1] = {address = BASE + 0xc00 + 16 * i, sp = "sp", sp_offset = 0,
      type = "regs", signal = true}
  end
  entries[#entries + 1] = {address = BASE + 0x1000, type = "undefined"}
  return entries
end

-- A dump of one vCPU, and the text of its System.map. options: registers; words: by address;
-- by_name: entries of functions, or entries: all of them; version (default "6.4"); count: of
-- entries, as the symbols say; no_symbols: of the tables; names: of functions, by those here.
function orc.image(options)
  local t = pagetables.x86_64(0x100000)
  local pages, physical = {}, 0x200000
  local function map(virtual, size, flags)
    pages[#pages + 1] = {virtual = virtual, physical = physical, size = size}
    for offset = 0, size - 1, 4096 do
      t:map(virtual + offset, physical + offset, 0, flags)
    end
    physical = physical + size
  end
  map(BASE, 0x1000, 0)
  map(IPS, 0x1000, x86.nx)
  map(ENTRIES, 0x1000, x86.nx)
  map(orc.IRQ, 0x4000, x86.write | x86.nx)
  map(orc.TASK, 0x4000, x86.write | x86.nx)
  map(orc.PROGRAM, 0x1000, x86.user)
  map(orc.USER_STACK, 0x1000, x86.write | x86.nx | x86.user)
  local words, entries = options.words, options.entries or orc.entries_of(options.by_name)
  words[IPS], words[ENTRIES] = orc.tables(options.version or "6.4", IPS, entries)
  local segments = t:segments()
  for _, page in ipairs(pages) do
    segments[#segments + 1] = {paddr = page.physical,
      bytes = writer.filled(page.size, words, page.virtual)}
  end
  segments[#segments + 1] = {type = 4, bytes = writer.note {cpus = {{pgtbl = t.root,
    registers = writer.x86_64(options.registers)}}}}
  return writer.file {machine = "x86_64", segments = segments},
    map_text(options.count or #entries, options.no_symbols, options.names)
end

return orc
