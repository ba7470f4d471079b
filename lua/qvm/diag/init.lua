-- The command qvm-diag: what the host knows of a virtual machine. Private: the
-- command is what scripts may rely on.

local qvm = require "qvm"
local json = require "qvm.diag.json"
local options_of = require "qvm.diag.options".parse
local Plain = require "qvm.diag.plain"
local Problems = require "qvm.diag.problems"
local tasks = require "qvm.diag.tasks"
local terminal = require "qvm.diag.terminal"
local text = require "qvm.diag.text"

local diag = {}

local write_error

-- print would not say when the disk is full.
local function put(line)
  local ok, why = io.stdout:write(line, "\n")
  write_error = write_error or not ok and why
end

local function report_of(run)
  local options = run.options
  local task = options.list and tasks.list or options.read and tasks.read or tasks.vm
  local ok, report, message = pcall(task, run)
  if ok and report then
    return report
  end
  run.problems:add(ok and message or text.without_place(report))
end

local function perform(run)
  local report = report_of(run)
  local found = report or {}
  if run.options.json then
    found.errors = run.problems.list
    put(json.encode(found))
  end
  if report and report.vms and #report.vms == 0 then
    run.problems.failed = true
    run.problems:complain(qvm.root() .. ": no VMs, or none that this user may see")
  end
end

-- Does what the arguments say; gives the exit status.
function diag.run(arguments)
  local problems = Problems.new("qvm-diag")
  local options, mistake = options_of(arguments)
  if not options then
    problems:complain(mistake)
    return 2
  end
  if options.root then
    qvm.root(options.root)
  end
  local run = {options = options, problems = problems}
  if not options.json then
    run.text = Plain.new(put, terminal.painter(1))
  end
  perform(run)
  local flushed, why = io.stdout:flush()
  if write_error or not flushed then
    problems:add("output: " .. (write_error or why))
  end
  return problems.failed and 1 or 0
end

return diag
