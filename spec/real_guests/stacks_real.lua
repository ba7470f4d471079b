-- Compares the stacks in dumps of real guests with those that their kernels printed.
-- `make test-real` boots the guests and runs this.

local busted = require "busted"
local files = require "support.files"
local guests = require "real_guests.guests"
local qvm = require "qvm"
local unwind = require "qvm.guest.unwind"

-- Where kernels enter from user mode, and what they begin with.
local OUTERMOST = {"^entry_", "^asm_", "^el0", "^secondary_startup", "^ret_from_fork",
  "^common_startup", "^__primary_switched", "^__secondary_switched"}

-- Where they return to user mode or have just entered: a stack there is empty, or has saved
-- registers only.
local AT_ONCE = {"^syscall_return_via_sysret", "^common_interrupt_return", "^swapgs_restore_regs",
  "^error_return", "^native_irq_return_iret", "^irq_entries_start", "^spurious_entries_start",
  "^ret_to_user"}

local function is_of(symbol, patterns)
  for _, pattern in ipairs(patterns) do
    if symbol:find(pattern) then
      return true
    end
  end
  return false
end

local function is_outermost(symbols)
  local last = symbols[#symbols]
  return is_of(last, OUTERMOST) or #symbols == 1 and is_of(last, AT_ONCE)
end

-- The symbols of frames in the kernel.
local function symbols_of(frames)
  local list = {}
  for _, frame in ipairs(frames) do
    list[#list + 1] = frame.symbol
  end
  return list
end

local function text_of(frames)
  local lines = {}
  for i, frame in ipairs(frames) do
    lines[i] = tostring(frame)
  end
  return table.concat(lines, "\n")
end

local function frames_of(cpu)
  local frames = {}
  for frame in cpu:backtrace() do
    frames[#frames + 1] = frame
  end
  return frames
end

-- The stack that the kernel printed when it panicked, and the number of the vCPU. A function is
-- "schedule+0x5a/0xd0"; with "? " before it, it is only a word on the stack.
local function panic_of(dump)
  local list, is_panic = {}, false
  for message in dump:dmesg() do
    is_panic = is_panic or message.text:find("^Kernel panic") ~= nil
    for line in is_panic and message.text:gmatch "[^\n]+" or function() end do
      list.cpu = list.cpu or math.tointeger(line:match("^CPU: (%d+)"))
      if line:find("RIP:", 1, true) or line:find("^---") then
        return list -- then come the user's registers
      end
      list[#list + 1] = line:match("^%s+([%w_.]+%+0x%x+/0x%x+)")
    end
  end
  return list
end

-- /proc/PID/stack as the guest printed it, by process id. These stacks lack the scheduler's
-- functions.
local function stacks_of(log)
  local stacks = {}
  for pid, symbol in log:gmatch("/proc/(%d+)/stack:%[<0>%] (%S+)") do
    pid = math.tointeger(pid)
    stacks[pid] = stacks[pid] or {}
    table.insert(stacks[pid], symbol)
  end
  return stacks
end

-- Do frames end with these functions? Kernels name a return address by itself; at the end of a
-- function that is the next one.
local function ends_with(dump, frames, symbols)
  local ahead = #frames - #symbols
  for i, symbol in ipairs(symbols) do
    local frame = frames[ahead + i]
    if not frame or frame.symbol ~= symbol and dump:symbol(frame.address) ~= symbol then
      return false
    end
  end
  return true
end

-- What is after the functions that panic itself has called.
local function callers_of_panic(symbols)
  local list = {}
  for _, symbol in ipairs(symbols) do
    if symbol:find("^v?panic%+") then
      list = {}
    else
      list[#list + 1] = symbol
    end
  end
  return list
end

-- The registers of a task that sleeps: what __switch_to_asm (x86_64) has pushed, or what
-- cpu_switch_to (aarch64) has stored. nil: a zombie, whose stack is gone.
local function saved_registers(space, task, machine)
  if machine == "aarch64" then
    local context = task.thread.cpu_context
    return {pc = context.pc, sp = context.sp, fp = context.fp, is_return = true}
  end
  local sp = task.thread.sp
  local words = space:array(sp, "u64", 7)
  return words and {pc = words[7], sp = sp + 56, fp = words[6], rbx = words[5], r12 = words[4],
    r13 = words[3], r14 = words[2], r15 = words[1], is_return = true}
end

guests.each({"x86_64", "x86_64-la57", "x86_64-testing", "aarch64", "aarch64-16k",
    "aarch64-testing"}, "the stacks of a real guest (%s)", function(_, directory)
  local function open(name)
    return assert(qvm.open(directory .. name))
  end

  it("lead from each vCPU in the kernel to where it entered, without a search", function()
    local count = 0
    for _, name in ipairs {"first.elf", "second.elf", "panic.elf"} do
      local dump <close> = files.exists(directory .. name) and open(name) or nil
      for cpu in dump and dump:vcpus() or function() end do
        local at = cpu.pc < 0 and dump:symbol(cpu.pc)
        -- In the vectors of aarch64 nothing is saved yet, nor at the first instruction that they
        -- jump to; they may have no symbol.
        if at and not at:find "^vectors%+" and not at:find "^el1h_64_%l+%+0x0/" then
          local frames = frames_of(cpu)
          for _, frame in ipairs(frames) do
            assert.are_not.equal("scan", frame.how, name .. "\n" .. text_of(frames))
          end
          assert.is_true(is_outermost(symbols_of(frames)), ("%s, vCPU %d\n%s"):format(name,
            cpu.index, text_of(frames)))
          count = count + 1
        end
      end
    end
    assert.is_true(count >= 1)
  end)

  if not files.exists(directory .. "panic.elf") then
    busted.pending "of the panic: this guest was recorded without one"
    return
  end

  it("of the vCPU that panicked are what its kernel printed", function()
    local dump <close> = open "panic.elf"
    local panic = panic_of(dump)
    local callers, frames = callers_of_panic(panic), {}
    for _, frame in ipairs(frames_of(dump:vcpu(panic.cpu))) do
      frames[#frames + 1] = frame.address < 0 and frame or nil
    end
    assert.is_true(#callers > 5)
    assert.is_true(ends_with(dump, frames, callers), table.concat(callers, "\n") .. "\n\n"
      .. table.concat(symbols_of(frames), "\n"))
  end)

  it("of tasks that sleep are what the kernel said", function()
    local dump <close> = open "panic.elf"
    local first = dump:variable "init_task"
    if not first then
      return -- its symbols are those of functions only
    end
    local stacks, equal, different = stacks_of(files.read(directory .. "serial.log")), 0, {}
    local space = assert(dump:kernel_space())
    for task in qvm.c.list(first.tasks, "struct task_struct", "tasks") do
      local there = stacks[task.pid]
      local registers = saved_registers(space, task, dump.machine)
      local frames = registers and assert(unwind.stack(dump, space, registers)) or {}
      if there and ends_with(dump, frames, there) then
        equal = equal + 1
      elseif there then
        different[#different + 1] = ("%s:\n%s\n\n%s"):format(task.comm,
          table.concat(there, "\n"), table.concat(symbols_of(frames), "\n"))
      end
    end
    -- Some run, or have run since then.
    assert.is_true(equal > 30 and #different <= 5, equal .. "\n" .. table.concat(different, "\n"))
  end)
end)
