local files = require "support.files"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local function open(bytes)
  return assert(qvm.open(files.write("test.gcore", bytes)))
end

-- What an iterator gives, each call's values as one string.
local function collect(iterator, format)
  local list = {}
  for a, b in iterator do
    list[#list + 1] = format(a, b)
  end
  return list
end

local function ranges(dump)
  return collect(dump:ranges(), function(start, size)
    return ("%x+%x"):format(start, size)
  end)
end

describe("an opened dump", function()
  after_each(files.clean)

  it("says what it is", function()
    local dump = open(writer.small())
    assert.are.equal(files.path("test.gcore"), dump.path)
    assert.are.equal("qnx", dump.format)
    assert.are.equal("aarch64", dump.machine)
    assert.are.equal(64, dump.bits)
    assert.are.equal("little", dump.byteorder)
    assert.are.equal(#files.read(dump.path), dump.size)
    assert.is_true(dump.complete)
    assert.are.equal(("Dump %s: qnx aarch64, 1 vCPUs, 256 bytes of memory"):format(dump.path),
      tostring(dump))
  end)

  it("lists the segments as they are in the file", function()
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
    assert.are.equal("segment 0: LOAD paddr 0x0000000200000000 filesz 0x10 memsz 0x40 offset 0x120",
      tostring(list[1]))
    assert.matches("^segment 2: type 0x6474e551 ", tostring(list[3]))
  end)

  it("lists the memory merged and ascending", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x9000, bytes = ("a"):rep(0x100)},
      {paddr = 0x1000, bytes = ("b"):rep(0x1000)},
      {paddr = 0x2000, bytes = ("c"):rep(0x800)},
      {paddr = 0xffffffffffffff00, bytes = ("d"):rep(0x100)},
      {paddr = 0x5000, bytes = "", memsz = 0x1000}}})
    assert.are.same({"1000+1800", "9000+100", "ffffffffffffff00+100"}, ranges(dump))
  end)

  it("reads memory, across adjoining segments too", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x2000, bytes = "second"}, {paddr = 0x1ffb, bytes = "first"}}})
    assert.are.equal("first", dump:read(0x1ffb, 5))
    assert.are.equal("rstsec", dump:read(0x1ffd, 6))
    assert.are.equal("firstsecond", dump:read(0x1ffb, 11))
    assert.are.equal("", dump:read(0x1ffb, 0))
    assert.are.equal("d", dump:read(0x2005, 1))
  end)

  it("says which address is not there", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x1000, bytes = ("a"):rep(16)}, {paddr = 0x1010, bytes = ("b"):rep(16)},
      {paddr = 0x3000, bytes = ("c"):rep(16), memsz = 32}}})
    for _, case in ipairs {{0x1000, 33, 0x1020}, {0xfff, 2, 0xfff}, {0x101f, 2, 0x1020},
      {0x2000, 1, 0x2000}, {0x3010, 1, 0x3010}, {0x3008, 16, 0x3010}, {-1, 1, -1},
      {0x1000, math.maxinteger, 0x1020}} do
      local bytes, message, code = dump:read(case[1], case[2])
      assert.is_nil(bytes)
      assert.are.equal("unmapped", code)
      assert.are.equal(("%s: address %s is not in the dump"):format(dump.path, qvm.hex(case[3])),
        message)
    end
  end)

  it("reads up to the top of the address space, and not around it", function()
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

  it("takes the first in the file where segments overlap", function()
    local dump = open(writer.small {memory = {
      {paddr = 0x1004, bytes = "BBBBBBBB"},
      {paddr = 0x1000, bytes = "AAAAAAAAAAAAAAAAAAAA"},
      {paddr = 0x1006, bytes = "CC"},
      {paddr = 0x1012, bytes = "DDDD"}}})
    assert.are.equal("AAAABBBBBBBBAAAAAAAADD", dump:read(0x1000, 22))
    assert.are.same({"1000+16"}, ranges(dump))
  end)

  it("does so in any arrangement of segments", function()
    math.randomseed(1)
    for _ = 1, 300 do
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

  it("does not read a string around the top of the address space", function()
    local dump = open(writer.small {memory = {
      {paddr = -16, bytes = ("T"):rep(16)}, {paddr = 0, bytes = "LOW\0"}}})
    assert.are.equal(("T"):rep(16), dump:cstring(-16, 16))
    local text, message, code = dump:cstring(-16)
    assert.is_nil(text)
    assert.are.equal("unmapped", code)
    assert.matches("beyond the last address, 0xffffffffffffffff", message, 1, true)
    assert.matches("beyond the last address", (select(2, dump:read(-16, 17))), 1, true)
  end)

  it("raises for mistakes of the caller", function()
    local dump = open(writer.small())
    assert.error_matches(function() dump:read(0x80000000, -1) end, "bad argument #2 to 'read'")
    assert.error_matches(function() dump:read("x", 1) end, "number expected, got string")
    assert.error_matches(function() dump:u64() end, "number expected, got no value")
    assert.error_matches(function() dump:u8(1.5) end, "no integer representation")
    assert.error_matches(function() dump.read(7, 1, 1) end, "table expected, got number")
    assert.error_matches(function() dump.read({}, 1, 1) end, "Dump expected, got table")
    assert.error_matches(function() dump.u8({io.stdout}, 1) end, "Dump expected")
    assert.matches("dump_spec.lua:%d+: bad argument #1 to 'vcpu' %(integer expected, got string%)",
      select(2, pcall(function() dump:vcpu("x") end)))
    assert.error_matches(function() qvm.open(7) end, "string expected, got number")
    assert.error_matches(function() qvm.open("a", {parital = true}) end, "no option 'parital'")
  end)

  it("answers nil, message, gone after it was closed", function()
    local dump = open(writer.small())
    dump:close()
    dump:close()
    for _, call in ipairs {"read", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "cstring",
      "segments", "ranges", "vcpus", "vcpu", "log", "sections", "notes"} do
      local value, message, code = dump[call](dump, 0, 0)
      assert.is_nil(value)
      assert.are.equal("gone", code, call)
      assert.matches("closed", message)
    end
    assert.matches("closed$", tostring(dump))
  end)

  it("closes at the end of its scope", function()
    local kept
    do
      local dump <close> = open(writer.small())
      kept = dump
    end
    assert.are.equal("gone", select(3, kept:u8(0)))
  end)

  it("raises in a loop when it is closed meanwhile", function()
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

  it("gives two loops a state each", function()
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

describe("the vCPUs of a QNX dump", function()
  after_each(files.clean)

  local function aarch64_cpu(i)
    local gpr = {}
    for n = 0, 31 do
      gpr[n] = 0xffff000000000000 | i << 32 | n
    end
    return {pgtbl = 0x80041000 + i, cpunum = i + 7, process = "cpu" .. i,
      registers = writer.aarch64 {gpr = gpr, elr = 0xffff800010081234 + i, pstate = 0x600000c5},
      extra = {0xe000000000000000 + i, -2}}
  end

  local function check_aarch64(cpu, i)
    assert.are.equal(i, cpu.index)
    assert.are.equal(i + 7, cpu.cpunum)
    assert.are.equal("cpu" .. i, cpu.process)
    assert.are.equal(0x80041000 + i, cpu.pgtbl)
    assert.are.equal(0xffff800010081234 + i, cpu.pc)
    assert.are.equal(0xffff00000000001f | i << 32, cpu.sp)
    assert.are.equal(0xffff00000000001e | i << 32, cpu.regs.x30)
    assert.are.equal(0xffff000000000000 | i << 32, cpu.regs.x0)
    assert.are.equal(cpu.pc, cpu.regs.pc)
    assert.are.equal(cpu.sp, cpu.regs.sp)
    assert.are.equal(0x600000c5, cpu.regs.pstate)
  end

  it("are read from a note of SDP 8, with extra registers", function()
    local dump = open(writer.small {cpus = {aarch64_cpu(0), aarch64_cpu(1)},
      note = {names = {"ttbr1_el1", "tcr"}}})
    local count = 0
    for cpu in dump:vcpus() do
      check_aarch64(cpu, count)
      assert.are.same({ttbr1_el1 = 0xe000000000000000 + count, tcr = -2}, cpu.extra)
      count = count + 1
    end
    assert.are.equal(2, count)
    check_aarch64(dump:vcpu(1), 1)
    assert.is_nil(dump:vcpu(2))
    assert.is_nil(dump:vcpu(-1))
    assert.are.equal("vCPU 1: pc 0xffff800010081235 sp 0xffff00010000001f cpu1",
      tostring(dump:vcpu(1)))
  end)

  it("are read from an older note", function()
    local cpus = {aarch64_cpu(0), aarch64_cpu(1)}
    cpus[1].extra, cpus[2].extra = nil, nil
    local dump = open(writer.small {cpus = cpus})
    check_aarch64(dump:vcpu(0), 0)
    check_aarch64(dump:vcpu(1), 1)
    assert.are.same({}, dump:vcpu(1).extra)
    assert.are.equal("", dump:vcpu(1).extra_bytes)
  end)

  it("give their registers in the architecture's order", function()
    local dump = open(writer.small())
    local names = {}
    for name, value in dump:vcpu(0):registers() do
      names[#names + 1] = name
      assert.are.equal(dump:vcpu(0).regs[name], value)
    end
    assert.are.equal("x0 x1 x2 x3 x4 x5 x6 x7 x8 x9 x10 x11 x12 x13 x14 x15 x16 x17 x18 x19 "
      .. "x20 x21 x22 x23 x24 x25 x26 x27 x28 x29 x30 sp pc pstate", table.concat(names, " "))
  end)

  for _, size in ipairs {160, 168} do
    it(("are read with %d bytes of x86_64 registers"):format(size), function()
      local values = {cs = 0x10, ss = 0x18, rflags = 0x246, rsp = 0xffffc90000010000}
      for i, name in ipairs(writer.x86_64_order) do
        values[name] = 0xffffffff81000000 + i
      end
      local registers = writer.x86_64(values)
      assert.are.equal(160, #registers)
      registers = registers .. ("\0"):rep(size - 160)
      local dump = open(writer.small {machine = "x86_64", cpus = {
        {registers = registers, extra = {1, 2}}, {registers = registers, extra = {3, 4}}},
        note = {names = {"cr3", "cr4"}}})
      assert.are.equal("x86_64", dump.machine)
      local cpu = dump:vcpu(1)
      assert.are.equal(0xffffffff81000010, cpu.pc)
      assert.are.equal(0xffffc90000010000, cpu.sp)
      assert.are.same({cr3 = 3, cr4 = 4}, cpu.extra)
      local names = {}
      for name, value in cpu:registers() do
        names[#names + 1] = name
        assert.are.equal(values[name], value)
      end
      assert.are.equal("rdi rsi rdx r10 r8 r9 rax rbx rbp rcx r11 r12 r13 r14 r15 rip cs rflags "
        .. "rsp ss", table.concat(names, " "))
    end)
  end

  it("are found wherever padding may stand behind the names", function()
    -- "abc\0" and "d\0" are 6 bytes: 2 pad them to a multiple of 4 and of 8.
    for _, case in ipairs {{{"abc", "d"}, 0}, {{"abc", "d"}, 2}, {{"abcdefgh"}, 3},
      {{"abcdefgh"}, 7}, {{"abc"}, 4}} do
      local names, pad = case[1], case[2]
      local cpu = aarch64_cpu(0)
      cpu.extra = {11, #names == 2 and 22 or nil}
      local dump = open(writer.small {cpus = {cpu}, note = {names = names, pad = pad}})
      assert.are.equal("qnx", dump.format)
      check_aarch64(dump:vcpu(0), 0)
      assert.are.equal(11, dump:vcpu(0).extra[names[1]])
    end
  end)

  it("keep the bytes of extra registers that are not 8 bytes each", function()
    local cpu = aarch64_cpu(0)
    cpu.extra = "0123456789abcdef0123456789abcdef"
    local dump = open(writer.small {cpus = {cpu}, note = {names = {"v0", "v1"}, extra_size = 32}})
    assert.are.equal("qnx", dump.format)
    assert.are.same({}, dump:vcpu(0).extra)
    assert.are.equal(cpu.extra, dump:vcpu(0).extra_bytes)
    check_aarch64(dump:vcpu(0), 0)
  end)

  it("are found in a note that stands first, and beside other notes", function()
    local note = writer.note {cpus = {aarch64_cpu(0)}, names = {"a", "b"}}
    local standard = string.pack("<I4I4I4c8c4", 5, 4, 1, "CORE\0", "abcd")
    local dump = open(writer.file {machine = "aarch64", segments = {
      {type = 4, bytes = standard}, {type = 4, bytes = note},
      {paddr = 0x1000, bytes = "memory"}}})
    assert.are.equal("qnx", dump.format)
    check_aarch64(dump:vcpu(0), 0)
    assert.are.equal("memory", dump:read(0x1000, 6))
  end)

  for _, order in ipairs {"<", ">"} do
    for machine, about in pairs {x86 = {"eip", "esp"}, arm = {"pc", "sp"}} do
      it(("are read from a 32-bit %s-endian dump of %s"):format(
        order == "<" and "little" or "big", machine), function()
        local values = {}
        for i, name in ipairs(writer[machine .. "_order"]) do
          values[name] = 0xc0000000 + i
        end
        local dump = open(writer.as(order, 32, function()
          return writer.small {machine = machine, cpus = {{registers = writer[machine](values),
            cpunum = 5, pgtbl = 0x123456789a, process = "p", extra = {-3}}},
            note = {names = {"x"}, dumpinfo = 1}, memory = {
              {paddr = 0xfffffff0, bytes = "0123456789abcdef"},
              {paddr = 0x1000, bytes = writer.dumpinfo("the text")}}}
        end))
        assert.are.equal("qnx", dump.format)
        assert.are.equal(machine, dump.machine)
        assert.are.equal(32, dump.bits)
        assert.are.equal(order == "<" and "little" or "big", dump.byteorder)
        local cpu, names = dump:vcpu(0), {}
        for name, value in cpu:registers() do
          names[#names + 1] = name
          assert.are.equal(values[name], value)
        end
        assert.are.same(writer[machine .. "_order"], names)
        assert.are.equal(values[about[1]], cpu.pc)
        assert.are.equal(values[about[2]], cpu.sp)
        assert.are.same({5, 0x123456789a, "p", -3},
          {cpu.cpunum, cpu.pgtbl, cpu.process, cpu.extra.x})
        assert.are.equal("the text", dump:log())
        assert.are.equal((string.unpack(order .. "I4", "89ab")), dump:u32(0xfffffff8))
        assert.are.equal("unmapped", select(3, dump:u32(0xfffffffe)))
        assert.are.same({"1000+30", "fffffff0+10"}, ranges(dump))
      end)
    end
  end

  it("are read from 64-bit big-endian dumps", function()
    for _, machine in ipairs {"aarch64", "x86_64"} do
      local dump = open(writer.as(">", 64, function()
        return writer.small {machine = machine, cpus = {{registers = machine == "aarch64"
          and writer.aarch64 {elr = 0x1122334455667788} or writer.x86_64 {rip = 0x1122334455667788,
          cs = 0x10}, extra = {7}}}, note = {names = {"x"}},
          memory = {{paddr = 0x1000, bytes = "\1\2\3\4\5\6\7\8"}}}
      end))
      assert.are.equal("qnx", dump.format)
      assert.are.equal("big", dump.byteorder)
      assert.are.equal(0x1122334455667788, dump:vcpu(0).pc)
      assert.are.equal(7, dump:vcpu(0).extra.x)
      assert.are.equal(0x0102030405060708, dump:u64(0x1000))
      assert.are.equal(0x0102, dump:i16(0x1000))
    end
  end)

  it("take a process name of 100 characters", function()
    local dump = open(writer.small {cpus = {{registers = writer.aarch64 {},
      process = ("n"):rep(100)}}})
    assert.are.equal(("n"):rep(100), dump:vcpu(0).process)
  end)

  -- None of these is a kdump note, however close: memory yes, registers no.
  local function not_qnx(name, bytes)
    it("are not made up from " .. name, function()
      local dump = open(bytes)
      assert.are.equal("elf", dump.format)
      assert.is_nil(dump:vcpu(0))
      for _ in dump:vcpus() do
        error("there are none")
      end
      assert.is_nil(dump:log())
    end)
  end

  local cpus = {{registers = writer.aarch64 {}}}
  not_qnx("another version", writer.small {note = {version = 1}})
  not_qnx("no CPUs", writer.small {note = {num_cpus = 0}})
  not_qnx("more CPUs than there are", writer.small {note = {num_cpus = 2}})
  not_qnx("65535 CPUs", writer.small {note = {num_cpus = 65535}})
  not_qnx("fewer CPUs than there are",
    writer.small {cpus = {cpus[1], cpus[1]}, note = {num_cpus = 1}})
  not_qnx("another register size", writer.small {note = {regset_size = 264}})
  not_qnx("a huge register size", writer.small {note = {regset_size = 0xffffffff}})
  not_qnx("huge extra registers",
    writer.small {note = {regset_size = 0xffffffff, extra_size = 0xffffffff - 272}})
  not_qnx("names that are not there", writer.small {note = {names_size = 4}})
  not_qnx("huge names", writer.small {note = {names_size = 0xffffffff}})
  not_qnx("a byte too many", writer.small {note = {pad = 1}})
  not_qnx("the registers of another machine",
    writer.small {cpus = {{registers = writer.x86_64 {}}}})
  not_qnx("a machine that is not known", writer.file {machine = 243, segments = {
    {type = 4, bytes = writer.note {cpus = cpus}}}})
  not_qnx("a note that is too short", writer.file {machine = "aarch64", segments = {
    {type = 4, bytes = writer.note({cpus = cpus}):sub(1, 39)}}})
  not_qnx("standard notes", writer.file {machine = "aarch64", segments = {
    {type = 4, bytes = string.pack("<I4I4I4c8c392", 5, 392, 1, "CORE\0", "")}}})
  not_qnx("a standard note without a name", writer.file {machine = "aarch64", segments = {
    {type = 4, bytes = string.pack("<I4I4I4c404", 0, 1, 272, "")}}})
  not_qnx("no note at all", writer.file {machine = "aarch64", segments = {
    {paddr = 0, bytes = "m"}}})

  it("are none in a file without segments", function()
    local dump = open(writer.file {machine = "x86_64", segments = {}})
    assert.are.equal("elf", dump.format)
    assert.are.same({}, ranges(dump))
    assert.are.equal("unmapped", select(3, dump:u8(0)))
  end)
end)

describe("the text of a dump", function()
  after_each(files.clean)

  local function text_of(dumpinfo, index, memory)
    local segments = memory or {{paddr = 0, bytes = ("m"):rep(64)},
      {paddr = 0x1000, bytes = dumpinfo}}
    return open(writer.small {memory = segments, note = {dumpinfo = index}}):log()
  end

  it("is read from the segment that the note names", function()
    assert.are.equal("one\ntwo\n", text_of(writer.dumpinfo("one\ntwo\n"), 1))
    assert.are.equal("é\t\27[1mx", text_of(writer.dumpinfo("é\t\27[1mx"), 1))
  end)

  it("ends before the NULs that fill it", function()
    assert.are.equal("text", text_of(writer.dumpinfo("text\0\0\0\0"), 1))
  end)

  it("is found by counting the segments without the notes", function()
    local note = writer.note {cpus = {{registers = writer.aarch64 {}}}, dumpinfo = 1}
    local dump = open(writer.file {machine = "aarch64", segments = {
      {type = 4, bytes = note}, {paddr = 0, bytes = ("m"):rep(64)},
      {paddr = 0x1000, bytes = writer.dumpinfo("here")}}})
    assert.are.equal("here", dump:log())
  end)

  it("is not made up where there is none", function()
    local info = writer.dumpinfo("text")
    assert.is_nil(text_of(info, 0))                    -- plain memory
    assert.is_nil(text_of(info, 2))                    -- no such segment
    assert.is_nil(text_of(info, 0xffffffff))
    assert.is_nil(text_of(info:sub(1, 43), 1))         -- no room for the structure
    assert.is_nil(text_of(info:sub(1, -2), 1))         -- nor for its text
    assert.is_nil(text_of(writer.dumpinfo("text", 5), 1))
    assert.is_nil(text_of(writer.dumpinfo(""), 1))
    assert.is_nil(text_of(writer.dumpinfo("\0\0\0"), 1))
    assert.is_nil(text_of(writer.dumpinfo("te\1xt"), 1)) -- not text
    assert.is_nil(text_of(writer.dumpinfo("te\0xt"), 1))
    -- Nor where there is no note to name a segment.
    local dump = open(writer.file {machine = "aarch64", segments = {
      {paddr = 0, bytes = writer.dumpinfo("guest memory")}}})
    assert.is_nil(dump:log())
  end)
end)

describe("what else an ELF file holds", function()
  after_each(files.clean)

  local function note(name, kind, data, unit)
    unit = unit or 4
    local function pad(bytes, from)
      return bytes .. ("\0"):rep(-(#bytes + from) % unit)
    end
    return string.pack("<I4I4I4", #name, #data, kind) .. pad(name, 12) .. pad(data, 0)
  end

  local function with_notes(...)
    local segments = {}
    for i, bytes in ipairs {...} do
      segments[i] = {type = 4, bytes = bytes, align = 4}
    end
    return writer.file {machine = "x86_64", segments = segments}
  end

  it("are notes, of every kind", function()
    local dump = open(with_notes(
      note("CORE\0", 1, "prstatus") .. note("", 7, "abcde") .. note("VMCOREINFO\0", 0, ""),
      note("X\0", 0xffffffff, "last"):sub(1, -1)))
    local list = collect(dump:notes(), function(n)
      return ("%d %s %d %s"):format(n.segment, n.name, n.type, n:read())
    end)
    assert.are.same({"0 CORE 1 prstatus", "0  7 abcde", "0 VMCOREINFO 0 ",
      "1 X 4294967295 last"}, list)
    assert.are.equal('note "CORE" type 1: 8 bytes', tostring(dump:notes()()))
  end)

  it("are notes padded to 8 bytes, where the segment says so", function()
    local dump = open(writer.file {machine = "x86_64", segments = {{type = 4, align = 8,
      bytes = note("GNU\0", 5, "123", 8) .. note("abcdefg\0", 6, "4567", 8)}}})
    assert.are.same({"GNU 123", "abcdefg 4567"}, collect(dump:notes(), function(n)
      return n.name .. " " .. n:read()
    end))
  end)

  it("are notes in the file's byte order", function()
    local dump = open(writer.as(">", 32, function()
      return writer.file {machine = "arm", segments = {{type = 4, align = 4,
        bytes = string.pack(">I4I4I4", 4, 4, 9) .. "ABC\0data"}}}
    end))
    assert.are.same({"ABC 9 data"}, collect(dump:notes(), function(n)
      return ("%s %d %s"):format(n.name, n.type, n:read())
    end))
  end)

  it("are no notes where a QNX note stands", function()
    local qnx = writer.note {cpus = {{registers = writer.aarch64 {}}}}
    local dump = open(writer.file {machine = "aarch64", segments = {{type = 4, bytes = qnx},
      {type = 4, bytes = note("CORE\0", 1, "x"), align = 4}}})
    assert.are.equal("qnx", dump.format)
    assert.are.same({"CORE"}, collect(dump:notes(), function(n) return n.name end))
  end)

  it("are notes up to one that does not fit", function()
    local good = note("A\0", 1, "good")
    for _, bad in ipairs {string.pack("<I4I4I4", 4, 0xffffffff, 1) .. "ABC\0",
      string.pack("<I4I4I4", 0xffffffff, 4, 1) .. "ABC\0", string.pack("<I4I4I4", 4, 5, 1)
      .. "ABC\0data", "short"} do
      local dump = open(with_notes(good .. bad))
      local names = {}
      assert.error_matches(function()
        for n in dump:notes() do
          names[#names + 1] = n.name
        end
      end, ("test.gcore: offset %d: a note"):format(64 + 56 + #good), 1, true)
      assert.are.same({"A"}, names)
    end
  end)

  -- A file with sections behind its memory: their headers, then the names.
  local function with_sections(sections, header)
    local names, data = "\0", "memory"
    local at = 64 + 56
    local headers = {writer.section_header {}}
    for _, section in ipairs(sections) do
      headers[#headers + 1] = writer.section_header {name = #names, type = section.type or 1,
        offset = section.offset or at + #data, size = section.size or #section.bytes,
        addr = section.addr}
      names = names .. section.name .. "\0"
      data = data .. (section.bytes or "")
    end
    headers[#headers + 1] = writer.section_header {name = #names, type = 3,
      offset = at + #data, size = #names + 10}
    data = data .. names .. ".shstrtab\0"
    local fields = {machine = 183, phnum = 1, shoff = at + #data, shnum = #headers,
      shstrndx = #headers - 1}
    for name, value in pairs(header or {}) do
      fields[name] = value
    end
    return writer.header(fields) .. writer.program_header {paddr = 0x1000, offset = at, filesz = 6}
      .. data .. table.concat(headers)
  end

  local two = {{name = ".note", bytes = "some text"}, {name = ".bss", type = 8, size = 1 << 40}}

  it("are sections with their bytes", function()
    local dump = open(with_sections(two))
    assert.are.same({"0  ", "1 .note some text", "2 .bss ",
      "3 .shstrtab \0.note\0.bss\0.shstrtab\0"}, collect(dump:sections(), function(s)
      return ("%d %s %s"):format(s.index, s.name, s:read())
    end))
    assert.are.equal("memory", dump:read(0x1000, 6))
    for s in dump:sections() do
      if s.name == ".bss" then
        assert.are.same({1 << 40, 0}, {s.size, s.filesz})
        assert.matches("^section 2 .bss: type 8, 0 bytes at offset %d+$", tostring(s))
      end
    end
  end)

  it("are no sections in most dumps", function()
    for _ in open(writer.small()):sections() do
      error("it has none")
    end
  end)

  it("are sections whose headers or bytes are wrong", function()
    local dump = open(with_sections {{name = "a", offset = 1 << 40, size = 4},
      {name = "b", offset = -1, size = -1}, {name = "c", offset = 0, size = 1 << 33}})
    local codes = {}
    for s in dump:sections() do
      codes[#codes + 1] = select(3, s:read()) or "fine"
    end
    assert.are.same({"fine", "truncated", "too_large", "too_large", "fine"}, codes)
    for _, case in ipairs {{{shoff = 1 << 40, shnum = 2}, "truncated"}, {{shoff = -1}, "truncated"},
      {{shnum = 0, shoff = 1 << 40}, "truncated"}, {{shstrndx = 7}, "truncated"},
      {{shstrndx = 0xffff}, nil}, {{shstrndx = 2}, nil}, {{shoff = 3, shnum = 4}, nil}} do
      dump = open(with_sections(two, case[1]))
      local ok, message = pcall(function()
        local iterator, why = dump:sections()
        for _ in assert(iterator, why) do end
      end)
      assert.are.equal(case[2] == nil, ok, message)
      assert.are.equal("memory", dump:read(0x1000, 6))
    end
  end)
end)
