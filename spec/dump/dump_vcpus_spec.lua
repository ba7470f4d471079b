-- The vCPUs and the text of a QNX dump.

local dumps = require "support.dumps"
local files = require "support.files"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local open, ranges = dumps.open, dumps.ranges

describe("a note that is too short for a QNX note", function()
  after_each(files.clean)

  it("does not turn memory into text", function()
    local dump = dumps.open(writer.file {machine = "aarch64", segments = {
      {paddr = 0x1000, bytes = writer.dumpinfo("hello from memory\n")},
      {type = 4, bytes = ("\0"):rep(16)}}})
    assert.are.equal("elf", dump.format)
    assert.is_nil(dump:log())
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

  it("are read from an SDP 8 note, with extra registers", function()
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

  it("return their registers in the architecture's order", function()
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

  it("are found after any padding of the names", function()
    -- "abc\0" and "d\0" take 6 bytes: 2 more pad them to a multiple of 4 and of 8.
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

  it("keep the bytes of extra registers whose size is not 8", function()
    local cpu = aarch64_cpu(0)
    cpu.extra = "0123456789abcdef0123456789abcdef"
    local dump = open(writer.small {cpus = {cpu}, note = {names = {"v0", "v1"}, extra_size = 32}})
    assert.are.equal("qnx", dump.format)
    assert.are.same({}, dump:vcpu(0).extra)
    assert.are.equal(cpu.extra, dump:vcpu(0).extra_bytes)
    check_aarch64(dump:vcpu(0), 0)
  end)

  it("are found in a note before the memory and next to other notes", function()
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
    for machine, pc_and_sp in pairs {x86 = {"eip", "esp"}, arm = {"pc", "sp"}} do
      it(("are read from a 32-bit %s-endian %s dump"):format(
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
        assert.are.equal(values[pc_and_sp[1]], cpu.pc)
        assert.are.equal(values[pc_and_sp[2]], cpu.sp)
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

  it("accept a process name of 100 characters", function()
    local dump = open(writer.small {cpus = {{registers = writer.aarch64 {},
      process = ("n"):rep(100)}}})
    assert.are.equal(("n"):rep(100), dump:vcpu(0).process)
  end)

  -- Checks that the file has memory but no vCPUs: its note is almost a QNX note.
  local function not_qnx(name, bytes)
    it("are not read from " .. name, function()
      local dump = open(bytes)
      assert.are.equal("elf", dump.format)
      assert.is_nil(dump:vcpu(0))
      for _ in dump:vcpus() do
        error("a vCPU in a dump without vCPUs")
      end
      assert.is_nil(dump:log())
    end)
  end

  local cpus = {{registers = writer.aarch64 {}}}
  not_qnx("another version", writer.small {note = {version = 1}})
  not_qnx("no CPUs", writer.small {note = {num_cpus = 0}})
  not_qnx("a CPU count that is too high", writer.small {note = {num_cpus = 2}})
  not_qnx("65535 CPUs", writer.small {note = {num_cpus = 65535}})
  not_qnx("a CPU count that is too low",
    writer.small {cpus = {cpus[1], cpus[1]}, note = {num_cpus = 1}})
  not_qnx("another register size", writer.small {note = {regset_size = 264}})
  not_qnx("a huge register size", writer.small {note = {regset_size = 0xffffffff}})
  not_qnx("huge extra registers",
    writer.small {note = {regset_size = 0xffffffff, extra_size = 0xffffffff - 272}})
  not_qnx("a wrong size of the names", writer.small {note = {names_size = 4}})
  not_qnx("huge names", writer.small {note = {names_size = 0xffffffff}})
  not_qnx("a note with an extra byte", writer.small {note = {pad = 1}})
  not_qnx("the registers of another machine",
    writer.small {cpus = {{registers = writer.x86_64 {}}}})
  not_qnx("an unknown machine", writer.file {machine = 243, segments = {
    {type = 4, bytes = writer.note {cpus = cpus}}}})
  not_qnx("a note that is too short", writer.file {machine = "aarch64", segments = {
    {type = 4, bytes = writer.note({cpus = cpus}):sub(1, 39)}}})
  not_qnx("standard notes", writer.file {machine = "aarch64", segments = {
    {type = 4, bytes = string.pack("<I4I4I4c8c392", 5, 392, 1, "CORE\0", "")}}})
  not_qnx("a standard note without a name", writer.file {machine = "aarch64", segments = {
    {type = 4, bytes = string.pack("<I4I4I4c404", 0, 1, 272, "")}}})
  not_qnx("a file without notes", writer.file {machine = "aarch64", segments = {
    {paddr = 0, bytes = "m"}}})

  it("are absent from a file without segments", function()
    local dump = open(writer.file {machine = "x86_64", segments = {}})
    assert.are.equal("elf", dump.format)
    assert.are.same({}, ranges(dump))
    assert.are.equal("unmapped", select(3, dump:u8(0)))
  end)
end)

describe("a vCPU of another dump", function()
  after_each(files.clean)

  it("is refused, as is a Space of another dump", function()
    local dump, other = open(writer.small()), assert(qvm.open(files.write("other.gcore",
      writer.small())))
    local _, message = pcall(function() local _ = dump:space(other:vcpu(0)) end)
    assert.matches("^spec/dump/dump_vcpus_spec.lua:%d+: bad argument #1 to 'space' %(a vCPU of "
      .. "another dump", message)
    local space = assert(other:space {root = 0x1000})
    _, message = pcall(function() local _ = dump:vcpu(0):backtrace(space) end)
    assert.matches("^spec/dump/dump_vcpus_spec.lua:%d+: bad argument #1 to 'backtrace' %(a Space "
      .. "of another dump", message)
  end)
end)

describe("the text of a dump", function()
  after_each(files.clean)

  local function text_of(dumpinfo, index, memory)
    local segments = memory or {{paddr = 0, bytes = ("m"):rep(64)},
      {paddr = 0x1000, bytes = dumpinfo}}
    return open(writer.small {memory = segments, note = {dumpinfo = index}}):log()
  end

  it("is read from the segment that the note refers to", function()
    assert.are.equal("one\ntwo\n", text_of(writer.dumpinfo("one\ntwo\n"), 1))
    assert.are.equal("é\t\27[1mx", text_of(writer.dumpinfo("é\t\27[1mx"), 1))
  end)

  it("ends before its padding of NULs", function()
    assert.are.equal("text", text_of(writer.dumpinfo("text\0\0\0\0"), 1))
  end)

  it("is found by a segment index that does not count note segments", function()
    local note = writer.note {cpus = {{registers = writer.aarch64 {}}}, dumpinfo = 1}
    local dump = open(writer.file {machine = "aarch64", segments = {
      {type = 4, bytes = note}, {paddr = 0, bytes = ("m"):rep(64)},
      {paddr = 0x1000, bytes = writer.dumpinfo("here")}}})
    assert.are.equal("here", dump:log())
  end)

  it("is nil if no segment holds a valid text", function()
    local info = writer.dumpinfo("text")
    assert.is_nil(text_of(info, 0))                    -- plain memory
    assert.is_nil(text_of(info, 2))                    -- no such segment
    assert.is_nil(text_of(info, 0xffffffff))
    assert.is_nil(text_of(info:sub(1, 43), 1))         -- too short for the structure
    assert.is_nil(text_of(info:sub(1, -2), 1))         -- too short for its text
    assert.is_nil(text_of(writer.dumpinfo("text", 5), 1))
    assert.is_nil(text_of(writer.dumpinfo(""), 1))
    assert.is_nil(text_of(writer.dumpinfo("\0\0\0"), 1))
    assert.is_nil(text_of(writer.dumpinfo("te\1xt"), 1)) -- not text
    assert.is_nil(text_of(writer.dumpinfo("te\0xt"), 1))
    -- No note refers to a segment.
    local dump = open(writer.file {machine = "aarch64", segments = {
      {paddr = 0, bytes = writer.dumpinfo("guest memory")}}})
    assert.is_nil(dump:log())
  end)
end)
