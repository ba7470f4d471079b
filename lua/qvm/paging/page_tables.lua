-- Finds a guest's page tables and their form: by control registers, by the page table in a
-- vCPU's record, by VMCOREINFO, or from the caller. The results are what the C module makes
-- an address space of: the kind, and for each half of the addresses a table of root, va_bits,
-- page_shift, pa_bits and encryption_mask. Machines without two halves use the lower one for all
-- addresses.

local line = require "qvm.util.text"

local paging = {}

local shifts = {[4096] = 12, [16384] = 14, [65536] = 16}

-- The bits of physical addresses on aarch64, unless they are given.
local function pa_bits_of(given, page_shift, va_bits)
  return given.pa_bits or (page_shift == 16 or va_bits > 48) and 52 or 48
end

local function bits(value, high, low)
  return value >> low & (1 << high - low + 1) - 1
end

-- Registers by name. The names of extra registers in QNX dumps are not documented, so case and
-- a trailing "_el1" do not matter; the first register of a name is used.
local function registers_of(cpu)
  local registers = {}
  for name, value in cpu:extra_registers() do
    name = line.lower(name):gsub("_el1$", "")
    registers[name] = registers[name] or value
  end
  return registers
end

-- AMD64 Architecture Programmer's Manual 2: CR0.PG is bit 31; CR4.PAE is bit 5 and
-- CR4.LA57 bit 12; the low 12 bits of CR3 are not part of the address, with three levels
-- (PAE) the low 5.
local function x86_by_registers(r)
  if r.cr0 and bits(r.cr0, 31, 31) == 0 then
    return nil, "paging is off: its addresses are physical"
  end
  local kind = r.cr4 and bits(r.cr4, 5, 5) == 0 and "x86" or "x86_64"
  local five = r.cr4 and bits(r.cr4, 12, 12) == 1
  return kind, {root = r.cr3 & 0x000ffffffffff000, page_shift = 12,
    va_bits = kind == "x86" and 32 or five and 57 or 48}
end

-- Arm Architecture Reference Manual, TCR_EL1: T0SZ is bits 5:0, EPD0 7, TG0 15:14,
-- T1SZ 21:16, EPD1 23, TG1 31:30, IPS 34:32 (6: 52 bits), DS 59. TTBRn_EL1: ASID in
-- bits 63:48, CnP in bit 0; with 52 bits, bits 5:2 are the address's bits 51:48.
local granules = {lower = {[0] = 12, [1] = 16, [2] = 14}, upper = {[1] = 14, [2] = 12, [3] = 16}}

local function half_by_registers(half, ttbr, size, granule, off, tcr)
  local shift = granules[half][granule]
  if not ttbr or off == 1 or not shift or size < 12 or size > 39 then
    return nil
  end
  local is_52 = bits(tcr, 59, 59) == 1 or shift == 16 and bits(tcr, 34, 32) == 6
  local root = ttbr & 0x0000fffffffffffe
  if is_52 then
    root = root & ~0x3f | bits(ttbr, 5, 2) << 48
  end
  return {root = root, va_bits = 64 - size, page_shift = shift,
    pa_bits = is_52 and 52 or 48}
end

local function aarch64_by_registers(r)
  local tcr = r.tcr
  local lower = half_by_registers("lower", r.ttbr0, bits(tcr, 5, 0), bits(tcr, 15, 14),
    bits(tcr, 7, 7), tcr)
  local upper = half_by_registers("upper", r.ttbr1, bits(tcr, 21, 16), bits(tcr, 31, 30),
    bits(tcr, 23, 23), tcr)
  return "aarch64", lower, upper
end

local KERNEL_MAP = 0xffffffff80000000 -- base address of x86_64 kernels

-- The physical address of a symbol in the kernel's image, by VMCOREINFO; nil if unknown.
function paging.physical_of_symbol(machine, info, address)
  if machine == "x86_64" then
    local base = info.numbers.phys_base or info._phys_base
    return base and address + base - KERNEL_MAP
  end
  local offset = machine == "aarch64" and info.numbers.kimage_voffset
  return offset and address - offset
end

-- The kernel's own page tables, by VMCOREINFO; nil, what it lacks.
local function kernel_x86_64(info)
  local symbols = info.symbols
  local root = symbols.swapper_pg_dir or symbols.init_top_pgt or symbols.init_level4_pgt
  local base = info.numbers.phys_base or info._phys_base
  if not root then
    return nil, "it has no SYMBOL(swapper_pg_dir), SYMBOL(init_top_pgt) or "
      .. "SYMBOL(init_level4_pgt)"
  elseif not base then
    return nil, "it has no NUMBER(phys_base), and neither a vCPU nor a load segment shows it"
  end
  return {root = root + base - KERNEL_MAP, page_shift = 12,
    va_bits = info.numbers.pgtable_l5_enabled == 1 and 57 or 48,
    encryption_mask = info.numbers.sme_mask}
end

-- With pages of 64 KiB the kernel's table is made for VA_BITS, and used at an offset if the
-- processor has fewer.
local function kernel_aarch64(info)
  local root, offset = info.symbols.swapper_pg_dir, info.numbers.kimage_voffset
  local shift, size = shifts[info.page_size], info.numbers.TCR_EL1_T1SZ
  local va_bits = info.numbers.VA_BITS
  if size and not (shift == 16 and va_bits) then
    va_bits = 64 - size
  end
  if not (root and offset and shift and va_bits) then
    return nil, "it has no SYMBOL(swapper_pg_dir), NUMBER(kimage_voffset), PAGESIZE or "
      .. "NUMBER(VA_BITS)"
  end
  return {root = root - offset, va_bits = va_bits, page_shift = shift,
    pa_bits = pa_bits_of({}, shift, va_bits)}
end

-- Can the kernel's page tables be found by VMCOREINFO on such a machine?
function paging.has_kernel_space(machine)
  return machine == "x86_64" or machine == "aarch64"
end

-- Returns kind, lower, upper of the kernel's space; nil, what is missing.
function paging.of_kernel(machine, info)
  if machine == "x86_64" then
    local tables, missing = kernel_x86_64(info)
    return tables and "x86_64", tables or missing
  elseif machine == "aarch64" then
    local tables, missing = kernel_aarch64(info)
    if not tables then
      return nil, missing
    end
    return "aarch64", nil, tables
  end
  return nil, "page tables of " .. machine .. " cannot be found by it"
end

-- The page table in the record of a QNX dump is used for the lower half.
local function by_record(machine, cpu, info, given)
  if machine == "x86_64" then
    local five = info and info.numbers.pgtable_l5_enabled == 1
    local mask = given.encryption_mask or info and info.numbers.sme_mask or 0
    return "x86_64", {root = cpu.pgtbl & ~mask, page_shift = 12,
      va_bits = given.va_bits or five and 57 or 48, encryption_mask = mask}
  elseif machine == "x86" and given.kind then
    return given.kind, {root = cpu.pgtbl, page_shift = 12, va_bits = 32}
  elseif machine == "aarch64" then
    local upper = info and select(3, paging.of_kernel(machine, info))
    local shift = given.granule and shifts[given.granule] or upper and upper.page_shift
    local va_bits = given.va_bits or upper and upper.va_bits
    if shift and va_bits then
      return "aarch64", {root = cpu.pgtbl, va_bits = va_bits, page_shift = shift,
        pa_bits = pa_bits_of(given, shift, va_bits), encryption_mask = given.encryption_mask}, upper
    end
  end
  return nil, ("its page table is at 0x%016x (pgtbl), but its form is not known: "
    .. "pass %s to dump:space(cpu, options)"):format(cpu.pgtbl,
    machine == "aarch64" and "va_bits and granule" or "a kind, \"x86\" or \"x86 PAE\",")
end

-- With memory encryption CR3 includes the mask. VMCOREINFO, which may have to be searched for,
-- is used only if CR3 is beyond any memory.
local ENCRYPTED = -1 << 43

local function unmask(tables, info, given)
  local mask = given.encryption_mask
  if not mask and tables.root & ENCRYPTED ~= 0 then
    local known = info()
    mask = known and known.numbers.sme_mask
  end
  tables.encryption_mask = mask
  tables.root = tables.root & ~(mask or 0)
end

-- By the control registers of a vCPU; false, and why, if they are missing or unusable.
local function by_registers(machine, cpu, info, given)
  local r = registers_of(cpu)
  if r.cr3 and (machine == "x86_64" or machine == "x86") then
    local kind, tables = x86_by_registers(r)
    if kind == "x86_64" then
      unmask(tables, info, given)
    end
    if kind and machine == "x86" and kind ~= "x86" then
      kind, tables.va_bits, tables.root = "x86 PAE", 32, r.cr3 & 0xffffffe0
    end
    return kind, tables
  elseif machine == "aarch64" and r.tcr and (r.ttbr0 or r.ttbr1) then
    local kind, lower, upper = aarch64_by_registers(r)
    for _, half in ipairs {lower or upper, upper} do
      half.encryption_mask = given.encryption_mask
    end
    if lower or upper then
      return kind, lower, upper
    end
    return false, "its control registers do not show the page tables"
  end
  return false
end

-- By a vCPU's own registers or record: kind, lower, upper, and where it was found; nil, what is
-- wrong; false, and maybe why, if it has no page tables. info() returns VMCOREINFO, or nil; it
-- is called only if the registers are not enough.
function paging.of_own_tables(machine, cpu, info, given)
  local kind, lower, upper = by_registers(machine, cpu, info, given)
  if kind ~= false then
    return kind, lower, upper, "its control registers"
  elseif cpu.pgtbl == 0 then
    return false, lower
  end
  local why = lower
  kind, lower, upper = by_record(machine, cpu, info(), given)
  if not kind and why then
    lower = why .. "; " .. lower
  end
  return kind, lower, upper, "pgtbl of its record"
end

-- By a vCPU's own registers or record, or else the kernel's by VMCOREINFO.
function paging.of_vcpu(machine, cpu, info, given)
  local kind, lower, upper, from = paging.of_own_tables(machine, cpu, info, given)
  if kind ~= false then
    return kind, lower, upper, from
  end
  local known = info()
  if not known then
    return nil, lower or "the dump has no control registers, no page table and no VMCOREINFO"
  end
  kind, lower, upper = paging.of_kernel(machine, known)
  return kind, lower, upper, "VMCOREINFO from " .. known.from
end

-- Returns kind, lower, upper as the caller gives them.
function paging.by_hand(machine, given)
  local kind = given.kind or machine
  local shift = given.granule and shifts[given.granule] or 12
  local x86 = kind == "x86" or kind == "x86 PAE"
  local va_bits = given.va_bits or (x86 and 32 or 48)
  local function half(root)
    return root and {root = root & ~(given.encryption_mask or 0), va_bits = va_bits,
      page_shift = shift, pa_bits = pa_bits_of(given, shift, va_bits),
      encryption_mask = given.encryption_mask}
  end
  return kind, half(given.root), half(given.kernel_root)
end

return paging
