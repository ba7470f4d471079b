-- Kernel backtraces continue across interrupts and exceptions, on any stack, and into freed
-- init code.

local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local unwind = require "qvm.guest.unwind"
local writer = require "support.dumpwriter"

local arm, x86 = pagetables.arm, pagetables.x86

local TEXT = {physical = 0x10000}
local PHYSICAL_STACK = 0x40000

-- The segments of these pages ({virtual=, physical=, size=}), with words or strings at their
-- virtual addresses.
local function segments_of(pages, words)
  local segments = {}
  for i, page in ipairs(pages) do
    segments[i] = {paddr = page.physical, bytes = writer.filled(page.size, words, page.virtual)}
  end
  return segments
end

local function map_of(base)
  local names, text = {"handler", "entry", "victim", "caller", "outer"}, {}
  for i, name in ipairs(names) do
    text[i] = ("%x T %s\n"):format(base + 0x100 * (i - 1), name)
  end
  return table.concat(text) .. ("%x T end\n%x T _sinittext\n%x t start_kernel\n%x T _einittext\n")
    :format(base + 0x500, base + 0x100000, base + 0x100100, base + 0x100200)
end

-- Opens a dump of one vCPU. tables: page tables; pages and words: see segments_of.
local function dump_of(machine, tables, pages, words, registers, base)
  local segments = tables:segments()
  for _, segment in ipairs(segments_of(pages, words)) do
    segments[#segments + 1] = segment
  end
  segments[#segments + 1] = {type = 4, bytes = writer.note {cpus = {{pgtbl = tables.root,
    registers = writer[machine](registers)}}}}
  local dump = assert(qvm.open(files.write("kernel.gcore", writer.file {machine = machine,
    segments = segments})))
  assert(dump:symbols(files.write("kernel.map", map_of(base))))
  return dump
end

local function calls_of(cpu, space)
  local list = {}
  for frame in assert(cpu:backtrace(space)) do
    list[#list + 1] = frame.how .. " " .. (frame.symbol or qvm.hex(frame.address)):match("^[^/]+")
  end
  return list
end

describe("a backtrace of an x86_64 kernel", function()
  after_each(files.clean)

  local BASE = 0xffffffff81000000
  -- The stacks of interrupts (only page-aligned, followed by an unmapped page), a task and
  -- exceptions.
  local IRQ, TASK, FAULT = 0xffffc90000001000, 0xffffc90000100000, 0xfffffe0000003000

  local code = {[BASE + 0x10] = "\xe8\0\0\0\0", [BASE + 0x110] = "\xe8\0\0\0\0",
    [BASE + 0x310] = "\xe8\0\0\0\0", [BASE + 0x410] = "\xe8\0\0\0\0"}
  local IN_HANDLER, IN_ENTRY, IN_CALLER, IN_OUTER = BASE + 0x15, BASE + 0x115, BASE + 0x315,
    BASE + 0x415
  local KERNEL, USER = {0x10, 0x18}, {0x33, 0x2b}

  local function dump_with(words, registers)
    local t = pagetables.x86_64(0x100000)
    local pages = {{virtual = BASE, physical = TEXT.physical, size = 4096}}
    t:map(BASE, TEXT.physical, 0, 0)
    local physical = PHYSICAL_STACK
    for _, stack in ipairs {{IRQ, 0x4000}, {TASK, 0x4000}, {FAULT, 0x1000}} do
      pages[#pages + 1] = {virtual = stack[1], physical = physical, size = stack[2]}
      for at = 0, stack[2] - 1, 4096 do
        t:map(stack[1] + at, physical + at, 0, x86.write | x86.nx)
      end
      physical = physical + stack[2]
    end
    for address, bytes in pairs(code) do
      words[address] = words[address] or bytes
    end
    return dump_of("x86_64", t, pages, words, registers, BASE)
  end

  -- Writes at an address what the processor pushes on an exception.
  local function push(words, at, ip, selectors, sp)
    for i, word in ipairs {ip, selectors[1], 0x246, sp, selectors[2]} do
      words[at + 8 * (i - 1)] = word
    end
  end

  -- Writes a return address into the entry code, followed by the registers that it saved.
  local function enter(words, at, ip, selectors, sp, bp)
    words[at] = IN_ENTRY
    words[at + 8 + 4 * 8] = bp or 0
    push(words, at + 8 + 16 * 8, ip, selectors, sp)
  end

  it("continues from the interrupt stack to the interrupted code and the entry from user mode",
    function()
      local words = {[IRQ + 0x3f00] = IN_HANDLER, [IRQ + 0x3ff8] = TASK + 0x2000,
        [TASK + 0x2010] = IN_HANDLER, [TASK + 0x3010] = IN_CALLER, [TASK + 0x3f80] = IN_OUTER}
      enter(words, TASK + 0x2100, BASE + 0x234, KERNEL, TASK + 0x3000)
      enter(words, TASK + 0x3f80 - 0x100, 0x401000, USER, 0x7fff0000)
      local dump = dump_with(words, {rip = BASE + 0x20, rsp = IRQ + 0x3e00})
      assert.are.same({"registers handler+0x20", "scan handler+0x15", "scan handler+0x15",
        "scan entry+0x15", "exception victim+0x34", "scan caller+0x15", "scan entry+0x15"},
        calls_of(dump:vcpu(0)))
    end)

  it("follows frame pointers across interrupts and into freed init code", function()
    local words = {[IRQ + 0x3ff8] = TASK + 0x2000, [IRQ + 0x3e20] = TASK + 0x2020,
      [IRQ + 0x3e28] = IN_HANDLER, [TASK + 0x2020] = 0, [TASK + 0x2028] = IN_HANDLER,
      [TASK + 0x3020] = TASK + 0x3040, [TASK + 0x3028] = IN_CALLER,
      [TASK + 0x3040] = 0, [TASK + 0x3048] = BASE + 0x100150}
    enter(words, TASK + 0x2100, BASE + 0x234, KERNEL, TASK + 0x3000, TASK + 0x3020)
    local dump = dump_with(words, {rip = BASE + 0x20, rsp = IRQ + 0x3e00, rbp = IRQ + 0x3e20})
    assert.are.same({"registers handler+0x20", "frame handler+0x15", "frame handler+0x15",
      "scan entry+0x15", "exception victim+0x34", "frame caller+0x15", "frame start_kernel+0x50"},
      calls_of(dump:vcpu(0)))
  end)

  it("follows frame pointers alone in kernels that keep them, to the entry from user mode",
    function()
      -- rbp with bit 0 set points to saved registers. Other return addresses are left over.
      local words = {[IRQ + 0x3e08] = IN_OUTER, [IRQ + 0x3e20] = (TASK + 0x2100) | 1,
        [IRQ + 0x3e28] = IN_HANDLER, [TASK + 0x3008] = IN_OUTER, [TASK + 0x3020] = TASK + 0x3040,
        [TASK + 0x3028] = IN_CALLER, [TASK + 0x3040] = (TASK + 0x3f00) | 1,
        [TASK + 0x3048] = IN_OUTER}
      local function save(at, ip, selectors, sp, bp)
        enter(words, at - 8, ip, selectors, sp, bp)
        words[at - 8] = nil
      end
      save(TASK + 0x2100, BASE + 0x234, KERNEL, TASK + 0x3000, TASK + 0x3020)
      save(TASK + 0x3f00, 0x401000, USER, 0x7fff0000, 0x7fff0010)
      local expected = {"registers handler+0x20", "frame handler+0x15", "exception victim+0x34",
        "frame caller+0x15", "frame outer+0x15"}
      local dump = dump_with(words, {rip = BASE + 0x20, rsp = IRQ + 0x3e00, rbp = IRQ + 0x3e20})
      assert.are.same(expected, calls_of(dump:vcpu(0)))
      local cpu = dump:vcpu(0)
      local _, user = unwind.stack(dump, assert(dump:space(cpu)), {pc = cpu.pc, sp = cpu.sp,
        fp = cpu.regs.rbp})
      assert.are.same({0x401000, 0x7fff0000, 0x7fff0010}, {user.rip, user.rsp, user.rbp})
      -- A kernel thread's chain ends with 0 at the end of its stack.
      words[TASK + 0x3020], words[TASK + 0x3f80] = TASK + 0x3f80, 0
      words[TASK + 0x3f88] = IN_OUTER
      dump = dump_with(words, {rip = BASE + 0x20, rsp = IRQ + 0x3e00, rbp = IRQ + 0x3e20})
      assert.are.same(expected, calls_of(dump:vcpu(0)))
      -- Registers that are not saved there.
      words[TASK + 0x2100 + 17 * 8] = 0
      dump = dump_with(words, {rip = BASE + 0x20, rsp = IRQ + 0x3e00, rbp = IRQ + 0x3e20})
      assert.are.same({"registers handler+0x20", "frame handler+0x15"}, calls_of(dump:vcpu(0)))
    end)

  it("finds the interrupted code from a handler's first instruction", function()
    for error_code = 0, 8, 8 do
      local words = {[FAULT + 0xf00] = 0, [TASK + 0x3010] = IN_CALLER}
      push(words, FAULT + 0xf00 + error_code, BASE + 0x201, KERNEL, TASK + 0x3000)
      local dump = dump_with(words, {rip = BASE + 0x100, rsp = FAULT + 0xf00})
      assert.are.same({"registers entry+0x0", "exception victim+0x1", "scan caller+0x15"},
        calls_of(dump:vcpu(0)))
    end
    -- At the end of an exception stack, from the kernel and then from user mode.
    local words = {[FAULT + 0xe00] = IN_HANDLER, [TASK + 0x3010] = IN_CALLER}
    push(words, FAULT + 0x1000 - 40, BASE + 0x201, KERNEL, TASK + 0x3000)
    local dump = dump_with(words, {rip = BASE + 0x20, rsp = FAULT + 0xd00})
    assert.are.same({"registers handler+0x20", "scan handler+0x15", "exception victim+0x1",
      "scan caller+0x15"}, calls_of(dump:vcpu(0)))
    push(words, FAULT + 0x1000 - 40, 0x401000, USER, 0x7fff0000)
    dump = dump_with(words, {rip = BASE + 0x20, rsp = FAULT + 0xd00})
    assert.are.same({"registers handler+0x20", "scan handler+0x15"}, calls_of(dump:vcpu(0)))
  end)

  it("does not take other words for an interrupt", function()
    for _, change in ipairs {{0, 0x401000}, {8, 0x33}, {16, 0}, {16, 1 << 30 | 2},
      {24, TASK + 0x3001}, {24, 0x1000}, {24, TASK + 0x8000}, {32, 0x2b}} do
      local words = {[TASK + 0x3010] = IN_CALLER}
      enter(words, TASK + 0x2100, BASE + 0x234, KERNEL, TASK + 0x3000)
      words[TASK + 0x2108 + 16 * 8 + change[1]] = change[2]
      local dump = dump_with(words, {rip = BASE + 0x20, rsp = TASK + 0x2000})
      assert.are.same({"registers handler+0x20", "scan entry+0x15", "scan caller+0x15"},
        calls_of(dump:vcpu(0)), change[1])
    end
  end)

  it("ends for any contents of the stacks", function()
    -- Two stacks lead to each other; then one leads to itself.
    local words = {[IRQ + 0x3ff8] = TASK + 0x2000}
    enter(words, TASK + 0x2100, BASE + 0x234, KERNEL, IRQ + 0x3e00)
    local dump = dump_with(words, {rip = BASE + 0x20, rsp = IRQ + 0x3e00})
    assert.are.same({"registers handler+0x20", "scan entry+0x15", "exception victim+0x34"},
      calls_of(dump:vcpu(0)))
    words = {[IRQ + 0x3ff8] = IRQ + 0x3f00}
    dump = dump_with(words, {rip = BASE + 0x20, rsp = IRQ + 0x3e00})
    assert.are.same({"registers handler+0x20"}, calls_of(dump:vcpu(0)))
    -- An endless chain of interrupts.
    words = {}
    for at = TASK, TASK + 0x3e00, 0x100 do
      enter(words, at, BASE + 0x234, KERNEL, TASK + ((at - TASK) * 7 + 0x700 & 0x3f00))
    end
    dump = dump_with(words, {rip = BASE + 0x20, rsp = TASK})
    assert.is_true(#calls_of(dump:vcpu(0)) <= 256)
  end)
end)

describe("a backtrace of an aarch64 kernel", function()
  after_each(files.clean)

  local BASE, STACK = -1 << 39, (-1 << 39) + 0x40000
  local bl = string.pack("<I4", 0x94000040)
  local code = {[BASE + 0x10] = bl, [BASE + 0x110] = bl, [BASE + 0x310] = bl,
    [BASE + 0x410] = bl}
  local IN_HANDLER, IN_ENTRY, IN_CALLER, IN_OUTER = BASE + 0x14, BASE + 0x114, BASE + 0x314,
    BASE + 0x414

  local function calls(words, x29)
    local t = pagetables.aarch64(0x100000, 12, 39)
    t:map(BASE, TEXT.physical, 0, arm.read_only)
    for at = 0, 0x3000, 0x1000 do
      t:map(STACK + at, PHYSICAL_STACK + at, 0, arm.pxn | arm.uxn)
    end
    for address, bytes in pairs(code) do
      words[address] = bytes
    end
    local dump = dump_of("aarch64", t, {{virtual = BASE, physical = TEXT.physical, size = 4096},
      {virtual = STACK, physical = PHYSICAL_STACK, size = 0x4000}}, words,
      {elr = BASE + 0x20, gpr = {[29] = x29, [31] = STACK}}, BASE)
    return calls_of(dump:vcpu(0), assert(dump:space {kernel_root = t.root, va_bits = 39}))
  end

  -- The words of frame records at offsets: {next, return address}.
  local function records(list)
    local words = {}
    for at, record in pairs(list) do
      words[STACK + at] = record[1] ~= 0 and STACK + record[1] or 0
      words[STACK + at + 8] = record[2]
    end
    return words
  end

  -- Adds the registers that an interrupt saved, and its frame record at `at`. kind: type of a
  -- new frame record; false for the old form.
  local function save(words, at, kind, saved)
    local registers = at - (kind and 296 or 304)
    words[STACK + registers + 29 * 8], words[STACK + registers + 30 * 8] = saved.x29, saved.x30
    words[STACK + registers + 31 * 8], words[STACK + registers + 32 * 8] = saved.sp, saved.pc
    words[STACK + at], words[STACK + at + 8] = kind and 0 or saved.x29, kind and 0 or saved.pc
    words[STACK + at + 16] = kind or 0x77
    return words
  end

  it("continues from saved registers, in the old and the new form", function()
    for _, kind in ipairs {false, 2} do
      for _, pc in ipairs {BASE + 0x234, IN_CALLER} do
        local words = save(records {[0x20] = {0x60, IN_HANDLER}, [0x60] = {0x400, IN_ENTRY},
          [0x500] = {0x540, IN_CALLER}, [0x540] = {0x580, IN_OUTER},
          [0x580] = {0, BASE + 0x100150}}, 0x400, kind,
          {pc = pc, x29 = STACK + 0x500, x30 = IN_HANDLER, sp = STACK + 0x4f0})
        assert.are.same({"registers handler+0x20", "frame handler+0x14", "frame entry+0x14",
          pc == IN_CALLER and "exception caller+0x14" or "exception victim+0x34",
          "frame handler+0x14", "frame caller+0x14", "frame outer+0x14",
          "frame start_kernel+0x50"}, calls(words, STACK + 0x20))
      end
    end
  end)

  it("ends at user mode and at an invalid saved state", function()
    local list = {[0x20] = {0x60, IN_HANDLER}, [0x60] = {0x400, IN_ENTRY}}
    local expected = {"registers handler+0x20", "frame handler+0x14", "frame entry+0x14"}
    local saved = {pc = BASE + 0x234, x29 = STACK + 0x500, x30 = 0, sp = STACK}
    assert.are.same(expected, calls(save(records(list), 0x400, 1, saved), STACK + 0x20))
    saved.pc = 0x400000
    for _, kind in ipairs {false, 1, 2} do
      assert.are.same(expected, calls(save(records(list), 0x400, kind, saved), STACK + 0x20))
    end
    -- The saved x29 contradicts the frame record.
    local words = save(records(list), 0x400, false, {pc = BASE + 0x234, x29 = STACK + 0x500,
      x30 = 0, sp = STACK})
    words[STACK + 0x400 - 304 + 29 * 8] = STACK + 0x508
    assert.are.same(expected, calls(words, STACK + 0x20))
  end)

  it("goes on in the program, if that is mapped, and returns its registers", function()
    local program, user_stack = 0x400000, 0x7f0000
    for _, kind in ipairs {false, 1} do
      local words = save(records {[0x20] = {0x400, IN_HANDLER}}, 0x400, kind, {pc = program + 0x80,
        x29 = user_stack + 0x20, x30 = program + 0x50, sp = user_stack})
      -- The record is {0, 0} in both forms; PSTATE is that of a program.
      words[STACK + 0x400], words[STACK + 0x408] = 0, 0
      words[STACK + 0x400 - (kind and 296 or 304) + 33 * 8] = 0x60000000
      words[program + 0x10] = bl
      words[user_stack + 0x20], words[user_stack + 0x28] = 0, program + 0x14 | 0x55 << 48
      local t = pagetables.aarch64(0x100000, 12, 39)
      t:map(BASE, TEXT.physical, 0, arm.read_only)
      t:map(program, 0x20000, 0, arm.user | arm.read_only)
      t:map(user_stack, 0x30000, 0, arm.user | arm.pxn | arm.uxn)
      for at = 0, 0x3000, 0x1000 do
        t:map(STACK + at, PHYSICAL_STACK + at, 0, arm.pxn | arm.uxn)
      end
      for address, bytes in pairs(code) do
        words[address] = bytes
      end
      local dump = dump_of("aarch64", t, {{virtual = BASE, physical = TEXT.physical, size = 4096},
        {virtual = program, physical = 0x20000, size = 4096},
        {virtual = user_stack, physical = 0x30000, size = 4096},
        {virtual = STACK, physical = PHYSICAL_STACK, size = 0x4000}}, words,
        {elr = BASE + 0x20, gpr = {[29] = STACK + 0x20, [31] = STACK}}, BASE)
      local space = assert(dump:space {root = t.root, kernel_root = t.root, va_bits = 39})
      assert.are.same({"registers handler+0x20", "frame handler+0x14",
        "exception 0x0000000000400080", "frame 0x0000000000400014"}, calls_of(dump:vcpu(0), space))
      local frames, user = unwind.stack(dump, space, {pc = IN_HANDLER, sp = STACK,
        fp = STACK + 0x20, is_return = true})
      assert.are.same({"registers handler+0x14", "frame handler+0x14"}, {
        frames[1].how .. " " .. frames[1].symbol:match("^[^/]+"),
        frames[2].how .. " " .. frames[2].symbol:match("^[^/]+")})
      assert.are.same({program + 0x80, user_stack, program + 0x50, 0x60000000},
        {user.pc, user.sp, user.x30, user.pstate})
    end
  end)

  -- It calls a function in C that is named after it, which has no frame at first.
  it("trusts the link register in what the entry code calls, but not in itself", function()
    local words = records {[0x20] = {0, IN_OUTER}}
    local t = pagetables.aarch64(0x100000, 12, 39)
    t:map(BASE, TEXT.physical, 0, arm.read_only)
    t:map(STACK, PHYSICAL_STACK, 0, arm.pxn | arm.uxn)
    for address, bytes in pairs(code) do
      words[address] = bytes
    end
    for name, how in pairs {vectors = "scan", el1h_64_irq = "scan",
      el1h_64_irq_handler = "frame"} do
      local dump = dump_of("aarch64", t, {{virtual = BASE, physical = TEXT.physical, size = 4096},
        {virtual = STACK, physical = PHYSICAL_STACK, size = 4096}}, words,
        {elr = BASE + 0x220, gpr = {[29] = STACK + 0x20, [30] = IN_CALLER, [31] = STACK}}, BASE)
      local map = map_of(BASE):gsub("victim", name)
      assert(dump:symbols(files.write("entry.map", map)))
      assert.are.same({"registers " .. name .. "+0x20", how .. " caller+0x14", "frame outer+0x14"},
        calls_of(dump:vcpu(0), assert(dump:space {kernel_root = t.root, va_bits = 39})))
    end
  end)

  it("ends where the saved registers lead back", function()
    for _, kind in ipairs {false, 2} do
      local words = save(records {[0x20] = {0x60, IN_HANDLER}, [0x60] = {0x400, IN_ENTRY}}, 0x400,
        kind, {pc = BASE + 0x234, x29 = STACK + 0x60, x30 = 0, sp = STACK + 0x3ff0})
      assert.are.same({"registers handler+0x20", "frame handler+0x14", "frame entry+0x14",
        "exception victim+0x34"}, calls(words, STACK + 0x20))
    end
  end)
end)
