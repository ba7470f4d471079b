-- Backtraces of a vCPU, from frame pointers or from a scan of its stack.

local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local arm, x86 = pagetables.arm, pagetables.x86

local CODE, STACK = 0x10000, 0x40000 -- virtual, and physical

local function lines(cpu, space)
  local list = {}
  for frame in assert(cpu:backtrace(space)) do
    list[#list + 1] = tostring(frame)
  end
  return list
end

local map = ("%x T start\n%x T caller\n%x T callee\n%x T end\n"):format(CODE, CODE + 0x100,
  CODE + 0x200, CODE + 0x300)

-- Opens a QNX dump of one vCPU: code at CODE, a stack at STACK, page tables at 0x100000.
local function dump_of(machine, tables, code, stack, registers)
  local segments = tables:segments()
  segments[#segments + 1] = {paddr = CODE, bytes = writer.filled(4096, code)}
  segments[#segments + 1] = {paddr = STACK, bytes = writer.filled(0x4000, stack)}
  segments[#segments + 1] = {type = 4, bytes = writer.note {cpus = {{pgtbl = tables.root,
    registers = writer[machine](registers)}}}}
  local dump = assert(qvm.open(files.write("calls.gcore", writer.file {machine = machine,
    segments = segments})))
  assert(dump:symbols(files.write("qnx.map", map)))
  return dump
end

describe("a backtrace", function()
  after_each(files.clean)

  local function aarch64(stack, x29, code, x30, pc)
    local t = pagetables.aarch64(0x100000, 12, 39)
    t:map(CODE, CODE, 0, arm.read_only)
    for at = 0, 0x3000, 0x1000 do
      t:map(STACK + at, STACK + at, 0, arm.pxn | arm.uxn)
    end
    local bl = string.pack("<I4", 0x94000040)
    local dump = dump_of("aarch64", t, code or {[0x10c] = bl, [0x20c] = bl, [0x2c] = bl}, stack,
      {elr = pc or CODE + 0x204, gpr = {[29] = x29, [30] = x30, [31] = STACK + 0x10}})
    local cpu = dump:vcpu(0)
    return cpu, assert(dump:space(cpu, {va_bits = 39, granule = 4096}))
  end

  local function frames(x29)
    return {[0x20] = STACK + 0x60, [0x28] = CODE + 0x110, [0x60] = x29 or 0, [0x68] = CODE + 0x30}
  end

  it("follows frame pointers on aarch64", function()
    local cpu, space = aarch64(frames(), STACK + 0x20)
    assert.are.same({"#0  0x0000000000010204 callee+0x4/0x100",
      "#1  0x0000000000010110 caller+0x10/0x100", "#2  0x0000000000010030 start+0x30/0x100"},
      lines(cpu, space))
    local hows = {}
    for frame in cpu:backtrace(space) do
      hows[#hows + 1] = frame.index .. frame.how
    end
    assert.are.same({"0registers", "1frame", "2frame"}, hows)
  end)

  local bl = string.pack("<I4", 0x94000040)

  -- Code that calls, and `words` at the start of callee, of which pc is the third.
  local function callee_with(...)
    local words = string.pack(("<I4"):rep(select("#", ...)), ...)
    return {[0x10c] = bl, [0x200] = words, [0x20c] = bl, [0x2c] = bl}
  end

  it("takes the caller of an aarch64 function without a frame from the link register", function()
    local nop, stp, mov, ldp, ret = 0xd503201f, 0xa9bf7bfd, 0x910003fd, 0xa8c17bfd, 0xd65f03c0
    local stack = frames()
    stack[0x28] = CODE + 0x30
    -- No frame yet, one that x29 does not point to, and none any more.
    for _, code in ipairs {{nop, nop, nop, nop}, {nop, stp, nop, nop}, {mov, ldp, ret, nop}} do
      local cpu, space = aarch64(stack, STACK + 0x20, callee_with(table.unpack(code)), CODE + 0x110,
        CODE + 0x208)
      assert.are.same({"#0  0x0000000000010208 callee+0x8/0x100",
        "#1  0x0000000000010110 caller+0x10/0x100", "#2  0x0000000000010030 start+0x30/0x100",
        "#3  0x0000000000010030 start+0x30/0x100"}, lines(cpu, space))
    end
    -- With a frame the link register holds the return address of a call that the function made.
    for _, code in ipairs {{stp, mov, nop, nop}, {stp, 0x910083fd, nop, nop}} do
      for _, link in ipairs {CODE + 0x210, CODE + 0x30} do
        local cpu, space = aarch64(frames(), STACK + 0x20, callee_with(table.unpack(code)), link,
          CODE + 0x208)
        assert.are.same({"#0  0x0000000000010208 callee+0x8/0x100",
          "#1  0x0000000000010110 caller+0x10/0x100", "#2  0x0000000000010030 start+0x30/0x100"},
          lines(cpu, space))
      end
    end
    -- After a path that has returned, others have the frame.
    local code = callee_with(stp, mov, ldp, ret)
    code[0x20c] = nil
    local cpu, space = aarch64(frames(), STACK + 0x20, code, CODE + 0x30, CODE + 0x210)
    assert.are.equal("#1  0x0000000000010110 caller+0x10/0x100", lines(cpu, space)[2])
    -- The function has a frame and has made no call yet.
    cpu, space = aarch64(frames(), STACK + 0x20, nil, CODE + 0x110)
    assert.are.equal(3, #lines(cpu, space))
  end)

  it("does not trust the link register where the function is not known", function()
    local stack = frames()
    stack[0x28] = CODE + 0x30
    local cpu, space = aarch64(stack, STACK + 0x20, nil, CODE + 0x110, CODE + 0x304)
    assert.are.same({"#0  0x0000000000010304 (no symbol)",
      "#1  0x0000000000010110 ? caller+0x10/0x100", "#2  0x0000000000010030 start+0x30/0x100",
      "#3  0x0000000000010030 start+0x30/0x100"}, lines(cpu, space))
  end)

  it("names the right function if its last instruction is the call", function()
    local stack = frames()
    stack[0x28] = CODE + 0x200
    local cpu, space = aarch64(stack, STACK + 0x20, {[0x1fc] = bl, [0x2c] = bl})
    assert.are.equal("#1  0x0000000000010200 caller+0x100/0x100", lines(cpu, space)[2])
  end)

  it("removes signatures from return addresses", function()
    local stack = frames()
    stack[0x28] = stack[0x28] | 0x2a << 40
    local cpu, space = aarch64(stack, STACK + 0x20)
    assert.are.equal("#1  0x0000000000010110 caller+0x10/0x100", lines(cpu, space)[2])
  end)

  it("ends where frames form a cycle or point nowhere", function()
    local cpu, space = aarch64(frames(STACK + 0x20), STACK + 0x20)
    assert.are.equal(3, #lines(cpu, space))
    cpu, space = aarch64(frames(0x77777000), STACK + 0x20)
    assert.are.equal(3, #lines(cpu, space))
    cpu, space = aarch64(frames(STACK + 0x63), STACK + 0x20)
    assert.are.equal(3, #lines(cpu, space))
    -- A very long chain is cut.
    local stack = {}
    for at = 0x20, 0x3fe0, 16 do
      stack[at], stack[at + 8] = STACK + at + 16, CODE + 0x110
    end
    cpu, space = aarch64(stack, STACK + 0x20)
    assert.are.equal(256, #lines(cpu, space))
  end)

  it("scans the stack if there are no frames, and marks these results", function()
    local stack = frames()
    stack[0x30] = CODE + 0x114 -- not after a call
    stack[0x38] = STACK + 0x20 -- not in code
    local cpu, space = aarch64(stack, 0)
    assert.are.same({"#0  0x0000000000010204 callee+0x4/0x100",
      "#1  0x0000000000010110 ? caller+0x10/0x100", "#2  0x0000000000010030 ? start+0x30/0x100"},
      lines(cpu, space))
  end)

  it("recognises the call instructions of x86_64", function()
    local t = pagetables.x86_64(0x100000)
    t:map(CODE, CODE, 0, 0)
    for at = 0, 0x3000, 0x1000 do
      t:map(STACK + at, STACK + at, 0, x86.write | x86.nx)
    end
    -- call rel32; call *rax; call *8(rbx); call *d32(rbx); call *d32(rip); call *r11; jmp
    local calls = {{0x10, "\xe8\1\2\3\4"}, {0x20, "\xff\xd0"}, {0x30, "\xff\x53\8"},
      {0x40, "\xff\x93\1\2\3\4"}, {0x50, "\xff\x15\1\2\3\4"}, {0x60, "\x41\xff\xd3"},
      {0x70, "\xe9\1\2\3\4"}}
    local code, stack = {}, {}
    for i, call in ipairs(calls) do
      code[call[1]], stack[8 * i] = call[2], CODE + call[1] + #call[2]
    end
    local dump = dump_of("x86_64", t, code, stack, {rip = CODE + 0x200, rsp = STACK, rbp = 7})
    local list = lines(dump:vcpu(0))
    assert.are.equal(7, #list)
    assert.are.equal("#1  0x0000000000010015 ? start+0x15/0x100", list[2])
    assert.are.equal("#6  0x0000000000010063 ? start+0x63/0x100", list[7])
    -- With frames.
    stack = {[0x20] = STACK + 0x40, [0x28] = CODE + 0x15, [0x40] = 0, [0x48] = CODE + 0x22}
    dump = dump_of("x86_64", t, code, stack, {rip = CODE + 0x200, rsp = STACK,
      rbp = STACK + 0x20})
    assert.are.same({"#0  0x0000000000010200 callee+0x0/0x100",
      "#1  0x0000000000010015 start+0x15/0x100", "#2  0x0000000000010022 start+0x22/0x100"},
      lines(dump:vcpu(0)))
    -- With frames in some functions only.
    stack[0x08], stack[0x30], stack[0x50] = CODE + 0x33, CODE + 0x46, CODE + 0x56
    dump = dump_of("x86_64", t, code, stack, {rip = CODE + 0x200, rsp = STACK,
      rbp = STACK + 0x20})
    assert.are.same({"#1  0x0000000000010033 ? start+0x33/0x100",
      "#2  0x0000000000010015 start+0x15/0x100", "#3  0x0000000000010046 ? start+0x46/0x100",
      "#4  0x0000000000010022 start+0x22/0x100", "#5  0x0000000000010056 ? start+0x56/0x100"},
      {table.unpack(lines(dump:vcpu(0)), 2)})
  end)

  it("raises without page tables, or on other machines", function()
    local function check(machine, problem)
      local dump = assert(qvm.open(files.write("none.gcore", writer.small {machine = machine})))
      assert.error_matches(function() dump:vcpu(0):backtrace() end,
        "none.gcore: " .. problem)
    end
    check("aarch64", "vCPU 0: the dump has no control registers, no page table and no VMCOREINFO")
    check("arm", "no backtraces of arm")
    local dump = assert(qvm.open(files.path("none.gcore")))
    assert.is_false(pcall(dump:vcpu(0).backtrace, dump:vcpu(0), 5))
  end)
end)
