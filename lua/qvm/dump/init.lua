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

local segment_types = {
  [0] = "NULL", "LOAD", "DYNAMIC", "INTERP", "NOTE", "SHLIB", "PHDR", "TLS",
}

local Segment = {__name = "Segment", __tostring = line.tostring("segment", function(segment)
  return ("segment %d: %s 0x%016x memsz 0x%x filesz 0x%x at 0x%x"):format(
    segment.index, segment_types[segment.type] or ("type 0x%x"):format(segment.type),
    segment.paddr, segment.memsz, segment.filesz, segment.offset)
end)}

--- The segments (program headers), in the order of the file.
-- Raises if the dump is closed.
-- @treturn function():Segment iterator
-- @usage for segment in dump:segments() do print(segment) end
function Dump:segments()
  check_open(self)
  local index = -1
  return iterators.steps(function()
    index = index + 1
    local segment, message, code = methods.segment(self, index)
    return segment and setmetatable(segment, Segment), message, code
  end)
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

-- Makes the type of a part of the file, whose bytes are read on request. Each dump has a
-- metatable of its own, which keeps the dump from being collected while a part is in use.
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

--- The sections, in the order of the file. Many dumps have none.
-- Raises if they cannot be read, or if the dump is closed.
-- @treturn function():Section iterator
-- @usage for section in dump:sections() do print(section) end
function Dump:sections()
  local count, message = methods.section_count(self)
  if not count then
    errors.raise(message)
  end
  local meta, index = part_type(self, "Section", section_text), -1
  return iterators.steps(function()
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

--- The ELF notes, in the order of the file.
--
-- The note of a QNX dump is not among them: it is read as vCPUs and text. Raises if the
-- dump is closed, and in the loop after 262144 notes.
-- @treturn function():Note iterator
-- @usage for note in dump:notes() do print(note) end
function Dump:notes()
  check_open(self)
  local meta, segment, at, count = part_type(self, "Note", note_text), 0, 0, 0
  return iterators.steps(function()
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

--- VMCOREINFO: the Linux kernel's description of itself.
--
-- Taken from the VMCOREINFO note, or else found in memory, all of which is searched once.
-- An empty, zero or truncated note is not used. The note of a kernel that no longer runs, as
-- kexec leaves it, is replaced by that of the running kernel in memory; if there is none, it
-- is used with a warning. Only vCPUs in the kernel whose page tables are known can show
-- which kernel is running.
-- @tparam[opt] string text the VMCOREINFO to use from now on; symbols are read again
-- @treturn[1] VmcoreInfo the VMCOREINFO
-- @return[2] nil, message, code: `not_found`; `too_large`: a text of more than 1 MiB; or the
-- dump cannot be read
-- @usage print(dump:vmcoreinfo().symbols.swapper_pg_dir)
function Dump:vmcoreinfo(text)
  return require "qvm.guest".vmcoreinfo(self, text)
end

--- The address space of a vCPU, or one given by the caller.
--
-- The page tables of a vCPU are taken from its control registers (`cr3` and `cr4`; on
-- aarch64 `ttbr0`, `ttbr1` and `tcr`), else from `pgtbl` of its record, which on aarch64
-- is used for the lower half of the addresses, else from VMCOREINFO.
-- @tparam Vcpu|SpaceByHand what a vCPU, or where the page tables are
-- @tparam ?table options the form of a vCPU's page tables, if the dump does not show it
-- @tparam[opt] integer options.va_bits as in SpaceByHand, like the others
-- @tparam[opt] integer options.granule
-- @tparam[opt] integer options.pa_bits
-- @tparam[opt] integer options.encryption_mask
-- @tparam[opt] string options.kind
-- @treturn[1] qvm.space.Space the address space
-- @return[2] nil, message, code: `unsupported`: the page tables, or their form, are not known
-- @usage space = assert(dump:space(dump:vcpu(0), {va_bits = 39, granule = 4096}))
-- @usage space = assert(dump:space {root = 0x41000, va_bits = 39, granule = 4096})
function Dump:space(what, options)
  return require "qvm.guest".space(self, what, options)
end

--- The address space of the Linux kernel in the dump, found by VMCOREINFO.
-- @treturn[1] qvm.space.Space the address space
-- @return[2] nil, message, code: `not_found` without VMCOREINFO, `unsupported`
-- @usage space = assert(dump:kernel_space())
function Dump:kernel_space()
  return require "qvm.guest".kernel_space(self)
end

--- The messages of a Linux guest's kernel log, oldest first.
--
-- The log is found by VMCOREINFO. Raises if there is no VMCOREINFO, if it lacks what is
-- needed, or if the dump cannot be read. The messages have at most as much text as the log's
-- buffer holds, and are at most 2^20.
-- @tparam ?table options
-- @tparam[opt] integer options.last only so many of the messages: the last ones
-- @tparam[opt] integer|string options.level only messages of this level or more severe:
-- 0 to 7, or a name as in dmesg(1): `"emerg"` `"alert"` `"crit"` `"err"` `"warn"` `"notice"`
-- `"info"` `"debug"`; raises if the levels are not known
-- @treturn function():Message iterator
-- @treturn LogCount counts the messages returned and the records skipped, as the loop runs
-- @usage for message in dump:dmesg() do print(message.time, #message.text) end
-- @usage for message in dump:dmesg {level = "err", last = 20} do print(message) end
function Dump:dmesg(options)
  local messages, log = require "qvm.guest".dmesg(self, options)
  if not messages then
    errors.raise(log)
  end
  return messages, log
end

--- What a Linux guest crashed of: the most severe report in its kernel's log.
--
-- A panic counts before an oops, that before a BUG, and so on down to a warning, in the order
-- of `kind`. Of several panics the first counts, of other reports of a kind the last. The
-- kernel's variable `panic_cpu` adds the vCPU of a panic, if the symbols are known; it also
-- shows a panic that is not in the log.
-- @treturn[1] ?Crash the report; nil alone if there is no sign of a crash
-- @return[2] nil, message, code: `not_found` `unsupported`: there is no log, see `dmesg`;
-- `malformed`: no sign of a crash, but records of the log were skipped; or the dump cannot be
-- read
-- @usage print(dump:crash() or "no crash")
function Dump:crash()
  return require "qvm.guest".crash(self)
end

--- Describes the guest in the dump.
-- @treturn[1] Guest what is known of it
-- @return[2] nil, message, code: `gone`, or the dump cannot be read
-- @usage print(dump:guest().release)
function Dump:guest()
  return require "qvm.guest".about(self)
end

--- The symbols of the guest's kernel.
--
-- Without a path, they are read from the table in the kernel's memory (kallsyms), which
-- VMCOREINFO locates (Linux 6.0 and later). Symbols of a file are moved by the kernel's
-- KASLR offset, if there is a VMCOREINFO; a file that belongs to another kernel is
-- `malformed`. `symbol`, `address` and backtraces use these symbols from then on.
-- @tparam[opt] string path a System.map, or an ELF file with a symbol table (a
-- vmlinux, a QNX `.sym`)
-- @treturn[1] qvm.symbols.Symbols the symbols
-- @return[2] nil, message, code: `not_found` `permission` `malformed` `truncated`
-- `unsupported` `too_large`, or the dump or the file cannot be read; the symbols in use
-- before stay in use
-- @usage symbols = assert(dump:symbols "System.map")
function Dump:symbols(path)
  return require "qvm.guest".symbols(self, path)
end

--- Names the symbol that contains an address.
-- @tparam integer|string address virtual, or a symbol such as `"schedule+0x10"`
-- @treturn[1] ?string name, offset into it and its size: `"schedule+0x12/0x80"`; nil alone
-- if no symbol contains it
-- @return[2] nil, message, code: there are no symbols, see `symbols`
-- @usage print(dump:symbol(dump:vcpu(0).pc))
function Dump:symbol(address)
  return require "qvm.guest".symbol(self, address)
end

--- The address of a symbol.
-- @tparam string name
-- @treturn[1] integer virtual address; the lowest if several symbols have that name
-- @return[2] nil, message, code: `not_found`, or as `symbols`
-- @usage print(dump:address "schedule")
function Dump:address(name)
  return require "qvm.guest".address(self, name)
end

--- The types of the guest's kernel.
--
-- Without a path, they are read from the type information (BTF) that the kernel has in its
-- memory; a kernel that was built without it needs a file. `type`, `object` and `variable`
-- use these types from then on.
-- @tparam[opt] string path a file with BTF, as `pahole` and `bpftool` write it; an ELF file
-- with a section `.BTF`: a vmlinux, or a module, whose types continue those of its kernel
-- @treturn[1] qvm.types.Types the types
-- @return[2] nil, message, code: `not_found`: the kernel has no type information, or there is
-- no VMCOREINFO; `malformed` `truncated` `unsupported` `too_large` `permission`, or the dump
-- cannot be read; the types in use before stay in use
-- @usage types = assert(dump:types())
function Dump:types(path)
  return require "qvm.guest.typed_memory".types(self, path)
end

--- A type of the guest's kernel, by its name in C.
--
-- Raises if the name is not that of a type: pointers and arrays are written behind it.
-- @tparam string name `"struct task_struct"`, `"pid_t"`, `"unsigned long"`,
-- `"struct list_head *"`, `"char[16]"`
-- @treturn[1] qvm.types.Type the type
-- @return[2] nil, message, code: `not_found`, or as `types`
-- @usage print(dump:type("struct list_head").size)
function Dump:type(name)
  return require "qvm.guest.typed_memory".type(self, name)
end

--- A typed place in the memory of the guest's kernel.
--
-- Nothing is read before a member is.
-- @tparam qvm.types.Type|string type a Type, or its name
-- @tparam integer|string address virtual, or a symbol
-- @treturn[1] qvm.object.Object the Object
-- @return[2] nil, message, code: as `type` and `kernel_space`
-- @usage task = assert(dump:object("struct task_struct", "init_task"))
function Dump:object(type, address)
  return require "qvm.guest.typed_memory".object(self, type, address)
end

--- A variable of the guest's kernel.
--
-- The type of a per-CPU variable is in the type information, that of another only in some
-- kernels; those of some forty well-known ones, such as `init_task`, are known. A per-CPU
-- variable is read through `qvm.c.per_cpu`.
-- @tparam string name
-- @tparam[opt] qvm.types.Type|string type a Type, or its name
-- @treturn[1] qvm.object.Object the variable
-- @return[2] nil, message, code: `not_found`: no symbol has that name, or the type is not
-- known; or as `type` and `symbols`
-- @usage print(dump:variable("init_task").comm)
function Dump:variable(name, type)
  return require "qvm.guest.typed_memory".variable(self, name, type)
end

-- An iterator of the guest's; raises if it cannot start.
local function iterate(iterator, message)
  return iterator or errors.raise(message)
end

--- Iterates over the tasks of a Linux guest.
--
-- Processes, threads, kernel threads and zombies; all but the CPUs' idle tasks. Needs the
-- guest's types, see `types`. Raises if they are not known, and in the loop if the list of
-- tasks is damaged.
-- @treturn function():qvm.task.Task iterator: processes in the order in which they began, their
-- threads after their first one
-- @usage for t in dump:tasks() do print(t) end
function Dump:tasks()
  return iterate(require "qvm.guest.tasks".all(self))
end

--- A task of a Linux guest.
-- @tparam integer pid id of the thread, in the initial namespace; 0: the idle task of CPU 0
-- @treturn[1] qvm.task.Task the task
-- @return[2] nil, message, code: `not_found`: no task has that id; or as `types`
-- @usage print(dump:task(1))
function Dump:task(pid)
  check.integer(pid, 1, "task")
  return require "qvm.guest.tasks".find(self, pid)
end

--- Iterates over the modules of a Linux guest's kernel.
--
-- Raises as `tasks`. The symbols of modules are found by `symbol`, `address` and backtraces.
-- @treturn function():qvm.module.Module iterator, the last one loaded first
-- @usage for m in dump:modules() do print(m) end
function Dump:modules()
  return iterate(require "qvm.guest.modules".all(self))
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

--- A section of a dump. QNX tools store text in sections.
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
-- @tfield string name empty if it has none
-- @tfield integer type its meaning depends on the name
-- @tfield integer offset of its data in the file
-- @tfield integer filesz bytes of data
-- @usage for note in dump:notes() do print(note.name, note.type) end

--- The note's data.
-- @function Note:read
-- @treturn[1] string bytes
-- @return[2] nil, message, code: `too_large` above 64 MiB, `truncated` `gone`
-- @usage for note in dump:notes() do print(#note:read()) end

classes.publish(Dump, "open")

return Dump
