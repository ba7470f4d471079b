-- Contenders and their measurement. A contender is a name and a command; each run of it is
-- a process that prints "time SECONDS", perhaps "result N" (hexadecimal), and perhaps
-- "absent REASON". The contenders of a job run in turns, so that what disturbs the machine
-- for a while disturbs them all.

local process = require "support.process"

local measure = {}

local build = os.getenv("QVM_BUILD") or "build"
local lua = os.getenv("LUA") or "lua5.4"
local output_path = build .. "/bench/output"

-- Runs after the one that warms up. A contender whose run takes long needs none to warm up,
-- since its files are in the page cache.
local RUNS, RUNS_LONG, LONG, VERY_LONG = 5, 3, 3, 20 -- the last two in seconds

-- Contenders --------------------------------------------------------------------------

-- A job in a process of its own, done `repeats` times there: the last time counts.
local function worker(name, before, arguments)
  return {name = name, before = before, repeats = 1, arguments = arguments}
end

function measure.qvm(work, ...)
  return worker("qvm", {lua, "spec/bench/work.lua", work}, {...})
end

-- Uses Debian's Python, since another one does not see Debian's packages.
function measure.python(peer, work, ...)
  return worker(peer, {"/usr/bin/python3", "spec/bench/peer.py", work, peer}, {...})
end

function measure.bound(name, work, ...)
  return worker(name, {build .. "/bench/bound", work}, {...})
end

-- The same for what it is compared with in Lua.
function measure.other(name, work, ...)
  return worker(name, {lua, "spec/bench/work.lua", work}, {...})
end

-- A complete program.
function measure.program(name, ...)
  return {name = name, program = ..., before = {build .. "/bench/stopwatch", output_path},
    arguments = {...}}
end

-- A script about a dump, as a whole process. options: of qvm.open, as Lua's source.
function measure.script(path, code, options)
  return measure.program("qvm", lua, "-e",
    ("package.path, package.cpath = %q, %q local dump = assert(require 'qvm'.open(%q, %s)) %s")
      :format(package.path, package.cpath, path, options or "nil", code))
end

function measure.nothing()
  return measure.program("lua5.4 that does nothing", lua, "-e", "")
end

function measure.absent(name, reason)
  return {name = name, absent = reason}
end

-- For what is warm after it was done once in a process.
function measure.repeated(contender)
  contender.repeats = 2
  return contender
end

function measure.one_core(contender)
  contender.before = {"taskset", "-c", "0", table.unpack(contender.before)}
  return contender
end

-- Before each run, the file leaves the page cache.
function measure.cold(contender, path)
  contender.cold = path
  return contender
end

-- The exit statuses of one digit that are no failures, as a string.
function measure.statuses(contender, statuses)
  contender.statuses = statuses
  return contender
end

-- For a result that means something other than qvm's.
function measure.incomparable(contender)
  contender.incomparable = true
  return contender
end

-- The result is the number that the program prints.
function measure.counts(contender)
  contender.counts = true
  return contender
end

function measure.is_installed(program)
  return (os.execute("command -v " .. process.quote(program) .. " >/dev/null"))
end

-- Measuring ---------------------------------------------------------------------------

function measure.output_of(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = process.quote(tostring(word))
  end
  local pipe <close> = assert(io.popen(table.concat(quoted, " ") .. " 2>&1"))
  return pipe:read("a")
end

-- Drops a file from the page cache.
function measure.drop(path)
  assert(os.execute(("dd if=%s iflag=nocache count=0 status=none"):format(process.quote(path))))
end

local function printed_number()
  local file <close> = assert(io.open(output_path))
  local number = file:read("n")
  return math.type(number) == "integer" and ("%x"):format(number) or nil
end

local function run_once(contender, found)
  if contender.cold then
    measure.drop(contender.cold)
  end
  local words = {table.unpack(contender.before)}
  words[#words + 1] = contender.repeats -- a program has none
  local output = measure.output_of(table.move(contender.arguments, 1, #contender.arguments,
    #words + 1, words))
  local seconds = tonumber(output:match(".*time (%S+)"))
  local status = output:match("status (%d+)")
  if contender.program and not measure.is_installed(contender.program) then
    found.absent = contender.program .. " is not installed"
  elseif status and not (contender.statuses or "0"):find(status, 1, true) then
    found.absent = "exit status " .. status
  else
    found.absent = output:match("absent ([^\n]*)")
      or not seconds and (output:match("([^\n]*)\n*$") or "no output") or nil
  end
  found.times[#found.times + 1] = seconds
  if contender.counts and not found.absent then
    found.result = printed_number()
  elseif not contender.incomparable then
    found.result = output:match("result (%x+)")
  end
end

local function runs_wanted(found, cold)
  local first = found.times[1]
  if first and first > VERY_LONG then
    return 1
  end
  return first and first > LONG and RUNS_LONG or cold and RUNS or RUNS + 1
end

local function summary(found)
  local times = found.times
  if #times > RUNS then
    table.remove(times, 1) -- the one that warmed up
  end
  table.sort(times)
  return {name = found.name, median = times[#times // 2 + 1], min = times[1],
    max = times[#times], runs = #times, result = found.result}
end

-- Measures contenders, a table with some of the keys qvm, peer, bound. Returns a table with the
-- same keys: `name`, and either `absent` (why) or `median`, `min`, `max` (seconds), `runs`,
-- `result`.
function measure.all(contenders)
  local found, results = {}, {}
  for _, key in ipairs {"qvm", "peer", "bound"} do
    local contender = contenders[key]
    if contender then
      found[key] = {name = contender.name, times = {}, absent = contender.absent}
    end
  end
  for round = 1, RUNS + 1 do
    for _, key in ipairs {"qvm", "peer", "bound"} do
      local one = found[key]
      if one and not one.absent and round <= runs_wanted(one, contenders[key].cold) then
        run_once(contenders[key], one)
      end
    end
  end
  for key, one in pairs(found) do
    results[key] = one.absent and {name = one.name, absent = one.absent} or summary(one)
  end
  return results
end

return measure
