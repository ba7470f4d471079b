-- Programs that are timed. Each is given the work to do and how often, and gives
-- a measurement back: `seconds` (the median), `once` (whether it ran only once,
-- because that takes long), `result`, or `absent`, the reason why there is none.

local process = require "support.process"

local run = {
  times = 5,
  long = 10, -- seconds; what takes longer runs once
}

local build = os.getenv("QVM_BUILD") or "build"
local lua = os.getenv("LUA") or "lua5.4"

local function output_of(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = process.quote(tostring(word))
  end
  local pipe = assert(io.popen(table.concat(quoted, " ") .. " 2>&1"))
  local output = pipe:read("a")
  pipe:close()
  return output
end

local function median(numbers)
  table.sort(numbers)
  return numbers[#numbers // 2 + 1]
end

local function measurement(output)
  local times = {}
  for seconds in output:gmatch("time (%S+)") do
    times[#times + 1] = tonumber(seconds)
  end
  local absent = output:match("absent ([^\n]*)")
  if not absent and #times == 0 then
    absent = output:match("([^\n]*)\n*$")
  end
  return {seconds = median(times), absent = absent, result = output:match("result (%x+)"),
    status = tonumber(output:match("status (%d+)"))}
end

-- The first run warms up, and tells how long it takes.
local function measure(before, after, times)
  local function go(count)
    local words = {table.unpack(before)}
    words[#words + 1] = count
    return measurement(output_of(table.move(after, 1, #after, #words + 1, words)))
  end
  io.stderr:write(("  %s\n"):format(table.concat(before, " ")))
  local first = go(1)
  if first.absent then
    return first
  elseif first.seconds > run.long then
    first.once = true
    return first
  end
  return go(times or run.times)
end

function run.qvm(work, ...)
  return measure({lua, "spec/bench/work.lua", work}, {...})
end

function run.qvm_on_one_core(work, ...)
  return measure({"taskset", "-c", "0", lua, "spec/bench/work.lua", work}, {...})
end

function run.bound(work, ...)
  return measure({build .. "/bench/bound", work}, {...})
end

-- Debian's Python: its packages are not seen by another one.
function run.python(work, peer, ...)
  return measure({"/usr/bin/python3", "spec/bench/peer.py", work, peer}, {...})
end

-- A whole program; statuses: those that are no failure.
function run.program(words, statuses, times)
  local output = build .. "/bench/output"
  local result = measure({build .. "/bench/stopwatch"}, {output, table.unpack(words)}, times)
  if not result.absent and not (statuses or "0"):find(result.status, 1, true) then
    return {absent = ("%s: exit status %d"):format(words[1], result.status)}
  end
  local file <close> = assert(io.open(output, "rb"))
  result.output = file:read(64) or ""
  return result
end

-- A shell's command line, as a whole program.
function run.shell(line, statuses, times)
  return run.program({"sh", "-c", line}, statuses, times)
end

function run.system(words)
  return (output_of(words):gsub("%s+$", ""))
end

return run
