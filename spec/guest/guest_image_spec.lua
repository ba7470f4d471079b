-- A simulated VM whose memory holds a guest's page tables, code and stack: its dump in QNX's
-- format is read by the library and by gdb.

local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local rsp = require "support.rsp"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local arm, x86 = pagetables.arm, pagetables.x86

local RAM = 0x80000000
local TABLES, USER_TABLES, CODE, STACK, TEXT = RAM + 0x100000, RAM + 0x140000, RAM + 0x80000,
  RAM + 0x90000, RAM + 0xa0e00

-- The properties of each machine: the kernel's base address, the names of registers, the bytes
-- of a call instruction, new page tables, the flags of code and data pages with the rights that
-- they give, and the extra registers for the roots of the tables.
local machines = {
  aarch64 = {
    base = 0xffff800010080000, pc = "pc", sp = "sp", frame = "x29",
    call = string.pack("<I4", 0x94000040),
    tables = function() return pagetables.aarch64(TABLES, 12, 48) end,
    code = arm.read_only | arm.uxn, data = arm.pxn | arm.uxn, rights = {"r-x/---", "rw-/---"},
    options = {va_bits = 48, granule = 4096},
    extra = function(root, user)
      return {TTBR0_EL1 = user, TTBR1_EL1 = 0x00bb000000000001 | root,
        TCR_EL1 = 16 | 16 << 16 | 2 << 30 | 5 << 32}
    end,
  },
  x86_64 = {
    base = 0xffffffff81000000, pc = "rip", sp = "rsp", frame = "rbp",
    call = "\xe8\1\2\3\4", tables = function() return pagetables.x86_64(TABLES) end,
    code = 0, data = x86.write | x86.nx, rights = {"r-x/---", "rw-/---"},
    extra = function(root)
      return {CR0 = 0x80000001, cr3 = root | 5, CR4 = 0x20}
    end,
  },
}

-- The segments of a guest: code at `base`, a stack of four pages at base + 0x10000 and two
-- pages of text at base + 0x20000. Also returns the root of its page tables.
local function memory(machine, base)
  local t = machine.tables()
  t:map(base, CODE, 0, machine.code)
  for at = 0, 0x3000, 0x1000 do
    t:map(base + 0x10000 + at, STACK + at, 0, machine.data)
  end
  -- Two pages that are adjacent only in virtual memory.
  t:map(base + 0x20000, TEXT & ~0xfff, 0, machine.data)
  t:map(base + 0x21000, (TEXT & ~0xfff) - 0x1000, 0, machine.data)
  local frames = {[0x20] = base + 0x10060, [0x28] = base + 0x110, [0x60] = 0,
    [0x68] = base + 0x30}
  local list = t:segments()
  list[#list + 1] = {paddr = CODE, bytes = writer.filled(4096, {
    [0x110 - #machine.call] = machine.call, [0x30 - #machine.call] = machine.call})}
  list[#list + 1] = {paddr = STACK, bytes = writer.filled(0x4000, frames)}
  list[#list + 1] = {paddr = TEXT, bytes = ("text of a guest "):rep(32)}
  list[#list + 1] = {paddr = (TEXT & ~0xfff) - 0x1000, bytes = "goes on here\0"}
  return list, t.root
end

local function set(prefix, values)
  local lines = {}
  for name, value in pairs(values) do
    lines[#lines + 1] = ("  set sim-%s%s 0x%x"):format(prefix, name, value)
  end
  return table.concat(lines, "\n")
end

describe("a guest's image in a simulated VM", function()
  local it_signals = sim.can_signal and it or pending
  local dumps

  before_each(function()
    qvm.root(sim.root())
    dumps = files.mkdir("dumps")
  end)

  after_each(sim.clean)

  -- Dumps a VM with that image and two vCPUs; returns the open dump. note: "new" or "old".
  local function dump_of(name, note, base)
    local machine = machines[name]
    local segments, root = memory(machine, base)
    local user = pagetables.aarch64(USER_TABLES, 12, 48)
    user:map(0x400000, CODE, 0, arm.user | arm.read_only)
    for _, segment in ipairs(name == "aarch64" and user:segments() or {}) do
      segments[#segments + 1] = segment
    end
    local image = files.write("guest.elf", writer.file {machine = name, segments = segments})
    local settings = ("set sim-machine %s\nset sim-note %s\nram 0x%x,2M\nload %s\ndump %s\n")
      :format(name, note, RAM, image, dumps)
    if note == "new" then
      settings = settings .. set("extra-", machine.extra(root, user.root)) .. "\n"
    end
    settings = settings .. ("set sim-pgtbl 0x%x\ncpu\n"):format(root)
      .. set("reg-", {[machine.pc] = base + 0x204, [machine.sp] = base + 0x10010,
        [machine.frame] = base + 0x10020}) .. "\ncpu\n  set sim-pgtbl 0x7000\n"
    sim.start("linux1", settings)
    local dump = assert(qvm.vm("linux1"):dump {dir = dumps})
    local symbols = {}
    for i, symbol in ipairs {"start", "caller", "callee", "end"} do
      symbols[i] = ("%x T %s\n"):format(base + 0x100 * (i - 1), symbol)
    end
    assert(dump:symbols(files.write("guest.map", table.concat(symbols))))
    return dump
  end

  local function check_memory(space, machine, base)
    local long = ("text of a guest "):rep(32)
    assert.are.equal(long .. "goes on here\0", space:read(base + 0x20e00, #long + 13))
    assert.are.equal("goes on here", space:cstring(base + 0x21000))
    assert.are.equal(base + 0x110, space:u64(base + 0x10028))
    assert.are.same({STACK + 0x1028, 4096, machine.rights[2]},
      {space:translate(base + 0x11028)})
    local mappings = {}
    for start, size, rights in space:mappings(base) do
      mappings[#mappings + 1] = ("%x+%x %s"):format(start - base, size, rights)
    end
    assert.are.same({"0+1000 " .. machine.rights[1], "10000+4000 " .. machine.rights[2],
      "20000+2000 " .. machine.rights[2]}, mappings)
    local _, message, code = space:read(base + 0x13ff8, 16)
    assert.are.equal("unmapped", code)
    assert.matches(qvm.hex(base + 0x14000), message, 1, true)
  end

  local function calls(cpu, space)
    local list = {}
    for frame in assert(cpu:backtrace(space)) do
      list[#list + 1] = frame.how .. " " .. tostring(frame.symbol)
    end
    return list
  end

  local frames = {"registers callee+0x4/0x100", "frame caller+0x10/0x100", "frame start+0x30/0x100"}

  for name, machine in pairs(machines) do
    local base = machine.base

    it_signals(("is read through its control registers (%s)"):format(name), function()
      local dump <close> = dump_of(name, "new", base)
      assert.are.equal("qnx", dump.format)
      local cpu = dump:vcpu(0)
      local space = assert(dump:space(cpu))
      assert.matches("from its control registers %(vCPU 0%)$", tostring(space))
      check_memory(space, machine, base)
      assert.are.same(frames, calls(cpu))
      assert.are.equal(name == "aarch64" and CODE + 5 or nil, (space:translate(0x400005)))
      -- The other vCPU has the same tables, and they do not map its registers.
      assert.are.equal(TABLES, (assert(dump:space(dump:vcpu(1)))[
        name == "aarch64" and "upper" or "lower"]).root)
      assert.are.equal(1, #calls(dump:vcpu(1)))
    end)

    it_signals(("is shown by gdb (%s)"):format(name), function()
      local dump <close> = dump_of(name, "new", base)
      local root = name == "aarch64" and "TTBR1_EL1" or "cr3"
      local output, monitor_output = rsp.gdb(dump.path, "echo", "info threads", "x/1gx $sp + 0x18",
        "x/3s " .. qvm.hex(base + 0x20ff0), "p/x $" .. root, "monitor translate "
        .. qvm.hex(base + 0x11028))
      assert.matches(('* 1    Thread 1 "vCPU 0" (%s) %s in'):format(dump:vcpu(0).process,
        qvm.hex(base + 0x204)), output, 1, true)
      assert.matches(("%s:\t%s\n"):format(qvm.hex(base + 0x10028), qvm.hex(base + 0x110)), output,
        1, true)
      assert.matches('\t"text of a guest goes on here"\n', output, 1, true)
      assert.matches(("= 0x%x\n"):format(dump:vcpu(0).extra[root]), output, 1, true)
      assert.matches(("is physical %s, 4 KiB page, %s\n"):format(qvm.hex(STACK + 0x1028),
        machine.rights[2]), monitor_output, 1, true)
    end)
  end

  it_signals("is read through the page table of a vCPU record (x86_64)", function()
    local machine = machines.x86_64
    local dump <close> = dump_of("x86_64", "old", machine.base)
    local cpu = dump:vcpu(0)
    local space = assert(dump:space(cpu))
    assert.are.equal(("Space of %s: x86_64, page table 0x%x, 48 bits, from pgtbl of its record "
      .. "(vCPU 0)"):format(dump.path, TABLES), tostring(space))
    check_memory(space, machine, machine.base)
    assert.are.same(frames, calls(cpu))
    -- The second record's own setting overrides the common one.
    assert.are.same({TABLES, 0x7000}, {cpu.pgtbl, dump:vcpu(1).pgtbl})
  end)

  it_signals("is read through the page table of a vCPU record, given its form (aarch64)", function()
    local machine = machines.aarch64
    local dump <close> = dump_of("aarch64", "old", 0x10000000)
    local cpu = dump:vcpu(0)
    local _, message, code = dump:space(cpu)
    assert.are.equal("unsupported", code)
    assert.matches(("its page table is at %s (pgtbl), but its form is not known: pass va_bits "
      .. "and granule to dump:space(cpu, options)"):format(qvm.hex(TABLES)), message, 1, true)
    assert.error_matches(function() cpu:backtrace() end, "vCPU 0: its page table is at ")
    local space = assert(dump:space(cpu, machine.options))
    assert.matches("lower half 0x80100000, 48 bits, from pgtbl of its record %(vCPU 0%)$",
      tostring(space))
    check_memory(space, machine, 0x10000000)
    assert.are.same(frames, calls(cpu, space))
  end)
end)
