--- An opened guest dump: physical memory, vCPU registers, dump text.
--
-- Read as QNX documents its dumps (the Hypervisor User's Guide and the public
-- header `sys/kdump.h`); not yet seen with a dump from a QNX system. Nothing is
-- read that is not asked for. After `close`, every method returns nil, message,
-- `"gone"`.
-- @classmod qvm.dump

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local core = require "qvm.core"
local line = require "qvm.util.text"
local methods_of = require "qvm.util.methods"
local make_scans = require "qvm.scan"

--- @type Dump
local Dump = {__name = "Dump"}

--- What a Dump holds.
-- @table Dump
-- @tfield string path the file's path
-- @tfield "qnx"|"qemu"|"elf" format qemu: what QEMU's dump-guest-memory writes for
-- x86_64 and aarch64; elf: any other ELF core, memory and notes
-- @tfield string machine `"aarch64"`, `"x86_64"`, `"x86"`, `"arm"`, or `"machine N"`
-- with the ELF number
-- @tfield integer bits 32 or 64
-- @tfield "little"|"big" byteorder
-- @tfield integer size bytes of the file
-- @tfield boolean complete whether every segment is inside the file
-- @tfield {string,...} warnings what is odd about the dump though it can be read
-- @usage dump = assert(qvm.open("linux1-20261122-101500.gcore"))

local open_dump = core.open
local methods = core.dump

function Dump.open(path, partial, progress, file)
  local dump, message, code = open_dump(path, partial, progress, file)
  if not dump then
    return nil, message, code
  end
  return setmetatable(dump, Dump)
end

--- Reads physical memory.
--
-- As other functions that take an address it also takes a symbol of the guest's kernel,
-- `"schedule"` or `"schedule+0x10"`: that is where the kernel's page tables have it.
-- @function Dump:read
-- @tparam integer|string address
-- @tparam integer n bytes; raises where it is negative
-- @treturn[1] string n bytes
-- @return[2] nil, message, code: `unmapped` if any byte is not in the dump (the
-- message has the first address that is not), `truncated` if the file was cut
-- while it is open
-- @usage bytes = assert(dump:read(0x80000000, 64))
Dump.read = methods.read

--- Reads a number: unsigned (u) or signed (i), of 8 to 64 bits.
--
-- Of physical memory, in the dump's byte order.
-- @function Dump:u8
-- @also u16 u32 u64 i8 i16 i32 i64
-- @tparam integer|string address need not be aligned
-- @treturn[1] integer value; `u64` and `i64` are the same 64-bit pattern
-- @return[2] nil, message, code: as `read`
-- @usage print(dump:u8(0x80000108))
Dump.u8, Dump.u16, Dump.u32, Dump.u64 =
  methods.u8, methods.u16, methods.u32, methods.u64
Dump.i8, Dump.i16, Dump.i32, Dump.i64 =
  methods.i8, methods.i16, methods.i32, methods.i64

--- Reads the string that ends before the next NUL byte.
-- @function Dump:cstring
-- @tparam integer|string address
-- @tparam[opt=4096] integer max at most so many bytes, if no NUL comes before
-- @treturn[1] string the bytes
-- @return[2] nil, message, code: as `read`; memory that ends before a NUL and
-- before max is `unmapped`
-- @usage print(dump:cstring(0x80000000))
Dump.cstring = methods.cstring

--- Reads many numbers of physical memory at once.
--
-- For loops that would otherwise be bound by calls.
-- @tparam integer|string address
-- @tparam "u8"|"u16"|"u32"|"u64"|"i8"|"i16"|"i32"|"i64" type
-- @tparam integer count
-- @treturn[1] {integer,...} values
-- @return[2] nil, message, code: as `read`
-- @usage entries = assert(dump:array(0x80000000, "u64", 32))
function Dump:array(address, type, count)
  check.string(type, 2, "array")
  check.integer(count, 3, "array")
  local start, message, code = addresses.of(self, address, 1, "array")
  if not start then
    return nil, message, code
  end
  address = start
  return methods.array(self, address, type, count)
end

local scans = make_scans(methods)

--- Finds every occurrence of some bytes in physical memory.
--
-- Overlapping occurrences too, and those that cross from one segment to the next. Holes of
-- sparse files cost nothing. Memory that an incomplete dump has lost is skipped. A failure
-- on the way, such as a file that is truncated meanwhile, raises. Ctrl-C ends a long search
-- at the prompt. Leaving the loop frees what the search holds. A closed dump, or a symbol
-- that is not found, raises.
-- @function Dump:find
-- @tparam string bytes 1 byte to 1 MiB
-- @tparam ?table options
-- @tparam[opt=0] integer|string options.from first address
-- @tparam[opt] integer|string options.to address after the last byte; by default the end
-- of memory
-- @tparam[opt=1] integer options.align only addresses that are multiples of it
-- @tparam[opt] function(integer,integer) options.progress called now and then with
-- the bytes of memory done and the bytes in total
-- @tparam[opt] integer options.threads at most so many; by default two, if this process may
-- use two processors and the dump is not compressed
-- @treturn function():integer iterator over addresses, ascending
-- @usage for address in dump:find("linux1") do print(qvm.hex(address)) end
Dump.find = scans.find

--- Finds the printable strings in physical memory.
--
-- ASCII from blank to tilde, and tabs. A string of more than 65536 bytes comes in parts.
-- @function Dump:strings
-- @tparam[opt=4] integer min bytes of the shortest string
-- @tparam ?table options
-- @tparam[opt=0] integer|string options.from first address
-- @tparam[opt] integer|string options.to address after the last byte; by default the end
-- of memory
-- @tparam[opt] function(integer,integer) options.progress as of `find`
-- @tparam[opt] integer options.threads as of `find`
-- @treturn function():integer,string iterator over address, text
-- @usage for address, text in dump:strings(12) do print(text) end
Dump.strings = scans.strings

--- Finds what differs between this dump's memory and another's.
-- @function Dump:diff
-- @tparam Dump other
-- @tparam ?table options
-- @tparam[opt=1] integer options.granularity ranges are extended to multiples of it
-- (a power of two up to 2^30), as far as both dumps have memory; 1: exact
-- @tparam[opt=0] integer|string options.from first address
-- @tparam[opt] integer|string options.to address after the last byte; by default the end
-- of memory
-- @tparam[opt] function(integer,integer) options.progress as of `find`
-- @tparam[opt] integer options.threads as of `find`
-- @treturn function():integer,integer,string iterator over start (address), size
-- (bytes), kind, in order of the addresses: `"changed"`, or `"here"` or `"there"`
-- for memory that is only in this dump or only in the other
-- @usage for start, size in dump:diff(other) do print(qvm.hex(start), size) end
Dump.diff = scans.diff

--- The text that the dump carries, oldest first.
--
-- What `qvm_report()` added.
-- @function Dump:log
-- @treturn[1] ?string text, or nil alone where the dump has none
-- @return[2] nil, message, code: it could not be read
-- @usage print(dump:log())
Dump.log = methods.log

--- Closes the dump. May be called more than once.
-- @function Dump:close
-- @usage dump:close()
Dump.close = methods.close
Dump.__close = methods.close

local function closed()
  return nil, "the dump is closed", "gone"
end

-- An iterator that calls step until it gives nothing; a failure on the way
-- cannot be returned from inside a loop, and raises. To a caller that gives true it
-- is returned.
local function iterate(dump, step)
  if not methods.is_open(dump) then
    return closed()
  end
  return function(quiet)
    local value, message, code = step()
    if code and value == nil then
      if quiet then
        return nil, message, code
      end
      error(message, 2)
    end
    return value
  end
end

local segment_types = {
  [0] = "NULL", "LOAD", "DYNAMIC", "INTERP", "NOTE", "SHLIB", "PHDR", "TLS",
}

local Segment = {__name = "Segment", __tostring = line.tostring("segment", function(segment)
  return ("segment %d: %s 0x%016x memsz 0x%x filesz 0x%x at 0x%x"):format(
    segment.index, segment_types[segment.type] or ("type 0x%x"):format(segment.type),
    segment.paddr, segment.memsz, segment.filesz, segment.offset)
end)}

--- The segments (program headers), in the file's order.
-- @treturn[1] function():Segment iterator
-- @return[2] nil, message, code: `gone`
-- @usage for segment in dump:segments() do print(segment) end
function Dump:segments()
  local index = -1
  return iterate(self, function()
    index = index + 1
    local segment, message, code = methods.segment(self, index)
    return segment and setmetatable(segment, Segment), message, code
  end)
end

--- The physical memory in the dump: merged, ascending ranges.
-- @treturn[1] function():integer,integer iterator over start (address), size
-- (bytes)
-- @return[2] nil, message, code: `gone`
-- @usage for start, size in dump:ranges() do print(qvm.hex(start), size) end
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
local function part_type(dump, name, to_text)
  return {
    __name = name,
    __index = {
      read = function(part)
        return methods.bytes(dump, part.offset, part.filesz)
      end,
    },
    __tostring = to_text,
  }
end

local section_text = line.tostring("section", function(section)
  return ("section %d %s: type %d, %d bytes at offset %d"):format(section.index,
    line.cut(section.name), section.type, section.filesz, section.offset)
end)

--- The sections, in the file's order. Many dumps have none.
-- @treturn[1] function():Section iterator
-- @return[2] nil, message, code: `gone`, or they could not be read
-- @usage for section in dump:sections() do print(section) end
function Dump:sections()
  local count, message, code = methods.section_count(self)
  if not count then
    return nil, message, code
  end
  local meta, index = part_type(self, "Section", section_text), -1
  return iterate(self, function()
    index = index + 1
    if index >= count then
      return nil
    end
    local section, why, what = methods.section(self, index)
    return section and setmetatable(section, meta), why, what
  end)
end

local note_text = line.tostring("note", function(note)
  return ('note "%s" type %d: %d bytes'):format(line.cut(note.name), note.type, note.filesz)
end)

local NOTES_MAX = 1 << 18 -- four for each of 65536 vCPUs

--- The ELF notes, in the file's order. The note of a QNX dump is none of them:
-- it is read as vCPUs and text.
-- @treturn[1] function():Note iterator
-- @return[2] nil, message, code: `gone`. The loop raises after 262144 notes
-- @usage for note in dump:notes() do print(note) end
function Dump:notes()
  local meta, segment, at, count = part_type(self, "Note", note_text), 0, 0, 0
  return iterate(self, function()
    count = count + 1
    if count > NOTES_MAX then
      return nil, ("%s: more than %d notes"):format(self.path, NOTES_MAX), "too_large"
    end
    local note, next_segment, next_at = methods.note(self, segment, at)
    if not note then
      return nil, next_segment, next_at -- a message and its code, or the end
    end
    segment, at = next_segment, next_at
    note.name = note.name:match("^(.*[^%z])") or ""
    return setmetatable(note, meta)
  end)
end

--- One vCPU.
-- @tparam integer index from 0
-- @treturn[1] ?Vcpu the vCPU, nil alone where there is none of that index
-- @return[2] nil, message, code: `gone`, or it could not be read
-- @usage cpu = assert(dump:vcpu(0))
function Dump:vcpu(index)
  check.integer(index, 1, "vcpu")
  local vcpu, names, extra_names = methods.vcpu(self, index)
  if vcpu == nil and names == nil then
    return nil
  elseif not vcpu then
    return nil, names, extra_names -- a message and its code
  end
  return require "qvm.dump.vcpu".new(self, vcpu, names, extra_names)
end

--- What differs between this dump's vCPU registers and another's.
--
-- The extra ones too. Of a vCPU or a register that only one of them has, all
-- differ.
-- @tparam Dump other
-- @treturn[1] function():integer,string,?integer,?integer iterator over index of
-- the vCPU, name, value here, value there; nil for a value that is not there
-- @return[2] nil, message, code: `gone`
-- @usage for cpu, name in dump:diff_registers(other) do print(cpu, name) end
function Dump:diff_registers(other)
  if getmetatable(other) ~= Dump then
    error(("bad argument #1 to 'diff_registers' (Dump expected, got %s)")
      :format(type(other)), 2)
  end
  if not methods.is_open(self) or not methods.is_open(other) then
    return closed()
  end
  return require "qvm.dump.vcpu".differences(self, other,
    math.max(methods.vcpu_count(self), methods.vcpu_count(other)))
end

--- All vCPUs, in the dump's order.
-- @treturn[1] function():Vcpu iterator
-- @return[2] nil, message, code: `gone`
-- @usage for cpu in dump:vcpus() do print(cpu) end
function Dump:vcpus()
  local index = -1
  return iterate(self, function()
    index = index + 1
    local count, message, code = methods.vcpu_count(self)
    if not count then
      return nil, message, code
    elseif index >= count then
      return nil
    end
    return self:vcpu(index)
  end)
end

--- What the Linux kernel in the dump tells of itself.
--
-- From the VMCOREINFO note, else found in memory, where the whole of it is searched
-- once. A note that is empty, zero or cut is not used. One of a kernel that no longer runs,
-- as it is left after kexec, gives way to the running kernel's in memory, or is used with
-- a warning; only a vCPU that was in the kernel, and whose page tables are known, can tell.
-- @tparam[opt] string text takes this for it from now on; symbols are read anew
-- @treturn[1] VmcoreInfo what it tells
-- @return[2] nil, message, code: `not_found`; `too_large`: a text of more than 1 MiB; or the
-- dump could not be read
-- @usage print(dump:vmcoreinfo().symbols.swapper_pg_dir)
function Dump:vmcoreinfo(text)
  return require "qvm.guest".vmcoreinfo(self, text)
end

--- The address space in which a vCPU was running, or one by hand.
--
-- Of a vCPU, the page tables are taken from its control registers (`cr3` and `cr4`;
-- `ttbr0`, `ttbr1` and `tcr` of aarch64), else from `pgtbl` of its record, which on
-- aarch64 is taken for the lower half of the addresses, else from VMCOREINFO.
-- @tparam Vcpu|SpaceByHand what a vCPU, or where the page tables are
-- @tparam ?table options beside a vCPU, what its page table is like where the dump
-- does not tell
-- @tparam[opt] integer options.va_bits as of a SpaceByHand, and so are the others
-- @tparam[opt] integer options.granule
-- @tparam[opt] boolean options.wide
-- @tparam[opt] integer options.encryption_mask
-- @tparam[opt] string options.kind
-- @treturn[1] qvm.space.Space the address space
-- @return[2] nil, message, code: `unsupported`: the dump does not tell enough
-- @usage space = assert(dump:space(dump:vcpu(0), {va_bits = 39, granule = 4096}))
-- @usage space = assert(dump:space {root = 0x41000, va_bits = 39, granule = 4096})
function Dump:space(what, options)
  return require "qvm.guest".space(self, what, options)
end

--- The address space of the Linux kernel in the dump, by VMCOREINFO.
-- @treturn[1] qvm.space.Space the address space
-- @return[2] nil, message, code: `not_found` without VMCOREINFO, `unsupported`
-- @usage space = assert(dump:kernel_space())
function Dump:kernel_space()
  return require "qvm.guest".kernel_space(self)
end

--- The messages of a Linux guest's kernel log, oldest first; by VMCOREINFO.
-- @treturn[1] function():Message iterator
-- @treturn[1] LogCount counts what is given and what is skipped: a log gives no more text
-- than its buffer holds, and at most 2^20 records
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
-- Without a path, those of the table that a Linux kernel has in its memory (kallsyms), where
-- VMCOREINFO gives its place (6.0 and later). Those of a file are moved as the kernel was
-- (KASLR), if there is a VMCOREINFO; a file of another kernel is `malformed`. `symbol`,
-- `address` and backtraces use them from then on.
-- @tparam[opt] string path a System.map, or an ELF file with a symbol table (a
-- vmlinux, a QNX `.sym`)
-- @treturn[1] qvm.symbols.Symbols the symbols
-- @return[2] nil, message, code: `not_found` `permission` `malformed` `truncated`
-- `unsupported` `too_large`, or the dump or the file could not be read; those that were in
-- use stay in use
-- @usage symbols = assert(dump:symbols "System.map")
function Dump:symbols(path)
  return require "qvm.guest".symbols(self, path)
end

--- The symbol that an address belongs to, as text.
-- @tparam integer|string address virtual, or a symbol such as `"schedule+0x10"`
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

Dump.__tostring = line.tostring("Dump", function(dump)
  local name = ("Dump %s: %s %s"):format(dump.path, dump.format, dump.machine)
  if not methods.is_open(dump) then
    return name .. ", closed"
  end
  local memory = 0
  for _, size in dump:ranges() do
    memory = memory + size
  end
  return ("%s, %d vCPUs, %s of memory%s"):format(name, methods.vcpu_count(dump),
    line.in_units(memory), dump.complete and "" or ", incomplete")
end)

--- A segment (program header) of a dump, as in the file.
-- @table Segment
-- @tfield integer index from 0
-- @tfield integer type 1 is PT_LOAD, 4 PT_NOTE
-- @tfield integer paddr physical address
-- @tfield integer vaddr virtual address
-- @tfield integer offset of its bytes in the file
-- @tfield integer filesz bytes in the file
-- @tfield integer memsz bytes in memory
-- @tfield integer flags
-- @usage for segment in dump:segments() do print(segment.paddr) end

--- A section of a dump. QNX tools keep text in sections.
-- @table Section
-- @tfield integer index from 0
-- @tfield string name
-- @tfield integer type
-- @tfield integer flags
-- @tfield integer addr address
-- @tfield integer offset of its bytes in the file
-- @tfield integer size bytes in memory
-- @tfield integer filesz bytes in the file
-- @usage for section in dump:sections() do print(section.name, section.filesz) end

--- The section's bytes.
-- @function Section:read
-- @treturn[1] string bytes
-- @return[2] nil, message, code: `too_large` above 64 MiB, `truncated` `gone`
-- @usage for section in dump:sections() do print(#section:read()) end

--- An ELF note of a dump.
-- @table Note
-- @tfield integer segment index of its segment
-- @tfield string name empty where it has none
-- @tfield integer type which means something only together with the name
-- @tfield integer offset of its data in the file
-- @tfield integer filesz bytes of data
-- @usage for note in dump:notes() do print(note.name, note.type) end

--- The note's data.
-- @function Note:read
-- @treturn[1] string bytes
-- @return[2] nil, message, code: `too_large` above 64 MiB, `truncated` `gone`
-- @usage for note in dump:notes() do print(#note:read()) end

methods_of(Dump, "open")

return Dump
