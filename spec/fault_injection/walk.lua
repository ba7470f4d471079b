-- host walk.lua memory|c|system [all] [PATTERN]: makes every call in calls.lua fail at
-- every point, and checks the result and the state afterwards. Each attempt runs in its own
-- child process, which has a copy of the original state. Prints a line for each call and
-- for each problem.

local build = os.getenv("QVM_BUILD") or "build"
package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = build .. "/?.so;" .. package.cpath

if os.getenv("QVM_LINES") then
  dofile("spec/fault_injection/lines.lua")
end

local calls = require "fault_injection.calls"
local files = require "support.files"
local lfs = require "lfs"
local faults = require "faults"

local kind, thorough, pattern = ..., false, nil
for i = 2, select("#", ...) do
  local argument = select(i, ...)
  if argument == "all" then
    thorough = true
  else
    pattern = argument
  end
end

-- Resources ------------------------------------------------------------------

local function descriptors()
  local count = 0
  for _ in lfs.dir("/proc/self/fd") do
    count = count + 1
  end
  return count
end

local function mappings()
  local count, dir = 0, files.dir()
  for line in io.lines("/proc/self/maps") do
    if line:find(dir, 1, true) then
      count = count + 1
    end
  end
  return count
end

-- Waits until the threads of abandoned queries have ended.
local function await_threads()
  local count
  repeat
    count = 0
    for name in lfs.dir("/proc/self/task") do
      count = count + (name:find("^%d") and 1 or 0)
    end
  until count == 1
end

local function resources()
  collectgarbage()
  collectgarbage()
  await_threads()
  return {blocks = faults.blocks(), descriptors = descriptors(), mappings = mappings()}
end

-- Results as text ------------------------------------------------------------

local describe

local function members(value, depth)
  local keys, parts = {}, {}
  for key in next, value do
    if type(key) == "string" or type(key) == "number" then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do
    parts[i] = tostring(key) .. "=" .. describe(value[key], depth + 1)
  end
  return table.concat(parts, ", ")
end

function describe(value, depth)
  if type(value) == "string" then
    return ("%q"):format(value)
  elseif type(value) == "table" then
    return depth > 4 and "{...}" or "{" .. members(value, depth) .. "}"
  elseif type(value) == "number" or type(value) == "boolean" or value == nil then
    return tostring(value)
  end
  return type(value)
end

local function describe_all(results, from)
  local parts = {}
  for i = from, results.n do
    parts[#parts + 1] = describe(results[i], 1)
  end
  return table.concat(parts, "; ")
end

-- Attempts -------------------------------------------------------------------

-- The ways in which a disturbed call may end, besides the undisturbed result. fault.codes:
-- with one of these error codes; fault.memory: it raises "not enough memory"; fault.none:
-- in no other way; fault.must: it must not succeed.
local function problem_of(fault, ok, results, reference)
  local text = describe_all(results, 4)
  if ok and text == reference.text then
    return fault.must and results[1] and "succeeds anyway" or nil
  end
  local message = tostring(results[ok and 5 or 4])
  if not ok then
    local is_memory = message:find("not enough memory", 1, true)
    if fault.memory and not is_memory then
      return "raises " .. message
    elseif not fault.memory
      and (is_memory or fault.none or not message:find(files.dir(), 1, true)) then
      return "raises " .. message
    end
  elseif type(results[5]) ~= "string" or results[4] ~= nil and results[6] == nil then
    return "returns something else: " .. text:sub(1, 200)
  elseif fault.none or fault.memory or not fault.codes[results[6]] then
    return ("is %s: %s"):format(results[6], message)
  elseif not message:find(files.dir(), 1, true) and not message:find("linux1", 1, true)
    and not message:find("/proc", 1, true) and not message:find("help_text", 1, true) then
    return "does not name the file: " .. message
  end
end

local function differs(now, limit, exactly)
  for name, count in pairs(limit) do
    if now[name] > count or exactly and now[name] ~= count then
      return ("%d %s, not %d"):format(now[name], name, count)
    end
  end
end

-- In the child ---------------------------------------------------------------

-- Reports to the parent: "at" (what the child is about to do, so that the parent knows what
-- ended it), "problem" or "done".
local function say(kind_of_line, ...)
  faults.say(kind_of_line .. "\t" .. table.concat({...}, "\t"):gsub("\n", " ") .. "\n")
end

-- Makes one attempt, then the same call undisturbed. Returns whether the fault was reached,
-- and the problem, if there is one.
local function attempt(call, fault, at, reference)
  local function run()
    return call.run("x")
  end
  if call.prepare then
    call.prepare("x")
  end
  local results = table.pack(faults.run(run, fault.what, at, fault.all, fault.number))
  local hit, ok = results[1], results[3]
  local failed = not ok or results[4] == nil and reference.text:sub(1, 3) ~= "nil"
  local problem = problem_of(fault, ok, results, reference)
  results = nil -- luacheck: ignore
  problem = problem or differs(resources(), reference.resources)
  problem = problem or failed and call.failed and call.failed("x")
  if call.prepare and not failed and not call.kept then
    call.prepare("x")
  end
  local repeated = table.pack(faults.run(run, "", 0))
  local text = describe_all(repeated, 4)
  repeated = nil -- luacheck: ignore
  if not problem and text ~= reference.text then
    problem = "the next call returns " .. text:sub(1, 300)
  end
  return hit, problem or differs(resources(), reference.resources, true)
end

-- The next point to test. The first points are all tested; if there are many or the call is
-- slow, later ones are sampled more and more sparsely.
local function next_point(call, at)
  if thorough then
    return at + 1
  end
  return at + 1 + (call.slow and at // 3 or at > 100 and at // 20 or 0)
end

local function walk(call, fault, reference)
  local at, hit = 1, true
  while hit do
    local problem
    say("at", fault.what, fault.name or "", at, fault.all and "and all after" or "")
    hit, problem = attempt(call, fault, at, reference)
    if problem then
      say("problem", problem)
    end
    at = next_point(call, at)
  end
end

-- Records the undisturbed result, the number of calls by name and the resources held
-- afterwards.
local function reference_of(call)
  if call.prepare then
    call.prepare("x")
  end
  local results = table.pack(faults.run(function() return call.run("x") end, "c", 0))
  local reference = {text = describe_all(results, 4), calls = faults.calls()}
  results = nil -- luacheck: ignore
  reference.resources = resources()
  return reference
end

-- Faults ---------------------------------------------------------------------

local function codes(...)
  local set = {}
  for _, code in ipairs {...} do
    set[code] = true
  end
  return set
end

local io_codes = codes("io")

local interrupted = {none = true}
local hard, certain = {}, {}

-- By function of the C library: the errors it fails with, and the allowed outcomes.
local outcomes = {
  open = {EINTR = interrupted, EMFILE = hard, ENFILE = hard, EIO = hard, ENOMEM = "memory"},
  openat = {EINTR = interrupted, EMFILE = hard, EIO = hard},
  read = {EINTR = interrupted, short = interrupted, slow = interrupted, EIO = hard},
  pread = {EINTR = interrupted, short = interrupted, EIO = hard},
  write = {EINTR = interrupted, short = interrupted, ENOSPC = hard, EIO = hard},
  fsync = {EINTR = interrupted, EIO = hard},
  close = {EINTR = interrupted},
  stat = {EIO = hard}, fstat = {EIO = hard}, fstatat = {EIO = hard}, lseek = {EIO = hard},
  rename = {EIO = hard}, mkdir = {ENOSPC = hard}, fchmod = {EIO = hard},
  opendir = {EMFILE = hard, ENOMEM = "memory"}, readdir = {EIO = hard},
  fdopen = {ENOMEM = "memory"},
  fgets = {EIO = certain}, -- an unreadable process must not count as identified
  fopen = {EMFILE = hard}, fread = {EIO = hard},
  poll = {EINTR = interrupted}, fcntl = {EIO = hard}, readlinkat = {EIO = hard},
  inotify_init1 = {EMFILE = hard}, inotify_add_watch = {ENOSPC = hard},
  pthread_create = {EAGAIN = interrupted},
}

local function walk_system(call, reference)
  for _, what in ipairs(call.ignore or {}) do
    reference.calls[what] = nil
  end
  for what, list in pairs(outcomes) do
    for name, outcome in pairs(list) do
      if reference.calls[what] then
        walk(call, {what = what, name = name, number = faults[name] or name,
          memory = outcome == "memory", none = outcome == interrupted,
          must = outcome == certain, codes = io_codes}, reference)
      end
    end
  end
end

local function walk_memory(call, reference)
  local what = kind == "memory" and "lua" or "c"
  walk(call, {what = what, all = false, memory = true}, reference)
  walk(call, {what = what, all = true, memory = true}, reference)
end

-- The parent -----------------------------------------------------------------

local problems, attempts = 0, 0

-- Waits for the child of a call and counts what it reports.
local function finish(child)
  local text, signal = faults.finish(child.id, child.where)
  local last, made = "", 0
  for how, rest in text:gmatch("(%l+)\t([^\n]*)\n") do
    if how == "at" then
      last, made = rest, made + 1
    elseif how == "problem" then
      problems = problems + 1
      print(("PROBLEM %s: %s: %s"):format(child.call.name, last, rest))
    end
  end
  if signal or not text:find("done\t\n$") then
    problems = problems + 1
    print(("PROBLEM %s: %s: ended by %s: %s"):format(child.call.name, last,
      signal and "signal " .. signal or "itself", text:match("[^\n]*$")))
  end
  attempts = attempts + made
  print(("%s: %d attempts"):format(child.call.name, made))
end

local AT_ONCE = 2

local o = calls.objects()
local running = {}

local function finish_down_to(count)
  while #running > count do
    finish(table.remove(running, 1))
  end
end

for _, call in ipairs(calls.list(o)) do
  if not pattern or call.name:find(pattern) then
    finish_down_to(call.alone and 0 or AT_ONCE - 1)
    local child, where = faults.start(function()
      local reference = reference_of(call)
      local disturb = kind == "system" and walk_system or walk_memory
      disturb(call, reference)
      say("done")
      os.exit(0)
    end)
    running[#running + 1] = {id = child, where = where, call = call}
    finish_down_to(call.alone and 0 or AT_ONCE)
  end
end
finish_down_to(0)
calls.clean()
print(("%d attempts, %d problems"):format(attempts, problems))
os.exit(problems == 0 and 0 or 1, true)
