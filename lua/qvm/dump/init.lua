--- An opened guest dump: physical memory, vCPU registers, dump text.
--
-- Read as QNX documents its dumps (the Hypervisor User's Guide and the public
-- header `sys/kdump.h`); not yet tested with a dump from a QNX system. Data is read
-- only when it is requested. After `close`, methods fail with `gone`; those that make
-- iterators raise.
-- @classmod qvm.dump

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local core = require "qvm.core"
local errors = require "qvm.util.errors"
local dump_index = require "qvm.dump.index"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"
local make_scans = require "qvm.scan"
local parts = require "qvm.dump.parts"

--- @type Dump
local Dump = {__name = "Dump"}

--- Fields of a Dump.
-- @table Dump
-- @tfield string path the file's path
-- @tfield "qnx"|"qemu"|"elf" format qemu: written by QEMU's dump-guest-memory for
-- x86_64 and aarch64; elf: any other ELF core, of which memory and notes are read
-- @tfield string machine `"aarch64"`, `"x86_64"`, `"x86"`, `"arm"`, or `"machine N"`
-- with the ELF number
-- @tfield integer bits 32 or 64
-- @tfield "little"|"big" byteorder
-- @tfield integer size bytes of the file
-- @tfield boolean complete whether every segment is inside the file
-- @tfield {string,...} warnings problems of the dump that do not prevent reading it
-- @usage dump = assert(qvm.open("linux1-20261122-101500.gcore"))

local open_dump = core.open
local methods = core.dump

function Dump.open(path, partial, progress, file, with_index)
  local dump, message, code = open_dump(path, partial, progress, file,
    with_index and dump_index.path_of(path) or nil)
  if not dump then
    return nil, message, code
  elseif with_index then
    dump_index.complete(dump, message, code, progress)
  end
  return setmetatable(dump, Dump)
end

--- Reads physical memory.
--
-- Like all functions that take an address, it also takes a symbol of the guest's kernel,
-- `"schedule"` or `"schedule+0x10"`, which the kernel's page tables translate.
-- @function Dump:read
-- @tparam integer|string address
-- @tparam integer n number of bytes; raises if negative
-- @treturn[1] string n bytes
-- @return[2] nil, message, code: `unmapped` if any byte is not in the dump (the
-- message has the first missing address), `truncated` if the file was cut while open
-- @usage bytes = assert(dump:read(0x80000000, 64))
Dump.read = methods.read

--- Reads a number of physical memory.
--
-- Unsigned (u) or signed (i), of 8 to 64 bits, in the dump's byte order.
-- @function Dump:u8
-- @also u16 u32 u64 i8 i16 i32 i64
-- @tparam integer|string address any alignment
-- @treturn[1] integer value; `u64` and `i64` are the same 64-bit pattern
-- @return[2] nil, message, code: as `read`
-- @usage print(dump:u8(0x80000108))
Dump.u8, Dump.u16, Dump.u32, Dump.u64 =
  methods.u8, methods.u16, methods.u32, methods.u64
Dump.i8, Dump.i16, Dump.i32, Dump.i64 =
  methods.i8, methods.i16, methods.i32, methods.i64

--- Reads the string up to the next NUL byte.
-- @function Dump:cstring
-- @tparam integer|string address
-- @tparam[opt=4096] integer max bytes to read if there is no NUL before
-- @treturn[1] string the bytes before the NUL
-- @return[2] nil, message, code: as `read`; `unmapped` if memory ends before a NUL and
-- before max
-- @usage print(dump:cstring(0x80000000))
Dump.cstring = methods.cstring

--- Reads many numbers of physical memory at once.
--
-- Faster than a call for each number.
-- @tparam integer|string address
-- @tparam "u8"|"u16"|"u32"|"u64"|"i8"|"i16"|"i32"|"i64" type
-- @tparam integer count
-- @treturn[1] {integer,...} values
-- @return[2] nil, message, code: as `read`
-- @usage entries = assert(dump:array(0x80000000, "u64", 32))
function Dump:array(address, type, count)
  check.string(type, 2, "array")
  check.integer(count, 3, "array")
  if count < 0 then
    check.bad(3, "array", "a number of values is expected, not a negative one")
  end
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
-- Added by `qvm_report()`.
-- @function Dump:log
-- @treturn[1] ?string text; nil alone if the dump has none
-- @return[2] nil, message, code: it cannot be read
-- @usage print(dump:log())
Dump.log = methods.log

--- Closes the dump. May be called more than once.
-- @function Dump:close
-- @usage dump:close()
Dump.close = methods.close
Dump.__close = methods.close

local function check_open(dump)
  if not methods.is_open(dump) then
    errors.raise "the dump is closed"
  end
end

--- The segments (program headers), in the order of the file.
-- Raises if the dump is closed.
-- @treturn function():Segment iterator
-- @usage for segment in dump:segments() do print(segment) end
function Dump:segments()
  check_open(self)
  return parts.segments(self)
end

--- The ranges of physical memory in the dump, merged and ascending.
-- Raises if the dump is closed.
-- @treturn function():integer,integer iterator over start (address), size
-- (bytes)
-- @usage for start, size in dump:ranges() do print(qvm.hex(start), size) end
function Dump:ranges()
  check_open(self)
  local index = 0
  return function()
    if not index then
      return nil
    end
    local start, size, next_index = methods.range(self, index)
    if start == nil and size then
      errors.raise(size)
    end
    index = next_index
    return start, size
  end
end

--- The sections, in the order of the file. Many dumps have none.
-- Raises if they cannot be read, or if the dump is closed.
-- @treturn function():Section iterator
-- @usage for section in dump:sections() do print(section) end
function Dump:sections()
  return parts.sections(self)
end

--- The ELF notes, in the order of the file.
--
-- The note of a QNX dump is not among them: it is read as vCPUs and text. Raises if the
-- dump is closed, and in the loop after 262144 notes.
-- @treturn function():Note iterator
-- @usage for note in dump:notes() do print(note) end
function Dump:notes()
  check_open(self)
  return parts.notes(self)
end

--- Returns one vCPU.
-- @tparam integer index from 0
-- @treturn[1] ?Vcpu the vCPU; nil alone if the dump has no such vCPU
-- @return[2] nil, message, code: `gone`, or it cannot be read
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

--- The vCPU registers that differ between this dump and another.
--
-- Including the extra ones. All registers differ that only one of the dumps has. Raises if
-- one of the dumps is closed.
-- @tparam Dump other
-- @treturn function():integer,string,?integer,?integer iterator over index of
-- the vCPU, name, value in this dump, value in the other; nil if a dump has no such register
-- @usage for cpu, name in dump:diff_registers(other) do print(cpu, name) end
function Dump:diff_registers(other)
  check.object(other, Dump, 1, "diff_registers")
  check_open(self)
  check_open(other)
  return require "qvm.dump.vcpu".differences(self, other,
    math.max(methods.vcpu_count(self), methods.vcpu_count(other)))
end

--- The vCPUs, in the order of the dump. Raises if the dump is closed.
-- @treturn function():Vcpu iterator
-- @usage for cpu in dump:vcpus() do print(cpu) end
function Dump:vcpus()
  check_open(self)
  local index = -1
  return iterators.steps(function()
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

for name, method in pairs(require "qvm.dump.guest") do
  Dump[name] = method
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
  return ("%s, %s, %s of memory%s"):format(name,
    line.count(methods.vcpu_count(dump), "vCPU"), line.in_units(memory),
    dump.complete and "" or ", incomplete")
end)

classes.publish(Dump, "open")

return Dump
