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

-- Stacks whose tasks are looked for in a dump: each takes a pass over all of its tasks. In real
-- guests few CPUs switch at the same moment.
local STACKS_MAX = 64

-- By dump: what was found, by the stack's address; false: no task has it. `count` of them.
local found = setmetatable({}, {__mode = "k"})

-- The task that has a stack: a CPU's idle task, which is not in the list, or one of the list.
local function search(dump, stack, number)
  local function owns(object)
    return object.stack ~= nil and c.address(object.stack) == stack
  end
  local queues = dump:variable("runqueues", "struct rq")
  local queue = queues and c.per_cpu(queues, number)
  if queue and objects.has(queue, "idle") and queue.idle ~= nil and owns(queue.idle) then
    return queue.idle
  end
  for task in dump:tasks() do
    if owns(task.object) then
      return task.object
    end
  end
end

local function find(dump, stack, number)
  local known = found[dump] or {count = 0}
  found[dump] = known
  if known[stack] == nil and known.count < STACKS_MAX then
    known.count = known.count + 1
    known[stack] = search(dump, stack, number) or false
  end
  return known[stack] or nil
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
