-- Where the page tables of a guest are and of what form, by what a dump tells:
-- control registers, the page table of a vCPU's record, VMCOREINFO, the caller.
-- What comes out is what the C module makes a space of: the kind, and for each
-- half of the addresses a table of root, va_bits, page_shift, wide, ignored. Where
-- there are not two halves the lower one is for all addresses.

local line = require "qvm.util.text"

local paging = {}

local shifts = {[4096] = 12, [16384] = 14, [65536] = 16}

local function bits(value, high, low)
  return value >> low & (1 << high - low + 1) - 1
end

-- Registers by their names: those of a QNX dump's extra registers are not known
-- here, so neither case nor a missing "_el1" counts; the first of a name does.
local function registers_of(cpu)
  local registers = {}
  for name, value in cpu:extra_registers() do
    name = line.lower(name):gsub("_el1$", "")
    registers[name] = registers[name] or value
  end
  return registers
end

-- AMD64 Architecture Programmer's Manual 2: CR0.PG is bit 31; CR4.PAE is bit 5 and
-- CR4.LA57 bit 12; the low 12 bits of CR3 are no part of the address, of three
-- levels (PAE) the low 5.
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
  local wide = bits(tcr, 59, 59) == 1 or shift == 16 and bits(tcr, 34, 32) == 6
  local root = ttbr & 0x0000fffffffffffe
  if wide then
    root = root & ~0x3f | bits(ttbr, 5, 2) << 48
  end
  return {root = root, va_bits = 64 - size, page_shift = shift, wide = wide}
end

local function aarch64_by_registers(r)
  local tcr = r.tcr
  local lower = half_by_registers("lower", r.ttbr0, bits(tcr, 5, 0), bits(tcr, 15, 14),
    bits(tcr, 7, 7), tcr)
  local upper = half_by_registers("upper", r.ttbr1, bits(tcr, 21, 16), bits(tcr, 31, 30),
    bits(tcr, 23, 23), tcr)
  return "aarch64", lower, upper
end

-- The kernel's own page tables, by VMCOREINFO. nil, and what it does not tell.
local function kernel_x86_64(info)
  local root, base = info.symbols.swapper_pg_dir, info.numbers.phys_base
  if not root or not base then
    return nil, "it has no SYMBOL(swapper_pg_dir) or no NUMBER(phys_base)"
  end
  return {root = root + base - 0xffffffff80000000, page_shift = 12,
    va_bits = info.numbers.pgtable_l5_enabled == 1 and 57 or 48,
    ignored = info.numbers.sme_mask}
end

-- With pages of 64 KiB the kernel's table is made for VA_BITS, and used with an
-- offset where the processor has fewer.
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
    wide = shift == 16 or va_bits > 48}
end

-- kind, lower, upper of the kernel's space; or nil, what is missing.
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
  return nil, "there is no way to tell for " .. machine
end

-- The page table that a QNX dump's record names is taken for that of the lower half.
local function by_record(machine, cpu, info, given)
  if machine == "x86_64" then
    local five = info and info.numbers.pgtable_l5_enabled == 1
    return "x86_64", {root = cpu.pgtbl, page_shift = 12,
      va_bits = given.va_bits or five and 57 or 48}
  elseif machine == "x86" and given.kind then
    return given.kind, {root = cpu.pgtbl, page_shift = 12, va_bits = 32}
  elseif machine == "aarch64" then
    local upper = info and select(3, paging.of_kernel(machine, info))
    local shift = given.granule and shifts[given.granule] or upper and upper.page_shift
    local va_bits = given.va_bits or upper and upper.va_bits
    if shift and va_bits then
      return "aarch64", {root = cpu.pgtbl, va_bits = va_bits, page_shift = shift,
        wide = given.wide or shift == 16 or va_bits > 48}, upper
    end
  end
  return nil, ("its page table is at 0x%016x (pgtbl), but nothing tells of what form it is: "
    .. "give dump:space(cpu, options) %s"):format(cpu.pgtbl,
    machine == "aarch64" and "va_bits and granule" or "a kind, \"x86\" or \"x86 PAE\"")
end

-- By the control registers of a vCPU; false where it has none, or none of use, and then
-- why.
local function by_registers(machine, cpu)
  local r = registers_of(cpu)
  if r.cr3 and (machine == "x86_64" or machine == "x86") then
    local kind, tables = x86_by_registers(r)
    if kind and machine == "x86" and kind ~= "x86" then
      kind, tables.va_bits, tables.root = "x86 PAE", 32, r.cr3 & 0xffffffe0
    end
    return kind, tables
  elseif machine == "aarch64" and r.tcr and (r.ttbr0 or r.ttbr1) then
    local kind, lower, upper = aarch64_by_registers(r)
    if lower or upper then
      return kind, lower, upper
    end
    return false, "its control registers tell of no page tables"
  end
  return false
end

-- kind, lower, upper, where it is from; or nil, what is wrong. info(): VMCOREINFO, or
-- nil; asked only where the registers do not tell.
function paging.of_vcpu(machine, cpu, info, given)
  local kind, lower, upper = by_registers(machine, cpu)
  if kind ~= false then
    return kind, lower, upper, "its control registers"
  end
  local why = lower
  if cpu.pgtbl ~= 0 then
    kind, lower, upper = by_record(machine, cpu, info(), given)
    if not kind and why then
      lower = why .. "; " .. lower
    end
    return kind, lower, upper, "pgtbl of its record"
  end
  local known = info()
  if not known then
    return nil, why or "the dump has no control registers, no page table and no VMCOREINFO"
  end
  kind, lower, upper = paging.of_kernel(machine, known)
  return kind, lower, upper, "VMCOREINFO from " .. known.from
end

-- kind, lower, upper by what the caller gives.
function paging.by_hand(machine, given)
  local kind = given.kind or machine
  local shift = given.granule and shifts[given.granule] or 12
  local x86 = kind == "x86" or kind == "x86 PAE"
  local va_bits = given.va_bits or (x86 and 32 or 48)
  local function half(root)
    return root and {root = root, va_bits = va_bits, page_shift = shift,
      wide = given.wide or shift == 16 or va_bits > 48}
  end
  return kind, half(given.root), half(given.kernel_root)
end

return paging
