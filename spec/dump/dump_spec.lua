-- Opening a dump, and reading its memory.

local dumps = require "support.dumps"
local files = require "support.files"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local open, ranges = dumps.open, dumps.ranges

describe("an opened dump", function()
  after_each(files.clean)

  it("describes itself in its fields and tostring", function()
    local dump = open(writer.small())
    assert.are.equal(files.path("test.gcore"), dump.path)
    assert.are.equal("qnx", dump.format)
    assert.are.equal("aarch64", dump.machine)
    assert.are.equal(64, dump.bits)
    assert.are.equal("little", dump.byteorder)
    assert.are.equal(#files.read(dump.path), dump.size)
    assert.is_true(dump.complete)
    assert.are.equal(("Dump %s: qnx aarch64, 1 vCPU, 256 bytes of memory"):format(dump.path),
      tostring(dump))
  end)

  it("lists the segments in file order", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x200000000, vaddr = 0x1234, bytes = ("a"):rep(16), memsz = 64, flags = 5},
      {paddr = 0x80000000, bytes = ("b"):rep(32)},
      {type = 0x6474e551, bytes = "zz"}}})
    local list = {}
    for s in dump:segments() do
      list[#list + 1] = s
    end
    local data = 64 + 4 * 56
    local first = setmetatable({index = 0, type = 1, flags = 5, offset = data, vaddr = 0x1234,
      paddr = 0x200000000, filesz = 16, memsz = 64}, getmetatable(list[1]))
    assert.are.same(first, list[1])
    assert.are.equal(0x80000000, list[2].paddr)
    assert.are.equal(data + 16, list[2].offset)
    assert.are.equal(0x6474e551, list[3].type)
    assert.are.equal(4, list[4].type)
    assert.are.equal(4, #list)
    assert.are.equal("segment 0: LOAD 0x0000000200000000 memsz 0x40 filesz 0x10 at 0x120",
      tostring(list[1]))
    assert.matches("^segment 2: type 0x6474e551 ", tostring(list[3]))
  end)

  it("lists memory ranges merged and in ascending order", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x9000, bytes = ("a"):rep(0x100)},
      {paddr = 0x1000, bytes = ("b"):rep(0x1000)},
      {paddr = 0x2000, bytes = ("c"):rep(0x800)},
      {paddr = 0xffffffffffffff00, bytes = ("d"):rep(0x100)},
      {paddr = 0x5000, bytes = "", memsz = 0x1000}}})
    assert.are.same({"1000+1800", "9000+100", "ffffffffffffff00+100"}, ranges(dump))
  end)

  it("reads memory, also across adjacent segments", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x2000, bytes = "second"}, {paddr = 0x1ffb, bytes = "first"}}})
    assert.are.equal("first", dump:read(0x1ffb, 5))
    assert.are.equal("rstsec", dump:read(0x1ffd, 6))
    assert.are.equal("firstsecond", dump:read(0x1ffb, 11))
    assert.are.equal("", dump:read(0x1ffb, 0))
    assert.are.equal("d", dump:read(0x2005, 1))
  end)

  it("reports which address is missing", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x1000, bytes = ("a"):rep(16)}, {paddr = 0x1010, bytes = ("b"):rep(16)},
      {paddr = 0x3000, bytes = ("c"):rep(16), memsz = 32}}})
    for _, case in ipairs {{0x1000, 33, 0x1020}, {0xfff, 2, 0xfff}, {0x101f, 2, 0x1020},
      {0x2000, 1, 0x2000}, {0x3010, 1, 0x3010}, {0x3008, 16, 0x3010},
      {math.maxinteger, 1, math.maxinteger}, {0x1000, math.maxinteger, 0x1020}} do
      local bytes, message, code = dump:read(case[1], case[2])
      assert.is_nil(bytes)
      assert.are.equal("unmapped", code)
      assert.are.equal(("%s: address %s is not in the dump"):format(dump.path, qvm.hex(case[3])),
        message)
    end
  end)

  it("says what reads a kernel's address, given in place of a physical one", function()
    local dump = open(writer.small {memory = {{paddr = 0x1000, bytes = "memory"}}})
    local kernel = 0xffffffff81000000
    for name, read in pairs {u64 = dump.u64, i8 = dump.i8, cstring = dump.cstring,
      read = function(d, at) return d:read(at, 4) end,
      array = function(d, at) return d:array(at, "u32", 2) end} do
      local value, message, code = read(dump, kernel)
      assert.are.same({nil, "unmapped"}, {value, code}, name)
      assert.are.equal(("%s: address 0xffffffff81000000 is not in the dump: a physical address is "
        .. "expected, and dump:kernel_space() reads a kernel's"):format(dump.path), message)
    end
    assert.are.same({nil, "unmapped"}, {dump:u64(0x2000), (select(3, dump:u64(0x2000)))})
    assert.is_nil((select(2, dump:u64(0x2000)):find("kernel_space")))
  end)

  it("reads up to the top of the address space and does not wrap around", function()
    local top = 0xfffffffffffffff8
    local dump = open(writer.small {memory = {
      {paddr = top, bytes = "01234567"}, {paddr = 0, bytes = "abcdefgh"}}})
    assert.are.equal("01234567", dump:read(top, 8))
    assert.are.equal(0x37, dump:u8(-1))
    for _, read in ipairs {function() return dump:read(top, 9) end,
      function() return dump:u64(top + 1) end, function() return dump:u16(-1) end} do
      local value, _, code = read()
      assert.is_nil(value)
      assert.are.equal("unmapped", code)
    end
    assert.are.equal("unmapped", select(3, dump:read(top, 16)))
    assert.are.same({"0+8", "fffffffffffffff8+8"}, ranges(dump))
  end)

  it("reads the first segment in the file where segments overlap", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x1004, bytes = "BBBBBBBB"},
      {paddr = 0x1000, bytes = "AAAAAAAAAAAAAAAAAAAA"},
      {paddr = 0x1006, bytes = "CC"},
      {paddr = 0x1012, bytes = "DDDD"}}})
    assert.are.equal("AAAABBBBBBBBAAAAAAAADD", dump:read(0x1000, 22))
    assert.are.same({"1000+16"}, ranges(dump))
  end)

  it("reads the first segment for any arrangement of segments", function()
    math.randomseed(1)
    for _ = 1, os.getenv("QVM_VALGRIND") and 30 or 300 do
      local memory, expected = {}, {}
      for i = 1, math.random(12) do
        local start, size = math.random(0, 60), math.random(0, 30)
        memory[i] = {paddr = start, bytes = string.char(64 + i):rep(size)}
        for at = start, start + size - 1 do
          expected[at] = expected[at] or string.char(64 + i)
        end
      end
      local dump <close> = open(writer.small {memory = memory})
      for at = 0, 95 do
        local byte, _, code = dump:read(at, 1)
        assert.are.equal(expected[at], byte)
        assert.are.equal(not byte and "unmapped" or nil, code)
      end
    end
  end)

  it("reads numbers in the dump's byte order, at any address", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x1000, bytes = "\x01\x02\x03\x84\x05\x06\x07\x88"},
      {paddr = 0x1008, bytes = ("\xff"):rep(8)}}})
    assert.are.equal(0x01, dump:u8(0x1000))
    assert.are.equal(0x0201, dump:u16(0x1000))
    assert.are.equal(0x84030201, dump:u32(0x1000))
    assert.are.equal(0x8807060584030201, dump:u64(0x1000))
    assert.are.equal(0x8807060584030201, dump:i64(0x1000))
    assert.are.equal(0x84, dump:u8(0x1003))
    assert.are.equal(-0x7c, dump:i8(0x1003))
    assert.are.equal(0x0584, dump:i16(0x1003))
    assert.are.equal(0x8403 - 0x10000, dump:i16(0x1002))
    assert.are.equal(0x84030201 - (1 << 32), dump:i32(0x1000))
    assert.are.equal(0xffffff88, dump:u32(0x1007))
    assert.are.equal(-1, dump:i8(0x1008))
    assert.are.equal(-1, dump:u64(0x1008))
    assert.are.equal(0xffffffff, dump:u32(0x1008))
  end)

  it("reads strings", function()
    local long = ("x"):rep(1000)
    local dump = open(writer.small {memory = {
      {paddr = 0x1000, bytes = "hello\0world"}, {paddr = 0x100b, bytes = "\0" .. long},
      {paddr = 0x9000, bytes = ("y"):rep(5000) .. "\0"}}})
    assert.are.equal("hello", dump:cstring(0x1000))
    assert.are.equal("world", dump:cstring(0x1006)) -- ends in the next segment
    assert.are.equal("", dump:cstring(0x1005))
    assert.are.equal("wor", dump:cstring(0x1006, 3))
    assert.are.equal(long:sub(1, 999), dump:cstring(0x100c, 999))
    assert.are.equal(4096, #dump:cstring(0x9000))
    assert.are.equal(5000, #dump:cstring(0x9000, 6000))
    local text, message, code = dump:cstring(0x100c)
    assert.is_nil(text)
    assert.are.equal("unmapped", code)
    assert.matches("0x00000000000013f4", message)
    assert.are.equal("", dump:cstring(0x7777, 0))
  end)

  it("does not read a string past the top of the address space", function()
    local dump = open(writer.small {memory = {
      {paddr = -16, bytes = ("T"):rep(16)}, {paddr = 0, bytes = "LOW\0"}}})
    assert.are.equal(("T"):rep(16), dump:cstring(-16, 16))
    local text, message, code = dump:cstring(-16)
    assert.is_nil(text)
    assert.are.equal("unmapped", code)
    assert.matches("beyond the last address, 0xffffffffffffffff", message, 1, true)
    assert.matches("beyond the last address", (select(2, dump:read(-16, 17))), 1, true)
  end)

  it("raises for programming errors", function()
    local dump = open(writer.small())
    assert.error_matches(function() dump:read(0x80000000, -1) end, "bad argument #2 to 'read'")
    assert.error_matches(function() dump:read(true, 1) end, "number expected, got boolean")
    assert.error_matches(function() dump:u64() end, "number expected, got no value")
    assert.error_matches(function() dump:u8(1.5) end, "no integer representation")
    assert.error_matches(function() dump.read(7, 1, 1) end, "table expected, got number")
    assert.error_matches(function() dump.read({}, 1, 1) end, "Dump or Space expected, got table")
    assert.error_matches(function() dump.u8({io.stdout}, 1) end, "Dump or Space expected")
    assert.matches("dump_spec.lua:%d+: bad argument #1 to 'vcpu' %(integer expected, got string%)",
      select(2, pcall(function() dump:vcpu("x") end)))
    assert.error_matches(function() qvm.open(7) end, "string expected, got number")
    assert.error_matches(function() qvm.open("a", {parital = true}) end, "no option 'parital'")
  end)

  it('returns nil, a message and "gone" after it is closed', function()
    local dump = open(writer.small())
    dump:close()
    dump:close()
    for _, call in ipairs {"read", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "cstring",
      "vcpu", "log"} do
      local value, message, code = dump[call](dump, 0, 0)
      assert.is_nil(value)
      assert.are.equal("gone", code, call)
      assert.matches("closed", message)
    end
    assert.matches("closed$", tostring(dump))
  end)

  it("creates no iterator after it is closed", function()
    local dump, other = open(writer.small()), open(writer.small())
    local cpu, space = dump:vcpu(0), assert(dump:space {root = 0, va_bits = 39, granule = 4096})
    dump:close()
    for call, make in pairs {
      segments = function() dump:segments() end, ranges = function() dump:ranges() end,
      vcpus = function() dump:vcpus() end, sections = function() dump:sections() end,
      notes = function() dump:notes() end, dmesg = function() dump:dmesg() end,
      diff_registers = function() dump:diff_registers(other) end,
      diff_registers_with = function() other:diff_registers(dump) end,
      mappings = function() space:mappings() end, symbol = function() space:mappings("x") end,
      backtrace = function() cpu:backtrace() end} do
      local ok, message = pcall(make)
      assert.is_false(ok, call)
      assert.matches("^spec/dump/dump_spec.lua:%d+: the dump is closed$", message, nil, call)
    end
  end)

  it("closes at the end of its scope", function()
    local kept
    do
      local dump <close> = open(writer.small())
      kept = dump
    end
    assert.are.equal("gone", select(3, kept:u8(0)))
  end)

  it("raises in a loop that closes it", function()
    for _, iterate in ipairs {"segments", "ranges", "vcpus"} do
      local memory = {{paddr = 0, bytes = "a"}, {paddr = 9, bytes = "b"}}
      local dump = open(writer.small {memory = memory})
      assert.error_matches(function()
        for _ in dump[iterate](dump) do
          dump:close()
        end
      end, "closed")
    end
  end)

  it("has iterators that keep returning nil after the end", function()
    local dump = assert(qvm.open(files.write("two.gcore", writer.small {})))
    for _, name in ipairs {"ranges", "segments", "vcpus", "notes", "sections"} do
      local iterator = dump[name](dump)
      while iterator() do end
      assert.is_nil((iterator()))
      assert.is_nil((iterator()))
    end
  end)

  it("supports nested loops", function()
    local dump = open(writer.small {memory = {{paddr = 0, bytes = "a"}, {paddr = 9, bytes = "b"}}})
    local count = 0
    for _ in dump:segments() do
      for _ in dump:segments() do
        count = count + 1
      end
    end
    assert.are.equal(9, count)
  end)
end)
