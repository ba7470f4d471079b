-- Dumps in the format of QEMU's dump-guest-memory, and files that almost match it.

local dumps = require "support.dumps"
local files = require "support.files"
local writer = require "support.dumpwriter"

local open, note = dumps.open, writer.elf_note

-- The order of the registers in the x86_64 prstatus.
local x86_64 = {"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx",
  "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss", "fs_base", "gs_base", "ds",
  "es", "fs", "gs"}
local segments = {"cs", "ds", "es", "fs", "gs", "ss", "ldt", "tr", "gdt", "idt"}

-- A value that identifies register n of a vCPU; above 2^63 if unsigned.
local function value(cpu, n)
  return 0xffff800000000000 + cpu * 0x1000 + n
end

local function x86_64_prstatus(cpu)
  local words = {}
  for i in ipairs(x86_64) do
    words[i] = value(cpu, i)
  end
  return note("CORE\0", 1, writer.prstatus(cpu, words, 336))
end

local function x86_64_state(cpu, size)
  local values = {[392] = {0x80050033}, [408] = {value(cpu, 90)}, [416] = {0x28c6abc + cpu},
    [424] = {0x750eb0}}
  for i in ipairs(segments) do
    local at = 152 + 24 * (i - 1)
    values[at], values[at + 4] = {i * 8, "I4"}, {0xfffffff0 + i, "I4"}
    values[at + 8], values[at + 16] = {0xa09b00 + i, "I4"}, {value(cpu, 100 + i)}
  end
  if size == 440 then
    values[432] = {value(cpu, 99)}
  end
  return note("QEMU\0", 0, writer.qemu_state(values, size))
end

local function file(machine, notes, memory)
  return writer.file {machine = machine, segments = {
    {type = 4, bytes = table.concat(notes), align = 0},
    {paddr = 0x1000, bytes = memory or "memory of a guest"}}}
end

local function x86_64_notes(size)
  return {x86_64_prstatus(0), x86_64_prstatus(1), x86_64_state(0, size), x86_64_state(1, size),
    note("VMCOREINFO\0", 0, "OSRELEASE=6.1\n")}
end

local function aarch64_cpu(cpu)
  local words = {}
  for i = 1, 34 do
    words[i] = value(cpu, i)
  end
  return note("CORE\0", 1, writer.prstatus(cpu, words, 392))
    .. note("CORE\0", 2, ("\0"):rep(512) .. string.pack("<I4I4", 0x11, 0x22) .. ("\0"):rep(8))
end

describe("a dump from QEMU", function()
  after_each(files.clean)

  it("has each vCPU's registers on x86_64", function()
    for _, size in ipairs {432, 440} do
      local dump = open(file("x86_64", x86_64_notes(size)))
      assert.are.equal("qemu", dump.format)
      assert.are.same({}, dump.warnings)
      for i = 0, 1 do
        local cpu = dump:vcpu(i)
        assert.are.same({i, i, ""}, {cpu.index, cpu.cpunum, cpu.process})
        for n, name in ipairs(x86_64) do
          assert.are.equal(value(i, n), cpu.regs[name], name)
        end
        assert.are.equal(value(i, 17), cpu.pc)
        assert.are.equal(value(i, 20), cpu.sp)
      end
      assert.is_nil(dump:vcpu(2))
      assert.matches("qemu x86_64, 2 vCPUs, 17 bytes of memory$", tostring(dump))
    end
  end)

  it("has control and segment registers in cpu.extra", function()
    for _, size in ipairs {432, 440} do
      local cpu = open(file("x86_64", x86_64_notes(size))):vcpu(1)
      local extra = cpu.extra
      assert.are.same({0x80050033, value(1, 90), 0x28c6abd, 0x750eb0},
        {extra.cr0, extra.cr2, extra.cr3, extra.cr4})
      assert.are.equal(0x28c6000, cpu.pgtbl)
      for i, name in ipairs(segments) do
        assert.are.same({i * 8, 0xfffffff0 + i, 0xa09b00 + i, value(1, 100 + i)},
          {extra[name .. "_selector"], extra[name .. "_limit"], extra[name .. "_flags"],
            extra[name .. "_base"]})
      end
      assert.are.equal(size == 440 and value(1, 99) or nil, extra.kernel_gs_base)
      assert.are.equal(size, #cpu.extra_bytes)
    end
  end)

  it("has each vCPU's registers on aarch64", function()
    local dump = open(file("aarch64", {aarch64_cpu(0), note("LINUX\0", 0x405, "sve"),
      aarch64_cpu(1), aarch64_cpu(2)}))
    assert.are.equal("qemu", dump.format)
    for i = 0, 2 do
      local cpu = dump:vcpu(i)
      for n = 0, 30 do
        assert.are.equal(value(i, n + 1), cpu.regs["x" .. n])
      end
      assert.are.same({value(i, 32), value(i, 33), value(i, 34)}, {cpu.sp, cpu.pc, cpu.regs.pstate})
      assert.are.same({fpsr = 0x11, fpcr = 0x22}, cpu.extra)
      assert.are.equal(0, cpu.pgtbl)
    end
  end)

  it("has registers in big-endian byte order", function()
    local dump = open(writer.as(">", 64, function()
      local words = {}
      for i = 1, 34 do
        words[i] = value(0, i)
      end
      return file("aarch64", {note("CORE\0", 1, writer.prstatus(0, words, 392)),
        note("CORE\0", 2, ("\0"):rep(528))})
    end))
    assert.are.same({"qemu", value(0, 33)}, {dump.format, dump:vcpu(0).pc})
  end)

  it("lists registers in the architecture's order", function()
    local cpu = open(file("x86_64", x86_64_notes(440))):vcpu(0)
    local names = dumps.collect(cpu:registers(), function(name, v)
      assert.are.equal(cpu.regs[name], v)
      return name
    end)
    assert.are.equal("rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 rip rflags cs "
      .. "ss ds es fs gs fs_base gs_base orig_rax", table.concat(names, " "))
    names = dumps.collect(cpu:extra_registers(), function(name) return name end)
    assert.are.equal("cr0 cr2 cr3 cr4 cs_selector cs_limit cs_flags cs_base ds_selector",
      table.concat(names, " ", 1, 9))
    assert.are.equal("kernel_gs_base", names[#names])
  end)

  it("lists its notes", function()
    local list = dumps.collect(open(file("x86_64", x86_64_notes(440))):notes(), function(n)
      return ("%s %d %d"):format(n.name, n.type, n.filesz)
    end)
    assert.are.same({"CORE 1 336", "CORE 1 336", "QEMU 0 440", "QEMU 0 440", "VMCOREINFO 0 14"},
      list)
  end)

  it("is plain ELF if any of its notes is not QEMU's", function()
    local good = x86_64_notes(440)
    local function changed(index, bytes)
      local notes = {table.unpack(good)}
      notes[index] = bytes
      return notes
    end
    for what, notes in pairs {
      ["no notes"] = {},
      ["no state"] = {good[1], good[2]},
      ["states first"] = {good[3], good[4], good[1], good[2]},
      ["more states than vCPUs"] = {good[1], good[3], good[4]},
      ["vCPUs counted from 0"] = changed(1, note("CORE\0", 1, writer.prstatus(-1, {}, 336))),
      ["vCPUs out of order"] = {good[2], good[1], good[3], good[4]},
      ["a process's prstatus"] = changed(1, (good[1]:gsub("^(" .. ("."):rep(30) .. ").", "%1\9"))),
      ["a signal in the prstatus"] =
        changed(1, note("CORE\0", 1, "\11" .. writer.prstatus(0, {}, 336):sub(2))),
      ["times in the prstatus"] = changed(1,
        note("CORE\0", 1, writer.prstatus(0, {}, 336):sub(1, 80) .. "\1" .. ("\0"):rep(255))),
      ["a prstatus of another size"] = changed(2, note("CORE\0", 1, writer.prstatus(1, {}, 392))),
      ["a name of another case"] = changed(2, note("core\0", 1, writer.prstatus(1, {}, 336))),
      ["a name without a NUL"] = changed(2, note("CORE", 1, writer.prstatus(1, {}, 336))),
      ["no name"] = changed(2, note("", 1, writer.prstatus(1, {}, 336))),
      ["the state under another name"] = changed(4, note("XENU\0", 0, ("\0"):rep(440))),
      ["a state that is too short"] = changed(4, note("QEMU\0", 0, ("\0"):rep(431))),
      ["a process's psinfo"] = changed(5, note("CORE\0", 3, ("\0"):rep(136))),
    } do
      local dump = open(file("x86_64", notes))
      assert.are.equal("elf", dump.format, what)
      assert.is_nil(dump:vcpu(0))
      assert.are.equal("memory", dump:read(0x1000, 6))
    end
    assert.are.equal("elf", open(file("aarch64", good)).format)
    assert.are.equal("elf", open(file("x86_64", {aarch64_cpu(0)})).format)
    assert.are.equal("elf", open(file("arm", good)).format)
  end)

  it("may have odd header sizes and section headers first", function()
    -- QEMU 7.2 writes e_ehsize 8, and program headers at 192, after the section headers.
    local notes = table.concat(x86_64_notes(440))
    local bytes = writer.header {machine = 62, phnum = 2, phoff = 192, ehsize = 8, shoff = 64,
      shnum = 2} .. writer.section_header {} .. writer.section_header {}
    local at = #bytes + 2 * 56
    bytes = bytes .. writer.program_header {type = 4, offset = at, filesz = #notes, align = 0}
      .. writer.program_header {offset = at + #notes, filesz = 6, paddr = 0x5000, align = 0}
      .. notes .. "memory"
    local dump = open(bytes)
    assert.are.same({"qemu", "memory"}, {dump.format, dump:read(0x5000, 6)})
  end)

  it("has no memory where its writer omitted a segment's data", function()
    local dump = open(writer.file {machine = "x86_64", segments = {
      {type = 4, bytes = table.concat(x86_64_notes(440)), align = 0},
      {paddr = 0x1000, offset = -1, filesz = 0, memsz = 4096},
      {paddr = 0x2000, bytes = "here", memsz = 4096}}})
    assert.are.same({"2000+4"}, dumps.ranges(dump))
    assert.are.equal("unmapped", select(3, dump:u8(0x2004)))
  end)
end)

describe("a core in no known format", function()
  after_each(files.clean)

  local function core(...)
    return open(writer.file {machine = "aarch64", segments = {...}})
  end

  it("reads as zeros after a segment's file data", function()
    local dump = core({paddr = 0x1000, bytes = "data", memsz = 16},
      {paddr = 0x1010, bytes = "next"}, {paddr = 0x8000, filesz = 0, memsz = 1 << 40})
    assert.are.equal("elf", dump.format)
    assert.are.same({"1000+14", "8000+10000000000"}, dumps.ranges(dump))
    assert.are.equal("data" .. ("\0"):rep(12) .. "next", dump:read(0x1000, 20))
    assert.are.equal(0, dump:u64(0x8000 + (1 << 39)))
    assert.are.equal("", dump:cstring(0x9000))
    assert.are.equal("unmapped", select(3, dump:u8(0x1014)))
    assert.matches("1 TiB of memory$", tostring(dump))
  end)

  it("has no memory where its writer omitted a segment's data", function()
    assert.are.same({"1000+4"}, dumps.ranges(core({paddr = 0x1000, bytes = "data"},
      {paddr = 0x2000, offset = -1, filesz = 0, memsz = 4096})))
  end)

  it("has zeros up to the top of the address space", function()
    local dump = core({paddr = -4096, bytes = "top", memsz = 4096})
    assert.are.equal(0, dump:u8(-1))
    assert.are.equal("unmapped", select(3, dump:u64(-1)))
  end)

  it("reads the first segment where segments overlap, with a warning", function()
    local dump = core({paddr = 0x1004, bytes = "bbbb"}, {paddr = 0x1000, bytes = "aaaaaaaa"},
      {paddr = 0x1002, bytes = "c", memsz = 32}, {paddr = 0x4000, bytes = "d"})
    assert.are.equal("aaaabbbb" .. ("\0"):rep(26), dump:read(0x1000, 34))
    assert.are.same({"segments overlap 3 times, first at 0x0000000000001002: where they do, "
      .. "the first in the file is read"}, dump.warnings)
    assert.are.same({}, core({paddr = 0, bytes = "a"}, {paddr = 1, bytes = "b"}).warnings)
  end)

  it("has no warning if overlapping segments share the same file bytes", function()
    local at = 64 + 2 * 56
    assert.are.same({}, core({paddr = 0x1000, bytes = "0123456789"},
      {paddr = 0x1004, offset = at + 4, filesz = 4}).warnings)
    assert.are.equal(1, #core({paddr = 0x1000, bytes = "0123456789"},
      {paddr = 0x1004, offset = at + 5, filesz = 4}).warnings)
  end)
end)
