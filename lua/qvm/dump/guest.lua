--- What the guest's kernel says, in its own memory: methods of a Dump.
-- @submodule qvm.dump

-- They pass their arguments on to the files of lua/qvm/guest, which are loaded on first use.

local check = require "qvm.util.arguments"
local errors = require "qvm.util.errors"

local Dump = {}

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
-- needed, or if the dump cannot be read, also in the loop: where the dump was closed, or its
-- file was cut. Records in memory that the dump does not have are skipped. The messages have
-- at most as much text as the log's buffer holds, and are at most 2^20.
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
  local messages, log_or_message = require "qvm.guest".dmesg(self, options)
  if not messages then
    errors.raise(log_or_message)
  end
  return messages, log_or_message
end

--- Why a Linux guest crashed: the most severe report in its kernel's log.
--
-- A panic counts before an oops, that before a BUG, and so on down to a warning, in the order
-- of `kind`. Of several panics the first counts, of other reports of a kind the last. The
-- kernel's variable `panic_cpu` adds the vCPU of a panic, if the symbols are known; it also
-- shows a panic that is not in the log.
-- @treturn[1] ?Crash the report; nil alone if there is no sign of a crash
-- @return[2] nil, message, code: `not_found` `unsupported`: there is no log, see `dmesg`;
-- `not_found` also if the log is empty; `malformed`: no sign of a crash, but records of the log
-- were skipped; `truncated` `unmapped`: the log is not in the dump; or the dump cannot be read
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

return Dump
