-- The vCPUs of a dump as threads of gdb. A thread's id is the index of its vCPU plus 1: id 0
-- means any thread in gdb's protocol.
--
-- A list of threads, of this kind or of qvm.gdb.task_threads, has the methods
-- - at(position): a thread, counted from 1; nil after the last one; nil and a message if it cannot
--   be read;
-- - find(id): the thread of an id, or nil.
--
-- A thread has the fields id, title (what messages call it), name, text (more about it), core
-- (number of a CPU, or nil) and the methods
-- - space(): its address space; nil and why it is unknown;
-- - registers(): a table with regs, extra and extra_bytes, as a vCPU of a dump;
-- - backtrace(): an iterator over its frames; it raises, as those of the public API.

local VcpuThread = {}
VcpuThread.__index = VcpuThread

function VcpuThread:space()
  if not self.known then
    self.known = table.pack(self.dump:space(self.cpu))
  end
  return self.known[1], self.known[2]
end

function VcpuThread:registers()
  return self.cpu
end

function VcpuThread:backtrace()
  return self.cpu:backtrace((self:space()))
end

local VcpuThreads = {}
VcpuThreads.__index = VcpuThreads

function VcpuThreads.of(dump)
  return setmetatable({dump = dump, known = {}}, VcpuThreads)
end

local function new(dump, cpu)
  return setmetatable({dump = dump, cpu = cpu, id = cpu.index + 1, core = cpu.cpunum,
    name = ("vCPU %d"):format(cpu.index), title = ("vCPU %d"):format(cpu.index),
    text = cpu.process}, VcpuThread)
end

function VcpuThreads:at(position)
  local thread = self.known[position]
  if not thread and position > 0 then
    local cpu, message = self.dump:vcpu(position - 1)
    if not cpu then
      return nil, message
    end
    thread = new(self.dump, cpu)
    self.known[position] = thread
  end
  return thread
end

function VcpuThreads:find(id)
  return (self:at(id))
end

return VcpuThreads
