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

-- The space of each vCPU is kept, with the pages that it has cached.
function VcpuThread:space()
  local known = self.spaces[self.id]
  if not known then
    local space, message = self.dump:space(self.cpu)
    known = {space, message}
    self.spaces[self.id] = known
  end
  return known[1], known[2]
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
  return setmetatable({dump = dump, spaces = {}}, VcpuThreads)
end

function VcpuThreads:at(position)
  local cpu, message
  if position > 0 then
    cpu, message = self.dump:vcpu(position - 1)
  end
  local name = cpu and ("vCPU %d"):format(cpu.index)
  return cpu and setmetatable({dump = self.dump, spaces = self.spaces, cpu = cpu, id = position,
    core = cpu.cpunum, name = name, title = name, text = cpu.process}, VcpuThread), message
end

function VcpuThreads:find(id)
  return (self:at(id))
end

return VcpuThreads
