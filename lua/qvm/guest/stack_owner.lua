-- The task whose kernel stack a vCPU is on.
--
-- A switch takes a while: first the run queue names the next task, later the registers change to
-- its stack, and on x86_64 `current_task` follows. A vCPU that was stopped meanwhile is on the
-- stack of another task than the one that the kernel names. Its registers belong to the stack.

local c = require "qvm.guest.c"
local errors = require "qvm.util.errors"
local objects = require "qvm.guest.objects"
local task_registers = require "qvm.guest.task_registers"

local stack_owner = {}

local END_MAGIC = 0x57ac6e9d -- STACK_END_MAGIC, the lowest word of each task's stack

local TASKS_MAX = 1 << 16 -- that are looked at, which takes some seconds at most

-- The addresses of tasks by those of their stacks. If the list of tasks is damaged, those of the
-- tasks before the damage.
local function tasks_by_stack(dump)
  local found, count = {}, 0
  errors.try(function()
    for task in dump:tasks() do
      local stack = task.object.stack
      if stack ~= nil then
        found[c.address(stack)] = c.address(task.object)
      end
      count = count + 1
      if count == TASKS_MAX then
        break
      end
    end
  end)
  return found
end

-- The task that has a stack: a CPU's idle task, which is not in the list, or one of the list; nil
-- if none has it.
local function find(dump, stack, number)
  local queues = dump:variable("runqueues", "struct rq")
  local queue = queues and c.per_cpu(queues, number)
  local idle = queue and objects.has(queue, "idle") and queue.idle or nil
  if idle and idle.stack ~= nil and c.address(idle.stack) == stack then
    return idle
  end
  local state = dump._guest -- see qvm.guest
  state.tasks_by_stack = state.tasks_by_stack or tasks_by_stack(dump)
  local address = state.tasks_by_stack[stack]
  return address and dump:object("struct task_struct", address)
end

local function find_other(dump, vcpu, number, named)
  local space, stack, size = dump:kernel_space(), task_registers.stack(named)
  local at = size and vcpu.sp - 1 & -size -- an empty stack begins at the end of its memory
  if space and at ~= stack and space:u64(at) == END_MAGIC then
    return find(dump, at, number)
  end
end

-- The `struct task_struct` to which the stack of a vCPU belongs. named: the Task that the kernel
-- names; it is the answer if the vCPU runs a program, if it is on a stack of interrupts, and if no
-- other task is found that has the stack. number: the CPU's.
function stack_owner.of(dump, vcpu, number, named)
  if vcpu.pc >= 0 then
    return named.object
  end
  local ok, other = errors.try(find_other, dump, vcpu, number, named)
  return ok and other or named.object
end

return stack_owner
