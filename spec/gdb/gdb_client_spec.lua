-- examples/gdbserve.lua with the real gdb, on small dumps of every machine.
-- spec/real_guests/gdb_real.lua does the same with dumps of real guests.

local files = require "support.files"
local gdbdump = require "support.gdbdump"
local example_guest = require "support.example_guest"
local pagetables = require "support.pagetables"
local process = require "support.process"
local qvm = require "qvm"
local rsp = require "support.rsp"
local writer = require "support.dumpwriter"

-- Parses the output of "info registers": the first value of each register, by name.
local function registers(output)
  local found = {}
  for name, value in output:gmatch("\n(%w+) +(0x%x+) ") do
    found[name] = found[name] or value
  end
  return found
end

describe("gdb, with a dump of x86_64,", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("shows vCPUs as threads, with names and processes", function()
    local output = rsp.gdb(gdbdump.x86_64(), "echo", "info threads")
    assert.matches('\n* 1    Thread 1 "vCPU 0" (a<b> & "c")     0xffffffff81000000 in ?? ()',
      output, 1, true)
    assert.matches('\n  2    Thread 2 "vCPU 1" (procnto\\x1b[2J) 0xffffffff81000001 in ?? ()',
      output, 1, true)
  end)

  it("shows registers, memory and code by virtual address", function()
    local output = rsp.gdb(gdbdump.x86_64(), "echo", "info registers", "info registers system",
      "x/2gx $sp", "x/4i $pc", "p $st0")
    local r = registers(output)
    assert.are.same({"0x1122334455667788", "0xffffffffffffffff", "0xffffffff81000000", "0x246",
      "0x100000", "0xfffffffffffffffe"}, {r.rax, r.r15, r.rip, r.eflags, r.CR3, r.odd_name_1
      or output:match("odd_name_1 +(0x%x+)")})
    assert.matches("\n0xffff888000000010:\t0xffff888000000010\t0xffff888000000018\n", output,
      1, true)
    assert.matches("=> 0xffffffff81000000:\tnop\n.-:\tnop\n.-:\thlt%s*\n.-:\tret", output)
    assert.matches("\n%$1 = <unavailable>", output)
  end)

  it("walks up the frames of the selected thread", function()
    local output = rsp.gdb(gdbdump.x86_64(), "echo", "thread 2", "bt 1", "p $pc", "up")
    assert.matches("#0  0xffffffff81000001 in", output, 1, true)
    assert.matches("(void (*)()) 0xffffffff81000001", output, 1, true)
  end)

  it("gets an error for changing or running the guest, and continues", function()
    local output, errors = rsp.gdb(gdbdump.x86_64(), "echo", "set $rax = 1", "continue", "stepi",
      "set *(long *)$sp = 1", "x/1gx $sp", "p $rax")
    assert.matches('Could not write register "rax"; remote failure reply ' ..
      "'E.a dump can be read, not changed'", errors, 1, true)
    assert.matches("E.a dump does not run", errors, 1, true)
    assert.matches("Cannot access memory at address 0xffff888000000010", errors, 1, true)
    assert.matches("0xffff888000000010:\t0xffff888000000010\n", output, 1, true)
    assert.matches("= 1234605616436508552", output, 1, true)
  end)

  it("reads up to unmapped memory and reports its address", function()
    local output, errors = rsp.gdb(gdbdump.x86_64(), "echo", "x/2bx 0xffffffff81000fff", "x/gx 0")
    assert.matches("0xffffffff81000fff:\t0x00\t", output, 1, true)
    assert.matches("Cannot access memory at address 0xffffffff81001000", errors, 1, true)
    assert.matches("Cannot access memory at address 0x0\n", errors, 1, true)
  end)

  it("reads physical memory on request, searches, and prints the log", function()
    local output, monitor_output = rsp.gdb(gdbdump.x86_64("the log\n"), "echo", "monitor log",
      "monitor phys on", "x/1gx 0x40008", "find /g1 0x40000, 0x42000, 0xffff888000000100",
      "monitor vcpus")
    assert.matches("the log\n", monitor_output, 1, true)
    assert.matches("\n0x40008:\t0xffff888000000008\n", output, 1, true)
    assert.matches("\n0x40100\n", output, 1, true)
    assert.matches("\n     0  0xffffffff81000000", monitor_output, 1, true)
  end)
end)

describe("gdb shows registers and memory of", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  local function numbers(count, first)
    local list = {}
    for n = 0, count - 1 do
      list[n] = first + n
    end
    return list
  end

  -- Runs gdb; returns the registers and the word at the stack pointer.
  local function shown(path, before)
    local _, problem = rsp.gdb(path, before or "echo", "generate-core-file "
      .. files.path "core.of.gdb")
    assert.matches("Command not implemented for this target.", problem, 1, true)
    assert.is_nil(problem:find("internal-error", 1, true))
    local output, errors = rsp.gdb(path, before or "echo", "info registers", "x/1wx $sp",
      "info threads")
    assert.matches('* 1    Thread 1 "vCPU 0"', output, 1, true, errors)
    return registers(output), output:match("\n0x%x+:\t(0x%x+)\n")
  end

  it("aarch64, through its control registers", function()
    local t = pagetables.aarch64(0x100000, 12, 39)
    t:map(0x7000, 0x40000, 0, 0)
    local segments = t:segments()
    segments[#segments + 1] = {paddr = 0x40000, bytes = string.pack("<I4", 0x12345678)}
    local gpr = numbers(31, 0x7fff000000000000)
    gpr[31] = 0x7000
    segments[#segments + 1] = {type = 4, bytes = writer.note {
      names = {"TTBR0_EL1", "TCR_EL1", "TTBR1_EL1"}, cpus = {{extra = {t.root, 25 | 1 << 23, 0},
        registers = writer.aarch64 {gpr = gpr, elr = -16, pstate = 0x1600003c5}}}}}
    local r, word = shown(files.write("arm.gcore", writer.file {machine = "aarch64",
      segments = segments}))
    assert.are.same({"0x7fff000000000000", "0x7fff00000000001e", "0x7000", "0xfffffffffffffff0",
      "0x600003c5", "0x12345678"}, {r.x0, r.x30, r.sp, r.pc, r.cpsr, word})
  end)

  it("big-endian aarch64", function()
    local path = files.write("big.gcore", writer.as(">", 64, function()
      return writer.small {machine = "aarch64", memory = {{paddr = 0x7000,
        bytes = string.pack(">I4", 0x12345678)}}, registers = writer.aarch64 {
        gpr = {[0] = 0x1122334455667788, [31] = 0x7000}, elr = 0x80}}
    end))
    local r, word = shown(path, "set endian big")
    assert.are.same({"0x1122334455667788", "0x7000", "0x80", "0x12345678"},
      {r.x0, r.sp, r.pc, word})
  end)

  it("x86", function()
    local r, word = shown(files.write("x86.gcore", writer.as("<", 32, function()
      return writer.small {machine = "x86", memory = {{paddr = 0x7000,
        bytes = string.pack("<I4", 0x12345678)}}, registers = writer.x86 {eax = 0xfffffff0,
        esp = 0x7000, eip = 0x81000000, efl = 0x246, ss = 0x18}}
    end)))
    assert.are.same({"0xfffffff0", "0x7000", "0x81000000", "0x246", "0x18", "0x12345678"},
      {r.eax, r.esp, r.eip, r.eflags, r.ss, word})
  end)

  it("arm", function()
    local r, word = shown(files.write("arm.gcore", writer.as("<", 32, function()
      return writer.small {machine = "arm", memory = {{paddr = 0x7000,
        bytes = string.pack("<I4", 0x12345678)}}, registers = writer.arm {r0 = 0xfffffff0,
        r12 = 12, sp = 0x7000, lr = 14, pc = 0x81000000, spsr = 0x60000013}}
    end)))
    assert.are.same({"0xfffffff0", "0xc", "0x7000", "0xe", "0x81000000", "0x60000013",
      "0x12345678"}, {r.r0, r.r12, r.sp, r.lr, r.pc, r.cpsr, word})
  end)
end)

describe("gdb, with the tasks of a guest,", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("shows them as threads, and walks their stacks with saved symbols", function()
    local path, symbols = example_guest.write(), files.path "guest.sym"
    do
      local dump <close> = assert(qvm.open(path))
      assert(dump:symbols():save(symbols))
    end
    local output, errors = rsp.gdb({tasks = path}, "echo", "info threads",
      "symbol-file " .. symbols,
      "set backtrace limit 9", "thread find kthread", "thread 3", "bt", "x/2s 0x400000", "p $x0",
      "p/x $x20", "thread 6", "thread 1", "x/s 0x400000", "p $x3")
    assert.matches('\n* 1    Thread 7 "worker" (running, CPU 0, parent 1) ', output, 1, true,
      errors)
    assert.matches('\n  2    Thread 10000001 "swapper/1" (running, CPU 1, parent 0) ', output,
      1, true)
    assert.matches('"a<b>"&" (in uninterruptible sleep, CPU 0, parent 1, thread of 7)', output, 1,
      true)
    assert.matches("#0  0x%x+ in schedule %(%)\n#1  0x%x+ in wait_here %(%)\n", output)
    assert.matches('0x400000:\t"/sbin/init"\n0x40000b:\t"--verbose"\n$1 = <unavailable>\n'
      .. "$2 = 0x114\n", output, 1, true)
    assert.matches('0x400000:\t"worker\'s own page"\n$3 = 259\n', output, 1, true)
  end)
end)
