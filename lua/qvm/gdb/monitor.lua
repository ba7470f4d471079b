-- The commands of gdb's "monitor". Each one takes the session, the text after its name, and
-- say(text), which writes a line to the user; say(text, true) does not end the line.

local address = require "qvm.util.address"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local packet = require "qvm.gdb.packet"

local monitor = {}

local commands = require "qvm.gdb.monitor_guest"

-- Writes a text of any length.
local function say_text(say, text)
  for piece in line.pieces(text) do
    say((piece:gsub("\r?\n$", ""):gsub("\r\n", "\n")), not piece:find("\n$"))
  end
  if text:find("[^\n]$") then
    say ""
  end
end

local function say_vcpu(thread, say)
  local cpu = thread.cpu
  local space, why = thread:space()
  say(("%6d  0x%016x  0x%016x%s"):format(cpu.index, cpu.pc, cpu.sp,
    cpu.process ~= "" and "  " .. cpu.process or ""))
  if space and space.kind == "aarch64" and not (space.lower and space.upper) then
    say(("        %s half of the addresses: unknown"):format(
      space.lower and "upper" or "lower"))
  end
  say("        " .. (space and tostring(space):match(": ([^:]*) %(vCPU %d+%)$")
    or "physical addresses: " .. why))
end

function commands.vcpus(session, _, say)
  say("  vCPU  program counter     stack pointer")
  local position = 1
  local thread, message = session.vcpus:at(position)
  while thread do
    say_vcpu(thread, say)
    position = position + 1
    thread, message = session.vcpus:at(position)
  end
  if message then -- the file was truncated meanwhile
    say(message)
  end
end

function commands.log(session, _, say)
  local text, message = session.dump:log()
  if text then
    return say_text(say, text)
  end
  say(message or "the dump contains no text; for a Linux guest, try: monitor dmesg")
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
    return say "usage: monitor phys on|off"
  end
  say(memory.is_physical and "addresses are physical"
    or "addresses are virtual, in the address space of each thread")
  if argument ~= "" then
    say "(gdb caches stacks and code; to drop them: maintenance flush dcache)"
  end
end

-- An address in a space, as the user types it: a number, or a symbol with or without an offset.
-- nil and a message.
local function address_of(space, text)
  local digits = text:match("^0[xX](%x+)$")
  if digits then
    return packet.number(digits), text .. " has more than 64 bits"
  elseif text:find("^%d+$") then
    return math.tointeger(tonumber(text)), text .. " is too large: write it with 0x"
  end
  local ok, value, message = errors.try(address.of, space, text, 1, "translate")
  return ok and value or nil, ok and message or value
end

-- The vCPU whose index was typed, or the thread that gdb asked about last. The latter need not
-- be the thread that gdb shows, so the answer names it.
local function thread_of(session, text, say)
  local thread = session.thread
  if text ~= "" then
    local index = math.tointeger(tonumber(text))
    thread = index and session.vcpus:at(index + 1)
  end
  if not thread then
    return say(("no vCPU %s; monitor vcpus lists them"):format(line.cut(text)))
  end
  say(thread.title .. ":")
  return thread
end

function commands.translate(session, argument, say)
  local what, index = argument:match("^(%S+)%s*(.*)$")
  if not what then
    return say "usage: monitor translate ADDRESS [VCPU]; an address can be a symbol+0x10"
  end
  local thread = thread_of(session, index, say)
  if not thread then
    return
  end
  local space, why = thread:space()
  if not space then
    return say(why)
  end
  local virtual, message = address_of(space, what)
  if not virtual then
    return say(message)
  end
  local physical, size, rights = space:translate(virtual)
  if physical then
    say(("0x%016x is physical 0x%016x, %s page, %s"):format(virtual, physical,
      line.in_units(size), rights))
  else
    say(size)
  end
end

function commands.backtrace(session, argument, say)
  local thread = thread_of(session, argument, say)
  if not thread then
    return
  end
  local ok, frames = errors.try(thread.backtrace, thread)
  if not ok then
    return say(frames)
  end
  for frame in frames do
    say(tostring(frame))
  end
end

local HELP = [[
monitor vcpus                     list the vCPUs and their address spaces
monitor backtrace [VCPU]          show the function calls of a vCPU
monitor translate ADDRESS [VCPU]  translate a virtual address to a physical one
monitor phys on|off               read memory by physical address, or by virtual
monitor log                       show the text in the dump
Of a Linux guest:
monitor dmesg                     show the log of the kernel
monitor crash                     show how the kernel crashed, if it did
monitor ps [NAME]                 list the tasks, or those whose name has NAME
monitor task PID                  show a task: command line, function calls
monitor modules                   list the modules of the kernel
Without VCPU, it is the thread that gdb asked about last.]]

function commands.help(_, _, say)
  say_text(say, HELP)
end

-- Runs a command line; write(text) receives the answer.
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
    return say(("no such command: %s; monitor help lists them"):format(line.cut(name)))
  end
  command(session, argument, say)
end

return monitor
