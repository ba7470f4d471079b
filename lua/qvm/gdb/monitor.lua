-- What gdb's command "monitor" can ask. Each command is given the session, what stands
-- behind its name, and say(text), which writes a line; say(text, true) leaves it open.

local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local packet = require "qvm.gdb.packet"

local monitor = {}

local commands = {}

-- Says a text of any length.
local function say_text(say, text)
  for piece in line.pieces(text) do
    say((piece:gsub("\r?\n$", ""):gsub("\r\n", "\n")), not piece:find("\n$"))
  end
  if text:find("[^\n]$") then
    say ""
  end
end

local function say_vcpu(session, cpu, say)
  local space, why = session.memory:space(cpu)
  say(("%6d  0x%016x  0x%016x%s"):format(cpu.index, cpu.pc, cpu.sp,
    cpu.process ~= "" and "  " .. cpu.process or ""))
  if space and space.kind == "aarch64" and not (space.lower and space.upper) then
    say(("        the %s half of the addresses: not known"):format(
      space.lower and "upper" or "lower"))
  end
  say("        " .. (space and tostring(space):match(": ([^:]*) %(vCPU %d+%)$")
    or "physical addresses: " .. why))
end

function commands.vcpus(session, _, say)
  say("  vCPU  program counter     stack pointer")
  local index = 0
  local cpu, message = session.dump:vcpu(index)
  while cpu do
    say_vcpu(session, cpu, say)
    index = index + 1
    cpu, message = session.dump:vcpu(index)
  end
  if message then -- the file was cut meanwhile
    say(message)
  end
end

function commands.log(session, _, say)
  local text, message = session.dump:log()
  if text then
    return say_text(say, text)
  end
  say(message or "the dump carries no text; of a Linux guest, try: monitor dmesg")
end

function commands.dmesg(session, _, say)
  local ok, messages, log = errors.try(session.dump.dmesg, session.dump)
  if not ok then
    return say(messages)
  end
  for message in messages do
    say_text(say, tostring(message))
  end
  if log.skipped > 0 then
    say(("%d messages were left out: %s"):format(log.skipped, log.reason or "they are damaged"))
  end
  if log.given == 0 then
    say "the kernel log is empty"
  end
end

function commands.phys(session, argument, say)
  local memory = session.memory
  if argument == "on" or argument == "off" then
    memory.is_physical = argument == "on"
  elseif argument ~= "" then
    return say "monitor phys on, or off"
  end
  say(memory.is_physical and "addresses are physical"
    or "addresses are those of each vCPU's address space")
  if argument ~= "" then
    say "(to drop what gdb has read before of stacks and code: maintenance flush dcache)"
  end
end

-- An address as a person writes it: a number or a symbol.
local function address_of(session, text)
  local digits = text:match("^0[xX](%x+)$")
  if digits then
    return packet.number(digits), text .. " has more than 64 bits"
  elseif text:find("^%d+$") then
    return math.tointeger(tonumber(text)), text .. " is too large: write it with 0x"
  end
  return session.dump:address(text)
end

-- The vCPU of an index that was typed, else the one that gdb asked about last: that need
-- not be the one of the thread it shows, so answers say of which vCPU they are.
local function vcpu_of(session, text, say)
  local cpu = session.cpu
  if text ~= "" then
    local index = math.tointeger(tonumber(text))
    cpu = index and (session.dump:vcpu(index))
  end
  if not cpu then
    return say(("no vCPU %s; monitor vcpus lists them"):format(line.cut(text)))
  end
  say(("vCPU %d:"):format(cpu.index))
  return cpu
end

function commands.translate(session, argument, say)
  local what, index = argument:match("^(%S+)%s*(.*)$")
  if not what then
    return say "monitor translate ADDRESS [VCPU]: a number, or a symbol of a Linux kernel"
  end
  local cpu = vcpu_of(session, index, say)
  if not cpu then
    return
  end
  local address, message = address_of(session, what)
  local space, why = session.memory:space(cpu)
  if not address or not space then
    return say(not address and message or why)
  end
  local physical, size, rights = space:translate(address)
  if physical then
    say(("0x%016x is physical 0x%016x, %s page, %s"):format(address, physical,
      line.in_units(size), rights))
  else
    say(size)
  end
end

function commands.backtrace(session, argument, say)
  local cpu = vcpu_of(session, argument, say)
  if not cpu then
    return
  end
  local space = session.memory:space(cpu)
  local ok, frames = errors.try(cpu.backtrace, cpu, space)
  if not ok then
    return say(frames)
  end
  for frame in frames do
    say(tostring(frame))
  end
end

local HELP = [[
monitor vcpus                     the vCPUs and their address spaces
monitor backtrace [VCPU]          the calls that a vCPU was in, with names
monitor translate ADDRESS [VCPU]  where a virtual address is in physical memory
monitor phys on|off               whether gdb reads physical addresses
monitor log                       the text that the dump carries
monitor dmesg                     the log of a Linux kernel
Where no VCPU is given, it is the one that gdb asked about last.]]

function commands.help(_, _, say)
  say_text(say, HELP)
end

--- Does what a line says; write(text) is given what there is to tell.
function monitor.run(session, typed, write)
  local name, argument = typed:match("^%s*(%S*)%s*(.-)%s*$")
  local function say(text, goes_on)
    write(line.escape_lines(text) .. (goes_on and "" or "\n"))
  end
  if name == "" then
    name = "help"
  end
  local command = commands[name]
  if not command then
    return say(("no such command: %s; monitor help lists what there is"):format(line.cut(name)))
  end
  command(session, argument, say)
end

return monitor
