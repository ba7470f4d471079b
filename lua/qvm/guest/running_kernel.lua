-- Which of a dump's VMCOREINFOs is that of the kernel that runs.
--
-- After kexec the note of the kernel before is still in the dump, and much of that kernel's
-- memory is intact. A vCPU that is in the kernel decides: its page tables map the running
-- kernel's symbols to where the right VMCOREINFO has them; those of the dead kernel they do
-- not map.

local paging = require "qvm.paging.page_tables"
local Space = require "qvm.paging.address_space"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"

local running = {}

local VCPUS_MAX = 64 -- vCPUs that are asked
local KERNEL_MAP = 0xffffffff80000000 -- where x86_64 kernels are linked to
local KERNEL_MAP_SIZE = 1 << 30
local ISOLATED = 0x1000 -- bit of CR3: with page-table isolation, the tables of user mode

-- The spaces of a vCPU in the kernel, by its own page tables; none where they do not map
-- its program counter.
local function spaces_of(dump, cpu, info)
  local spaces = {}
  local function add(kind, lower, upper)
    local space = cpu.pc < 0 and kind and Space.new(dump, "a vCPU", kind, lower, upper)
    spaces[#spaces + 1] = space and space:translate(cpu.pc) and space or nil
  end
  local kind, lower, upper = paging.of_own_tables(dump.machine, cpu, function() end,
    {va_bits = dump.machine == "x86_64" and info.numbers.pgtable_l5_enabled == 1 and 57 or nil})
  add(kind, lower, upper)
  if kind == "x86_64" and lower.root & ISOLATED ~= 0 then
    lower.root = lower.root & ~ISOLATED
    add(kind, lower)
  end
  return spaces
end

-- Calls visit(space, cpu) with the spaces of vCPUs in the kernel, until it gives something.
local function ask(dump, info, visit)
  for index = 0, VCPUS_MAX - 1 do
    local cpu = dump:vcpu(index)
    if not cpu then
      return nil
    end
    for _, space in ipairs(spaces_of(dump, cpu, info)) do
      local answer = visit(space, cpu)
      if answer then
        return answer
      end
    end
  end
end

-- A symbol of the kernel's image, and its name.
local function known_symbol(info)
  for _, name in ipairs {"init_uts_ns", "_stext"} do
    if info.symbols[name] then
      return info.symbols[name], name
    end
  end
end

-- By the dump: what its loads tell, once they were looked at: there may be many.
local bases = setmetatable({}, {__mode = "k"})

-- phys_base by a load that is at the kernel's own addresses; false where there is none.
local function base_of_loads(dump)
  local segments = bases[dump] == nil and dump:segments()
  local segment = segments and segments(true)
  while segment do
    if segment.type == 1 and math.ult(segment.vaddr - KERNEL_MAP, KERNEL_MAP_SIZE) then
      bases[dump] = segment.paddr - (segment.vaddr - KERNEL_MAP)
      break
    end
    segment = segments(true)
  end
  bases[dump] = bases[dump] or false
  return bases[dump]
end

-- NUMBER(phys_base) where VMCOREINFO lacks it: by a vCPU's page tables, or by the loads.
local function phys_base(dump, info)
  local symbol = known_symbol(info)
  local physical = symbol and ask(dump, info, function(space)
    return (space:translate(symbol))
  end)
  if physical then
    return physical - (symbol - KERNEL_MAP)
  end
  return base_of_loads(dump)
end

local function derive_phys_base(dump, info)
  if dump.machine == "x86_64" and not info.numbers.phys_base and info._phys_base == nil then
    info._phys_base = phys_base(dump, info)
  end
end

-- The kernel's space by a VMCOREINFO.
function running.space(dump, info)
  derive_phys_base(dump, info)
  local kind, lower, upper = paging.of_kernel(dump.machine, info)
  if not kind then
    return nil, ("%s: VMCOREINFO (from %s) does not tell of the kernel's page tables: %s")
      :format(dump.path, info.from, lower), "unsupported"
  end
  return Space.new(dump, "VMCOREINFO from " .. info.from, kind, lower, upper)
end

-- Where a vCPU's tables map a symbol; false: nowhere; nil: not known.
local function mapped(space, address)
  local physical = space:translate(address)
  if physical then
    return physical
  end
  local steps, missing = space:walk(address)
  if not steps or missing then
    return nil -- a table is not in the dump
  end
  return false
end

-- True: it is that of the running kernel; false, and why it is not; nil: no vCPU tells.
function running.is_of(dump, info)
  local address, name = known_symbol(info)
  if not address then
    return nil
  end
  derive_phys_base(dump, info)
  local expected, witness = paging.physical_of_symbol(dump.machine, info, address), nil
  local agrees = ask(dump, info, function(space, cpu)
    local physical = mapped(space, address)
    witness = witness or physical ~= nil and cpu or nil
    return physical and physical == expected
  end)
  if agrees or not witness then
    return agrees
  end
  return false, ("vCPU %d runs a kernel that does not have %s at 0x%016x"):format(witness.index,
    name, address)
end

-- Where no vCPU tells: the release stands where the VMCOREINFO says.
local function has_release(dump, info)
  local name = info.symbols.init_uts_ns
  local space = name and running.space(dump, info)
  if not space then
    return name == nil
  end
  local bytes, message, code = space:read(name + (info.offsets["uts_namespace.name"] or 0), 6 * 65)
  if code == "io" then
    return false, message
  end
  return bytes ~= nil and bytes:find((info.release or "") .. "\0", 1, true) ~= nil
end

-- The right one in memory. nil; nil, what is wrong; nil, message, code.
local function in_memory(dump)
  local failed
  local info, message, code = vmcoreinfo.from_memory(dump, function(other)
    local right = running.is_of(dump, other)
    if right ~= nil then
      return right
    end
    local found, why = has_release(dump, other)
    failed = failed or why
    return found
  end)
  if not info and failed then
    return nil, failed, "io"
  end
  return info, message, code
end

local function warn(info, format, ...)
  info.warnings[#info.warnings + 1] = format:format(...)
  return info
end

-- The caller's VMCOREINFO, with a warning where it is not the running kernel's.
function running.judged(dump, info)
  local right, why = running.is_of(dump, info)
  return right == false and warn(info, "VMCOREINFO from the caller: %s", why) or info
end

-- Why a note is not to be used, and whether it is to be kept where there is no other; nil:
-- it is right as it is.
local function objection(dump, note)
  local right, why = running.is_of(dump, note)
  if right == false then
    return ("the VMCOREINFO note is stale (Linux %s): %s"):format(note.release, why)
  end
  local space, message, code = running.space(dump, note)
  if not space and code == "unsupported" and paging.has_kernel_space(dump.machine) then
    return "the VMCOREINFO note is incomplete: " .. message:match(": ([^:]*)$")
  end
end

-- A dump's VMCOREINFO: its note, unless that is damaged or another kernel's; else what is in
-- memory. What is wrong with the note is among its warnings. nil, message, code; no code:
-- there is none.
function running.vmcoreinfo(dump)
  local note, message, code = vmcoreinfo.from_note(dump)
  if code then
    return nil, message, code
  end
  local problem = message
  if note then
    problem = objection(dump, note)
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
end

return running
