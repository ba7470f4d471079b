-- Compares dumps of real Linux guests, written by QEMU, with QEMU's own record of the
-- guests and with the output of other programs for the same files.

local cjson = require "cjson"
local files = require "support.files"
local guests = require "real_guests.guests"
local process = require "support.process"
local qvm = require "qvm"
local truth = require "real_guests.truth"

local function in_order(iterator)
  local list = {}
  for a, b in iterator do
    list[#list + 1] = b == nil and a or {a, b}
  end
  return list
end

guests.each({"x86_64", "aarch64", "x86_64-testing", "aarch64-testing"}, "the dump of a %s guest",
  function(_, directory, record)
    local arch = record.arch
    local whole = {} -- dumps of all memory, and the file with their registers
    for _, entry in ipairs(record.dumps) do
      if not entry.format and not entry.begin then
        whole[#whole + 1] = entry
      end
    end

    after_each(files.clean)

    local function open(name)
      return assert(qvm.open(directory .. name))
    end

    it("is recognised with its format and machine", function()
      for _, entry in ipairs(whole) do
        local dump <close> = open(entry.file)
        assert.are.same({"qemu", arch, 64, "little", true, entry.size}, {dump.format, dump.machine,
          dump.bits, dump.byteorder, dump.complete, dump.size})
        assert.are.same({}, dump.warnings)
      end
    end)

    it("has the registers that QEMU showed", function()
      for _, entry in ipairs(whole) do
        local dump <close> = open(entry.file)
        local cpus = truth.registers(files.read(directory .. entry.registers))
        assert.are.equal(record.cpus, #cpus)
        local compared = 0
        for i, expected in ipairs(cpus) do
          local cpu = dump:vcpu(i - 1)
          for name, value in pairs(expected) do
            local seen = cpu.extra[name] or cpu.regs[name]
            if seen then
              if name:match("_flags$") then
                seen = seen & 0x00ffff00 -- the monitor shows only these bits
              end
              assert.are.equal(qvm.hex(value), qvm.hex(seen), name)
              compared = compared + 1
            end
          end
          assert.are.equal(cpu.pc, expected.rip or expected.pc)
          assert.are.equal(cpu.sp, expected.rsp or expected.sp)
        end
        assert.is_nil(dump:vcpu(#cpus))
        assert.are.equal(record.cpus * (arch == "x86_64" and 18 + 4 + 8 * 4 + 4 or 34 + 2),
          compared)
      end
    end)

    it("has the physical memory that QEMU saved", function()
      local dump <close> = open("first.elf")
      assert.is_true(#record.pmem >= 4)
      for _, piece in ipairs(record.pmem) do
        local bytes = files.read(directory .. piece.file)
        local address = math.tointeger(tonumber(piece.address))
        assert.are.equal(piece.size, #bytes)
        assert(dump:read(address, #bytes) == bytes, piece.file)
        local words = dump:array(address, "u64", #bytes // 8)
        for i, word in ipairs(words) do
          assert(word == string.unpack("<i8", bytes, 8 * i - 7))
        end
      end
    end)

    it("has the segments that readelf shows", function()
      for _, entry in ipairs(record.dumps) do
        if not entry.format then
          local dump <close> = open(entry.file)
          local expected = truth.segments(directory .. entry.file)
          local count = 0
          for segment in dump:segments() do
            count = count + 1
            for name, value in pairs(expected[count]) do
              assert.are.equal(value, segment[name], name)
            end
          end
          assert.are.equal(#expected, count)
        end
      end
    end)

    it("has the notes that readelf shows", function()
      local dump <close> = open("first.elf")
      local _, output = process.run {"readelf", "-nW", directory .. "first.elf"}
      local expected = {}
      for name, size in output:gmatch("\n  (%u+) +0x(%x+)") do
        expected[#expected + 1] = name .. " " .. tonumber(size, 16)
      end
      local seen = {}
      for note in dump:notes() do
        seen[#seen + 1] = note.name .. " " .. note.filesz
        if note.name == "VMCOREINFO" then
          assert.matches("OSRELEASE=" .. record.kernel:match("Linux version (%S+)") .. "\n",
            note:read(), 1, true)
        end
      end
      assert.are.same(expected, seen)
    end)

    it("has the memory that drgn reads", function()
      math.randomseed(3)
      local dump <close> = open("first.elf")
      local ranges, addresses, expected = in_order(dump:ranges()), {}, {}
      for i = 1, 500 do
        local start, size = table.unpack(ranges[math.random(#ranges)])
        addresses[i] = start + math.random(0, size - 16)
        expected[i] = dump:read(addresses[i], 16):gsub(".", function(c)
          return ("%02x"):format(c:byte())
        end)
      end
      assert.are.same(expected, truth.drgn(directory .. "first.elf", addresses))
    end)

    it("has the kernel's banner", function()
      local dump <close> = open("first.elf")
      local found = in_order(dump:find(record.kernel))
      assert.is_true(#found > 0)
      for _, address in ipairs(found) do
        assert.are.equal(record.kernel, dump:read(address, #record.kernel))
      end
      local among = {}
      for address, text in dump:strings(#record.kernel) do
        local at = text:find(record.kernel, 1, true)
        while at do
          among[#among + 1] = address + at - 1
          at = text:find(record.kernel, at + 1, true)
        end
      end
      assert.are.same(found, among)
    end)

    it("differs from the next dump exactly where the bytes differ", function()
      local before <close> = open("first.elf")
      local after <close> = open("second.elf")
      local changed, pages = 0, 0
      local at = {} -- by range of memory: the end of the last difference
      for start, size, kind in before:diff(after, {granularity = 4096}) do
        assert.are.equal("changed", kind)
        assert.are.same({0, 0}, {start % 4096, size % 4096})
        assert(before:read(start, size) ~= after:read(start, size))
        at[#at + 1] = {start, start + size}
        pages = pages + size // 4096
      end
      for start, size in before:diff(after) do
        assert(before:u8(start) ~= after:u8(start))
        assert(before:u8(start + size - 1) ~= after:u8(start + size - 1))
        changed = changed + size
      end
      assert.is_true(pages > 1 and changed > pages)
      -- Between differences, memory is equal.
      at[#at + 1] = {1 << 40}
      for start, size in before:ranges() do
        local from = start
        for _, difference in ipairs(at) do
          local to = math.min(difference[1], start + size)
          if to > from then
            assert(before:read(from, to - from) == after:read(from, to - from))
          end
          from = math.max(from, difference[2] or from)
        end
      end
    end)

    it("differs in the registers for which QEMU showed different values", function()
      local before <close> = open("first.elf")
      local after <close> = open("second.elf")
      local first = truth.registers(files.read(directory .. "registers.txt"))
      local second = truth.registers(files.read(directory .. "second-registers.txt"))
      local count = 0
      for cpu, name, here, there in before:diff_registers(after) do
        local was, is = first[cpu + 1][name], second[cpu + 1][name]
        if was then
          assert.are.same({qvm.hex(was), qvm.hex(is)}, {qvm.hex(here), qvm.hex(there)}, name)
        end
        count = count + 1
      end
      assert.is_true(count > 0)
    end)

    it("is the same compressed with gzip, and sparse", function()
      local plain <close> = open("first.elf")
      local packed, sparse = files.path("first.elf.gz"), files.path("sparse.elf")
      local source = process.quote(directory .. "first.elf")
      assert(os.execute(("gzip -1c %s >%s"):format(source, process.quote(packed))))
      assert(os.execute(("cp --sparse=always %s %s"):format(source, process.quote(sparse))))
      for _, path in ipairs {packed, sparse} do
        local dump <close> = assert(qvm.open(path, {progress = function()
          error("opening the dump unpacks it")
        end}))
        assert.are.same({plain.size, "qemu", true}, {dump.size, dump.format, dump.complete})
        for _ in plain:diff_registers(dump) do
          error("registers differ")
        end
        for _ in plain:diff(dump) do
          error("memory differs")
        end
        assert.are.same(in_order(plain:find(record.kernel)), in_order(dump:find(record.kernel)))
        for _, piece in ipairs(record.pmem) do
          local address = math.tointeger(tonumber(piece.address))
          local bytes = files.read(directory .. piece.file)
          assert(dump:read(address, #bytes) == bytes)
        end
      end
    end)
  end)

describe("other forms of an x86_64 guest's dump", function()
  local directory = guests.root .. "x86_64/"
  local record = cjson.decode(files.read(directory .. "record.json"))
  local function entry_of(name)
    for _, entry in ipairs(record.dumps) do
      if entry.file == name then
        return entry
      end
    end
  end

  it("with paging has the same memory, where the vCPUs map it", function()
    local plain <close> = assert(qvm.open(directory .. "second.elf"))
    local paging <close> = assert(qvm.open(directory .. "paging.elf"))
    assert.are.equal("qemu", paging.format)
    local pages = 0
    for start, size in paging:ranges() do
      assert(paging:read(start, size) == plain:read(start, size), qvm.hex(start))
      pages = pages + size // 4096
    end
    assert.is_true(pages > 10000)
    for _ in paging:diff_registers(plain) do
      error("registers differ")
    end
  end)

  it("of a memory window has that window", function()
    local plain <close> = assert(qvm.open(directory .. "second.elf"))
    local window <close> = assert(qvm.open(directory .. "window.elf"))
    local entry = entry_of("window.elf")
    local start = math.tointeger(tonumber(entry.begin))
    local size = math.tointeger(tonumber(entry.length))
    assert.are.same({{start, size}}, in_order(window:ranges()))
    assert(window:read(start, size) == plain:read(start, size))
    local kinds = {}
    for _, _, kind in window:diff(plain) do
      kinds[kind] = true
    end
    assert.are.same({there = true}, kinds)
  end)

  it("in kdump's compressed format is refused by name", function()
    local _, message, code = qvm.open(directory .. "kdump-zlib.kdump")
    assert.are.equal("unsupported", code)
    assert.matches("makedumpfile's flattened form", message, 1, true)
    assert.matches("dump-guest-memory write ELF", message, 1, true)
  end)
end)
