-- Virtual memory: translation, walks, mappings, reads and searches.

local cost = require "support.cost"
local dumps = require "support.dumps"
local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local x86, arm = pagetables.x86, pagetables.arm

-- Opens a dump that holds these page tables and further segments.
local function dump_of(machine, tables, ...)
  local segments = tables and tables:segments() or {}
  for _, segment in ipairs {...} do
    segments[#segments + 1] = segment
  end
  return assert(qvm.open(files.write("space.gcore", writer.file {machine = machine,
    segments = segments})))
end

-- The translation of an address, as text.
local function at(space, address)
  local physical, size, rights = space:translate(address)
  if not physical then
    return rights
  end
  return ("%x %x %s"):format(physical, size, rights)
end

local function mappings(space, from, to)
  return dumps.extents(space:mappings(from, to))
end

describe("an address space", function()
  after_each(files.clean)

  it("translates x86_64 pages of 4 KiB, 2 MiB and 1 GiB", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x401000, 0x5000, 0, x86.user)
    t:map(0x7fffffe00000, 0x123456000, 0, x86.user | x86.write | x86.nx)
    t:map(0xffffffff81000000, 0x40000000, 1, 0)
    t:map(0xffff888000000000, 0x000fffffc0000000, 2, x86.write | x86.nx)
    local space = assert(dump_of("x86_64", t):space {root = t.root})
    assert.are.equal("5abc 1000 r-x/r-x", at(space, 0x401abc))
    assert.are.equal("123456fff 1000 rw-/rw-", at(space, 0x7fffffe00fff))
    assert.are.equal("401fffff 200000 r-x/---", at(space, 0xffffffff811fffff))
    assert.are.equal("fffffffffffff 40000000 rw-/---", at(space, 0xffff88803fffffff))
    assert.are.equal("unmapped", at(space, 0x402000))
    assert.are.equal("unmapped", at(space, 0xffff888040000000))
  end)

  it("can be printed by qvm.hexdump", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x401000, 0x5000, 0, x86.user)
    local space = assert(dump_of("x86_64", t, {paddr = 0x5000, bytes = ("qvm"):rep(100)})
      :space {root = t.root})
    assert.are.equal("0000000000401003: 7176 6d71 766d"
      .. (" "):rep(26) .. "|qvmqvm|", qvm.hexdump(space, 0x401003, 6))
    assert.matches("^0000000000401000: ", (qvm.hexdump(space, 0x401000)))
    assert.are.equal("unmapped", select(3, qvm.hexdump(space, 0x401000, 0x1001)))
    assert.has_error.matches(function() qvm.hexdump(space) end, "bad argument #2")
  end)

  it("restricts rights at every level", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x5000, 0, x86.user | x86.write)
    local all = x86.present | x86.write | x86.user
    local top = t.tables[t.root].entries[0] & ~0xfff
    t:set(t.root, 1, top | x86.present | x86.user)
    t:set(t.root, 2, top | x86.present | x86.write)
    t:set(t.root, 3, top | all | x86.nx)
    local space = assert(dump_of("x86_64", t):space {root = t.root})
    local rights = {}
    for i = 0, 3 do
      rights[i + 1] = select(3, space:translate(i << 39 | 0x1000))
    end
    assert.are.same({"rwx/rwx", "r-x/r-x", "rwx/---", "rw-/rw-"}, rights)
  end)

  it("translates x86_64's five levels and rejects non-canonical addresses", function()
    local t = pagetables.x86_64(0x100000, true)
    t:map(0x00f0123456789000, 0x5000, 0, 0)
    t:map(0xff11000000000000, 0x6000, 0, 0)
    local dump = dump_of("x86_64", t)
    local space = assert(dump:space {root = t.root, va_bits = 57})
    assert.are.equal("5000 1000 r-x/---", at(space, 0x00f0123456789000))
    assert.are.equal("6000 1000 r-x/---", at(space, 0xff11000000000000))
    local _, message, code = space:translate(0x0100000000000000)
    assert.are.equal("unmapped", code)
    assert.matches("0x0100000000000000 is not canonical", message, 1, true)
    assert.are.same({"f0123456789000+1000 r-x/---", "ff11000000000000+1000 r-x/---"},
      mappings(space))
    local four = assert(dump:space {root = t.root})
    assert.matches("is not canonical", select(2, four:translate(0x0000800000000000)), 1, true)
    assert.matches("is not mapped", select(2, four:translate(0x00007fffffffffff)), 1, true)
  end)

  it("translates x86 pages with and without PAE", function()
    local t = pagetables.x86_32(0x100000)
    t:map(0x08048000, 0x5000, 0, x86.user)
    t:map(0xc0400000, 0xab00400000, 1, x86.write)
    local space = assert(dump_of("x86", t):space {root = t.root})
    assert.are.equal("5123 1000 r-x/r-x", at(space, 0x08048123))
    assert.are.equal("ab00401234 400000 rwx/---", at(space, 0xc0401234))
    assert.are.equal("unmapped", at(space, 0x100000000))
    assert.are.same({"8048000+1000 r-x/r-x", "c0400000+400000 rwx/---"}, mappings(space))
    t = pagetables.x86_pae(0x100000)
    local all = x86.present | x86.write | x86.user
    t:map(0xbffff000, 0x123456000, 0, x86.user | x86.nx, all)
    t:map(0xc0200000, 0x600000, 1, x86.write)
    for _, entry in ipairs {0, 1, 2, 3} do -- the top level has no rights
      local e = t.tables[t.root].entries[entry]
      t:set(t.root, entry, e and e & ~6)
    end
    space = assert(dump_of("x86", t):space {root = t.root, kind = "x86 PAE"})
    assert.are.equal("123456000 1000 r--/r--", at(space, 0xbffff000))
    assert.are.equal("601000 200000 rwx/---", at(space, 0xc0201000))
  end)

  -- Page shift, bits of a virtual address, and whether physical addresses have 52 bits.
  for _, form in ipairs {{12, 32}, {12, 39}, {12, 48}, {14, 36}, {14, 47}, {14, 48}, {16, 42},
    {16, 48},
    {12, 52, true}, {14, 52, true}, {16, 52, true}} do
    local shift, va_bits, pa52 = table.unpack(form)
    it(("translates aarch64 pages of %d KiB with %d bits"):format(1 << shift - 10, va_bits),
    function()
      local page, block = 1 << shift, 1 << 2 * shift - 3
      local high = pa52 and 0xf << 48 or 0
      local lower = pagetables.aarch64(0x100000, shift, va_bits, pa52)
      local upper = pagetables.aarch64(0x1000000, shift, va_bits, pa52)
      local top = (1 << va_bits) - page
      lower:map(page, 0x123450000 | high, 0, arm.user | arm.read_only | arm.pxn)
      lower:map(top, 0x40000, 0, arm.user | arm.uxn)
      upper:map(-1 << va_bits, 0x60000000 | high, 0, arm.read_only | arm.uxn)
      upper:map(-block, 0x80000000 | high, 1, arm.uxn | arm.pxn)
      local segments = upper:segments()
      local dump = dump_of("aarch64", lower, table.unpack(segments))
      local space = assert(dump:space {root = lower.root, kernel_root = upper.root,
        va_bits = va_bits, granule = page})
      local function expect(physical, size, rights)
        return ("%x %x %s"):format(physical, size, rights)
      end
      assert.are.equal(expect(0x123450abc | high, page, "r--/r-x"), at(space, page + 0xabc))
      -- Privileged code cannot execute pages that user code can write.
      assert.are.equal(expect(0x40001, page, "rw-/rw-"), at(space, top + 1))
      assert.are.equal(expect(0x60000000 | high, page, "r-x/---"), at(space, -1 << va_bits))
      assert.are.equal(expect(0x80000000 + block - 1 | high, block, "rw-/---"), at(space, -1))
      assert.are.equal("unmapped", at(space, 0))
      assert.are.equal("unmapped", at(space, 1 << va_bits))
      assert.are.same({("%x+%x r--/r-x"):format(page, page), ("%x+%x rw-/rw-"):format(top, page),
        ("%x+%x r-x/---"):format(-1 << va_bits, page), ("%x+%x rw-/---"):format(-block, block)},
        mappings(space))
    end)
  end

  it("translates aarch64's larger blocks, including those that need 52 bits", function()
    for _, case in ipairs {{12, 48, false, 2, 1 << 30}, {12, 52, true, 3, 1 << 39},
      {14, 52, true, 2, 1 << 36}, {16, 52, true, 2, 1 << 42}} do
      local shift, va_bits, pa52, level, size = table.unpack(case)
      local t = pagetables.aarch64(0x100000, shift, va_bits, pa52)
      t:map(size, size, level, 0)
      local dump = dump_of("aarch64", t)
      local space = assert(dump:space {root = t.root, va_bits = va_bits, granule = 1 << shift})
      assert.are.equal(("%x %x rwx/--x"):format(size + 5, size), at(space, size + 5))
    end
    local t = pagetables.aarch64(0x100000, 14, 47, false)
    t:map(1 << 36, 1 << 36, 2, 0)
    local space = assert(dump_of("aarch64", t):space {root = t.root, va_bits = 47,
      granule = 16384})
    assert.are.equal("unmapped", at(space, 1 << 36))
  end)

  it("ends at the last address and does not wrap around", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0, 0x200000, 1, 0)
    t:map(-0x200000, 0x400000, 1, 0)
    local space = assert(dump_of("x86_64", t, {paddr = 0x200000, bytes = ("a"):rep(4 << 20)})
      :space {root = t.root})
    assert.are.equal(0x200000, #space:read(-0x200000, 0x200000))
    for _, size in ipairs {0x200001, 0x300000} do
      assert.are.equal("unmapped", select(3, space:read(-0x200000, size)))
    end
    assert.are.equal("unmapped", select(3, space:array(-0x8000, "u8", 0x10000)))
  end)

  it("has 48-bit addresses with 64 KiB pages if pa_bits is 48", function()
    local t = pagetables.aarch64(0x100000, 16, 48)
    t:map(0x10000, 0x50000, 0, 0xf000) -- bits 15:12 are ignored
    local dump = dump_of("aarch64", t)
    local function first(pa_bits)
      return (dump:space {root = t.root, granule = 65536, va_bits = 48, pa_bits = pa_bits}
        :translate(0x10000))
    end
    assert.are.equal(0x50000, first(48))
    assert.are.equal(0xf << 48 | 0x50000, first(52))
    local _, message, code = dump:space {root = t.root, granule = 65536, pa_bits = 50}
    assert.are.equal("unsupported", code)
    assert.matches("pages of 65536 bytes with physical addresses of 50 bits", message, 1, true)
    assert.are.equal(0xf << 48 | 0x50000, first(nil))
  end)

  it("accepts a memory-encryption mask", function()
    local mask = 1 << 47
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x5000, 0, 0)
    t:map(0x40000000, 0x40000000, 1, 0)
    for _, one in ipairs(t.tables) do
      for index, entry in pairs(one.entries) do
        one.entries[index] = entry | mask
      end
    end
    local cpu = {registers = writer.x86_64 {}, extra = {0x80000001, t.root | mask, 0x20}}
    local note = {type = 4, bytes = writer.note {cpus = {cpu}, names = {"cr0", "cr3", "cr4"}}}
    local dump = dump_of("x86_64", t, note)
    assert.are.equal("unmapped", at(dump:space {root = t.root}, 0x1000))
    assert.are.equal("unmapped", at(dump:space(dump:vcpu(0)), 0x1000))
    for _, space in ipairs {dump:space {root = t.root, encryption_mask = mask},
      dump:space {root = t.root | mask, encryption_mask = mask},
      dump:space(dump:vcpu(0), {encryption_mask = mask})} do
      assert.are.equal("5000 1000 r-x/---", at(space, 0x1000))
      assert.are.equal("40000000 200000 r-x/---", at(space, 0x40000000))
    end
    dump:vmcoreinfo(("OSRELEASE=6\nNUMBER(sme_mask)=%d\n"):format(mask))
    assert.are.equal("5000 1000 r-x/---", at(dump:space(dump:vcpu(0)), 0x1000))
    assert.has_error(function() dump:space {root = 0, encryption_mask = "C"} end)
  end)

  it("is that of a vCPU, by its control registers", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x5000, 0, 0)
    local cpu = {registers = writer.x86_64 {}, extra = {0x80000001, t.root, 0x20}}
    local note = {type = 4, bytes = writer.note {cpus = {cpu}, names = {"cr0", "cr3", "cr4"}}}
    local dump = dump_of("x86_64", t, note)
    assert.are.equal("5000 1000 r-x/---", at(dump:vcpu(0):space(), 0x1000))
    assert.are.equal(1, select("#", dump:vcpu(0):space()))
  end)

  it("restricts rights in aarch64's tables", function()
    local t = pagetables.aarch64(0x100000, 12, 39)
    t:map(0, 0x5000, 0, arm.user)
    local top = t.tables[t.root].entries[0]
    for i, flag in ipairs {arm.table_no_user, arm.table_read_only, arm.table_uxn,
      arm.table_pxn} do
      t:set(t.root, i, top | flag)
    end
    t:map(0x1000, 0x6000, 0, 0)
    local space = assert(dump_of("aarch64", t):space {root = t.root, va_bits = 39})
    local rights = {}
    for i = 0, 4 do
      rights[#rights + 1] = select(3, space:translate(i << 30))
      rights[#rights + 1] = select(3, space:translate(i << 30 | 0x1000))
    end
    assert.are.same({"rw-/rwx", "rwx/--x", "rw-/--x", "rwx/--x", "r--/r-x", "r-x/--x",
      "rw-/rw-", "rwx/---", "rw-/rwx", "rw-/--x"}, rights)
  end)

  it("reports the level, index and entry that stopped a walk", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x401000, 0x5000, 0, 0)
    t:set(t.root, 5, 0xdeadbeef0 | x86.present)
    local last = t.tables[#t.tables].address
    t:set(last, 2, 0x8000000000001230)
    local space = assert(dump_of("x86_64", t):space {root = t.root})
    local _, message, code = space:translate(0x402000)
    assert.are.equal("unmapped", code)
    assert.matches(("space.gcore: virtual address 0x0000000000402000 is not mapped: level 1, "
      .. "entry 2 of the table at 0x%016x is 0x8000000000001230"):format(last), message, 1, true)
    _, message, code = space:translate(5 << 39)
    assert.are.equal("unmapped", code)
    assert.matches("its page table of level 3 at 0x0000000deadbe000 is not in the dump",
      message, 1, true)
    local steps, walk_message, walk_code = space:walk(5 << 39)
    assert.are.same({1, "unmapped", message}, {#steps, walk_code, walk_message})
    assert.are.equal(1, select("#", space:walk(0x401abc)))
    steps = assert(space:walk(0x401abc))
    assert.are.equal(4, #steps)
    assert.are.same({level = 4, table = t.root, index = 0, kind = "table", rights = "rwx/rwx",
      entry = 0x101007, address = 0x101000}, steps[1])
    assert.are.same({level = 1, table = last, index = 1, kind = "page", rights = "r-x/---",
      entry = 0x5001, address = 0x5000, size = 4096}, steps[4])
    steps = assert(space:walk(0x402000))
    assert.are.same({level = 1, table = last, index = 2, kind = "invalid",
      entry = 0x8000000000001230}, steps[4])
    assert.is_nil((space:walk(1 << 50)))
  end)

  it("reports a half whose page tables are unknown", function()
    local t = pagetables.aarch64(0x100000, 12, 48)
    local space = assert(dump_of("aarch64", t):space {kernel_root = t.root})
    local _, message, code = space:translate(0x1000)
    assert.are.equal("unsupported", code)
    assert.matches("no page tables are known for the lower half", message, 1, true)
    assert.are.equal("unmapped", at(space, -4096))
    assert.are.same({}, mappings(space))
  end)

  it("joins mappings with the same rights, regardless of physical addresses", function()
    local t = pagetables.x86_64(0x100000)
    for i = 0, 600 do
      t:map(0x7ff000000 + i * 4096, 0x10000000 - i * 4096, 0, x86.write)
    end
    t:map(0x7ff000000 + 601 * 4096, 0x5000, 0, 0)
    t:map(0x7ff200000 + 512 * 4096, 0x200000, 1, 0)
    for i = 0, 511 do -- a full table
      t:map(0x800000000 + i * 4096, 0x5000, 0, i < 256 and x86.user or 0)
    end
    local space = assert(dump_of("x86_64", t):space {root = t.root})
    assert.are.same({"7ff000000+259000 rwx/---", "7ff259000+1000 r-x/---",
      "7ff400000+200000 r-x/---", "800000000+100000 r-x/r-x", "800100000+100000 r-x/---"},
      mappings(space))
    assert.are.same({"7ff001000+1000 rwx/---"}, mappings(space, 0x7ff001000, 0x7ff002000))
    assert.are.same({"7ff258fff+1 rwx/---", "7ff259000+1 r-x/---"},
      mappings(space, 0x7ff258fff, 0x7ff259001))
    assert.are.same({}, mappings(space, 0x7ff600000, 0x800000000))
    assert.are.same({}, mappings(space, 5, 0))
  end)

  it("reads across pages that are not physically adjacent", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x9000, 0, 0)
    t:map(0x2000, 0x5000, 0, 0)
    t:map(0x3000, 0xffff0000, 0, 0)
    local low, high = ("abcdefgh"):rep(512), ("ABCDEFG\0"):rep(512)
    local dump = dump_of("x86_64", t, {paddr = 0x9000, bytes = low}, {paddr = 0x5000,
      bytes = high})
    local space = assert(dump:space {root = t.root})
    assert.are.equal("efghABCD", space:read(0x1ffc, 8))
    assert.are.equal("ghABCDEFG", space:cstring(0x1ffe))
    assert.are.equal(0x4443424168676665, space:u64(0x1ffc))
    assert.are.equal(0x68, space:u8(0x1fff))
    assert.are.same({0x68676665, 0x44434241}, space:array(0x1ffc, "u32", 2))
    assert(space:read(0x1000, 8192) == low .. high)
    local _, message, code = space:read(0x2ff8, 9)
    assert.are.equal("unmapped", code)
    assert.matches("virtual address 0x0000000000003000 is in a page of which not all is in the "
      .. "dump, at physical address 0x00000000ffff0000", message, 1, true)
    _, message, code = space:u16(0x4000)
    assert.are.equal("unmapped", code)
    assert.matches("virtual address 0x0000000000004000 is not mapped", message, 1, true)
    assert.are.equal("unmapped", select(3, space:read(-4, 8)))
    assert.are.equal("", space:read(0x77777000, 0))
    local missing = string.packsize("T") == 8 and "unmapped" or "too_large" -- with 32 bits
    assert.are.equal(missing, select(3, space:read(0x1000, math.maxinteger // 2)))
  end)

  it("finds bytes across pages that are not physically adjacent, but not across a gap", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x9000, 0, 0)
    t:map(0x2000, 0x5000, 0, x86.write) -- other rights
    t:map(0x4000, 0x9000, 0, 0)
    t:map(0x5000, 0xffff0000, 0, 0)     -- not in the dump
    t:map(0x6000, 0x5000, 0, 0)
    t:map(0x7000, 0x9000, 0, 0)
    t:map(0x9000, 0x5000, 0, 0) -- after a gap
    local dump = dump_of("x86_64", t, {paddr = 0x9000, bytes = ("x"):rep(4093) .. "nee"},
      {paddr = 0x5000, bytes = "dle" .. ("needle"):rep(2) .. ("y"):rep(4081)})
    local space = assert(dump:space {root = t.root})
    local function all(options)
      return dumps.addresses(space:find("needle", options))
    end
    assert.are.same({"1ffd", "2003", "2009", "6003", "6009", "9003", "9009"}, all())
    assert.are.same({"2003", "2009"}, all {from = 0x1ffe, to = 0x200f})
    assert.are.same({"2003"}, all {from = 0x1ffe, to = 0x200e})
    assert.are.same({"6003"}, all {align = 3, from = 0x3000, to = 0x6009})
    assert.is_false(pcall(space.find, space, ""))
  end)

  it("returns the strings of mapped memory and reports progress", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x9000, 0, 0)
    t:map(0x2000, 0x5000, 0, x86.write)
    t:map(0x4000, 0x9000, 0, 0)
    t:map(0x5000, 0xffff0000, 0, 0) -- not in the dump
    local dump = dump_of("x86_64", t, {paddr = 0x9000, bytes = ("\1"):rep(4086) .. "This is on"},
      {paddr = 0x5000, bytes = "e string\0and another" .. ("\0"):rep(4076)})
    local space = assert(dump:space {root = t.root})
    local list, done = {}, {}
    for address, text in space:strings(4, {progress = function(bytes, total)
      done[#done + 1] = bytes
      assert(total == nil)
    end}) do
      list[#list + 1] = ("%x %s"):format(address, text)
    end
    assert.are.same({"1ff6 This is one string", "2009 and another", "4ff6 This is on"}, list)
    assert.are.equal(0x3000, done[#done])
    list = {}
    for address, text in space:strings(4, {from = 0x1ffb, to = 0x2004}) do
      list[#list + 1] = ("%x %s"):format(address, text)
    end
    assert.are.same({"1ffb is one st"}, list)
  end)

  it("searches pages that are only partly in the dump", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x9000, 0, 0)
    t:map(0x2000, 0xa000, 0, 0)
    local dump = dump_of("x86_64", t, {paddr = 0x9010, bytes = "needle"},
      {paddr = 0x9800, bytes = "xxneedle"}, {paddr = 0x9ffd, bytes = "nee"},
      {paddr = 0xa000, bytes = "dle"}, {paddr = 0xaffa, bytes = "needle"})
    local space = assert(dump:space {root = t.root})
    assert.are.same({"1010", "1802", "1ffd", "2ffa"}, dumps.addresses(space:find("needle")))
  end)

  it("fails after its dump is closed", function()
    local t = pagetables.x86_64(0x100000)
    t:map(0x1000, 0x100000, 0, 0)
    local dump = dump_of("x86_64", t)
    local space = assert(dump:space {root = t.root})
    local iterator, matches = space:mappings(), space:find("x")
    dump:close()
    for _, name in ipairs {"translate", "walk", "u64", "cstring"} do
      assert.are.equal("gone", select(3, space[name](space, 0x1000)))
    end
    for _, name in ipairs {"mappings", "strings"} do
      local ok, message = pcall(function() local _ = space[name](space) end)
      assert.is_false(ok)
      assert.matches("address_space_spec.lua:%d+: the dump is closed", message)
    end
    assert.are.equal("gone", select(3, dump:space {root = 0}))
    assert.is_false(pcall(iterator))
    assert.is_false(pcall(matches))
    assert.matches("^Space of .*space.gcore: x86_64, page table 0x100000, 48 bits, "
      .. "from the caller$", tostring(space))
  end)

  it("raises for programming errors", function()
    local dump = dump_of("x86_64", nil, {paddr = 0, bytes = "x"})
    for _, case in ipairs {{nil, "vCPU or table of options"}, {5, "vCPU or table of options"},
      {{}, "an option 'root'"}, {{root = "1"}, "not an integer"},
      {{roots = 1}, "no option 'roots'"},
      {{root = 1, granule = 8192}, "4096, 16384 or 65536"},
      {{root = 1, kind = "mips"}, "option 'kind'"}} do
      local ok, message = pcall(function() dump:space(case[1]) end)
      assert.is_false(ok)
      assert.matches(case[2], message, 1, true)
      assert.matches("space_spec.lua:", message, 1, true)
    end
    for _, options in ipairs {{root = 0, va_bits = 304}, {root = 0, va_bits = 48 + (1 << 32)},
      {root = 0, va_bits = -16}, {root = 0, va_bits = 49}, {root = 0, va_bits = 64},
      {root = 0, granule = 65536}, {root = 0, kind = "aarch64", va_bits = 8}} do
      assert.are.equal("unsupported", select(3, dump:space(options)))
    end
    assert.is_false(pcall(dump.space(dump, {root = 0}).translate, {}, 1))
  end)
end)

describe("hostile page tables", function()
  after_each(files.clean)

  it("may point to themselves", function()
    local t = pagetables.x86_64(0x100000)
    for i = 0, 511 do
      t:set(t.root, i, t.root | x86.present | x86.write)
    end
    local space = assert(dump_of("x86_64", t):space {root = t.root})
    assert.are.equal("100123 1000 rwx/---", at(space, 0x123456789123))
    assert.are.equal(t.root | 3, space:u64(0x123456789120 & ~7))
    assert.are.same({"0+40000000 rwx/---"}, mappings(space, 0, 1 << 30))
    -- A single self-referencing entry, as some operating systems have.
    for i = 0, 511 do
      t:set(t.root, i, i == 493 and t.root | x86.present | x86.write or 0)
    end
    space = assert(dump_of("x86_64", t):space {root = t.root})
    assert.are.same({"fffff6fb7dbed000+1000 rwx/---"}, mappings(space))
  end)

  it("are not followed endlessly", function()
    local t = pagetables.x86_64(0x100000)
    for i = 0, 511 do -- entries with alternating rights, to the same table
      t:set(t.root, i, t.root | x86.present | (i % 2 == 0 and x86.write or x86.nx))
    end
    local dump = dump_of("x86_64", t, {paddr = 0x200000, bytes = ("x"):rep(4096)})
    for _, body in ipairs {"for _ in space:mappings() do count = count + 1 end",
      "for _ in space:find('not there') do count = count + 1 end",
      "for _ in space:find('not there', {from = 1 << 40}) do count = count + 1 end"} do
      local answer = cost.check(([[
        local dump = assert(qvm.open(%q))
        local space = assert(dump:space {root = 0x100000})
        local count = 0
        local ok, message = pcall(function() %s end)
        return tostring(ok) .. " " .. tostring(message)]]):format(dump.path, body))
      assert.matches("^false .*too_large: the page tables map far more than the memory of the dump",
        answer)
      assert.matches("from 0x0000%x+ up to 0x0000%x+$", answer)
    end
  end)

  it("are not searched endlessly if they map memory outside the dump", function()
    local t = pagetables.x86_64(0x100000)
    for i = 0, 511 do
      t:set(t.root, i, t.root | x86.present | x86.write)
    end
    local last_level = t:add()
    for i = 0, 511 do
      t:set(last_level, i, 0x40000000 + i * 0x2000 | x86.present | (i % 2) << 1)
    end
    t:set(t.root, 7, last_level | 3)
    local dump = dump_of("x86_64", t)
    local answer = cost.check(([[
      local dump = assert(qvm.open(%q))
      local space = assert(dump:space {root = 0x100000})
      local ok, message = pcall(function() for _ in space:find("not there") do end end)
      return tostring(ok) .. " " .. tostring(message)]]):format(dump.path))
    assert.matches("^false .*too_large", answer)
  end)

  it("may map the same memory several times", function()
    local t = pagetables.x86_64(0x100000)
    for i = 0, 511 do
      t:map(0x40000000 + i * 0x200000, 0x200000, 1, 0)
    end
    local space = assert(dump_of("x86_64", t, {paddr = 0x200000, bytes = "here"})
      :space {root = t.root})
    local count = 0
    for _ in space:find("here") do
      count = count + 1
    end
    assert.are.equal(512, count)
  end)

  it("may lie outside memory, at its end, or only partly in the dump", function()
    local dump = dump_of("x86_64", nil, {paddr = 0, bytes = ("\1"):rep(4096)})
    for _, root in ipairs {0x1000, 0xfffffffffffff000, 0x7ffffffffffff000} do
      local space = assert(dump:space {root = root})
      assert.are.equal("unmapped", at(space, 0))
      assert.are.equal("unmapped", at(space, -1))
      assert.are.same({}, mappings(space))
    end
    local t = pagetables.x86_64(0x100000)
    t:map(0, 0x5000, 0, 0)
    local segments = t:segments()
    local bytes = segments[#segments].bytes
    local at_address = segments[#segments].paddr
    segments[#segments] = {paddr = at_address, bytes = bytes:sub(1, 8)}
    segments[#segments + 1] = {paddr = at_address + 0xff8, bytes = string.pack("<i8", 0x6001)}
    local space = assert(dump_of("x86_64", nil, table.unpack(segments)):space {root = t.root})
    assert.are.same({"0+1000 r-x/---", "1ff000+1000 r-x/---"}, mappings(space))
    assert.are.equal("5000 1000 r-x/---", at(space, 0))
    assert.are.equal("unmapped", at(space, 0x1000))
  end)

  it("may hold random entries", function()
    math.randomseed(21)
    local count = os.getenv("QVM_VALGRIND") and 5 or 60
    for i = 1, count do
      local words = {}
      for k = 1, 4 * 512 do
        -- Most entries point to one of the four tables.
        words[k] = string.pack("<i8", math.random() < 0.05 and math.random(0)
          or math.random(0, 3) << 12 | math.random(0, 0xfff) | (math.random(0, 7) << 61))
      end
      local machine = i % 2 == 0 and "x86_64" or "aarch64"
      local dump <close> = dump_of(machine, nil, {paddr = 0, bytes = table.concat(words)})
      local space = assert(dump:space {root = 0})
      for _ = 1, 200 do
        local address = math.random(0) >> math.random(0, 17)
        local physical, _, _ = space:translate(address)
        local steps = space:walk(address)
        assert(not physical or steps[#steps].kind == "page")
        assert(physical ~= nil or space:u8(address) == nil)
        if physical and space:u8(address) then
          assert.are.equal(dump:u8(physical), space:u8(address))
        end
      end
      local ranges, before = 0, 0
      for start, size in space:mappings() do
        assert(ranges == 0 or not math.ult(start, before))
        before, ranges = start + size, ranges + 1
        if ranges == 500 then
          break
        end
      end
    end
  end)
end)
