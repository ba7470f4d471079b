--- A vCPU of a dump: its registers.
-- @classmod qvm.vcpu

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local errors = require "qvm.util.errors"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"

--- @type Vcpu
local Vcpu = {__name = "Vcpu"}

--- Fields of a vCPU of a dump.
--
-- `extra` has the extra registers of SDP 8 dumps; it is empty if they are not 8 bytes
-- each. In a QEMU dump of x86_64 it has `cr0` `cr2` `cr3` `cr4`, `kernel_gs_base` and,
-- for each of `cs` `ds` `es` `fs` `gs` `ss` `ldt` `tr` `gdt` `idt`, its `_selector`
-- `_limit` `_flags` `_base`; in one of aarch64, `fpsr` and `fpcr`.
-- @table Vcpu
-- @tfield integer index from 0
-- @tfield integer cpunum number of the vCPU in the dump
-- @tfield string process name in the dump
-- @tfield integer pgtbl physical address of its page table, 0 if not known
-- @tfield integer pc program counter
-- @tfield integer sp stack pointer
-- @tfield {[string]=integer} regs values of registers by name
-- @tfield {[string]=integer} extra values of extra registers by name
-- @tfield string extra_bytes the bytes that hold the extra registers
-- @usage cpu = assert(dump:vcpu(0))

--- The vCPU's registers, in the architecture's order.
-- @treturn function():string,integer iterator over name, value
-- @usage for name, value in cpu:registers() do print(name, qvm.hex(value)) end
function Vcpu:registers()
  return iterators.members(self._names, self.regs)
end

--- The vCPU's extra registers, in the order of the dump.
-- @treturn function():string,integer iterator over name, value
-- @usage for name, value in cpu:extra_registers() do print(name, value) end
function Vcpu:extra_registers()
  return iterators.members(self._extra_names, self.extra)
end

--- The vCPU's call stack, innermost call first.
--
-- Unwound by the ORC tables of a Linux kernel of x86_64, or by frame pointers; as a last
-- resort, the stack is searched for return addresses. Continues across interrupts, exceptions
-- and their stacks, and from the kernel into the program that entered it, if `space` maps that.
-- A frame's `how` says how it was found: frames are reliable unless it is `"scan"`, or comes
-- after one that is. Raises if `Dump:space` fails, if the dump cannot be read, or if the machine
-- is not supported.
-- @tparam[opt] qvm.space.Space space its address space (default `dump:space(cpu)`)
-- @treturn function():Frame iterator
-- @treturn ?string missing says which memory the dump lacks, if that may hide frames
-- @usage for frame in cpu:backtrace() do print(frame) end
function Vcpu:backtrace(space)
  if space ~= nil then
    check.object(space, require "qvm.paging.address_space", 1, "backtrace")
    if space.dump ~= self._dump then
      check.bad(1, "backtrace", "a Space of another dump")
    end
  end
  local frames, message = require "qvm.guest.unwind".vcpu(self._dump, self, space)
  return require "qvm.guest.backtrace".iterator(frames or errors.raise(message))
end

--- The task that the vCPU runs.
--
-- In a switch, the one whose stack it is on. Needs the guest's types, see `Dump:types`. The
-- kernel's number of the vCPU follows from its registers on x86_64; otherwise the kernel is
-- taken to number its CPUs as the dump does.
-- @treturn[1] qvm.task.Task the task; a CPU with nothing to do runs its idle task, of pid 0
-- @return[2] nil, message, code: as `Dump:types` and `Dump:variable`
-- @usage print(dump:vcpu(0):task())
function Vcpu:task()
  return require "qvm.guest.tasks".of_vcpu(self._dump, self)
end

--- The address space that the vCPU uses.
--
-- As `Dump:space`; where a dump has no page tables of the vCPU, as QEMU's of aarch64, the lower
-- half is that of its task.
-- @tparam[opt] table options as those of `Dump:space` beside a vCPU
-- @treturn[1] qvm.space.Space the space
-- @return[2] nil, message, code: as `Dump:space`
-- @usage space = assert(dump:vcpu(0):space())
function Vcpu:space(options)
  local space, message, code = self._dump:space(self, options)
  if not space then
    return nil, message, code
  end
  if space.lower or options or self._dump.machine ~= "aarch64" then
    return space
  end
  local task, own
  task, message, code = self:task()
  if task then
    own, message, code = task:space()
  end
  if not own and (code == "io" or code == "gone") then
    return nil, message, code
  end
  return own or space
end

Vcpu.__tostring = line.tostring("vCPU", function(cpu)
  return ("vCPU %d: pc 0x%016x sp 0x%016x%s"):format(cpu.index, cpu.pc, cpu.sp,
    cpu.process ~= "" and " " .. cpu.process or "")
end)

-- Makes a vCPU of a dump from its fields, and the names of its registers in order.
function Vcpu.new(dump, fields, names, extra_names)
  fields._dump, fields._names, fields._extra_names = dump, names, extra_names
  return setmetatable(fields, Vcpu)
end

-- The register names of one vCPU, followed by those that only the other one has.
local function names_of_both(mine, theirs)
  local names, known = {}, {}
  for _, cpu in ipairs {mine or theirs, theirs or mine} do
    for _, iterator in ipairs {cpu.registers, cpu.extra_registers} do
      for name in iterator(cpu) do
        if not known[name] then
          known[name] = true
          names[#names + 1] = name
        end
      end
    end
  end
  return names
end

-- The vCPU of an index in each dump; nil if there is none. A failure raises, since it cannot
-- be returned from inside a loop.
local function both_vcpus(dump, other, index)
  local mine, message, code = dump:vcpu(index)
  local theirs
  if not code then
    theirs, message, code = other:vcpu(index)
  end
  if code then
    errors.raise(message)
  end
  return mine, theirs
end

local function value_of(cpu, name)
  return cpu and (cpu.regs[name] or cpu.extra[name])
end

-- Iterates over the differences between the vCPUs of two dumps; count: of the one with more.
function Vcpu.differences(dump, other, count)
  local index, at, names, mine, theirs = -1, 0, {}, nil, nil
  return function()
    while true do
      at = at + 1
      if at > #names then
        index, at = index + 1, 0
        if index >= count then
          return nil
        end
        mine, theirs = both_vcpus(dump, other, index)
        names = names_of_both(mine, theirs)
      else
        local here, there = value_of(mine, names[at]), value_of(theirs, names[at])
        if here ~= there then
          return index, names[at], here, there
        end
      end
    end
  end
end

classes.publish(Vcpu, "new", "differences")

return Vcpu
