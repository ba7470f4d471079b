-- Finds the VMCOREINFO of the running kernel.
--
-- After kexec, a dump still has the note of the previous kernel, and much of that kernel's
-- memory. A vCPU in the kernel decides: its page tables map the running kernel's symbols to
-- where the right VMCOREINFO has them, and do not map those of the previous kernel. If a dump
-- lacks a vCPU's page tables, as QEMU's of aarch64, the page tables of the right VMCOREINFO
-- map the vCPU's program counter and stack. This does not distinguish two kernels at the same
-- addresses (`nokaslr`).

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local paging = require "qvm.paging.page_tables"
local Space = require "qvm.paging.address_space"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"

local running = {}

local VCPUS_MAX = 64 -- vCPUs that are examined
local KERNEL_MAP = 0xffffffff80000000 -- base address of x86_64 kernels
local KERNEL_MAP_SIZE = 1 << 30
local ISOLATED = 0x1000 -- bit of CR3: the user-mode tables of page-table isolation

-- Fails if the dump could not be read, so that this is not mistaken for an answer.
local function must_read(value, message, code)
  if value == nil and (code == "io" or code == "gone") then
    errors.fail(message, code)
  end
  return value
end

-- Makes a function return such a failure as nil, message, code.
local function readable(f)
  return function(...)
    return errors.catch(f, ...)
  end
end

-- The address spaces of a vCPU in the kernel, by its own page tables: those that map its
-- program counter and its stack. nil if it has no page tables for the kernel's addresses.
--
-- With page-table isolation, a vCPU that enters or leaves the kernel uses tables that map
-- little of it: on aarch64 a trampoline, but no stack. It shows nothing.
local function spaces_of(dump, cpu, info)
  local spaces = {}
  local function add(kind, lower, upper)
    local space = Space.new(dump, "a vCPU", kind, lower, upper)
    if space and must_read(space:translate(cpu.pc))
        and (cpu.sp >= 0 or must_read(space:translate(cpu.sp - 1))) then
      spaces[#spaces + 1] = space
    end
  end
  local kind, lower, upper = paging.of_own_tables(dump.machine, cpu, function() end,
    {va_bits = dump.machine == "x86_64" and info.numbers.pgtable_l5_enabled == 1 and 57 or nil})
  if not kind or kind == "aarch64" and not upper then
    return nil
  end
  add(kind, lower, upper)
  if kind == "x86_64" and lower.root & ISOLATED ~= 0 then
    lower.root = lower.root & ~ISOLATED
    add(kind, lower)
  end
  return spaces
end

-- Iterates over the vCPUs that are in the kernel.
local function kernel_vcpus(dump)
  local index = -1
  return function()
    while index < VCPUS_MAX - 1 do
      index = index + 1
      local cpu = must_read(dump:vcpu(index))
      if not cpu or cpu.pc < 0 then
        return cpu
      end
    end
  end
end

-- The address and the name of a symbol in the kernel's image.
local function known_symbol(info)
  for _, name in ipairs {"init_uts_ns", "_stext"} do
    if info.symbols[name] then
      return info.symbols[name], name
    end
  end
end

-- phys_base by a load segment that is at the kernel's own addresses; false if there is none.
-- It is kept in the dump, which may have many segments.
local function base_of_loads(dump)
  local index = 0
  while dump._base_of_loads == nil do
    local segment = must_read(core.dump.segment(dump, index))
    if not segment then
      dump._base_of_loads = false
    elseif segment.type == 1 and math.ult(segment.vaddr - KERNEL_MAP, KERNEL_MAP_SIZE) then
      dump._base_of_loads = segment.paddr - (segment.vaddr - KERNEL_MAP)
    end
    index = index + 1
  end
  return dump._base_of_loads
end

-- NUMBER(phys_base) if VMCOREINFO lacks it: by a vCPU's page tables, or by load segments.
local function phys_base(dump, info)
  local symbol = known_symbol(info)
  for cpu in kernel_vcpus(dump) do
    for _, space in ipairs(symbol and spaces_of(dump, cpu, info) or {}) do
      local physical = must_read(space:translate(symbol))
      if physical then
        return physical - (symbol - KERNEL_MAP)
      end
    end
  end
  return base_of_loads(dump)
end

local function derive_phys_base(dump, info)
  if dump.machine == "x86_64" and not info.numbers.phys_base and info._phys_base == nil then
    info._phys_base = phys_base(dump, info)
  end
end

-- The kernel's address space by a VMCOREINFO.
local function kernel_space(dump, info)
  derive_phys_base(dump, info)
  local kind, lower, upper = paging.of_kernel(dump.machine, info)
  if not kind then
    return nil, ("%s: VMCOREINFO (from %s) does not describe the kernel's page tables: %s")
      :format(dump.path, info.from, lower), "unsupported"
  end
  return Space.new(dump, "VMCOREINFO from " .. info.from, kind, lower, upper)
end

running.space = readable(kernel_space)

-- Where a vCPU's page tables map an address; false: nowhere; nil: not known.
local function mapped(space, address)
  local physical = must_read(space:translate(address))
  if physical then
    return physical
  end
  local steps, missing, code = space:walk(address)
  must_read(steps and not missing or nil, missing, code)
  if not steps or missing then
    return nil -- a table is not in the dump
  end
  return false
end

-- Do a vCPU's own page tables map a symbol to the expected place? false, and what is wrong;
-- nil: not known.
local function has_symbol(dump, spaces, info)
  local address, name = known_symbol(info)
  local expected = address and paging.physical_of_symbol(dump.machine, info, address)
  local right
  for _, space in ipairs(expected and spaces or {}) do
    local physical = mapped(space, address)
    if physical == expected then
      return true
    elseif physical ~= nil then
      right = false
    end
  end
  return right, right == false and ("runs a kernel that does not have %s at 0x%016x"):format(name,
    address)
end

-- Do the kernel's page tables map a vCPU's program counter and stack? Returns as above. The
-- byte below the stack pointer is checked: the pointer of an empty stack is outside it.
local function maps_vcpu(space, cpu)
  local at, stack = mapped(space, cpu.pc), cpu.sp >= 0 or mapped(space, cpu.sp - 1)
  if at and stack then
    return true
  elseif at ~= false and stack ~= false then
    return nil
  end
  return false, ("is at 0x%016x with its stack at 0x%016x, which the kernel's page tables do not "
    .. "map"):format(cpu.pc, cpu.sp)
end

-- True: it is that of the running kernel; false, and why not; nil: no vCPU shows it.
local function is_running(dump, info)
  derive_phys_base(dump, info)
  local kernel, why = kernel_space(dump, info), nil
  for cpu in kernel_vcpus(dump) do
    local right, reason
    local spaces = spaces_of(dump, cpu, info)
    if spaces then
      right, reason = has_symbol(dump, spaces, info)
    elseif kernel then
      right, reason = maps_vcpu(kernel, cpu)
    end
    if right then
      return true
    elseif right == false then
      why = why or ("vCPU %d %s"):format(cpu.index, reason)
    end
  end
  if why then
    return false, why
  end
end

-- Used if no vCPU shows it: is the release where the VMCOREINFO says?
local function has_release(dump, info)
  local name = info.symbols.init_uts_ns
  local space = name and kernel_space(dump, info)
  if not space then
    return name == nil
  end
  local bytes = must_read(space:read(name + (info.offsets["uts_namespace.name"] or 0), 6 * 65))
  return bytes ~= nil and bytes:find((info.release or "") .. "\0", 1, true) ~= nil
end

-- Finds the right one in memory; see vmcoreinfo.from_memory.
local function in_memory(dump)
  return vmcoreinfo.from_memory(dump, function(other)
    local right = is_running(dump, other)
    if right == nil then
      right = has_release(dump, other)
    end
    return right
  end)
end

local function warn(info, format, ...)
  info.warnings[#info.warnings + 1] = format:format(...)
  return info
end

-- The caller's VMCOREINFO, with a warning if it is not the running kernel's.
running.with_warning = readable(function(dump, info)
  local right, why = is_running(dump, info)
  return right == false and warn(info, "VMCOREINFO from the caller: %s", why) or info
end)

-- Why a note is to be replaced, if memory has another; nil if it is right.
local function problem_of(dump, note)
  local right, why = is_running(dump, note)
  if right == false then
    return ("the VMCOREINFO note is stale (Linux %s): %s"):format(note.release, why)
  end
  local space, message, code = kernel_space(dump, note)
  if not space and code == "unsupported" and paging.has_kernel_space(dump.machine) then
    return "the VMCOREINFO note is incomplete: " .. message:match(": ([^:]*)$")
  end
end

-- Finds a dump's VMCOREINFO: the note, unless it is damaged or another kernel's, or else one in
-- memory, with a warning about the note. nil, message, code; without a code there is none.
running.vmcoreinfo = readable(function(dump)
  local note, message, code = vmcoreinfo.from_note(dump)
  if code then
    return nil, message, code
  end
  local problem = message
  if note then
    problem = problem_of(dump, note)
    if not problem then
      return note
    end
  end
  local found
  found, message, code = in_memory(dump)
  if found then
    return problem and warn(found, "%s: the one at %s is used", problem, found.from) or found
  elseif note and not code then
    return warn(note, "%s: no other was found in memory%s", problem,
      message and " (" .. message .. ")" or "")
  end
  if problem then
    message = problem .. (message and ": " .. message or "")
  end
  return nil, message, code
end)

return running
