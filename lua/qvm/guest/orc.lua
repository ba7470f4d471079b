-- The ORC unwind tables of a Linux kernel of x86_64 and of its modules: where they are. The C
-- core reads them (csrc/core/guest/orc.h). Kernels that keep frame pointers have none.

local core = require "qvm.core"
local in_kernel = require "qvm.guest.symbols".in_kernel

local orc = {}

local IP_SIZE, ENTRY_SIZE = 4, 6 -- bytes
local ENTRIES_MAX, MODULES_MAX = 1 << 23, 1 << 14 -- as of csrc/core/guest/orc.h

-- What lies between two symbols of the linker: the address, and how many elements of a size.
local function array_of(symbols, name, size)
  local first, last = in_kernel(symbols, "__start_" .. name), in_kernel(symbols, "__stop_" .. name)
  return first, first and last and (last - first) % size == 0 and (last - first) // size
end

-- The kernel's own table; nil if it has none. It covers the code from its first address to its
-- last one, which ends the code of the last section.
local function kernel_table(space, symbols)
  local ips, count = array_of(symbols, "orc_unwind_ip", IP_SIZE)
  local entries, same = array_of(symbols, "orc_unwind", ENTRY_SIZE)
  if not count or count ~= same or count < 1 or count > ENTRIES_MAX then
    return nil
  end
  local first, last = ips, ips + (count - 1) * IP_SIZE
  local to_first, message, code = space:i32(first)
  local to_last = to_first and space:i32(last)
  if not to_last then
    return nil, message, code
  end
  return {first = first + to_first, last = last + to_last - 1, ips = ips, entries = entries,
    count = count}
end

-- Finds the tables: what core.orc_walk takes. space: one that maps the kernel, if VMCOREINFO
-- does not lead to its own. modules: an array of tables {first=, last=, ips=, entries=, count=}:
-- the module's code, the virtual addresses of its orc_unwind_ip and orc_unwind, its num_orcs.
-- nil: there are none; and message, code if that is a failure.
function orc.find(dump, space, symbols, modules)
  local kernel_space = dump:kernel_space() or space
  local kernel, message, code = kernel_table(kernel_space, symbols)
  if not kernel then
    return nil, message, code
  end
  return core.orc(kernel_space, table.move(modules, 1, math.min(#modules, MODULES_MAX), 2,
    {kernel}))
end

return orc
