-- The command qvm-diag: reports what the host knows about its virtual machines. A task
-- (qvm.diag.tasks) collects the report as a table (collect), which is written as text (plain),
-- JSON, HTML or metrics (prometheus).

local command = require "qvm.cli.command"
local configuration = require "qvm.diag.configuration"
local qvm = require "qvm"
local collect = require "qvm.diag.collect"
local command_line = require "qvm.diag.options"
local Plain = require "qvm.diag.plain"
local system = require "qvm.util.system"
local tasks = require "qvm.diag.tasks"
local text = require "qvm.cli.text"

local diag = {}

local NAME = "qvm-diag"
local SCHEMA = 1 -- of the JSON: counts changes that a reader must know of, see docs/reports.md

local function task_of(options)
  return options.prometheus and tasks.metrics or options.list and tasks.list
    or options.all and tasks.all or options.dmesg and tasks.dmesg
    or options.read and tasks.read or options.vm and tasks.vm or tasks.several
end

local function load_baseline(run)
  local path = run.options.baseline
  local errata, message = qvm.errata.load(path)
  if not errata then
    return run.problems:add(message)
  end
  return {path = path, errata = errata}
end

local function report_of(run)
  local ok, report, message = pcall(task_of(run.options), run)
  if ok and report then
    return report
  end
  run.problems:add(ok and message or text.without_place(report))
end

local function none_message()
  return qvm.root() .. ": no VMs, or none that this user may see"
end

local function differs(report)
  for _, about in ipairs(report.vms or {report}) do
    if about.baseline and #about.baseline.differences > 0
      or about.configuration and about.configuration.differences > 0 then
      return true
    end
  end
  return false
end

-- Writes the HTML page, as a whole or not at all.
local function write_page(run, report)
  report.errors = run.problems.list
  local page = require "qvm.diag.html".page(report, not run.options.list)
  local ok, message = system.save(run.options.html, page, true)
  if not ok then
    run.problems:add(message)
  end
end

local function report_once(run)
  local options = run.options
  local report = report_of(run)
  local has_none = report and report.vms and #report.vms == 0
  if has_none then
    run.problems:add(none_message())
  end
  if options.html and report and not has_none then
    write_page(run, report)
  end
  if options.json then
    local found = report or {}
    found.schema, found.errors = SCHEMA, run.problems.list
    collect.write_json(command.write, found)
    command.print()
  end
  return run.problems.failed and 1 or report and differs(report) and 3 or 0
end

-- A VM that is down is no failure of the command: the metrics say so.
local function write_metrics(run)
  local report = report_of(run)
  local directory = os.getenv("QVM_DUMP_DIR")
  local metrics, message
  if report then
    metrics, message = require "qvm.diag.prometheus".text(report.vms,
      directory ~= "" and directory or nil)
  end
  if not metrics then
    if message then
      run.problems:add(message)
    end
    return 1
  end
  command.print(metrics)
  return 0
end

-- The report as lines, with messages at the end.
local function lines_of(run, progress)
  local lines, paint = {}, run.paint
  local function add(more)
    for line in (more .. "\n"):gmatch("([^\n]*)\n") do
      lines[#lines + 1] = line
    end
  end
  local messages = {}
  local problems = command.problems(NAME, function(message)
    messages[#messages + 1] = paint(NAME .. ":", "bad") .. " " .. message
  end)
  local report, message = task_of(run.options) {options = run.options, problems = problems,
    baseline = run.baseline, text = Plain.new(add, paint, false, run.width), threads = run.threads,
    progress = progress}
  if message or report.vms and #report.vms == 0 then
    problems:report(message or none_message())
  end
  for i, line in ipairs(messages) do
    lines[#lines + 1] = i == 1 and #lines > 0 and "" or nil
    lines[#lines + 1] = line
  end
  return lines
end

local function watch(run)
  if not command.is_terminal(1) or command.is_dumb() then
    run.problems:report("--watch needs a terminal that can move its cursor")
    return 2
  elseif run.problems.failed then -- no baseline: the message would be overwritten
    return 1
  end
  local view, paint = require "qvm.diag.watch", command.painter(1)
  run.threads, run.width = {}, command.WIDTH - view.MARGIN
  function run.paint(plain, way)
    return way == "moving" and view.paint_moving(plain) or paint(plain, way)
  end
  local options = run.options
  local ok, message = view.run(NAME .. " "
    .. (options.vms and text.escape_controls(table.concat(options.vms, " "))
      or options.list and "--list" or "--all"),
    options.watch, function(progress) return lines_of(run, progress) end)
  if not ok then
    run.problems:add(text.without_place(message))
  end
  return ok and 0 or 1
end

diag.parser = command_line.parser

-- Runs the command. Returns its exit status.
function diag.run(arguments)
  local problems = command.problems(NAME)
  local options, mistake = command_line.parse(arguments)
  if not options then
    problems:report(mistake)
    return 2
  end
  if options.root then
    qvm.root(options.root)
  end
  local run = {options = options, problems = problems}
  run.baseline = options.baseline and load_baseline(run)
  run.configuration = options.conf and configuration.load(options, problems)
  if not options.json and not options.html and not options.watch then
    run.text = Plain.new(command.print, command.painter(1), options.full)
  end
  local action = options.watch and watch or options.prometheus and write_metrics or report_once
  return command.finish(NAME, action(run), 1)
end

return diag
