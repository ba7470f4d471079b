-- Signals one VM of churn.c again and again, and accounts for
-- every single success: the VM's count of signals rises by one before the next
-- call is made, or that life was being killed during the call. A failure must
-- not have sent anything: then the count would be one too high at the end.
--
--     caller.lua BOARD INDEX COUNT [simulated]
--
-- COUNT calls that found a process: to find none is no test. Of a simulated VM
-- the signals are not accounted for. Prints a line of figures as Lua, or ends
-- with what was wrong.

local qvm = require "qvm"
local system = require "system"

local board_path, index, count = arg[1], math.tointeger(arg[2]), math.tointeger(arg[3])
local simulated = arg[4] == "simulated"

-- struct vm_counters, after the four counters of struct scoreboard.
local at = 32 + index * 24
local board = assert(io.open(board_path, "rb"))
board:setvbuf("no")

-- Between two calls: churn is to have the processor too.
local PAUSE = 0.00005

local function look()
  board:seek("set", at)
  local received, ending, ended = ("i8i8i8"):unpack(board:read(24))
  return received, ending, ended
end

local vm
repeat
  vm = qvm.vm(string.char(97 + index))
until vm

local expected = 0
-- calls; signals that were sent, of each kind, and to a process that was being killed;
-- not sent since the process died during the call; no process was there; any other
-- answer, and there should be none.
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

-- After a success: waits until the signal is counted, or until every life that
-- can have been meant is over without having counted it.
local function account(ended_before)
  local _, ending, ended_then = look()
  repeat
    local received, _, ended = look()
    if received > expected then
      expected = expected + 1
      assert(received == expected, "more signals arrived than were sent")
      return
    end
    system.sleep(PAUSE)
  until ended > ended_then
  local received = look()
  if received > expected then
    expected = expected + 1
    return
  end
  assert(ending > ended_before, "a success was reported, but no signal arrived")
  figures.dying = figures.dying + 1
end

while figures.sent + figures.late < count do
  local received, _, ended = look()
  assert(simulated or received == expected, "a signal arrived though none was sent")
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
