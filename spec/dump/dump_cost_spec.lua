-- The cost of small hostile dumps, and how truncated or incomplete dumps are reported.

local cost = require "support.cost"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

-- Writes a dump, compresses it and returns its path.
local function compressed(name, bytes)
  local path = files.write(name, bytes)
  assert(process.run {"gzip", "-9", "-f", path} == 0)
  return path .. ".gz"
end

-- A file with `count` program headers, then `rest`. entry(i, at) returns the fields of header
-- i; `at` is the offset of `rest`.
local function with_headers(count, entry, rest)
  local at = 64 + 64
  local section = writer.section_header {info = count}
  local parts = {writer.header {machine = 183, phnum = 0xffff, phoff = at, shoff = 64, shnum = 1},
    section}
  for i = 1, count do
    parts[#parts + 1] = writer.program_header(entry(i, at + 56 * count))
  end
  parts[#parts + 1] = rest
  return table.concat(parts)
end

describe("a small file", function()
  after_each(files.clean)

  it("whose segments all share the same notes lists them once", function()
    local notes = writer.elf_note("X\0", 1, ""):rep(30000)
    local path = compressed("notes.gcore", with_headers(60000, function(_, at)
      return {type = 4, offset = at, filesz = #notes, align = 4}
    end, notes))
    local answer = cost.check(([[
      local d = assert(qvm.open(%q))
      local n = 0
      for _ in d:notes() do n = n + 1 end
      local _, _, code = d:vmcoreinfo()
      return n .. " " .. code .. " " .. d.warnings[1] ]]):format(path))
    assert.are.equal("30000 not_found 59999 note segments are skipped: they share bytes of the "
      .. "file with another one, or are more than 256", answer)
  end)

  it("with too many notes opens, but raises when they are listed", function()
    local path = compressed("many.gcore", writer.file {machine = "x86_64", segments = {
      {type = 4, bytes = writer.elf_note("", 1, ""):rep(1 << 20), align = 4}}})
    local answer = cost.check(([[
      local d, n = assert(qvm.open(%q)), 0
      local _, message = pcall(function() for _ in d:notes() do n = n + 1 end end)
      return n .. message .. tostring(select(3, d:vmcoreinfo()))]]):format(path))
    assert.matches("^262144.*more than 262144 notes", answer)
    assert.matches("not_found$", answer)
  end)

  it("with the largest number of segments costs little; with more it is too large", function()
    local function memory(i)
      return {offset = 0, paddr = 0x2000 * i, filesz = 64, memsz = 0x1000}
    end
    local path = compressed("segments.gcore", with_headers(1 << 17, memory))
    assert.are.equal("131072 131072", (cost.check(([[
      local d, n, m = assert(qvm.open(%q)), 0, 0
      for _ in d:segments() do n = n + 1 end
      for _ in d:ranges() do m = m + 1 end
      return n .. " " .. m // 2 * 2]]):format(path))))
    local huge = compressed("huge.gcore", writer.header {machine = 183, phnum = 0xffff, phoff = 128,
      shoff = 64, shnum = 1} .. writer.section_header {info = 0xffffffff})
    assert.are.equal("too_large", select(3, qvm.open(huge)))
  end)

  it("whose segments map its bytes many times is too large", function()
    local bytes = ("m"):rep(1 << 20)
    local path = files.write("aliased.gcore", with_headers(1 << 16, function(i, at)
      return {offset = at, paddr = i << 20, filesz = #bytes}
    end, bytes))
    local _, message, code = qvm.open(path)
    assert.are.equal("too_large", code)
    assert.matches("show the file's bytes more than 8 times", message)
  end)

  it("with 16 MiB of text that is not UTF-8 is reported in part, with the count", function()
    local text = ("\255"):rep(16 << 20)
    local path = compressed("text.gcore", writer.small {
      memory = {{paddr = 0x1000, bytes = writer.dumpinfo(text)}}, note = {dumpinfo = 0}})
    for _, option in ipairs {"--json", "--html", "--read"} do
      local body = ([[
        io.stdout = {write = function(self) return self end, flush = function() return true end,
          setvbuf = function() return true end}
        local command = require "qvm.cli.command"
        local said = {}
        local problems = command.problems("x", function(m) said[#said + 1] = m end)
        local about = require "qvm.diag.collect".dump(assert(qvm.open(%q)), problems)
        local option, size = %q, 0
        if option == "--json" then
          size = #require "qvm.diag.collect".encode({dump = about})
        elseif option == "--html" then
          size = #require "qvm.diag.html".page({dump = about, errors = {}}, false)
        else
          require "qvm.diag.plain".new(function(l) size = size + #l end, tostring):dump(about)
        end
        assert(size >= 1 << 20, size)
        return table.concat(said)]]):format(path, option)
      local answer = cost.check(body, 16 << 20)
      assert.matches("the first 15728640 of 16777216 bytes of its text are not in the report",
        answer, 1, true)
    end
  end)

  it("can be searched for the longest pattern", function()
    local path = files.write("find.gcore", writer.small {
      memory = {{paddr = 0, bytes = ("ab"):rep(1 << 20)}}})
    assert.are.equal("524289", (cost.check(([[
      local n = 0
      for _ in assert(qvm.open(%q)):find(("ab"):rep(1 << 19)) do n = n + 1 end
      return n]]):format(path))))
  end)

  it("with many vCPUs and extra registers is reported in part", function()
    local names = {}
    for i = 1, 500 do
      names[i] = "r" .. i
    end
    local cpu = {registers = writer.aarch64 {}, extra = ("\1"):rep(8 * #names)}
    local cpus = {}
    for i = 1, 20000 do
      cpus[i] = cpu
    end
    local path = compressed("vcpus.gcore", writer.small {cpus = cpus, note = {names = names,
      pad = -#(table.concat(names, "\0") .. "\0") % 8}})
    local answer = cost.check(([[
      local problems = {warn = function(self, m) self[#self + 1] = m end}
      local dump = assert(qvm.open(%q))
      local collect = require "qvm.diag.collect"
      local about = collect.dump(dump, problems)
      for cpu in dump:vcpus() do assert(cpu.extra.r500) end
      return #about.vcpus .. #collect.encode(about) .. problems[1] ]]):format(path))
    assert.matches("only the first 61 vCPUs are in the report", answer, 1, true)
  end)
end)

describe("a truncated dump", function()
  after_each(files.clean)

  local function words()
    local list = {}
    for i = 1, 27 do
      list[i] = i
    end
    return list
  end

  local function qemu(machine)
    local notes = {}
    for i = 0, 1 do
      notes[#notes + 1] = writer.elf_note("CORE\0", 1,
        writer.prstatus(i, words(), machine == "x86_64" and 336 or 392))
      if machine == "aarch64" then
        notes[#notes + 1] = writer.elf_note("CORE\0", 2, ("\0"):rep(528))
      end
    end
    for _ = 1, machine == "x86_64" and 2 or 0 do
      notes[#notes + 1] = writer.elf_note("QEMU\0", 0, writer.qemu_state({}, 440))
    end
    return writer.file {machine = machine, segments = {
      {type = 4, bytes = table.concat(notes), align = 4}, {paddr = 0x1000, bytes = "memory"}}}
  end

  local function qnx(machine)
    local registers = writer[machine] {}
    return writer.small {machine = machine, memory = {{paddr = 0x1000, bytes = "memory"}},
      cpus = {{registers = registers, extra = {1}}, {registers = registers, extra = {2}}},
      note = {names = {"cr3"}, pad = 4}}
  end

  -- The number of vCPUs must not decrease with the length.
  for form, write in pairs {qemu = qemu, qnx = qnx} do
    for _, machine in ipairs {"aarch64", "x86_64"} do
      it(("opens as partial when cut at any byte after its headers: %s, %s"):format(form, machine),
      function()
        local bytes, most = write(machine), 0
        for length = 64 + 2 * 56, #bytes - 1 do
          local path = files.write("cut.gcore", bytes:sub(1, length))
          local dump <close> = assert(qvm.open(path, {partial = true}))
          local count = 0
          for cpu in dump:vcpus() do
            count = count + 1
            assert(cpu.pc)
          end
          assert(count >= most, length)
          most = count
          assert.is_false(dump.complete)
          if count < 2 then
            assert.matches("registers", table.concat(dump.warnings, "\n"))
          end
        end
        local whole <close> = assert(qvm.open(files.write("whole.gcore", bytes)))
        assert.are.same({form, {}}, {whole.format, whole.warnings})
      end)
    end
  end

  it("reports which vCPU is missing from a QNX note", function()
    local path = files.write("cut.gcore", qnx("aarch64"):sub(1, -2))
    local dump <close> = assert(qvm.open(path, {partial = true}))
    assert.are.equal("qnx", dump.format)
    assert.are.equal(1, dump:vcpu(0).extra.cr3)
    local _, message, code = dump:vcpu(1)
    assert.are.equal("truncated", code)
    assert.matches("ends before the registers of vCPU 1", message)
    assert.is_nil(dump:vcpu(2))
    assert.matches("the registers of 1 vCPUs are missing", table.concat(dump.warnings, "\n"))
  end)
end)

describe("a QEMU dump with a missing note", function()
  after_each(files.clean)

  local function open(notes)
    return assert(qvm.open(files.write("lacks.gcore", writer.file {machine = "x86_64",
      segments = {{type = 4, bytes = table.concat(notes), align = 4}}})))
  end
  local function status(i) return writer.elf_note("CORE\0", 1, writer.prstatus(i, {}, 336)) end
  local state = writer.elf_note("QEMU\0", 0, writer.qemu_state({[416] = {0x5000}}, 440))

  it("reads the other notes and warns", function()
    local dump <close> = open {status(0), status(2), state, state}
    assert.are.same({"qemu", {"the registers of 1 vCPUs are missing"}},
      {dump.format, dump.warnings})
    assert.are.same({0, 2, 0x5000}, {dump:vcpu(0).cpunum, dump:vcpu(1).cpunum, dump:vcpu(1).pgtbl})
  end)

  it("never assigns control registers to the wrong vCPU", function()
    local dump <close> = open {status(0), status(1), state}
    assert.are.same({"qemu", {"2 vCPUs have no control registers: notes with them are missing"}},
      {dump.format, dump.warnings})
    assert.are.same({0, 0}, {dump:vcpu(0).pgtbl, dump:vcpu(1).pgtbl})
  end)

  it("is plain ELF, with a warning, if it also has a foreign note", function()
    local dump <close> = open {status(0), state, writer.elf_note("CORE\0", 3, "x")}
    assert.are.equal("elf", dump.format)
    assert.matches("no registers are read", dump.warnings[1])
  end)
end)

describe("data after the gzip data", function()
  after_each(files.clean)

  it("is ignored if it is zeros, and otherwise causes a warning", function()
    local path = compressed("small.gcore", writer.small {})
    local file <close> = io.open(path, "rb")
    local bytes = file:read("a")
    for rest, count in pairs {[""] = 0, [("\0"):rep(512)] = 0, ["x"] = 1, ["\0\0garbage"] = 1} do
      local dump <close> = assert(qvm.open(files.write("rest.gz", bytes .. rest)))
      assert.are.equal(count, #dump.warnings)
      assert.is_true(count == 0 or dump.warnings[1]:find("follows the gzip data") ~= nil)
    end
  end)
end)
