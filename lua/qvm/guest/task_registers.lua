-- Registers of tasks that no vCPU runs: those of the switch away from the task, and those of its
-- last entry into the kernel. They have the names that registers have in dumps.

local c = require "qvm.guest.c"
local errors = require "qvm.util.errors"
local objects = require "qvm.guest.objects"

local task_registers = {}

local PAGES_MAX = 64

-- The bytes of a kernel's stack: those of the pages that it was made of; else the least that the
-- kernel uses, 16 KiB, and on aarch64 at least a page.
local function stack_size(task)
  local page_size = assert(task._dump:vmcoreinfo()).page_size or 4096
  local area = objects.has(task.object, "stack_vm_area") and task.object.stack_vm_area or nil
  local pages = area and area.nr_pages
  if pages and pages > 0 and pages <= PAGES_MAX then
    return pages * page_size
  end
  return math.max(16384, page_size)
end

-- Where the task's stack is: its lowest address and its size; nil if it was freed.
function task_registers.stack(task)
  local stack = task.object.stack
  if stack == nil then
    return nil
  end
  return c.address(stack), stack_size(task)
end

-- At the switch ------------------------------------------------------------------------------

local switched = {}

-- __switch_to_asm pushes registers onto the task's stack, above the address that it returns to
-- (struct inactive_task_frame).
local X86_FRAME = {"r15", "r14", "r13", "r12", "rbx", "rbp", "rip"}

function switched.x86_64(task)
  local sp = task.object.thread.sp
  local words = assert(task._dump:kernel_space():array(sp, "u64", #X86_FRAME))
  local registers = {rsp = sp + 8 * #X86_FRAME}
  for i, name in ipairs(X86_FRAME) do
    registers[name] = words[i]
  end
  registers.pc, registers.sp, registers.fp = registers.rip, registers.rsp, registers.rbp
  return registers
end

-- cpu_switch_to saves what a function must keep (struct cpu_context).
function switched.aarch64(task)
  local context = task.object.thread.cpu_context
  local registers = {x29 = context.fp, fp = context.fp, sp = context.sp, pc = context.pc,
    x30 = context.pc}
  for i = 19, 28 do
    registers["x" .. i] = context["x" .. i]
  end
  return registers
end

-- The registers of a task that sleeps, by name, and as pc, sp, fp; nil, message, code. Raises
-- where they cannot be read.
function task_registers.switched(task)
  local dump = task._dump
  if not switched[dump.machine] then
    return nil, ("%s: no registers of tasks on %s"):format(dump.path, dump.machine), "unsupported"
  elseif task.object.stack == nil then
    return nil, ("%s: the kernel stack of %s was freed"):format(dump.path, tostring(task)),
      "not_found"
  end
  return switched[dump.machine](task)
end

-- At the entry -------------------------------------------------------------------------------

local entered = {}

local X86_NAMES = {rax = "ax", rcx = "cx", rdx = "dx", rbx = "bx", rsp = "sp", rbp = "bp",
  rsi = "si", rdi = "di", rip = "ip", rflags = "flags", orig_rax = "orig_ax"}
local X86_ORDER = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11",
  "r12", "r13", "r14", "r15", "rip", "rflags", "cs", "ss", "orig_rax"}

-- Kernels that can use FRED leave two words free at the top of the stack.
local X86_PADDINGS = {0, 16}

-- struct pt_regs is at the top of the stack; user mode is in the lowest bits of cs and ss.
function entered.x86_64(task, top)
  local dump = task._dump
  local kind = assert(dump:type "struct pt_regs")
  for _, padding in ipairs(X86_PADDINGS) do
    local saved = assert(dump:object(kind, top - padding - kind.size))
    if saved.cs & 3 == 3 and saved.ss & 3 == 3 then
      local registers = {}
      for _, name in ipairs(X86_ORDER) do
        registers[name] = saved[X86_NAMES[name] or name]
      end
      return registers, X86_ORDER
    end
  end
end

local MODE = 0xf -- of pstate: 0 is EL0

function entered.aarch64(task, top)
  local dump = task._dump
  local kind = assert(dump:type "struct pt_regs")
  local saved = assert(dump:object(kind, top - kind.size))
  if saved.pstate & MODE ~= 0 then
    return nil
  end
  local registers, order = {sp = saved.sp, pc = saved.pc, pstate = saved.pstate}, {}
  for i = 0, 30 do
    order[i + 1] = "x" .. i
    registers[order[i + 1]] = saved.regs[i + 1]
  end
  table.move({"sp", "pc", "pstate"}, 1, 3, #order + 1, order)
  return registers, order
end

-- The vCPU that runs a task; nil alone if none does; nil, message, code if the dump lacks it:
-- then the registers of the task's last switch and entry are out of date. In a switch two tasks
-- are marked as running; the one whose stack the vCPU is not on has been switched away from.
function task_registers.vcpu(task)
  local cpus = require "qvm.guest.cpus"
  if not task.running then
    return nil
  end
  for cpu in task._dump:vcpus() do
    if task.cpu and cpus.number_of(task._dump, cpu) == task.cpu then
      local now = cpu:task()
      return (not now or c.address(now.object) == c.address(task.object)) and cpu or nil
    end
  end
  return nil, ("%s: the dump has no vCPU that runs %s"):format(task._dump.path, tostring(task)),
    "not_found"
end

-- The registers of a vCPU, by name, and their names in order.
local function of_vcpu(cpu)
  local order = {}
  for name in cpu:registers() do
    order[#order + 1] = name
  end
  return cpu.regs, order
end

-- What a switch keeps, in the architecture's order.
local SWITCHED_ORDER = {
  x86_64 = {"rbx", "rsp", "rbp", "r12", "r13", "r14", "r15", "rip"},
  aarch64 = {"x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30",
    "sp", "pc"},
}

-- The registers of a task at the switch, or of the vCPU that runs it; nil, message, code.
local function kernel(task)
  local cpu, message, code = task_registers.vcpu(task)
  if cpu then
    return of_vcpu(cpu)
  elseif message then
    return nil, message, code
  end
  local registers
  registers, message, code = task_registers.switched(task)
  if not registers then
    return nil, message, code
  end
  return registers, SWITCHED_ORDER[task._dump.machine]
end

-- The user registers of a task, by name, and their names in order; nil, message, code.
local function user(task)
  local registers, order
  local cpu, message, code = task_registers.vcpu(task)
  if cpu and cpu.pc >= 0 then
    return of_vcpu(cpu)
  elseif message then -- it may have returned to its program since it entered
    return nil, message, code
  end
  local dump = task._dump
  local stack, size = task_registers.stack(task)
  if entered[dump.machine] and stack and not task.kernel then
    registers, order = entered[dump.machine](task, stack + size)
  end
  if not registers then
    return nil, ("%s: %s has no user registers"):format(dump.path, tostring(task)), "not_found"
  end
  return registers, order
end

-- The user registers, as `user`. What reading raises is returned too.
function task_registers.user(task)
  return errors.returned(user, task)
end

-- Those at the switch, or of the vCPU, as `kernel`.
function task_registers.kernel(task)
  return errors.returned(kernel, task)
end

return task_registers
