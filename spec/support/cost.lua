-- Measures the cost of a part of a script: runs it in a separate Lua process, which reports the
-- growth of its peak memory and the processor time.

local files = require "support.files"
local process = require "support.process"

local cost = {}

-- The cost rule: the memory of a call in addition to its answer, and a generous time limit, which
-- only an unbounded call exceeds, even on a slow machine.
cost.memory = 64 * 1024 * 1024
cost.seconds = 20

-- A sanitizer or valgrind adds memory of its own, so memory is then not checked.
cost.is_exact = not os.getenv("QVM_PRELOAD") and not os.getenv("QVM_VALGRIND")

local PROGRAM = [[
local function peak()
  for line in io.lines("/proc/self/status") do
    local size = line:match("^VmHWM:%%s*(%%d+) kB")
    if size then return tonumber(size) * 1024 end
  end
end
local function reset()
  local file = io.open("/proc/self/clear_refs", "w")
  if file then file:write("5") file:close() end
end
local qvm = require "qvm"
local measured = function() %s end
collectgarbage() reset()
local before, clock = peak(), os.clock()
local ok, answer = pcall(measured)
print(ok, peak() - before, ("%%.3f"):format(os.clock() - clock), answer)
]]

-- Runs the text of a function's body, in which `qvm` is the library. Returns bytes, seconds and
-- the body's result as text; raises its error.
function cost.of(body)
  local path = files.write("cost.lua", PROGRAM:format(body))
  local build = os.getenv("QVM_BUILD") or "build"
  local status, output, errors = process.run({"env", "LUA_PATH=lua/?.lua;lua/?/init.lua;;",
    "LUA_CPATH=" .. build .. "/?.so;;", "LD_PRELOAD=" .. (os.getenv("QVM_PRELOAD") or ""),
    "ASAN_OPTIONS=detect_leaks=0", "lua5.4", path})
  assert(status == 0, errors)
  local ok, bytes, seconds, answer = output:match("^(%a+)\t(%-?%d+)\t([%d.]+)\t(.*)\n$")
  assert(ok == "true", answer or output)
  return math.tointeger(tonumber(bytes)), tonumber(seconds), answer
end

-- Checks that a body obeys the cost rule. answer_bytes: size of its answer.
function cost.check(body, answer_bytes)
  local bytes, seconds, answer = cost.of(body)
  if cost.is_exact then
    assert(bytes <= cost.memory + (answer_bytes or 0), ("%d bytes of memory"):format(bytes))
  end
  assert(seconds <= cost.seconds, ("%.1f s"):format(seconds))
  return answer, bytes, seconds
end

return cost
