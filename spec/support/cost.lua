-- What a piece of a script costs: it runs in a Lua of its own, which reports how far its
-- memory grew beyond what it had before, and the processor time that it took.

local files = require "support.files"
local process = require "support.process"

local cost = {}

-- The cost rule: memory of a call beside its answer, and a generous bound of seconds, which
-- only a call without a limit passes, on a slow machine too.
cost.memory = 64 * 1024 * 1024
cost.seconds = 20

-- The module under the specs' preload (a sanitizer) has memory of its own beside what it is
-- asked for, so memory is then not judged.
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

-- Runs the text of a function's body, in which `qvm` is the library; it returns one value,
-- which comes back as text. Returns bytes, seconds, that text; raises what it raised.
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

-- Checks that a body stays within the rule, with so many bytes of answer beside.
function cost.check(body, answer_bytes)
  local bytes, seconds, answer = cost.of(body)
  if cost.is_exact then
    assert(bytes <= cost.memory + (answer_bytes or 0), ("%d bytes of memory"):format(bytes))
  end
  assert(seconds <= cost.seconds, ("%.1f s"):format(seconds))
  return answer, bytes, seconds
end

return cost
