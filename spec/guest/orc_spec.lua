-- Backtraces of x86_64 kernels by their ORC tables.

local files = require "support.files"
local orc = require "support.orc"
local qvm = require "qvm"
local unwind = require "qvm.guest.unwind"

local at, into, entries_of = orc.at, orc.into, orc.entries_of
local BASE, IRQ, TASK, PROGRAM, USER_STACK = orc.BASE, orc.IRQ, orc.TASK, orc.PROGRAM,
  orc.USER_STACK

local order = {"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx",
  "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss"}

-- Writes struct pt_regs at an address.
local function save(words, address, registers, skip)
  for i, name in ipairs(order) do
    if i > (skip or 0) then
      words[address + 8 * (i - 1)] = registers[name] or 0
    end
  end
end

local function kernel_state(registers)
  registers.cs, registers.ss, registers.rflags = 0x10, 0x18, 0x246
  return registers
end

local function user_state(registers)
  registers.cs, registers.ss, registers.rflags = 0x33, 0x2b, 0x246
  return registers
end

-- Opens a dump: see orc.image.
local function open(options)
  local bytes, map = orc.image(options)
  local dump = assert(qvm.open(files.write("orc.gcore", bytes)))
  assert(dump:symbols(files.write("orc.map", map)))
  return dump
end

local function told(frames)
  local list = {}
  for _, frame in ipairs(frames) do
    list[#list + 1] = frame.how .. " "
      .. (frame.symbol and frame.symbol:match("^[^/]+") or qvm.hex(frame.address))
  end
  return list
end

local function calls(options)
  local frames = {}
  for frame in open(options):vcpu(0):backtrace() do
    frames[#frames + 1] = frame
  end
  return told(frames)
end

-- A vCPU in `inner`, at its first instruction, on the task's stack.
local function inner(registers)
  registers.rip = at.inner
  registers.rsp = registers.rsp or TASK + 0x1000
  return registers
end

local function call(offset)
  return {sp = "sp", sp_offset = offset, type = "call"}
end

describe("ORC tables", function()
  after_each(files.clean)

  -- inner and middle on the stack of interrupts; the entry code saved registers on the task's.
  local function interrupted()
    local words = {[IRQ + 0x3e08] = into "middle", [IRQ + 0x3f10] = TASK + 0x2fc0,
      [IRQ + 0x3f18] = into "odd", [IRQ + 0x3ff8] = TASK + 0x2000, [TASK + 0x1ff8] = 1,
      [TASK + 0x2018] = into "entry", [TASK + 0x3008] = into "outer",
      [TASK + 0x3028] = into "start"}
    save(words, TASK + 0x2020, kernel_state {rip = at.victim, rsp = TASK + 0x3000, rbp = 77})
    return {words = words, registers = inner {rsp = IRQ + 0x3e00, rbp = IRQ + 0x3f10},
      by_name = {inner = call(16), middle = {sp = "bp", sp_offset = 16, bp = "prev",
        bp_offset = -16, type = "call"},
      odd = {sp = "sp_indirect", sp_offset = 32, type = "call"},
      entry = {sp = "sp", sp_offset = 0, type = "regs", signal = true},
      victim = call(16), outer = call(32), start = {type = "end"}}}
  end

  it("lead across stacks and interrupts to the outermost function, in all forms", function()
    for _, version in ipairs(orc.versions) do
      local options = interrupted()
      options.version = version
      -- The interrupt stack's last word is where the stacks were switched.
      options.words[IRQ + 0x3f20] = TASK + 0x2000
      assert.are.same({"registers inner+0x0", "orc middle+0x15", "orc odd+0x15", "orc entry+0x15",
        "exception victim+0x0", "orc outer+0x15", "orc start+0x15"}, calls(options), version)
    end
  end)

  it("make scanning needless, and are not needed for it", function()
    local options = interrupted()
    options.words[IRQ + 0x3f20] = TASK + 0x2000
    options.no_symbols = true
    for _, line in ipairs(calls(options)) do
      assert.is_nil(line:match("^orc"))
    end
  end)

  it("take the caller's sp from registers, where these are known", function()
    local names = {ax = "rax", dx = "rdx", di = "rdi", r10 = "r10", r13 = "r13"}
    for _, version in ipairs(orc.versions) do
      for base, name in pairs(names) do
        -- In place of the caller's sp, to which the offset is not added.
        local by_name = {inner = {sp = base, sp_offset = 40, type = "call"}, outer = {type = "end"}}
        local expected = {"registers inner+0x0", "orc outer+0x15"}
        assert.are.same(expected, calls {version = version, by_name = by_name,
          words = {[TASK + 0x1ff8] = into "outer"}, registers = inner {[name] = TASK + 0x2000}})
        -- After a call they are not known.
        by_name = {inner = call(16), middle = {sp = base, type = "call"}}
        assert.are.same({"registers inner+0x0", "orc middle+0x15"}, calls {version = version,
          by_name = by_name, words = {[TASK + 0x1008] = into "middle",
          [TASK + 0x1ff8] = into "outer"}, registers = inner {[name] = TASK + 0x2000}})
      end
    end
  end)

  it("take the caller's sp from where bp or sp points to", function()
    for _, version in ipairs(orc.versions) do
      local by_name = {inner = {sp = "bp_indirect", sp_offset = -8, bp = "bp", bp_offset = 8,
        type = "call"}, middle = {sp = "bp", sp_offset = 24, type = "call"},
        outer = {type = "end"}}
      local words = {[TASK + 0x1ff8] = TASK + 0x2800, [TASK + 0x2008] = TASK + 0x3000,
        [TASK + 0x27f8] = into "middle", [TASK + 0x3010] = into "outer"}
      assert.are.same({"registers inner+0x0", "orc middle+0x15", "orc outer+0x15"},
        calls {version = version, by_name = by_name, words = words,
          registers = inner {rbp = TASK + 0x2000}})
      by_name.inner = {sp = "sp_indirect", sp_offset = 16, type = "call"}
      by_name.middle = {type = "end"}
      words = {[TASK + 0x1000] = IRQ + 0x3000, [IRQ + 0x3008] = into "middle"}
      assert.are.same({"registers inner+0x0", "orc middle+0x15"}, calls {version = version,
        by_name = by_name, words = words, registers = inner {}})
    end
  end)

  -- The tables say nothing of a thunk (6.x), or that it is undefined (7.x).
  it("lead on from the thunk of an indirect call, and from an interrupt in it", function()
    local CALL = "\xe8\0\0\0\0"
    local THUNK = "\xe8\7\0\0\0\xf3\x90\x0f\xae\xe8\xeb\xf9\x48\x89\x04\x24\xc3"
    local JUMP = "\x0f\xae\xe8\xff\xe0" -- lfence; jmp *%rax
    for _, kind in ipairs {"undefined", "end"} do
      -- In the thunk's first instruction, behind its call, before its return; without a call.
      for offset, code in pairs {[0] = THUNK, [12] = THUNK, [16] = THUNK, [3] = JUMP} do
        local words = {[at.odd] = code, [at.outer + 0x10] = CALL, [TASK + 0x2000] = into "outer",
          [TASK + 0x2010] = into "start", [IRQ + 0x3008] = into "entry"}
        if offset > 3 then
          words[TASK + 0x1ff8] = offset == 12 and at.odd + 5 or at.middle
        end
        local state = kernel_state {rip = at.odd + offset,
          rsp = TASK + (offset > 3 and 0x1ff8 or 0x2000)}
        save(words, IRQ + 0x3010, state)
        local options = {words = words, names = {odd = "__pi___x86_indirect_thunk_rax"},
          by_name = {inner = call(16), entry = {sp = "sp", sp_offset = 0, type = "regs",
            signal = true}, odd = {type = kind}, outer = call(16), start = {type = "end"}}}
        options.registers = state
        local thunk = ("__pi___x86_indirect_thunk_rax+0x%x"):format(offset)
        assert.are.same({"registers " .. thunk, "orc outer+0x15", "orc start+0x15"},
          calls(options), thunk .. " " .. kind)
        options.registers = inner {rsp = IRQ + 0x3000}
        assert.are.same({"registers inner+0x0", "orc entry+0x15", "exception " .. thunk,
          "orc outer+0x15", "orc start+0x15"}, calls(options), thunk .. " " .. kind)
      end
    end
  end)

  it("tell where only the processor saved registers", function()
    for _, version in ipairs(orc.versions) do
      -- The first instruction of a handler, with an error code; other registers are still there.
      local by_name = {inner = {sp = "sp", sp_offset = 8, type = "partial", signal = true},
        victim = {sp = "r10", type = "call"}, outer = {type = "end"}}
      local words = {[TASK + 0x2ff8] = into "outer"}
      save(words, IRQ + 0x3008 - 16 * 8,
        kernel_state {rip = at.victim + 3, rsp = TASK + 0x2800}, 16)
      assert.are.same({"registers inner+0x0", "exception victim+0x3", "orc outer+0x15"},
        calls {version = version, by_name = by_name, words = words,
          registers = inner {rsp = IRQ + 0x3000, r10 = TASK + 0x3000}})
    end
  end)

  it("use the address itself where code was interrupted, and the call's otherwise", function()
    -- victim's entry is for its first byte, too; a call before it belongs to `entry`.
    local by_name = {inner = call(16), entry = call(32), victim = call(48), outer = {type = "end"},
      start = {type = "end"}}
    local words = {[TASK + 0x1008] = at.victim, [TASK + 0x1028] = into "start",
      [TASK + 0x1038] = into "outer"}
    assert.are.same({"registers inner+0x0", "orc entry+0x100", "orc start+0x15"},
      calls {by_name = by_name, words = words, registers = inner {}})
    by_name.inner = {sp = "sp", sp_offset = 16, type = "call", signal = true}
    assert.are.same("orc outer+0x15", calls({by_name = by_name, words = words,
      registers = inner {}})[3])
    -- Registers after an INT3, which is before their address.
    for _, signal in ipairs {true, false} do
      by_name.inner = {sp = "sp", sp_offset = 0, type = "regs", signal = signal}
      words = {[TASK + 0x2018] = into "start", [TASK + 0x2028] = into "outer"}
      save(words, TASK + 0x1000, kernel_state {rip = at.victim, rsp = TASK + 0x2000})
      for _, version in ipairs {"6.3", "6.4", "7.2"} do
        assert.are.same(signal and "orc outer+0x15" or "orc start+0x15", calls({by_name = by_name,
          words = words, registers = inner {}, version = version})[3])
      end
    end
  end)

  it("end at the entry from user mode; a vCPU's frames go on in the program", function()
    for _, partial in ipairs {false, true} do
      local by_name = {inner = call(16), entry = {sp = "sp", sp_offset = partial and 128 or 0,
        type = partial and "partial" or "regs", signal = true}}
      local words = {[TASK + 0x3f50] = into "entry", [PROGRAM + 0x10] = "\xe8\0\0\0\0",
        [USER_STACK + 0x100] = 0, [USER_STACK + 0x108] = PROGRAM + 0x15}
      save(words, TASK + 0x3f58, user_state {rip = PROGRAM + 0x80, rsp = USER_STACK + 0x80,
        rbp = USER_STACK + 0x100, rax = 5})
      local options = {by_name = by_name, words = words,
        registers = inner {rsp = TASK + 0x3f48, rbp = USER_STACK + 0x100}}
      assert.are.same({"registers inner+0x0", "orc entry+0x15",
        "exception 0x0000000000400080", "frame 0x0000000000400015"}, calls(options))
      -- From registers the kernel's stack alone is walked, and the user's registers are returned.
      local dump = open(options)
      local cpu = dump:vcpu(0)
      local frames, user = unwind.stack(dump, assert(dump:space(cpu)), {pc = cpu.pc, sp = cpu.sp,
        fp = cpu.regs.rbp})
      assert.are.same({"registers inner+0x0", "orc entry+0x15"}, told(frames))
      assert.are.same({PROGRAM + 0x80, USER_STACK + 0x80, 0x33, not partial and 5 or nil,
        USER_STACK + 0x100}, {user.rip, user.rsp, user.cs, user.rax, user.rbp})
    end
  end)

  it("unwind a sleeping task from its return address", function()
    local dump = open {by_name = {entry = call(16), victim = call(32), outer = {type = "end"}},
      words = {[TASK + 0x1008] = into "outer", [TASK + 0x1018] = 1}, registers = inner {}}
    local space = assert(dump:space(dump:vcpu(0)))
    local frames, user = unwind.stack(dump, space, {pc = at.victim, sp = TASK + 0x1000, fp = 0,
      is_return = true})
    assert.are.same({"registers entry+0x100", "orc outer+0x15"}, told(frames))
    assert.are.same({0, 1}, {frames[1].index, frames[2].index})
    assert.is_nil(user)
  end)

  it("end at the zeros at the end of a kernel thread's stack", function()
    local by_name = {inner = {sp = "sp", sp_offset = 0, type = "regs", signal = true}}
    local words = {[TASK + 0x1100] = into "outer"}
    assert.are.same({"registers inner+0x0"}, calls {by_name = by_name, words = words,
      registers = inner {}})
  end)

  it("are not needed for a call to no code, nor for generated code with frame pointers", function()
    local by_name = {middle = call(16), outer = {type = "end"}}
    local words = {[TASK + 0x1000] = into "middle", [TASK + 0x1010] = into "outer"}
    for _, pc in ipairs {0, 0x1234, TASK + 0x10} do
      local list = calls {by_name = by_name, words = words,
        registers = {rip = pc, rsp = TASK + 0x1000}}
      assert.are.same({"orc middle+0x15", "orc outer+0x15"}, {table.unpack(list, 2)})
    end
    -- After the last address the table says nothing of the code there.
    words = {[TASK + 0x1000] = TASK + 0x1040, [TASK + 0x1008] = into "middle",
      [TASK + 0x1018] = into "outer"}
    local entries = entries_of(by_name)
    entries[#entries].address = BASE + 0xe00
    assert.are.same({"registers last+0x780", "frame middle+0x15", "orc outer+0x15"},
      calls {entries = entries, words = words, registers = {rip = BASE + 0xe80,
        rsp = TASK + 0xf00, rbp = TASK + 0x1000}})
  end)
end)

describe("hostile ORC tables", function()
  after_each(files.clean)

  it("of an unknown form are not used", function()
    local entries = entries_of {inner = call(16), outer = {type = "end"}}
    for _, e in ipairs(entries) do
      e.type = 7
    end
    local words = {[TASK + 0x1008] = into "outer"}
    assert.are.same({"registers inner+0x0"}, calls {entries = entries, words = words,
      registers = inner {}})
  end)

  it("of unknown types and bases are followed to there, and the stack is searched", function()
    for _, e in ipairs {{sp = "sp", type = 5}, {sp = "sp", type = 7}, {sp = 11, type = "call"},
      {sp = 15, type = "call"}, {sp = "sp", sp_offset = 16, bp = 12, type = "call"},
      {sp = "sp", sp_offset = 16, bp = "dx", type = "call"}, {sp = "none", type = "call"},
      {sp = "prev", type = "call"}, {type = "undefined"}} do
      local words = {[TASK + 0x1018] = into "outer", [at.outer + 0x10] = "\xe8\0\0\0\0"}
      assert.are.same({"registers inner+0x0", "scan outer+0x15"}, calls {by_name = {inner = e},
        words = words, registers = inner {}})
    end
  end)

  it("end where they lead back", function()
    -- Not up: to itself, down, and down by bp.
    for _, e in ipairs {call(0), call(-64), call(8 - 0x1000), {sp = "bp", sp_offset = 0,
      type = "call"}} do
      local words = {}
      for address = TASK, TASK + 0x1ff8, 8 do
        words[address] = into "inner"
      end
      assert.are.same({"registers inner+0x0"}, calls {by_name = {inner = e}, words = words,
        registers = inner {rbp = TASK + 0x800}}, e.sp_offset)
    end
    -- Two stacks lead to each other.
    local words = {[TASK + 0x1000] = IRQ + 0x2000, [IRQ + 0x1ff8] = into "middle",
      [IRQ + 0x2000] = TASK + 0x1000, [TASK + 0xff8] = into "inner"}
    local indirect = {sp = "sp_indirect", sp_offset = 0, type = "call"}
    assert.are.same({"registers inner+0x0", "orc middle+0x15", "orc inner+0x15"},
      calls {by_name = {inner = indirect, middle = indirect}, words = words,
        registers = inner {}})
    -- Saved registers lead to themselves.
    words = {}
    save(words, TASK + 0x1000, kernel_state {rip = at.inner, rsp = TASK + 0x1000})
    assert.are.same({"registers inner+0x0", "exception inner+0x0"},
      calls {by_name = {inner = {sp = "sp", type = "regs", signal = true}}, words = words,
        registers = inner {}})
  end)

  it("that never end, end after 256 frames", function()
    local words = {}
    for address = TASK + 0x1000, TASK + 0x3ff8, 8 do
      words[address] = into "inner"
    end
    assert.are.equal(256, #calls {by_name = {inner = call(8)}, words = words,
      registers = inner {}})
  end)

  it("that are not sorted find some entry or none", function()
    local entries = entries_of {inner = call(16), outer = {type = "end"}}
    for i = 1, #entries // 2 do
      entries[i].address, entries[#entries - i].address = entries[#entries - i].address,
        entries[i].address
    end
    local list = calls {entries = entries, words = {[TASK + 0x1008] = into "outer"},
      registers = inner {}}
    assert.are.equal("registers inner+0x0", list[1])
  end)

  it("that are not in the dump, empty or too large are not used", function()
    for _, count in ipairs {0, -5, 2000, 1 << 24, 1 << 40} do
      local words = {[TASK + 0x1008] = into "outer"}
      assert.are.same({"registers inner+0x0"}, calls {by_name = {inner = call(16)},
        words = words, registers = inner {}, count = count})
    end
  end)

  it("point anywhere", function()
    for _, sp in ipairs {0, 8, -8, TASK + 1, TASK - 4, TASK + 0x3ffc, TASK + 0x3ff8, 1 << 62,
      math.mininteger, math.maxinteger} do
      for _, e in ipairs {call(8), call(-32768), call(32767), {sp = "r10", type = "call"},
        {sp = "r10", type = "regs", signal = true}, {sp = "r10", type = "partial", signal = true},
        {sp = "bp_indirect", sp_offset = -1, type = "call"},
        {sp = "sp", sp_offset = 8, bp = "prev", bp_offset = 32767, type = "call"},
        {sp = "sp", sp_offset = 8, bp = "bp", bp_offset = 8, type = "call"}} do
        local list = calls {by_name = {inner = e}, words = {},
          registers = inner {rsp = sp, rbp = sp, r10 = sp}}
        assert.are.same({"registers inner+0x0"}, list)
      end
    end
  end)
end)
