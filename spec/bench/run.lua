-- Programs that are timed. Each takes a work and a number of repetitions, and returns a
-- measurement: `seconds` (the median), `once` (true if it ran only once because it takes
-- long), `first` (seconds of the first run), `result`, or `absent` (why there is no
-- measurement).

local process = require "support.process"

local run = {
  times = 5, long = 10, -- seconds; longer work runs once
  often = 25, short = 0.1, -- shorter work runs this often
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

-- The first run warms up and estimates the duration. statuses: exit statuses of a program
-- that are not failures.
local function measure(before, after, statuses)
  local function go(count)
    local words = {table.unpack(before)}
    words[#words + 1] = count
    local found = measurement(output_of(table.move(after, 1, #after, #words + 1, words)))
    if found.status and not (statuses or "0"):find(found.status, 1, true) then
      return {absent = ("%s: exit status %d"):format(words[#before + 3], found.status)}
    end
    return found
  end
  io.stderr:write(("%s %s\n"):format(table.concat(before, " "), table.concat(after, " ")))
  local first = go(1)
  if first.absent then
    return first
  elseif first.seconds > run.long then
    first.once = true
    return first
  end
  local found = go(first.seconds < run.short and run.often or run.times)
  found.first = first.seconds
  return found
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

-- Uses Debian's Python, since another one does not see Debian's packages.
function run.python(work, peer, ...)
  return measure({"/usr/bin/python3", "spec/bench/peer.py", work, peer}, {...})
end

-- A complete program.
function run.program(words, statuses)
  local output = build .. "/bench/output"
  local found = measure({build .. "/bench/stopwatch"}, {output, table.unpack(words)},
    statuses)
  local file = io.open(output, "rb")
  if file then
    found.output = file:read(64) or ""
    file:close()
  end
  return found
end

-- A shell command line as a complete program.
function run.shell(line, statuses)
  return run.program({"sh", "-c", line}, statuses)
end

function run.system(words)
  return (output_of(words):gsub("%s+$", ""))
end

return run
