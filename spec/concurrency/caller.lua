-- Signals one VM of churn.c repeatedly and checks every success: either the VM's signal
-- count rises by one before the next call, or that server was being killed during the call.
-- A failed call must not send a signal: otherwise the count at the end would be one too
-- high.
--
-- caller.lua BOARD INDEX COUNT [simulated]
--
-- Counts only calls that found a process, COUNT of them. With "simulated", the signals are
-- not checked. Prints a line of figures as a Lua table, or ends with an error.

local qvm = require "qvm"
local system = require "system"

local board_path, index, count = arg[1], math.tointeger(arg[2]), math.tointeger(arg[3])
local simulated = arg[4] == "simulated"

-- struct vm_counters, which follows the four counters of struct scoreboard.
local at = 32 + index * 24
local board = assert(io.open(board_path, "rb"))
board:setvbuf("no")

-- A pause between two calls, so that churn gets the processor as well.
local PAUSE = 0.00005

local function read_counters()
  board:seek("set", at)
  local received, ending, ended = ("i8i8i8"):unpack(board:read(24))
  return received, ending, ended
end

local vm
repeat
  vm = qvm.vm(string.char(97 + index))
until vm

local expected = 0
-- Number of calls; of signals sent, of each kind, and to a process that was being killed;
-- of signals not sent because the process died during the call; of calls that found no
-- process; of other answers, which must be zero.
local figures = {calls = 0, sent = 0, status = 0, dump = 0, dying = 0, late = 0, nobody = 0,
  other = 0}

local function count_failure(message, code)
  assert(message:find(vm.path, 1, true), "the message does not name the VM: " .. message)
  if code == "gone" and message:find("which served it, is gone", 1, true) then
    figures.late = figures.late + 1
  elseif code == "gone" or simulated and code == "not_found" then
    figures.nobody = figures.nobody + 1
  else
    figures.other = figures.other + 1
    io.stderr:write(code, ": ", message, "\n")
  end
end

-- After a success: waits until the signal is counted, or until every process that can have
-- been the target has ended without counting it.
local function account(ended_before)
  local _, ending, ended_then = read_counters()
  repeat
    local received, _, ended = read_counters()
    if received > expected then
      expected = expected + 1
      assert(received == expected, "more signals arrived than were sent")
      return
    end
    system.sleep(PAUSE)
  until ended > ended_then
  local received = read_counters()
  if received > expected then
    expected = expected + 1
    return
  end
  assert(ending > ended_before, "a success was reported, but no signal arrived")
  figures.dying = figures.dying + 1
end

while figures.sent + figures.late < count do
  local received, _, ended = read_counters()
  assert(simulated or received == expected, "a signal arrived although none was sent")
  figures.calls = figures.calls + 1
  local kind = figures.calls % 2 == 0 and "status" or "dump"
  local sent, message, code = vm:signal(kind)
  if sent then
    figures.sent = figures.sent + 1
    figures[kind] = figures[kind] + 1
    if not simulated then
      account(ended)
    end
  else
    count_failure(message, code)
  end
  system.sleep(PAUSE)
end

figures.vm = index
local words = {}
for name, value in pairs(figures) do
  words[#words + 1] = ("%s = %d"):format(name, value)
end
table.sort(words)
print(("{%s}"):format(table.concat(words, ", ")))
