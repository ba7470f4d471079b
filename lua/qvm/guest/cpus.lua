-- The CPUs of a guest's kernel: where the per-CPU variables of each are, and which task it runs.
--
-- A kernel whose symbols are those of code alone has no symbol `__per_cpu_offset`. There the
-- tasks lead to the CPUs: a task's scheduling entity points to the run queue of its CPU, which
-- has the CPU's number and is at a known offset among the per-CPU variables.

local core = require "qvm.core"
local guest = require "qvm.guest"
local errors = require "qvm.util.errors"

local cpus = {}

local CPUS_MAX = 1 << 13 -- CONFIG_NR_CPUS is at most 8192

-- The offset of a variable among the per-CPU ones, from the type information; nil.
function cpus.offset_in_section(types, name)
  local section = core.btf_find(types[1], ".data..percpu", "section")
  local index = 0
  while section do
    local found, _, offset = core.type_part(section, index)
    if not found then
      return nil
    elseif found == name then
      return offset
    end
    index = index + 1
  end
end

-- The run queue that a task leads to, and its number.
local function queue_of(task)
  local queue = task.object.se.cfs_rq.rq
  return queue, queue.cpu
end

-- The addresses of the run queues that the tasks lead to, by number of the CPU. If the list of
-- tasks is damaged, those of the tasks before the damage.
local function queues_of_tasks(dump)
  local address = require "qvm.guest.c".address
  local queues = {}
  errors.try(function()
    for task in dump:tasks() do
      local ok, queue, cpu = errors.try(queue_of, task)
      if ok and cpu >= 0 and cpu < CPUS_MAX then
        queues[cpu] = queues[cpu] or address(queue)
      end
    end
  end)
  return queues
end

-- The number of CPUs that the kernel numbers, its nr_cpu_ids; nil alone if it has no such variable
-- (CONFIG_FORCE_NR_CPUS); nil, message, code. Elements of `__per_cpu_offset` beyond it are not
-- set, or are not there.
local function count_of(dump)
  local at, message, code = guest.kernel_address(dump, "nr_cpu_ids")
  if not at then
    return nil, message, code
  end
  local count
  count, message, code = assert(dump:kernel_space()):u32(at)
  return count and math.min(count, CPUS_MAX), message, code
end

-- What is added to the address of a per-CPU variable for one CPU; nil, message, code.
-- state: the dump's, see qvm.guest.
function cpus.offset(dump, state, cpu)
  local at, message, code = guest.kernel_address(dump, "__per_cpu_offset")
  if at then
    local count
    count, message, code = count_of(dump)
    if message then
      return nil, message, code
    elseif count and cpu >= count then
      return nil, ("%s: no CPU %d: the kernel numbers %d"):format(dump.path, cpu, count),
        "not_found"
    end
    return assert(dump:kernel_space()):u64(at + 8 * cpu)
  elseif message then
    return nil, message, code
  end
  state.run_queues = state.run_queues or queues_of_tasks(dump)
  local within = cpus.offset_in_section(state.types, "runqueues")
  if not state.run_queues[cpu] or not within then
    return nil, ('%s: no symbol "__per_cpu_offset", and no task that leads to the variables of '
      .. "CPU %d"):format(dump.path, cpu), "not_found"
  end
  return state.run_queues[cpu] - within
end

-- The number that the kernel has for a vCPU. On x86_64 a register has the address of the CPU's
-- variables: GS, or what SWAPGS will exchange it with. Otherwise CPUs are taken to be numbered
-- as in the dump.
function cpus.number_of(dump, vcpu)
  local at = dump.machine == "x86_64" and guest.kernel_address(dump, "__per_cpu_offset")
  local count = at and count_of(dump)
  if count then
    local space = assert(dump:kernel_space())
    for i, offset in ipairs(space:array(at, "u64", count) or {}) do
      if offset ~= 0 and (offset == vcpu.regs.gs_base or offset == vcpu.extra.gs_base
          or offset == vcpu.extra.kernel_gs_base) then
        return i - 1
      end
    end
  end
  return vcpu.index
end

-- Pointers to the running task, per CPU: on x86_64 from 6.2 to 6.14, on x86_64 otherwise, and
-- on all machines; the last one is set a little before the switch.
local RUN_QUEUE = {"runqueues", "struct rq", "curr"}
local CURRENT = {
  x86_64 = {{"pcpu_hot", "struct pcpu_hot", "current_task"},
    {"current_task", "struct task_struct *"}, RUN_QUEUE},
  others = {RUN_QUEUE},
}

-- The task_struct of the task that a CPU runs, an Object; nil, message, code.
function cpus.current(dump, cpu)
  local per_cpu = require "qvm.guest.c".per_cpu
  local message, code
  for _, place in ipairs(CURRENT[dump.machine] or CURRENT.others) do
    local variable
    variable, message, code = dump:variable(place[1], place[2])
    if not variable and code ~= "not_found" then
      return nil, message, code
    elseif variable then
      local value, problem, what = per_cpu(variable, cpu)
      if value and place[3] then
        value = value[place[3]]
      end
      if not value then
        return nil, problem or ("%s: CPU %d runs no task"):format(dump.path, cpu),
          what or "not_found"
      end
      return value
    end
  end
  return nil, message, code
end

return cpus
