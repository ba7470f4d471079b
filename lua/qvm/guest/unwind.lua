-- Unwinds stacks: of vCPUs, and from any registers of a kernel, such as those of a task that
-- sleeps. A guest's stack cannot be trusted: the numbers of frames and of stacks are limited.

local backtrace = require "qvm.guest.backtrace"
local errors = require "qvm.util.errors"
local in_kernel = require "qvm.guest.symbols".in_kernel
local StackWalk = require "qvm.guest.stack_walk"

local unwind = {}

local machines = {x86_64 = require "qvm.guest.unwind_x86_64",
  aarch64 = require "qvm.guest.unwind_aarch64"}

-- The symbols of a dump, for the unwinder: which one contains an address, and whether an
-- address is in init code, which the kernel frees.
local function names_of(symbols)
  local first = symbols and in_kernel(symbols, "_sinittext")
  local last = symbols and in_kernel(symbols, "_einittext")
  local names = {}
  function names.at(address)
    if symbols then
      return symbols:at(address)
    end
  end
  function names.is_init(address)
    return first ~= nil and last ~= nil and math.ult(first, address)
      and not math.ult(last, address)
  end
  return names
end

local function start(dump, machine, space)
  local guest = require "qvm.guest"
  local symbols = guest.symbols_in_use(dump)
  local walk = StackWalk.new(space, names_of(symbols), machine)
  if dump.machine == "x86_64" and symbols then
    local message, code
    walk.orc, message, code = guest.orc_tables(dump, space, symbols)
    if not walk.orc and (code == "io" or code == "gone") then
      errors.fail(message, code)
    end
  end
  return walk
end

local function machine_of(dump)
  local machine = machines[dump.machine]
  if not machine then
    return nil, ("%s: no backtraces of %s"):format(dump.path, dump.machine), "unsupported"
  end
  return machine
end

-- The stack from registers on: {pc=, sp=, fp=}, and others by their names in vCPUs of such a
-- machine, as far as they are known. is_return: pc is a return address, as that of a task that
-- sleeps, not the next instruction.
--
-- Returns an array of Frames, the innermost first, to the entry from user mode; and the user's
-- registers there, by name, if that was reached. nil, message, code.
function unwind.stack(dump, space, registers)
  local machine, message, code = machine_of(dump)
  if not machine then
    return nil, message, code
  end
  return errors.catch(function()
    local walk = start(dump, machine, space)
    walk:add(registers.pc, "registers")
    local user = machine.unwind(walk, registers)
    return backtrace.frames(walk.found, walk.names, registers.is_return), user
  end)
end

local function registers_of(cpu)
  local registers = {pc = cpu.pc, sp = cpu.sp, fp = cpu.regs.rbp or cpu.regs.x29}
  for name, value in pairs(cpu.regs) do
    registers[name] = registers[name] or value
  end
  return registers
end

-- The frames of a vCPU, an array: in the kernel, and then those of the program that it runs, as
-- far as the space maps them. nil, message, code.
function unwind.vcpu(dump, cpu, space)
  local machine, message, code = machine_of(dump)
  if machine and not space then
    space, message, code = dump:space(cpu)
  end
  if not machine or not space then
    return nil, message, code
  end
  return errors.catch(function()
    local walk = start(dump, machine, space)
    walk:add(cpu.pc, "registers")
    local user = machine.unwind(walk, registers_of(cpu))
    if user and space:translate(user[machine.pc]) then
      walk:enter_program(user[machine.pc], user[machine.fp])
    end
    return backtrace.frames(walk.found, walk.names)
  end)
end

return unwind
