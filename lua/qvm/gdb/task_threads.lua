-- The tasks of a Linux guest as threads of gdb; see qvm.gdb.vcpu_threads for what a thread is.
--
-- A thread's id is the pid of its task. The idle tasks all have the pid 0, which means any thread
-- in gdb's protocol: that of vCPU n has the id IDLE + n. Tasks that vCPUs run come first.
--
-- The list of tasks is read as far as gdb asks for it. Registers and memory are read when gdb
-- asks for them.

local errors = require "qvm.util.errors"
local text = require "qvm.cli.text"

local PID_MAX = 1 << 22     -- of Linux: PID_MAX_LIMIT
local IDLE = 10000000       -- more than any pid, and easy to read in decimal
local THREADS_MAX = 1 << 17 -- more than gdb can be used with

local TaskThread = {}
TaskThread.__index = TaskThread

-- The space of a task has the kernel's addresses too; one without memory of its own has these
-- alone. Only that of the last thread is kept.
function TaskThread:space()
  local kept = self.threads.kept
  if kept.id ~= self.id then
    local space, message = self.task:space()
    if not space then
      space = self.threads.dump:kernel_space()
    end
    kept.id, kept.space, kept.message = self.id, space, message
  end
  return kept.space, kept.message
end

-- The vCPU that runs the task, or what the kernel kept of a task that sleeps.
function TaskThread:registers()
  if self.cpu then
    return self.cpu
  end
  local registers = {regs = {}, extra = {}, extra_bytes = ""}
  local ok, each = errors.try(self.task.kernel_registers, self.task)
  if ok then
    for name, value in each do
      registers.regs[name] = value
    end
  end
  return registers
end

function TaskThread:backtrace()
  return self.task:backtrace()
end

-- A list --------------------------------------------------------------------------------------

local TaskThreads = {}
TaskThreads.__index = TaskThreads

-- Appends a task. A damaged list may have two of a pid: gdb sees the first.
function TaskThreads:add(id, task, cpu)
  if id > 0 and not self.tasks[id] then
    self.ids[#self.ids + 1] = id
    self.tasks[id], self.cpus[id] = task, cpu
  end
end

-- Appends the tasks that the vCPUs run.
local function add_running(self)
  for cpu in self.dump:vcpus() do
    local task = cpu:task()
    if task then
      self:add(task.pid == 0 and IDLE + cpu.index or task.pid, task, cpu)
    end
  end
end

-- Returns the threads of a dump; nil and a message if its tasks cannot be read. say(message)
-- receives what goes wrong later.
function TaskThreads.of(dump, say)
  local ok, next_task = errors.try(dump.tasks, dump)
  if not ok then
    return nil, next_task
  end
  local self = setmetatable({dump = dump, say = say, next_task = next_task, ids = {}, tasks = {},
    cpus = {}, kept = {}}, TaskThreads)
  add_running(self)
  if not self:at(1) then
    return nil, self.problem or dump.path .. ": the guest has no tasks"
  end
  return self
end

-- Ends the list; message: why it is incomplete.
function TaskThreads:finish(message)
  self.is_over, self.problem = true, message
  if message then
    self.say(message)
  end
end

-- Reads the next task. A loop that was interrupted cannot be resumed: it is begun again, and the
-- tasks that are known already are not added again.
function TaskThreads:advance()
  local next_task = self.next_task or self.dump:tasks()
  self.next_task = nil
  local ok, task = errors.try(next_task)
  self.next_task = next_task
  if not ok then
    self:finish(text.without_place(task) .. "; gdb sees the tasks before it")
  elseif not task then
    self:finish()
  elseif #self.ids == THREADS_MAX then
    self:finish(("%s: gdb sees the first %d tasks"):format(self.dump.path, THREADS_MAX))
  elseif task.pid <= PID_MAX then
    self:add(task.pid, task)
  end
end

function TaskThreads:at(position)
  while position > #self.ids and not self.is_over do
    self:advance()
  end
  return self:find(self.ids[position])
end

-- What a task's own text says after its name: its state, CPU and parent.
local function text_of(task)
  local about = tostring(task):match(": ([^:]*)$") or ""
  return task.pid ~= task.tgid and ("%s, thread of %d"):format(about, task.tgid) or about
end

function TaskThreads:find(id)
  while id and not self.tasks[id] and not self.is_over do
    self:advance()
  end
  local task = id and self.tasks[id]
  return task and setmetatable({threads = self, task = task, cpu = self.cpus[id], id = id,
    title = ("task %d"):format(id), name = task.name, text = text_of(task),
    core = task.cpu and task.cpu >= 0 and task.cpu or nil}, TaskThread) or nil
end

return TaskThreads
