-- What a dump reveals about its guest: VMCOREINFO, and the address spaces found through it or
-- through the vCPUs.

local cost = require "support.cost"
local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local x86 = pagetables.x86

local function open(dump)
  return assert(qvm.open(files.write("guest.gcore", writer.file(dump))))
end

local function note_segment(text)
  return {type = 4, align = 0, bytes = writer.elf_note("VMCOREINFO\0", 0, text)}
end

local text = [[
OSRELEASE=6.1.0-test
BUILD-ID=abcdef0123
PAGESIZE=4096
SYMBOL(swapper_pg_dir)=ffffffff82010000
SYMBOL(init_uts_ns)=ffffffff82020000
OFFSET(uts_namespace.name)=4
SIZE(list_head)=16
LENGTH(free_area.free_list)=5
NUMBER(phys_base)=-33554432
NUMBER(KERNEL_IMAGE_SIZE)=1073741824
NUMBER(sme_mask)=0x800000000000
NUMBER(too_large)=99999999999999999999
NUMBER(too_small)=-9223372036854775809
CRASHTIME=1700000000
]]

describe("VMCOREINFO", function()
  after_each(files.clean)

  it("is read from its note, completely", function()
    local dump = open {machine = "x86_64", segments = {note_segment(text .. "\0\0")}}
    local info = assert(dump:vmcoreinfo())
    assert.are.equal("VMCOREINFO of Linux 6.1.0-test, from its note", tostring(info))
    assert.are.same({"6.1.0-test", 4096, text}, {info.release, info.page_size, info.text})
    assert.are.same({swapper_pg_dir = 0xffffffff82010000, init_uts_ns = 0xffffffff82020000},
      info.symbols)
    assert.are.same({["uts_namespace.name"] = 4}, info.offsets)
    assert.are.same({list_head = 16}, info.sizes)
    assert.are.same({["free_area.free_list"] = 5}, info.lengths)
    assert.are.same({phys_base = -33554432, KERNEL_IMAGE_SIZE = 1 << 30,
      sme_mask = 0x800000000000}, info.numbers)
    assert.are.same({OSRELEASE = "6.1.0-test", ["BUILD-ID"] = "abcdef0123", PAGESIZE = "4096",
      CRASHTIME = "1700000000"}, info.values)
    assert.are.equal(info, dump:vmcoreinfo())
  end)

  -- A kernel in memory from `base` on, with phys_base 0. Returns its page tables, its VMCOREINFO
  -- and the segment that holds its name.
  local function kernel(release, base)
    local t = pagetables.x86_64(base + 0x10000)
    t:map(0xffffffff82020000, base + 0x20000, 0, 0)
    local own = ("OSRELEASE=%s\nSYMBOL(swapper_pg_dir)=%x\nSYMBOL(init_uts_ns)=ffffffff82020000\n"
      .. "OFFSET(uts_namespace.name)=4\nNUMBER(phys_base)=0\n"):format(release,
      0xffffffff80000000 + t.root)
    return t, own, {paddr = base + 0x20000, bytes = "\1\0\0\0Linux"
      .. ("\0"):rep(60) .. "host" .. ("\0"):rep(61) .. release .. ("\0"):rep(300)}
  end

  local function in_memory(own)
    return string.pack("<I4I4I4", 11, #own, 0) .. "VMCOREINFO\0\0" .. own
  end

  it("is found in memory if it matches the kernel there", function()
    local t, own, name = kernel("6.1.0-right", 0x100000)
    local stale = own:gsub("6.1.0%-right", "5.4.0-stale")
    local segments = t:segments()
    segments[#segments + 1] = name
    segments[#segments + 1] = {paddr = 0x1000, bytes = "VMCOREINFO\0\0not this"
      .. in_memory("OTHER=1\n") .. ("\0"):rep(2)}
    segments[#segments + 1] = {paddr = 0x4000, bytes = in_memory(stale)}
    segments[#segments + 1] = {paddr = 0x8000, bytes = in_memory(own) .. "\0behind"}
    local dump = open {machine = "x86_64", segments = segments}
    local info = assert(dump:vmcoreinfo())
    assert.are.equal("VMCOREINFO of Linux 6.1.0-right, from physical address 0x0000000000008000",
      tostring(info))
    assert.are.equal(own, info.text)
    local space = assert(dump:kernel_space())
    assert.are.equal("Linux", space:cstring(0xffffffff82020004))
    assert.matches("from VMCOREINFO from physical address", tostring(space), 1, true)
  end)

  it("is searched for in a limited number of notes", function()
    local t, own, name = kernel("6.1.0-right", 0x100000)
    local stale = in_memory((own:gsub("6.1.0%-right", "5.4.0-stale")))
    local function open_with(count)
      local segments = t:segments()
      segments[#segments + 1] = name
      segments[#segments + 1] = {paddr = 0x1000,
        bytes = (stale .. ("\0"):rep(-#stale % 4)):rep(count) .. in_memory(own)}
      return open {machine = "x86_64", segments = segments}
    end
    assert.are.equal("6.1.0-right", assert(open_with(63):vmcoreinfo()).release)
    assert.are.equal("not_found", select(3, open_with(64):vmcoreinfo()))
  end)

  it("skips symbols with invalid addresses", function()
    local dump = open {machine = "x86_64", segments = {note_segment("OSRELEASE=6\n"
      .. "SYMBOL(a)=12345678901234567\n"
      .. "SYMBOL(b)=-5\nSYMBOL(c)=fffffffffffffff0\nSYMBOL(d)=0x10\nSYMBOL(e)=\n")}}
    assert.are.same({c = -16, d = 16}, dump:vmcoreinfo().symbols)
  end)

  it("may have a line of any length", function() -- quadratic matching would not end
    local dump = open {machine = "x86_64", segments = {note_segment "OSRELEASE=6.0\n"}}
    local info = dump:vmcoreinfo("OSRELEASE=6.1\n" .. ("x"):rep((1 << 20) - 14))
    assert.are.same({OSRELEASE = "6.1"}, info.values)
  end)

  it("has a limited number of lines, also from the caller", function()
    local path = open {machine = "x86_64", segments = {note_segment "OSRELEASE=6.0\n"}}.path
    local answer = cost.check(([[
      local dump, lines = assert(qvm.open(%q)), {"OSRELEASE=6"}
      while #lines < 100000 do lines[#lines + 1] = ("%%x="):format(#lines) end
      local text = table.concat(lines, "\n")
      local info = assert(dump:vmcoreinfo(text))
      local _, message, code = dump:vmcoreinfo(text .. ("a=b\n"):rep(1 << 18))
      return info.values.ffff .. code .. dump:vmcoreinfo().release .. message]]):format(path))
    assert.matches("^too_large6.*guest.gcore: the VMCOREINFO given has %d+ bytes, more than "
      .. "1048576$", answer)
  end)

  it("is not read from a note of more than 64 KiB", function()
    local dump = open {machine = "x86_64", segments = {note_segment("OSRELEASE=6.1\n"
      .. ("a=b\n"):rep(1 << 14))}}
    assert.are.equal("not_found", select(3, dump:vmcoreinfo()))
  end)

  it("is searched for in memory if the notes are damaged", function()
    local damaged = {type = 4, bytes = string.pack("<I4I4I4", 4, 1 << 30, 0)}
    local dump = open {machine = "x86_64", segments = {damaged, {paddr = 0x1000,
      bytes = writer.elf_note("VMCOREINFO\0", 0, "OSRELEASE=6.1.0-test\n")}}}
    assert.are.equal("6.1.0-test", assert(dump:vmcoreinfo()).release)
    dump = open {machine = "x86_64", segments = {damaged, {paddr = 0x1000, bytes = "x"}}}
    assert.are.equal("not_found", select(3, dump:vmcoreinfo()))
    assert.error_matches(function() dump:dmesg() end, "guest.gcore: no VMCOREINFO")
    assert.is_nil(assert(dump:guest()).vcpus) -- it has no records of them
    assert.is_false(pcall(function() for _ in dump:notes() do end end))
  end)

  it("may come from the caller", function()
    local dump = open {machine = "x86_64", segments = {{paddr = 0x1000, bytes = "x"}}}
    local _, message, code = dump:vmcoreinfo()
    assert.are.equal("not_found", code)
    assert.matches("guest.gcore: no VMCOREINFO, neither as a note nor in memory", message, 1, true)
    assert.are.equal("not_found", select(3, dump:kernel_space()))
    assert.are.equal("6.1.0-test", dump:vmcoreinfo(text).release)
    assert.are.equal("6.1.0-test", dump:vmcoreinfo().release)
    assert.are.equal(0xffffffff82010000 - 0x2000000 - 0xffffffff80000000,
      dump:kernel_space().lower.root)
    dump:vmcoreinfo("OSRELEASE=1\n")
    _, message, code = dump:kernel_space()
    assert.are.equal("unsupported", code)
    assert.matches("it has no SYMBOL(swapper_pg_dir), SYMBOL(init_top_pgt) or", message, 1, true)
    local ok, failure = pcall(function() dump:vmcoreinfo("nothing") end)
    assert.is_false(ok)
    assert.matches("guest_spec.lua:%d+: bad argument #1 to 'vmcoreinfo'", failure)
  end)

  it("locates the page tables of aarch64 kernels of any page size", function()
    local function space(lines)
      local dump = open {machine = "aarch64", segments = {note_segment("OSRELEASE=6\n"
        .. "SYMBOL(swapper_pg_dir)=ffff800001200000\nNUMBER(kimage_voffset)=0xffff7fffc0000000\n"
        .. lines)}}
      local result, message = dump:kernel_space()
      return result and result.upper or message
    end
    assert.are.same({root = 0x41200000, va_bits = 48, page_size = 4096},
      space "PAGESIZE=4096\nNUMBER(VA_BITS)=48\nNUMBER(TCR_EL1_T1SZ)=0x10\n")
    assert.are.same({root = 0x41200000, va_bits = 39, page_size = 4096},
      space "PAGESIZE=4096\nNUMBER(VA_BITS)=39\n")
    assert.are.same({root = 0x41200000, va_bits = 47, page_size = 16384},
      space "PAGESIZE=16384\nNUMBER(VA_BITS)=52\nNUMBER(TCR_EL1_T1SZ)=17\n")
    -- The table is built for 52 bits and used at an offset.
    assert.are.same({root = 0x41200000, va_bits = 52, page_size = 65536},
      space "PAGESIZE=65536\nNUMBER(VA_BITS)=52\nNUMBER(TCR_EL1_T1SZ)=16\n")
    assert.matches("no SYMBOL(swapper_pg_dir), NUMBER(kimage_voffset), PAGESIZE or",
      space "PAGESIZE=4096\n", 1, true)
    assert.matches("no SYMBOL", space "PAGESIZE=5000\nNUMBER(VA_BITS)=48\n", 1, true)
  end)
end)

describe("the address space of a vCPU", function()
  after_each(files.clean)

  -- Opens a QNX dump with one vCPU. names: of its extra registers; ...: a further segment.
  local function qnx(machine, cpu, names, ...)
    cpu.registers = writer[machine] {}
    return open {machine = machine, segments = {..., {type = 4,
      bytes = writer.note {cpus = {cpu}, names = names}}}}
  end

  local function space_of(dump, options)
    return dump:space(dump:vcpu(0), options)
  end

  it("comes from its control registers if the dump has them", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x100000, 0, x86.user)
    local pcid = 0x8000000000000005
    local dump = qnx("x86_64", {pgtbl = 0x7000, extra = {0x80000001, t.root | pcid, 0x20}},
      {"cr0", "cr3", "cr4"}, t:segments()[1])
    local space = assert(space_of(dump))
    assert.are.same({root = t.root, va_bits = 48, page_size = 4096}, space.lower)
    assert.matches("from its control registers (vCPU 0)", tostring(space), 1, true)
    local function with(cr0, cr4)
      return space_of(qnx("x86_64", {extra = {cr0, 0x5018, cr4}}, {"CR0", "CR3", "CR4"},
        {paddr = 0, bytes = "x"}))
    end
    assert.are.same({root = 0x5000, va_bits = 57, page_size = 4096},
      with(0x80000001, 0x1020).lower)
    assert.are.equal("x86", with(0x80000001, 0x10).kind)
    for _, names in ipairs {{"cr3", "CR3", "Cr3"}, {"Cr3", "CR3", "cr3"}} do
      assert.are.equal(0x5000, space_of(qnx("x86_64", {extra = {0x5000, 0x6000, 0x7000}}, names,
        {paddr = 0, bytes = "x"})).lower.root) -- the first one
    end
    local _, message, code = with(0x1, 0x20)
    assert.are.equal("unsupported", code)
    assert.matches("vCPU 0: paging is off: its addresses are physical", message, 1, true)
  end)

  it("comes from aarch64's TTBR and TCR", function()
    -- T0SZ, EPD0, TG0, T1SZ, EPD1, TG1, IPS, DS
    local function tcr(f)
      return (f.t0sz or 16) | (f.epd0 or 0) << 7 | (f.tg0 or 0) << 14 | (f.t1sz or 16) << 16
        | (f.epd1 or 0) << 23 | (f.tg1 or 2) << 30 | (f.ips or 5) << 32 | (f.ds or 0) << 59
    end
    local function space(fields, names)
      return space_of(qnx("aarch64", {pgtbl = 0x9000, extra = {0x00aa000041000001,
        0x00bb000042000000 | (fields.high or 0), tcr(fields)}},
        names or {"TTBR0_EL1", "TTBR1_EL1", "TCR_EL1"}, {paddr = 0, bytes = "x"}))
    end
    local s = space {}
    assert.are.same({root = 0x41000000, va_bits = 48, page_size = 4096}, s.lower)
    assert.are.same({root = 0x42000000, va_bits = 48, page_size = 4096}, s.upper)
    s = space({tg0 = 1, t0sz = 22, tg1 = 1, t1sz = 17}, {"ttbr0", "ttbr1", "tcr"})
    assert.are.same({root = 0x41000000, va_bits = 42, page_size = 65536}, s.lower)
    assert.are.same({root = 0x42000000, va_bits = 47, page_size = 16384}, s.upper)
    s = space {epd0 = 1, tg1 = 3, t1sz = 12, ips = 6, high = 0x3c}
    assert.is_nil(s.lower)
    assert.are.same({root = 0x000f000042000000, va_bits = 52, page_size = 65536}, s.upper)
    -- 52-bit virtual addresses, 48-bit physical addresses.
    s = space {tg1 = 3, t1sz = 12}
    assert.are.same({root = 0x42000000, va_bits = 52, page_size = 65536}, s.upper)
    -- Only one half has page tables.
    s = space {t0sz = 0}
    assert.is_nil(s.lower)
    assert.are.equal(0x42000000, s.upper.root)
    local _, message, code = space {t0sz = 0, epd1 = 1}
    assert.are.equal("unsupported", code)
    assert.matches("vCPU 0: its control registers do not give the format of its page tables",
      message, 1, true)
    -- Then the dump's VMCOREINFO is used.
    local dump = qnx("aarch64", {pgtbl = 0, extra = {1, 2, tcr {t0sz = 0, epd1 = 1}}},
      {"TTBR0_EL1", "TTBR1_EL1", "TCR_EL1"}, {paddr = 0, bytes = "x"})
    dump:vmcoreinfo("OSRELEASE=6\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffff800008100000\n"
      .. "NUMBER(kimage_voffset)=0xffff800008000000\nNUMBER(VA_BITS)=48\n")
    s = space_of(dump)
    assert.are.same({root = 0x100000, va_bits = 48, page_size = 4096}, s.upper)
    assert.matches("from VMCOREINFO from the caller", tostring(s), 1, true)
    s = space {t1sz = 12, ds = 1, high = 4}
    assert.are.same({root = 0x0001000042000000, va_bits = 52, page_size = 4096}, s.upper)
    assert.matches("lower half 0x41000000, 48 bits, upper half 0x42000000, 48 bits",
      tostring(space {}), 1, true)
  end)

  it("may have halves with different page sizes and the same root", function()
    -- The lower half has 4 KiB pages: its table is only the first 4 KiB of the root.
    local t = pagetables.aarch64(0x100000, 14, 47)
    local four = pagetables.aarch64(0x200000, 12, 48)
    four:map(0x1000, 0x5000, 0, 0)
    t:set(t.root, 0, four.tables[four.root].entries[0])
    t:map(-1 << 14, 0x8000, 0, 0)
    local segments = four:segments()
    for _, segment in ipairs(t:segments()) do
      segments[#segments + 1] = segment
    end
    local cpu = {registers = writer.aarch64 {}, extra = {t.root, t.root,
      16 | 17 << 16 | 1 << 30 | 5 << 32}}
    segments[#segments + 1] = {type = 4, bytes = writer.note {cpus = {cpu},
      names = {"ttbr0_el1", "ttbr1_el1", "tcr_el1"}}}
    local space = assert(space_of(open {machine = "aarch64", segments = segments}))
    local list = {}
    for start, size in space:mappings() do
      list[#list + 1] = ("%x+%x"):format(start, size)
    end
    -- The ranges in between come from reading the first entry with 16 KiB pages.
    assert.are.same({"1000+1000", "ffffffffffffc000+4000"}, {list[1], list[#list]})
    assert.are.equal(0x8123, (space:translate(-(1 << 14) + 0x123)))
  end)

  it("may have x86 PAE tables whose root is not page-aligned", function()
    local t = pagetables.x86_pae(0x100000)
    t:map(0x1000, 0x5000, 0, 0)
    local segments = t:segments()
    segments[1] = {paddr = 0x100020, bytes = segments[1].bytes:sub(1, 32)}
    local cpu = {registers = writer.x86 {}, extra = {0x80000001, 0x10003f, 0x20}}
    segments[#segments + 1] = {type = 4, bytes = writer.note {cpus = {cpu},
      names = {"cr0", "cr3", "cr4"}}}
    local space = assert(space_of(open {machine = "x86", segments = segments}))
    assert.are.equal("x86 PAE", space.kind)
    assert.are.equal(0x5123, (space:translate(0x1123)))
  end)

  it("comes from the page table of its record", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x100000, 0, x86.user)
    local dump = qnx("x86_64", {pgtbl = t.root}, nil, t:segments()[1])
    local space = assert(space_of(dump))
    assert.matches("page table 0x100000, 48 bits, from pgtbl of its record (vCPU 0)",
      tostring(space), 1, true)
  end)

  it("needs the caller's options if the form of the page table is unknown", function()
    local t = pagetables.aarch64(0x100000, 14, 47)
    t:map(0x4000, 0x100000, 0, 0)
    local dump = qnx("aarch64", {pgtbl = t.root}, nil, t:segments()[1])
    local _, message, code = space_of(dump)
    assert.are.equal("unsupported", code)
    assert.matches("vCPU 0: its page table is at 0x0000000000100000 (pgtbl), in an unknown "
      .. "format: pass va_bits and granule to dump:space(cpu, options)", message, 1, true)
    local space = assert(space_of(dump, {va_bits = 47, granule = 16384}))
    assert.are.same({root = t.root, va_bits = 47, page_size = 16384}, space.lower)
    assert.is_nil(space.upper)
    dump = qnx("x86", {pgtbl = 0x5000}, nil, {paddr = 0, bytes = "x"})
    assert.matches('a kind, "x86" or "x86 PAE"', select(2, space_of(dump)), 1, true)
    assert.are.equal("x86 PAE", space_of(dump, {kind = "x86 PAE"}).kind)
  end)

  it("is at least the kernel's half, from VMCOREINFO", function()
    local dump = open {machine = "aarch64", segments = {{type = 4, bytes = writer.note {
      cpus = {{registers = writer.aarch64 {}}}}}, {paddr = 0, bytes = "x"}}}
    local _, message, code = space_of(dump)
    assert.are.equal("unsupported", code)
    assert.matches("no control registers, no page table and no VMCOREINFO", message, 1, true)
    dump:vmcoreinfo("OSRELEASE=6\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffff800001200000\n"
      .. "NUMBER(kimage_voffset)=0xffff7fffc0000000\nNUMBER(VA_BITS)=48\n")
    local space = assert(space_of(dump))
    assert.are.equal(0x41200000, space.upper.root)
    assert.is_nil(space.lower)
    assert.matches("from VMCOREINFO from the caller (vCPU 0)", tostring(space), 1, true)
  end)
end)
