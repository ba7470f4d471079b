-- Measures the library's jobs against other programs and against what the machine can do:
--
--     lua5.4 spec/bench/bench.lua [JOB...]
--
-- JOB selects the jobs whose name contains one of these words. Prints one table and writes
-- the results to build/bench/results.json, whose times of qvm are the column "before" of the
-- next run. A run of all jobs also writes the table to build/bench/performance.md.

package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = (os.getenv("QVM_BUILD") or "build") .. "/?.so;" .. package.cpath

local cjson = require "cjson"
local input = require "bench.input"
local jobs = require "bench.jobs"
local measure = require "bench.measure"
local sheet = require "bench.sheet"
local system = require "system"

local directory = (os.getenv("QVM_BUILD") or "build") .. "/bench/"

local function selected(words)
  local list = {}
  for _, job in ipairs(jobs) do
    local wanted = #words == 0
    for _, word in ipairs(words) do
      wanted = wanted or job.name:lower():find(word:lower(), 1, true)
    end
    list[#list + 1] = wanted and job or nil
  end
  return list
end

local function previous()
  local file <close> = io.open(directory .. "results.json")
  local ok, results = pcall(cjson.decode, file and file:read("a") or "{}")
  return ok and results.jobs or {}
end

local function machine()
  return (measure.output_of {"sh", "-c", [[
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    printf '%s cores, %s; Linux %s' "$(nproc)" "${model:-$(uname -m)}" "$(uname -r)"]]})
end

local function run(job)
  input.warm(job.files)
  local contenders, _ <close> = job.start(input.path)
  return measure.all(contenders)
end

local function main(words)
  local list, results, rows, start = selected(words), previous(), {}, system.monotime()
  if #list == 0 then
    error("no job has such a name", 0)
  end
  for _, job in ipairs(list) do
    for _, name in ipairs(job.files) do
      assert(input.path[name])
    end
  end
  local title = ("%s; %s"):format(machine(), os.date("%Y-%m-%d"))
  print(title .. "\n")
  sheet.head()
  for i, job in ipairs(list) do
    local before = results[job.name] and results[job.name].qvm.median
    rows[i] = {name = job.name, results = run(job)}
    results[job.name] = rows[i].results
    results[job.name].date = os.date("%Y-%m-%d %H:%M")
    sheet.row(job.name, rows[i].results, before)
  end
  sheet.notes(rows)
  print(("\n%d jobs in %s"):format(#rows, sheet.duration(system.monotime() - start)))
  input.write("results.json", cjson.encode {machine = machine(), date = os.date("%Y-%m-%d %H:%M"),
    jobs = results})
  if #list == #jobs then
    input.write("performance.md", sheet.markdown(rows, title))
  end
end

local ok, problem = pcall(main, arg)
if not ok then
  io.stderr:write("bench: ", tostring(problem), "\n")
  os.exit(1)
end
