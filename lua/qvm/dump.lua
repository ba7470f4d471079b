--- An opened guest dump: physical memory, vCPU registers, dump text.
--
-- Read as QNX documents its dumps (the Hypervisor User's Guide and the public
-- header `sys/kdump.h`); not yet seen with a dump from a QNX system. Nothing is
-- read that is not asked for. After `close`, every method returns nil, message,
-- `"gone"`.
--
-- Fields:
--
-- - `path`: the file's path
-- - `format`: `"qnx"`; `"qemu"`, what QEMU's dump-guest-memory writes for
--   x86_64 and aarch64; or `"elf"`: any other ELF core, memory and notes
-- - `machine`: `"aarch64"`, `"x86_64"`, `"x86"`, `"arm"`, or `"machine N"`
--   with the ELF number
-- - `bits`: 32 or 64
-- - `byteorder`: `"little"` or `"big"`
-- - `size`: bytes of the file
-- - `complete`: whether every segment is inside the file
-- - `warnings`: array of texts, what is odd about the dump though it can be read
-- @classmod qvm.dump

local check = require "qvm.check"
local core = require "qvm.core"
local passes = require "qvm.passes"

--- @type Dump
local Dump = {}
Dump.__index = Dump

local open_dump = core.open
local methods = core.dump

function Dump.open(path, partial, progress)
  local dump, message, code = open_dump(path, partial, progress)
  if not dump then
    return nil, message, code
  end
  return setmetatable(dump, Dump)
end

--- Reads physical memory.
-- @function Dump:read
-- @tparam integer address
-- @tparam integer n bytes; raises where it is negative
-- @treturn[1] string n bytes
-- @return[2] nil, message, code: `unmapped` if any byte is not in the dump (the
-- message has the first address that is not), `truncated` if the file was cut
-- while it is open
Dump.read = methods.read

--- Reads one unsigned byte of physical memory. There are also `u16` `u32` `u64`
-- and, signed, `i8` `i16` `i32` `i64`, all in the dump's byte order.
-- @function Dump:u8
-- @tparam integer address need not be aligned
-- @treturn[1] integer value; `u64` and `i64` are the same 64-bit pattern
-- @return[2] nil, message, code: as `read`
Dump.u8, Dump.u16, Dump.u32, Dump.u64 =
  methods.u8, methods.u16, methods.u32, methods.u64
Dump.i8, Dump.i16, Dump.i32, Dump.i64 =
  methods.i8, methods.i16, methods.i32, methods.i64

--- Reads the string that ends before the next NUL byte.
-- @function Dump:cstring
-- @tparam integer address
-- @tparam[opt=4096] integer max at most so many bytes, if no NUL comes before
-- @treturn[1] string the bytes
-- @return[2] nil, message, code: as `read`; memory that ends before a NUL and
-- before max is `unmapped`
Dump.cstring = methods.cstring

--- Reads many values of physical memory at once, for loops that would otherwise
-- be bound by calls.
-- @tparam integer address
-- @tparam string type `"u8"` `"u16"` `"u32"` `"u64"` `"i8"` `"i16"` `"i32"`
-- `"i64"`
-- @tparam integer count
-- @treturn[1] {integer,...} values
-- @return[2] nil, message, code: as `read`
-- @usage for i, entry in ipairs(dump:array(table_address, "u64", 512)) do
function Dump:array(address, type, count)
  check.integer(address, 1, "array")
  check.string(type, 2, "array")
  check.integer(count, 3, "array")
  return methods.array(self, address, type, count)
end

--- Every occurrence of some bytes in physical memory, overlapping ones too, and
-- across segments that adjoin.
--
-- Holes of sparse files cost nothing. Memory that an incomplete dump has lost is
-- passed over. A failure on the way, such as a file that is cut meanwhile,
-- raises. What is long can be interrupted with Ctrl-C at the prompt.
-- @function Dump:find
-- @tparam string bytes up to 4 MiB
-- @tparam ?table options
--
-- - `from`: address to begin at
-- - `to`: address behind the last byte of the last match (the end of memory)
-- - `align`: only addresses that are multiples of it
-- - `progress`: a function, called now and then with the bytes of memory passed
--   and the bytes of all of it
-- @treturn[1] function iterator over addresses, ascending
-- @return[2] nil, message, `"gone"`
-- @usage for address in dump:find("Linux version ") do
Dump.find = passes.find

--- Every occurrence of several byte strings, in one pass.
-- @function Dump:find_any
-- @tparam {string,...} patterns up to 4 MiB together
-- @tparam ?table options as of `find`
-- @treturn[1] function iterator over address, index of the pattern, in order of
-- the addresses
-- @return[2] nil, message, `"gone"`
Dump.find_any = passes.find_any

--- The printable strings in physical memory: ASCII from blank to tilde, and
-- tabs. One of more than 65536 bytes comes in pieces.
-- @function Dump:strings
-- @tparam[opt=4] integer min bytes of the shortest that counts
-- @tparam ?table options `from`, `to`, `progress` as of `find`
-- @treturn[1] function iterator over address, text
-- @return[2] nil, message, `"gone"`
Dump.strings = passes.strings

--- What differs between the memory of this dump and of another one.
-- @function Dump:diff
-- @tparam Dump other
-- @tparam ?table options
--
-- - `granularity`: ranges are extended to multiples of it (a power of two up to
--   2^30), as far as both dumps have memory; 1: exact
-- - `from`, `to`, `progress` as of `find`
-- @treturn[1] function iterator over start (address), size (bytes), kind, in
-- order of the addresses: `"changed"`, or `"here"` or `"there"` for memory that
-- is only in this dump or only in the other
-- @return[2] nil, message, `"gone"`
-- @usage for start, size, kind in before:diff(after, {granularity = 4096}) do
Dump.diff = passes.diff

--- The text that the dump carries, oldest first: what `qvm_report()` added.
-- @function Dump:log
-- @treturn[1] string text, or nil alone where the dump has none
-- @return[2] nil, message, code: it could not be read
Dump.log = methods.log

--- Closes the dump. May be called more than once.
-- @function Dump:close
Dump.close = methods.close
Dump.__close = methods.close

local function closed()
  return nil, "the dump is closed", "gone"
end

-- An iterator that calls step until it gives nothing; a failure on the way
-- cannot be returned from inside a loop, and raises.
local function iterate(dump, step)
  if not methods.is_open(dump) then
    return closed()
  end
  return function()
    local value, message, code = step()
    if code and value == nil then
      error(message, 2)
    end
    return value
  end
end

local segment_types = {
  [0] = "NULL", "LOAD", "DYNAMIC", "INTERP", "NOTE", "SHLIB", "PHDR", "TLS",
}

local Segment = {}

function Segment:__tostring()
  return ("segment %d: %s 0x%016x memsz 0x%x filesz 0x%x at 0x%x"):format(
    self.index, segment_types[self.type] or ("type 0x%x"):format(self.type),
    self.paddr, self.memsz, self.filesz, self.offset)
end

--- The segments (program headers), in the file's order.
--
-- Each is a table of integers as in the file: `index` (from 0), `type` (1 is
-- PT_LOAD, 4 PT_NOTE), `paddr` and `vaddr` (addresses), `offset` `filesz`
-- `memsz` (bytes), `flags`.
-- @treturn[1] function iterator
-- @return[2] nil, message, `"gone"`
function Dump:segments()
  local index = -1
  return iterate(self, function()
    index = index + 1
    local segment, message, code = methods.segment(self, index)
    return segment and setmetatable(segment, Segment), message, code
  end)
end

--- The physical memory in the dump: merged, ascending ranges.
-- @treturn[1] function iterator over start (address), size (bytes)
-- @return[2] nil, message, `"gone"`
function Dump:ranges()
  if not methods.is_open(self) then
    return closed()
  end
  local piece = 0
  return function()
    if not piece then
      return nil
    end
    local start, size, next_piece = methods.range(self, piece)
    if start == nil and size then
      error(size, 2)
    end
    piece = next_piece
    return start, size
  end
end

-- A part of the file whose bytes are read when they are asked for. A metatable
-- for each dump: it must not be closed while a part of it is in use.
local function part_type(dump, to_text)
  return {
    __index = {
      read = function(part)
        return methods.bytes(dump, part.offset, part.filesz)
      end,
    },
    __tostring = to_text,
  }
end

local function section_text(section)
  return ("section %d %s: type %d, %d bytes at offset %d"):format(section.index,
    section.name, section.type, section.filesz, section.offset)
end

--- The sections, in the file's order. Many dumps have none.
--
-- Each is a table: `index` (from 0), `name`, `type`, `flags`, `addr`, `offset`
-- (in the file), `size` (bytes in memory), `filesz` (bytes in the file); and
-- `section:read()` gives its bytes (`too_large` above 64 MiB): QNX tools keep
-- text in sections.
-- @treturn[1] function iterator
-- @return[2] nil, message, code
function Dump:sections()
  local count, message, code = methods.section_count(self)
  if not count then
    return nil, message, code
  end
  local meta, index = part_type(self, section_text), -1
  return iterate(self, function()
    index = index + 1
    if index >= count then
      return nil
    end
    local section, why, what = methods.section(self, index)
    return section and setmetatable(section, meta), why, what
  end)
end

local function note_text(note)
  return ("note %q type %d: %d bytes"):format(note.name, note.type, note.filesz)
end

--- The ELF notes, in the file's order. The note of a QNX dump is none of them:
-- it is read as vCPUs and text.
--
-- Each is a table: `segment` (index), `name` (empty where it has none), `type`
-- (which means something only together with the name), `offset` (of its data in
-- the file), `filesz` (bytes of data); and `note:read()` gives its data
-- (`too_large` above 64 MiB).
-- @treturn[1] function iterator
-- @return[2] nil, message, `"gone"`
function Dump:notes()
  local meta, segment, at = part_type(self, note_text), 0, 0
  return iterate(self, function()
    local note, next_segment, next_at = methods.note(self, segment, at)
    if not note then
      return nil, next_segment, next_at -- a message and its code, or the end
    end
    segment, at = next_segment, next_at
    note.name = note.name:match("^(.*[^%z])") or ""
    return setmetatable(note, meta)
  end)
end

local Vcpu = {}
Vcpu.__index = Vcpu

-- The order of the registers of a vCPU that a script holds: names, extra names.
local orders = setmetatable({}, {__mode = "k"})

local function in_order(names, values)
  local index = 0
  return function()
    index = index + 1
    local name = names[index]
    if name then
      return name, values[name]
    end
  end
end

--- A vCPU's registers in the architecture's order.
-- @function vcpu:registers
-- @treturn function iterator over name, value
function Vcpu:registers()
  return in_order(orders[self].names, self.regs)
end

--- A vCPU's extra registers in the dump's order.
-- @function vcpu:extra_registers
-- @treturn function iterator over name, value
function Vcpu:extra_registers()
  return in_order(orders[self].extra_names, self.extra)
end

function Vcpu:__tostring()
  return ("vCPU %d: pc 0x%016x sp 0x%016x%s"):format(self.index, self.pc,
    self.sp, self.process ~= "" and " " .. self.process or "")
end

--- One vCPU.
--
-- A table: `index` (from 0), `cpunum` and `process` as the dump has them,
-- `pgtbl` (physical address of its page table, 0 if not known), `pc`, `sp`,
-- `regs` (name to integer; ordered with `cpu:registers()`), `extra` (name to
-- integer; ordered with `cpu:extra_registers()`), `extra_bytes` (the bytes that
-- those are in).
--
-- `extra` has the extra registers of SDP 8 dumps; it is empty where they are
-- not 8 bytes each. In a QEMU dump of x86_64 it has `cr0` `cr2` `cr3` `cr4`,
-- `kernel_gs_base` and, for each of `cs` `ds` `es` `fs` `gs` `ss` `ldt` `tr`
-- `gdt` `idt`, its `_selector` `_limit` `_flags` `_base`; of aarch64, `fpsr` and
-- `fpcr`.
-- @tparam integer index from 0
-- @treturn[1] table the vCPU, nil alone where there is none of that index
-- @return[2] nil, message, code
function Dump:vcpu(index)
  check.integer(index, 1, "vcpu")
  local vcpu, names, extra_names = methods.vcpu(self, index)
  if not vcpu then
    return nil, names, extra_names -- a message and its code, or nothing
  end
  orders[vcpu] = {names = names, extra_names = extra_names}
  return setmetatable(vcpu, Vcpu)
end

-- The names of one vCPU's registers, then those of the other one's that it has
-- not.
local function names_of_both(mine, theirs)
  local names, known = {}, {}
  for _, cpu in ipairs {mine or theirs, theirs or mine} do
    for _, iterator in ipairs {cpu.registers, cpu.extra_registers} do
      for name in iterator(cpu) do
        if not known[name] then
          known[name] = true
          names[#names + 1] = name
        end
      end
    end
  end
  return names
end

-- The vCPU of an index in each dump, nil where there is none. A failure cannot be
-- returned from inside a loop, and raises.
local function both_vcpus(dump, other, index)
  local mine, message, code = dump:vcpu(index)
  local theirs
  if not code then
    theirs, message, code = other:vcpu(index)
  end
  if code then
    error(message, 3)
  end
  return mine, theirs
end

local function value_of(cpu, name)
  return cpu and (cpu.regs[name] or cpu.extra[name])
end

--- What differs between the vCPU registers of this dump and of another one, the
-- extra ones too. Of a vCPU or a register that only one of them has, all differ.
-- @tparam Dump other
-- @treturn[1] function iterator over index of the vCPU, name, value here, value
-- there; nil for a value that is not there
-- @return[2] nil, message, code
-- @usage for cpu, name, here, there in before:diff_registers(after) do
function Dump:diff_registers(other)
  if getmetatable(other) ~= Dump then
    error(("bad argument #1 to 'diff_registers' (Dump expected, got %s)")
      :format(type(other)), 2)
  end
  if not methods.is_open(self) or not methods.is_open(other) then
    return closed()
  end
  local count = math.max(methods.vcpu_count(self), methods.vcpu_count(other))
  local index, at, names, mine, theirs = -1, 0, {}, nil, nil
  return function()
    while true do
      at = at + 1
      if at > #names then
        index, at = index + 1, 0
        if index >= count then
          return nil
        end
        mine, theirs = both_vcpus(self, other, index)
        names = names_of_both(mine, theirs)
      else
        local here, there = value_of(mine, names[at]), value_of(theirs, names[at])
        if here ~= there then
          return index, names[at], here, there
        end
      end
    end
  end
end

--- All vCPUs, see `vcpu`.
-- @treturn[1] function iterator
-- @return[2] nil, message, `"gone"`
function Dump:vcpus()
  local index = -1
  return iterate(self, function()
    index = index + 1
    return self:vcpu(index)
  end)
end

--- What the Linux kernel in the dump tells of itself: from the VMCOREINFO note,
-- else found in memory, where the whole of it is searched once.
--
-- A table: `text`, `release`, `page_size` (bytes), `from` (where it was found), and
-- by name `symbols` (addresses), `sizes`, `offsets`, `lengths`, `numbers`
-- (integers), `values` (everything else, as text).
-- @tparam[opt] string text takes this for it from now on
-- @treturn[1] table
-- @return[2] nil, message, code: `not_found`
-- @usage qvm.hex(dump:vmcoreinfo().symbols.swapper_pg_dir)
function Dump:vmcoreinfo(text)
  return require "qvm.guest".vmcoreinfo(self, text)
end

--- The address space in which a vCPU was running, or one by hand.
--
-- Of a vCPU, the page tables are taken from its control registers (`cr3` and `cr4`;
-- `ttbr0`, `ttbr1` and `tcr` of aarch64), else from `pgtbl` of its record, which on
-- aarch64 is taken for the lower half of the addresses, else from VMCOREINFO.
-- @tparam table what a vCPU, or options
--
-- - `root`: physical address of the first page table; of aarch64, for the lower
--   half of the addresses
-- - `kernel_root`: the same for the upper half (aarch64)
-- - `va_bits`: bits of an address that count (48)
-- - `granule`: bytes of a page (4096; aarch64 also 16384, 65536)
-- - `wide`: physical addresses of 52 bits (aarch64; if `va_bits` is above 48)
-- - `kind`: `"x86_64"` `"aarch64"` `"x86"` `"x86 PAE"` (the dump's machine)
-- @tparam ?table options beside a vCPU, what its page table is like where the dump
-- does not tell: `va_bits` `granule` `wide` `kind`
-- @treturn[1] qvm.space.Space
-- @return[2] nil, message, code: `unsupported`: the dump does not tell enough
-- @usage local space = assert(dump:space(dump:vcpu(0)))
-- @usage dump:space {root = 0x41000, va_bits = 39, granule = 4096}
function Dump:space(what, options)
  return require "qvm.guest".space(self, what, options)
end

--- The address space of the Linux kernel in the dump, by VMCOREINFO.
-- @treturn[1] qvm.space.Space
-- @return[2] nil, message, code: `not_found` without VMCOREINFO, `unsupported`
-- @usage dump:kernel_space():cstring(address)
function Dump:kernel_space()
  return require "qvm.guest".kernel_space(self)
end

--- The messages of a Linux guest's kernel log, oldest first; by VMCOREINFO.
-- @treturn[1] function():Message iterator
-- @treturn[1] LogCount counts what is corrupt, and passed over
-- @return[2] nil, message, code: `not_found` without VMCOREINFO, `unsupported` where
-- it tells too little
-- @usage for message in dump:dmesg() do print(message.time, #message.text) end
function Dump:dmesg()
  return require "qvm.guest".dmesg(self)
end

--- What the dump tells of its guest.
-- @treturn[1] Guest what is known
-- @return[2] nil, message, code: as `vcpus`
-- @usage print(dump:guest().release)
function Dump:guest()
  return require "qvm.guest".about(self)
end

--- The symbols of the guest's kernel.
--
-- From a file, or from the table that a Linux kernel keeps of itself (kallsyms), where
-- VMCOREINFO tells of it (6.0 and later). Those of a file are moved by what VMCOREINFO
-- tells (KASLR), if there is one; a file of another kernel is `malformed`. `symbol` and
-- `address` look among them from then on.
-- @tparam[opt] string path a System.map, or an ELF file with a symbol table (a
-- vmlinux, a QNX `.sym`)
-- @treturn[1] qvm.symbols.Symbols the symbols
-- @return[2] nil, message, code: `not_found` `permission` `malformed` `unsupported`
-- @usage symbols = assert(dump:symbols())
-- @usage dump:symbols "System.map"
function Dump:symbols(path)
  return require "qvm.guest".symbols(self, path)
end

--- The symbol that an address belongs to, as text.
-- @tparam integer address virtual
-- @treturn[1] ?string name, bytes into it and its size: `"schedule+0x12/0x80"`; nil
-- alone where it belongs to none
-- @return[2] nil, message, code: there are no symbols, see `symbols`
-- @usage print(dump:symbol(dump:vcpu(0).pc))
function Dump:symbol(address)
  return require "qvm.guest".symbol(self, address)
end

--- The address of a symbol.
-- @tparam string name
-- @treturn[1] integer virtual address; of several of that name, the lowest
-- @return[2] nil, message, code: `not_found`, or as `symbols`
-- @usage print(dump:address "schedule")
function Dump:address(name)
  return require "qvm.guest".address(self, name)
end

local function in_units(bytes)
  for _, unit in ipairs {{1 << 60, "EiB"}, {1 << 50, "PiB"}, {1 << 40, "TiB"}, {1 << 30, "GiB"},
    {1 << 20, "MiB"}, {1 << 10, "KiB"}} do
    if bytes >= unit[1] then
      return ("%.4g %s"):format(bytes / unit[1], unit[2])
    end
  end
  return ("%d bytes"):format(bytes)
end

function Dump:__tostring()
  local name = ("Dump %s: %s %s"):format(self.path, self.format, self.machine)
  if not methods.is_open(self) then
    return name .. ", closed"
  end
  local memory = 0
  for _, size in self:ranges() do
    memory = memory + size
  end
  return ("%s, %d vCPUs, %s of memory%s"):format(name, methods.vcpu_count(self),
    in_units(memory), self.complete and "" or ", incomplete")
end

return Dump
