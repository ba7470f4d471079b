-- Dumps whose VMCOREINFO note is damaged or belongs to another kernel than the running one, as
-- after kexec, when the memory of the previous kernel is still intact.

local cjson = require "cjson"
local cost = require "support.cost"
local files = require "support.files"
local pagetables = require "support.pagetables"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local KERNEL_MAP = 0xffffffff80000000

-- For each machine: the virtual address of the kernel's name, its page tables, and the lines of
-- VMCOREINFO that describe them.
local machines = {
  x86_64 = {names = 0xffffffff82020000, tables = function(at)
    return pagetables.x86_64(at)
  end, lines = function(t, names, physical)
    local phys_base = physical - (names - KERNEL_MAP)
    return ("SYMBOL(swapper_pg_dir)=%x\nNUMBER(phys_base)=%d\n"):format(
      t.root - phys_base + KERNEL_MAP, phys_base)
  end},
  aarch64 = {names = 0xffff800012020000, tables = function(at)
    return pagetables.aarch64(at, 12, 48)
  end, lines = function(t, names, physical)
    return ("PAGESIZE=4096\nSYMBOL(swapper_pg_dir)=%x\nNUMBER(kimage_voffset)=0x%x\n"
      .. "NUMBER(VA_BITS)=48\n"):format(t.root + names - physical, names - physical)
  end},
}

-- A kernel: its page tables, name and stack in memory from `base` on, at virtual addresses
-- shifted by `slide`.
local function kernel(machine, release, base, slide)
  local form = machines[machine]
  local names, physical, t = form.names + slide, base + 0x20000, form.tables(base + 0x10000)
  t:map(names, physical, 0, 0)
  t:map(names + 0x10000, base + 0x30000, 0, 0)
  local text = ("OSRELEASE=%s\nSYMBOL(init_uts_ns)=%x\nOFFSET(uts_namespace.name)=4\n"):format(
    release, names) .. form.lines(t, names, physical)
  local segments = t:segments()
  segments[#segments + 1] = {paddr = physical, bytes = "\1\0\0\0Linux" .. ("\0"):rep(60)
    .. "host" .. ("\0"):rep(61) .. release .. ("\0"):rep(300)}
  return {text = text, segments = segments, root = t.root, pc = names + 0x80,
    sp = names + 0x11000} -- an empty stack
end

local guests = {}
for machine in pairs(machines) do
  guests[machine] = {live = kernel(machine, "6.1.0-live", 0x100000, 0),
    dead = kernel(machine, "5.4.0-dead", 0x400000, 0x4000000)}
end
local live, dead = guests.x86_64.live, guests.x86_64.dead

-- QEMU's notes of a vCPU. Only those of x86_64 include its page tables.
local vcpu_notes = {
  x86_64 = function(index, pc, sp, root)
    local registers = {}
    for n = 1, 27 do
      registers[n] = n == 17 and pc or n == 20 and sp or n
    end
    return writer.elf_note("CORE\0", 1, writer.prstatus(index, registers, 336))
      .. writer.elf_note("QEMU\0", 0, writer.qemu_state({[392] = {0x80050033}, [416] = {root},
        [424] = {0x20}}, 440))
  end,
  aarch64 = function(index, pc, sp)
    local registers = {}
    for n = 1, 34 do
      registers[n] = n == 32 and sp or n == 33 and pc or n
    end
    return writer.elf_note("CORE\0", 1, writer.prstatus(index, registers, 392))
      .. writer.elf_note("CORE\0", 2, ("\0"):rep(528))
  end,
}

-- Writes a QEMU dump with vCPUs at `pcs` and `sp` that use the page tables at `cr3`. note: the
-- text of the VMCOREINFO note; memory: the texts of VMCOREINFO in memory.
local function write(o)
  local machine = o.machine or "x86_64"
  local runs, notes, segments = guests[machine].live, "", {}
  for i, pc in ipairs(o.pcs or {runs.pc}) do
    notes = notes .. vcpu_notes[machine](i - 1, pc, o.sp or runs.sp, o.cr3 or runs.root)
  end
  for _, one in ipairs {runs, guests[machine].dead} do
    table.move(one.segments, 1, #one.segments, #segments + 1, segments)
  end
  if o.vaddr then
    local names = live.segments[#live.segments]
    segments[#live.segments] = {paddr = names.paddr, bytes = names.bytes, vaddr = o.vaddr}
  end
  for i, text in ipairs(o.memory or {}) do
    segments[#segments + 1] = {paddr = 0x1000 * i,
      bytes = string.pack("<I4I4I4", 11, #text, 0) .. "VMCOREINFO\0\0" .. text}
  end
  if o.note then
    notes = notes .. writer.elf_note("VMCOREINFO\0", 0, o.note)
  end
  segments[#segments + 1] = {type = 4, align = 0, bytes = notes}
  return files.write("guest.elf", writer.file {machine = machine, segments = segments})
end

local function open(options)
  return assert(qvm.open(write(options)))
end

-- Leaks are not checked: LeakSanitizer's tracer crashes at the end ("Tracer caught signal 11").
local function diag(path, ...)
  return process.run_lua({"examples/diag.lua", "--read", path, ...},
    {ASAN_OPTIONS = "detect_leaks=0"})
end

-- The warning that a vCPU of the live kernel causes for the dead kernel's VMCOREINFO.
local objections = {
  x86_64 = "runs a kernel that does not have init_uts_ns at 0xffffffff86020000",
  aarch64 = "is at 0xffff800012020080 with its stack at 0xffff800012031000, which the kernel's "
    .. "page tables do not map",
}

local function note_tests(machine)
  local live, dead = guests[machine].live, guests[machine].dead -- luacheck: ignore 431
  local function open_it(options)
    options.machine = machine
    return open(options)
  end

  it("is used if the vCPUs run its kernel", function()
    local info = assert(open_it {note = live.text, memory = {dead.text}}:vmcoreinfo())
    assert.are.same({"6.1.0-live", "its note", {}}, {info.release, info.from, info.warnings})
    -- One vCPU in user mode, one still in the kernel that crashed.
    info = open_it {note = live.text, pcs = {0x400000, dead.pc, live.pc}}:vmcoreinfo()
    assert.are.same({"its note", {}}, {info.from, info.warnings})
  end)

  it("is replaced by the running kernel's in memory if it is stale", function()
    local dump = open_it {note = dead.text, memory = {dead.text, live.text}}
    local info = assert(dump:vmcoreinfo())
    assert.are.equal("6.1.0-live", info.release)
    assert.are.same({("the VMCOREINFO note is stale (Linux 5.4.0-dead): vCPU 0 %s: the one at "
      .. "physical address 0x0000000000002000 is used"):format(objections[machine])}, info.warnings)
    assert.are.equal("6.1.0-live", dump:guest().release)
    assert.are.equal(info.warnings[1], dump:guest().warnings[1])
  end)

  it("is kept with a warning if it is stale and memory has no other", function()
    local dump = open_it {note = dead.text, memory = {dead.text}}
    local info = assert(dump:vmcoreinfo())
    assert.are.equal("5.4.0-dead", info.release)
    assert.matches("the VMCOREINFO note is stale (Linux 5.4.0-dead): vCPU 0 ", info.warnings[1],
      1, true)
    assert.matches(": no other was found in memory", info.warnings[1], 1, true)
  end)

  it("is trusted if no vCPU contradicts it", function()
    -- In user mode; at an address that the vCPU's own tables do not map.
    for _, pc in ipairs {0x400000, machine == "x86_64" and live.pc + 0x100000 or nil} do
      local info = open_it {note = dead.text, memory = {live.text}, pcs = {pc}}:vmcoreinfo()
      assert.are.same({"5.4.0-dead", {}}, {info.release, info.warnings})
    end
  end)

  it("is rejected if it is empty, zero or truncated", function()
    for _, case in ipairs {{"", "is empty"}, {("\0"):rep(3000), "is 3000 zero bytes"},
      {live.text:sub(1, 120), "is cut: its last line has no end"},
      {live.text:sub(1, 120) .. ("\0"):rep(200), "is cut: its last line has no end"},
      {("\0"):rep(40) .. live.text:sub(41), "is damaged: parts of it are zero"},
      {live.text:sub(1, 17) .. ("\0"):rep(40) .. live.text:sub(58), "is damaged: parts of it"},
      {"OTHER=1\n", "is damaged: parts of it are zero, or are not VMCOREINFO"},
      {"OSRELEASE=6.1.0-live\n", "is incomplete: it has no SYMBOL(swapper_pg_dir)"}} do
      local info = assert(open_it {note = case[1], memory = {dead.text, live.text}}:vmcoreinfo())
      assert.are.equal("6.1.0-live", info.release)
      assert.are.equal("physical address 0x0000000000002000", info.from)
      assert.matches("the VMCOREINFO note " .. case[2], info.warnings[1], 1, true)
    end
    for _, note in ipairs {"", ("\0"):rep(3000), live.text:sub(1, 120)} do
      local dump = open_it {note = note}
      for _ = 1, 2 do
        local _, message, code = dump:vmcoreinfo()
        assert.are.equal("not_found", code)
        assert.matches("no VMCOREINFO, neither as a note nor in memory: the VMCOREINFO note is ",
          message, 1, true)
      end
      assert.error_matches(function() dump:dmesg() end, "no VMCOREINFO, neither as a note")
    end
  end)
end

for machine in pairs(machines) do
  describe("a VMCOREINFO note of " .. machine, function()
    after_each(files.clean)
    note_tests(machine)
  end)
end

describe("a VMCOREINFO note", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("is checked with the kernel's tables if page tables are isolated", function()
    local isolated = kernel("x86_64", "6.1.0-live", 0x100000, 0)
    assert.are.equal(0, isolated.root & 0x1000)
    -- The tables of user mode map only the entry code.
    local dump = open {note = live.text, memory = {dead.text}, cr3 = live.root | 0x1000}
    assert.are.same({}, dump:vmcoreinfo().warnings)
    dump = open {note = dead.text, memory = {live.text}, cr3 = live.root | 0x1000}
    assert.are.equal("6.1.0-live", dump:vmcoreinfo().release)
  end)

  it("is shown with its warning by qvm-diag", function()
    local path = write {note = dead.text, memory = {live.text}}
    local status, _, errors = diag(path)
    assert.are.equal(0, status, errors)
    assert.matches("guest.elf: the VMCOREINFO note is stale (Linux 5.4.0-dead)", errors, 1, true)
    local output
    status, output = diag(path, "--json")
    assert.are.equal(0, status)
    assert.matches("the VMCOREINFO note is stale", cjson.decode(output).errors[1], 1, true)
    local page = files.path("page.html")
    assert.are.equal(0, (diag(path, "--html", page)))
    assert.matches("the VMCOREINFO note is stale", files.read(page), 1, true)
    path = write {note = ""}
    assert.matches("the VMCOREINFO note is empty", (select(3, diag(path))), 1, true)
    status, _, errors = diag(path, "--dmesg")
    assert.are.equal(1, status)
    assert.matches("the VMCOREINFO note is empty", errors, 1, true)
  end)
end)

describe("VMCOREINFO from the caller", function()
  after_each(files.clean)

  it("has a warning if the vCPUs run another kernel", function()
    local dump = open {note = live.text}
    assert.matches("VMCOREINFO from the caller: vCPU 0 runs a kernel that does not have",
      dump:vmcoreinfo(dead.text).warnings[1], 1, true)
    assert.are.same({}, dump:vmcoreinfo(live.text).warnings)
  end)
end)

describe("VMCOREINFO in memory", function()
  after_each(files.clean)

  it("is not searched for endlessly", function()
    -- 64 MiB of names; 4 MiB of long notes that match no kernel in memory.
    local lines = "OSRELEASE=6\n" .. ("a=b\n"):rep(16000)
      .. "SYMBOL(init_uts_ns)=ffffffff82020000\n"
    local fake = string.pack("<I4I4I4", 11, #lines, 0) .. "VMCOREINFO\0\0" .. lines
    fake = fake .. ("\0"):rep(-#fake % 4)
    for _, bytes in ipairs {("VMCOREINFO\0\0"):rep((64 << 20) // 12), fake:rep(100)} do
      local path = files.write("fakes.elf", writer.file {machine = "x86_64",
        segments = {{paddr = 0x10000000, bytes = bytes}}})
      local answer = cost.check(([[
        local _, message, code = assert(qvm.open(%q)):vmcoreinfo()
        return code .. " " .. message]]):format(path))
      assert.matches("^not_found .*neither as a note nor in memory: memory has more than %d+ that "
        .. "are not the running kernel's", answer)
    end
  end)

  it("is the running kernel's if the memory of two kernels is intact", function()
    for _, memory in ipairs {{live.text, dead.text}, {dead.text, live.text}} do
      local info = assert(open {memory = memory}:vmcoreinfo())
      assert.are.same({"6.1.0-live", {}}, {info.release, info.warnings})
    end
  end)
end)

describe("the kernel's space", function()
  after_each(files.clean)

  -- Reads the running kernel's name through the space; or returns the code and the message.
  local function name(options)
    local space, message, code = open(options):kernel_space()
    if not space then
      return code, message
    end
    return space:cstring(live.pc - 0x80 + 4)
  end

  it("is found through older symbol names of the kernel's page tables", function()
    for _, symbol in ipairs {"init_top_pgt", "init_level4_pgt"} do
      assert.are.equal("Linux", name {note = live.text:gsub("swapper_pg_dir", symbol)})
    end
  end)

  local without_phys_base = live.text:gsub("NUMBER%(phys_base%)[^\n]*\n", "")

  it("is found without phys_base through a vCPU's page tables", function()
    assert.are.equal("Linux", name {note = without_phys_base})
    assert.are.equal("Linux", name {memory = {without_phys_base}})
    assert.are.equal("Linux", name {note = without_phys_base, pcs = {0x400000, live.pc}})
  end)

  it("is found without phys_base through a load segment at the kernel's addresses", function()
    assert.are.equal("Linux", name {note = without_phys_base, pcs = {0x400000},
      vaddr = live.pc - 0x80})
  end)

  it("is unsupported without phys_base if nothing else reveals it", function()
    local code, message = name {note = without_phys_base, pcs = {0x400000}}
    assert.are.equal("unsupported", code)
    assert.matches("it has no NUMBER(phys_base), and neither a vCPU nor a load segment shows it",
      message, 1, true)
  end)
end)

describe("a vCPU that enters or leaves the kernel", function()
  after_each(files.clean)

  -- A dump of QNX's format: one vCPU in a program, one in the trampoline of page-table isolation,
  -- whose page tables map nothing else of the kernel.
  local function open_isolated(memory)
    local at, stack = 0xfffffbfffdbf7000, guests.aarch64.live.sp - 0x100
    local trampoline = pagetables.aarch64(0x700000, 12, 48)
    trampoline:map(at, 0x7f0000, 0, 0)
    local segments = {}
    for _, list in ipairs {guests.aarch64.live.segments, trampoline:segments(),
        {{paddr = 0x7f0000, bytes = ("\0"):rep(4096)}, {paddr = 0x1000, bytes = memory}}} do
      table.move(list, 1, #list, #segments + 1, segments)
    end
    local tcr = 0x00500074b5503510 -- as in a guest of QEMU's: 4 KiB, 48 bits
    return assert(qvm.open(files.write("isolated.gcore", writer.small {memory = segments,
      note = {names = {"ttbr1_el1", "tcr_el1"}}, cpus = {
        {registers = writer.aarch64 {elr = 0x400000, gpr = {[31] = 0x7ffff0}},
          extra = {trampoline.root, tcr}},
        {registers = writer.aarch64 {elr = at + 0xc80, gpr = {[31] = stack}},
          extra = {trampoline.root, tcr}}}})))
  end

  it("does not make the running kernel's VMCOREINFO another kernel's", function()
    local text = guests.aarch64.live.text
    local dump <close> = open_isolated(string.pack("<I4I4I4", 11, #text, 0) .. "VMCOREINFO\0\0"
      .. text)
    assert.are.equal("6.1.0-live", assert(dump:vmcoreinfo()).release)
    assert.are.same({}, dump:vmcoreinfo().warnings)
  end)
end)
