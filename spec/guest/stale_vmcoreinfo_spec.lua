-- Dumps whose VMCOREINFO note is of another kernel than that which runs, or is damaged: as
-- after kexec, with the memory of the kernel before still intact.

local cjson = require "cjson"
local cost = require "support.cost"
local files = require "support.files"
local pagetables = require "support.pagetables"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local KERNEL_MAP = 0xffffffff80000000

-- A kernel: its page tables and its name in memory from `base` on, at addresses moved by
-- `slide`. lines: more of VMCOREINFO.
local function kernel(release, base, slide, lines)
  local t = pagetables.x86_64(base + 0x10000)
  local names = 0xffffffff82020000 + slide
  t:map(names, base + 0x20000, 0, 0)
  local phys_base = base + 0x20000 - (names - KERNEL_MAP)
  local text = ("OSRELEASE=%s\nSYMBOL(swapper_pg_dir)=%x\nSYMBOL(init_uts_ns)=%x\n"
    .. "OFFSET(uts_namespace.name)=4\nNUMBER(phys_base)=%d\n"):format(release,
      t.root - phys_base + KERNEL_MAP, names, phys_base)
  local segments = t:segments()
  segments[#segments + 1] = {paddr = base + 0x20000, bytes = "\1\0\0\0Linux" .. ("\0"):rep(60)
    .. "host" .. ("\0"):rep(61) .. release .. ("\0"):rep(300)}
  return {text = text .. (lines or ""), segments = segments, root = t.root, pc = names + 0x80,
    phys_base = phys_base}
end

local live, dead = kernel("6.1.0-live", 0x100000, 0), kernel("5.4.0-dead", 0x400000, 0x4000000)

-- As QEMU writes it, with vCPUs at `pcs` that use the tables at cr3. note: VMCOREINFO's;
-- memory: a VMCOREINFO there.
local function write(o)
  local notes, segments = "", {}
  for i, pc in ipairs(o.pcs or {live.pc}) do
    local registers = {}
    for n = 1, 27 do
      registers[n] = n == 17 and pc or n
    end
    notes = notes .. writer.elf_note("CORE\0", 1, writer.prstatus(i - 1, registers, 336))
      .. writer.elf_note("QEMU\0", 0, writer.qemu_state({[392] = {0x80050033},
        [416] = {o.cr3 or live.root}, [424] = {0x20}}, 440))
  end
  for _, one in ipairs {live, dead} do
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
  return files.write("guest.elf", writer.file {machine = "x86_64", segments = segments})
end

local function open(options)
  return assert(qvm.open(write(options)))
end

local function diag(path, ...)
  return process.run({os.getenv("LUA") or "lua5.4", "examples/diag.lua", "--read", path, ...},
    {env = {LD_PRELOAD = os.getenv("LD_PRELOAD")}})
end

describe("a VMCOREINFO note", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("is used where the vCPUs run its kernel", function()
    local info = assert(open {note = live.text, memory = {dead.text}}:vmcoreinfo())
    assert.are.same({"6.1.0-live", "its note", {}}, {info.release, info.from, info.warnings})
    -- One vCPU in user mode, one still in the kernel that crashed.
    info = open {note = live.text, pcs = {0x400000, dead.pc, live.pc}}:vmcoreinfo()
    assert.are.same({"its note", {}}, {info.from, info.warnings})
  end)

  it("gives way to the running kernel's in memory, where it is stale", function()
    local dump = open {note = dead.text, memory = {dead.text, live.text}}
    local info = assert(dump:vmcoreinfo())
    assert.are.equal("6.1.0-live", info.release)
    assert.are.same({"the VMCOREINFO note is stale (Linux 5.4.0-dead): vCPU 0 runs a kernel that "
      .. "does not have init_uts_ns at 0xffffffff86020000: the one at physical address "
      .. "0x0000000000002000 is used"}, info.warnings)
    assert.are.equal("6.1.0-live", dump:guest().release)
    assert.are.equal(info.warnings[1], dump:guest().warnings[1])
  end)

  it("is kept with a warning, where it is stale and memory has no other", function()
    local dump = open {note = dead.text, memory = {dead.text}}
    local info = assert(dump:vmcoreinfo())
    assert.are.equal("5.4.0-dead", info.release)
    assert.matches("the VMCOREINFO note is stale (Linux 5.4.0-dead): vCPU 0 runs", info.warnings[1],
      1, true)
    assert.matches(": no other was found in memory", info.warnings[1], 1, true)
  end)

  it("is not doubted where no vCPU tells", function()
    for _, pc in ipairs {0x400000, live.pc + 0x100000} do -- user mode; not mapped
      local info = open {note = dead.text, memory = {live.text}, pcs = {pc}}:vmcoreinfo()
      assert.are.same({"5.4.0-dead", {}}, {info.release, info.warnings})
    end
  end)

  it("is judged by the kernel's tables, where page tables are isolated", function()
    local isolated = kernel("6.1.0-live", 0x100000, 0)
    assert.are.equal(0, isolated.root & 0x1000)
    -- The tables of user mode map the entry code alone.
    local dump = open {note = live.text, memory = {dead.text}, cr3 = live.root | 0x1000}
    assert.are.same({}, dump:vmcoreinfo().warnings)
    dump = open {note = dead.text, memory = {live.text}, cr3 = live.root | 0x1000}
    assert.are.equal("6.1.0-live", dump:vmcoreinfo().release)
  end)

  it("is not accepted where it is empty, zero, or cut", function()
    for _, case in ipairs {{"", "is empty"}, {("\0"):rep(3000), "is 3000 zero bytes"},
      {live.text:sub(1, 120), "is cut: its last line has no end"},
      {live.text:sub(1, 120) .. ("\0"):rep(200), "is cut: its last line has no end"},
      {("\0"):rep(40) .. live.text:sub(41), "is damaged: parts of it are zero"},
      {live.text:sub(1, 17) .. ("\0"):rep(40) .. live.text:sub(58), "is damaged: parts of it"},
      {"OTHER=1\n", "is damaged: parts of it are zero, or are no VMCOREINFO"},
      {"OSRELEASE=6.1.0-live\n", "is incomplete: it has no SYMBOL(swapper_pg_dir)"}} do
      local info = assert(open {note = case[1], memory = {dead.text, live.text}}:vmcoreinfo())
      assert.are.equal("6.1.0-live", info.release)
      assert.are.equal("physical address 0x0000000000002000", info.from)
      assert.matches("the VMCOREINFO note " .. case[2], info.warnings[1], 1, true)
    end
    for _, note in ipairs {"", ("\0"):rep(3000), live.text:sub(1, 120)} do
      local dump = open {note = note}
      for _ = 1, 2 do
        local _, message, code = dump:vmcoreinfo()
        assert.are.equal("not_found", code)
        assert.matches("no VMCOREINFO, neither as a note nor in memory: the VMCOREINFO note is ",
          message, 1, true)
      end
      assert.are.equal("not_found", select(3, dump:dmesg()))
    end
  end)

  it("is shown with its warning by qvm-diag", function()
    local path = write {note = dead.text, memory = {live.text}}
    local status, _, errors = diag(path)
    assert.are.equal(0, status)
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

  it("has a warning, where the vCPUs run another kernel", function()
    local dump = open {note = live.text}
    assert.matches("VMCOREINFO from the caller: vCPU 0 runs a kernel that does not have",
      dump:vmcoreinfo(dead.text).warnings[1], 1, true)
    assert.are.same({}, dump:vmcoreinfo(live.text).warnings)
  end)
end)

describe("VMCOREINFO in memory", function()
  after_each(files.clean)

  it("is not looked for without end", function()
    -- 64 MiB of names; 4 MiB of notes that are long and of no kernel here.
    local lines = ("OSRELEASE=6\n" .. ("a=b\n"):rep(16000) .. "SYMBOL(init_uts_ns)=ffffffff82020000\n")
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

  it("is the running kernel's, of two whose memory is intact", function()
    for _, memory in ipairs {{live.text, dead.text}, {dead.text, live.text}} do
      local info = assert(open {memory = memory}:vmcoreinfo())
      assert.are.same({"6.1.0-live", {}}, {info.release, info.warnings})
    end
  end)
end)

describe("the kernel's space", function()
  after_each(files.clean)

  -- Where the running kernel's name is.
  local function name(options)
    local space, message, code = open(options):kernel_space()
    if not space then
      return code, message
    end
    return space:cstring(live.pc - 0x80 + 4)
  end

  it("is found by the older names of the kernel's page tables", function()
    for _, symbol in ipairs {"init_top_pgt", "init_level4_pgt"} do
      assert.are.equal("Linux", name {note = live.text:gsub("swapper_pg_dir", symbol)})
    end
  end)

  local without = live.text:gsub("NUMBER%(phys_base%)[^\n]*\n", "")

  it("is found without phys_base, by a vCPU's page tables", function()
    assert.are.equal("Linux", name {note = without})
    assert.are.equal("Linux", name {memory = {without}})
    assert.are.equal("Linux", name {note = without, pcs = {0x400000, live.pc}})
  end)

  it("is found without phys_base, by a load at the kernel's addresses", function()
    assert.are.equal("Linux", name {note = without, pcs = {0x400000}, vaddr = live.pc - 0x80})
  end)

  it("is not known without phys_base, where nothing else tells it", function()
    local code, message = name {note = without, pcs = {0x400000}}
    assert.are.equal("unsupported", code)
    assert.matches("it has no NUMBER(phys_base), and neither a vCPU nor a load of the dump tells",
      message, 1, true)
  end)
end)
