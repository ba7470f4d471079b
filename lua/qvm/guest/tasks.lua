--- Tasks of a Linux guest: processes and threads.
-- @classmod qvm.task

local c = require "qvm.guest.c"
local classes = require "qvm.util.classes"
local errors = require "qvm.util.errors"
local iterators = require "qvm.util.iterators"
local kernel_types = require "qvm.guest.kernel_types"
local line = require "qvm.util.text"
local objects = require "qvm.guest.objects"

local tasks = {}

--- @type Task
local Task = {__name = "Task"}

--- Fields of a task, as they were when the dump was taken.
--
-- Ids are those of the initial namespace.
-- @table Task
-- @tfield integer pid id of the thread; 0 for a CPU's idle task
-- @tfield integer tgid id of its process: the pid of the first thread
-- @tfield integer ppid id of the parent process
-- @tfield string name what `ps` calls `comm`, up to 15 bytes
-- @tfield string state as in `ps`: `R` running or ready, `S` sleeping, `D` in an
-- uninterruptible sleep, `T` stopped, `t` stopped by a debugger, `X` dead, `Z` zombie, `P`
-- parked, `I` idle kernel thread
-- @tfield ?integer cpu the kernel's number of the CPU that runs it or ran it last
-- @tfield ?boolean running a CPU was running it; nil: the kernel does not say it, as one that
-- was built for a single CPU
-- @tfield boolean kernel it is a thread of the kernel
-- @tfield qvm.object.Object object its `struct task_struct`
-- @usage for t in dump:tasks() do print(t.pid, t.state, t.name) end

local NAMES = {R = "running", S = "sleeping", D = "in uninterruptible sleep", T = "stopped",
  t = "stopped by a debugger", X = "dead", Z = "zombie", P = "parked", I = "idle"}

Task.__tostring = line.tostring("task", function(task)
  local state = task.state == "R" and task.running == false and "ready" or NAMES[task.state]
  return ("%s %d%s %s: %s%s, parent %d"):format(
    task.pid == 0 and "idle task" or task.kernel and "kernel thread"
      or task.pid == task.tgid and "process" or "thread", task.pid,
    task.pid ~= task.tgid and (" of %d"):format(task.tgid) or "", line.field(task.name),
    state or task.state, task.cpu and (", CPU %d"):format(task.cpu) or "", task.ppid)
end)

-- State -------------------------------------------------------------------------------------

-- Bits of `__state` (include/linux/sched.h). Those that are reported, from bit 0 on, are in the
-- order of ps's letters; TASK_IDLE is an uninterruptible sleep that counts as no load. Sleeping
-- on a lock of PREEMPT_RT, and frozen, count as uninterruptible (fs/proc/array.c, as
-- task_state_index in sched.h).
local LETTERS = {[0] = "R", "S", "D", "T", "t", "X", "Z", "P", "I"}
local REPORTED, UNINTERRUPTIBLE, NO_LOAD = 0x7f, 0x2, 0x400
local IDLE, AS_UNINTERRUPTIBLE = 0x80, 0x1000 | 0x8000

local function highest_bit(value)
  local count = 0
  while value ~= 0 do
    value, count = value >> 1, count + 1
  end
  return count
end

local function letter_of(state, exit_state)
  local bits = (state | exit_state) & REPORTED
  if state & (UNINTERRUPTIBLE | NO_LOAD) == UNINTERRUPTIBLE | NO_LOAD then
    bits = IDLE
  end
  if state & AS_UNINTERRUPTIBLE ~= 0 then
    bits = UNINTERRUPTIBLE
  end
  return LETTERS[highest_bit(bits)]
end

-- A task -------------------------------------------------------------------------------------

local KERNEL_THREAD = 0x00200000 -- PF_KTHREAD of `flags`

-- The CPU of a task: in thread_info (5.16 and later), or in the task itself; nil if it is
-- elsewhere.
local function cpu_of(object)
  if objects.has(object, "cpu") then
    return object.cpu
  end
  local info = objects.has(object, "thread_info") and object.thread_info
  return info and objects.has(info, "cpu") and info.cpu or nil
end

-- Was a CPU running the task? nil: its kernel does not say it.
local function running_of(object)
  if objects.has(object, "on_cpu") then
    return object.on_cpu ~= 0
  end
end

-- The Task of a `struct task_struct`, or of a pointer to one. Raises if it cannot be read.
local function new(dump, object)
  local state = objects.has(object, "__state") and object.__state or object.state
  local parent = object.real_parent
  return setmetatable({_dump = dump, object = object, pid = object.pid, tgid = object.tgid,
    ppid = parent ~= nil and parent.tgid or 0, name = object.comm, cpu = cpu_of(object),
    state = letter_of(state, object.exit_state),
    running = running_of(object),
    kernel = object.flags & KERNEL_THREAD ~= 0}, Task)
end

-- Members of Objects raise where they cannot be read, as in scripts. Functions that return failures
-- return these too.
local readable = errors.returned

-- All tasks ----------------------------------------------------------------------------------

local TASKS_MAX = 1 << 22 -- PID_MAX_LIMIT

local function same(pointer, object)
  return pointer ~= nil and c.address(pointer) == c.address(object)
end

-- Iterates over the task_structs of a process, the leader first. A thread whose leader is another
-- one is damaged: lists that lead into each other would never end.
local function threads(leader)
  local signal = leader.signal
  if signal == nil then
    local is_first = true -- a zombie that is being removed
    return function()
      local object = is_first and leader or nil
      is_first = false
      return object
    end
  end
  local next_thread = c.list(signal.thread_head, "struct task_struct", "thread_node")
  return function()
    local object = next_thread()
    if object and not same(object.group_leader, leader) then
      objects.damaged(object, ("it is in the process of another leader, %s"):format(
        tostring(leader)))
    end
    return object
  end
end

-- The first task; nil, message, code.
local function init_task(dump)
  local ok, message, code = kernel_types.check(dump)
  if not ok then
    return nil, message, code
  end
  return dump:variable "init_task"
end

-- Iterates over all tasks but the idle ones; nil, message, code.
function tasks.all(dump)
  local first, message, code = init_task(dump)
  if not first then
    return nil, message, code
  end
  local count = 0
  local leaders = c.list(first.tasks, "struct task_struct", "tasks")
  local members = function() end
  return function()
    local object = members()
    while not object do
      local leader = leaders()
      if not leader then
        return nil
      end
      members = threads(leader)
      object = members()
    end
    count = count + 1
    if count > TASKS_MAX then
      errors.raise(("%s: damaged: more than %d tasks"):format(dump.path, TASKS_MAX),
        "malformed")
    end
    return new(dump, object)
  end
end

-- The task of a pid; nil, message, code.
local function find(dump, pid)
  local first, message, code = init_task(dump)
  if not first then
    return nil, message, code
  elseif pid == 0 then
    return new(dump, first)
  end
  for task in assert(tasks.all(dump)) do
    if task.pid == pid then
      return task
    end
  end
  return nil, ("%s: no task has the pid %d"):format(dump.path, pid), "not_found"
end

function tasks.find(dump, pid)
  return readable(find, dump, pid)
end

-- The task that a vCPU runs; nil, message, code.
local function of_vcpu(dump, vcpu)
  local cpus = require "qvm.guest.cpus"
  local object, number
  local ok, message, code = kernel_types.check(dump)
  if ok then
    number = cpus.number_of(dump, vcpu)
    object, message, code = cpus.current(dump, number)
  end
  if not object then
    return nil, message, code
  end
  return new(dump, require "qvm.guest.stack_owner".of(dump, vcpu, number, new(dump, object)))
end

function tasks.of_vcpu(dump, vcpu)
  return readable(of_vcpu, dump, vcpu)
end

-- Memory -------------------------------------------------------------------------------------

--- The task's user address space.
-- @treturn[1] qvm.space.Space the space; it has the kernel's addresses too
-- @return[2] nil, message, code: `not_found`: a kernel thread and a zombie have none; or the
-- dump cannot be read
-- @usage space = assert(dump:task(1):space())
function Task:space()
  return readable(require "qvm.guest.task_memory".space, self)
end

--- A mapping (VMA) of a task.
-- @table Mapping
-- @tfield integer start virtual address
-- @tfield integer size bytes
-- @tfield string flags as in `/proc/PID/maps`: `"r-xp"`; the last is `s` if it is shared
-- @tfield integer offset bytes, in the file
-- @tfield ?string path of the file, or what the kernel calls it: `[heap]`, `[stack]`, `[vdso]`;
-- nil for other memory without a file
-- @tfield qvm.object.Object object its `struct vm_area_struct`
-- @usage for m in dump:task(1):mappings() do print(m.flags, m.path) end

--- Iterates over the task's mappings, by address.
--
-- Raises if the task has no memory of its own, and in the loop if they are damaged.
-- @treturn function():Mapping iterator
-- @usage for m in dump:task(1):mappings() do print(m) end
function Task:mappings()
  local iterator, message = readable(require "qvm.guest.task_memory".mappings, self)
  return iterator or errors.raise(message)
end

--- The task's command line.
-- @treturn[1] {string,...} arguments, that with the program's name first
-- @return[2] nil, message, code: `not_found`: a kernel thread and a zombie have none;
-- `unmapped`: it is not in memory; `too_large`
-- @usage print(table.concat(dump:task(1):arguments(), " "))
function Task:arguments()
  return readable(require "qvm.guest.task_memory".arguments, self)
end

-- Registers ----------------------------------------------------------------------------------

--- The registers of the task's program.
--
-- Those with which it entered the kernel; or, if a vCPU was running the program, that vCPU's.
-- Raises if the task has none, as a kernel thread, or if it runs on a vCPU that the dump lacks.
-- @treturn function():string,integer iterator over name, value
-- @usage for name, value in dump:task(1):registers() do print(name, value) end
function Task:registers()
  local registers, names = require "qvm.guest.task_registers".user(self)
  return iterators.members(registers and names or errors.raise(names), registers)
end

--- The registers with which the task's kernel stack begins.
--
-- Those that the kernel kept when it switched away from the task; or, if a vCPU was running
-- the task, that vCPU's. The kernel keeps those that a function must not change: `rbx` `rsp`
-- `rbp` `r12` to `r15` and `rip`, or `x19` to `x30`, `sp` and `pc`. Raises if the task has no
-- stack any more, as a zombie may not, or if it runs on a vCPU that the dump lacks.
-- @treturn function():string,integer iterator over name, value
-- @usage for name, n in dump:task(1):kernel_registers() do print(name, n) end
function Task:kernel_registers()
  local registers, names = require "qvm.guest.task_registers".kernel(self)
  return iterators.members(registers and names or errors.raise(names), registers)
end

-- Is an address the first of a function? A new task is to begin there, in ret_from_fork; one that
-- was switched away from returns into the middle of the scheduler.
local function starts_function(dump, address)
  local symbols = require "qvm.guest".symbols_in_use(dump)
  return symbols ~= nil and select(2, symbols:at(address)) == 0
end

local function frames_of(task)
  local task_registers = require "qvm.guest.task_registers"
  local unwind = require "qvm.guest.unwind"
  local cpu, message, code = task_registers.vcpu(task)
  if cpu then
    return unwind.vcpu(task._dump, cpu, task:space() or task._dump:kernel_space())
  elseif message then
    return nil, message, code
  end
  local registers
  registers, message, code = task_registers.switched(task)
  if not registers then
    return nil, message, code
  end
  registers.is_return = not starts_function(task._dump, registers.pc)
  if not registers.is_return then
    registers.x30 = nil -- no function has called it
  end
  return unwind.stack(task._dump, assert(task._dump:kernel_space()), registers)
end

--- The task's kernel stack, innermost call first, up to the entry from its program.
--
-- That of a task that sleeps begins where the kernel switched away from it; that of a task
-- that runs is its vCPU's. Raises if the task has no stack any more, as a zombie may not,
-- or if it runs on a vCPU that the dump lacks.
-- @treturn function():Frame iterator, see `Vcpu:backtrace`
-- @treturn ?string missing as of `Vcpu:backtrace`
-- @usage for frame in dump:task(1):backtrace() do print(frame) end
function Task:backtrace()
  local frames, message = readable(frames_of, self)
  return require "qvm.guest.backtrace".iterator(frames or errors.raise(message))
end

classes.publish(Task)
tasks.Task = Task

return tasks
