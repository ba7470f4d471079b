-- The tasks of qvm-diag, a function for each. It takes the run, which has the options, the
-- problems, the baseline, and `text`: a Plain that writes the report for people, or nil. It
-- returns the report as a table, or nil and a message. `progress`, if the run has it, is called
-- while VMs are waited for.

local qvm = require "qvm"
local command = require "qvm.cli.command"
local collect = require "qvm.diag.collect"
local errors = require "qvm.util.errors"
local text = require "qvm.cli.text"
local threads = require "qvm.diag.threads"

local tasks = {}

local function show_progress(written, total)
  command.show_progress("dump: " .. text.in_units(written) .. (total
    and (" of %s, %d%%"):format(text.in_units(total), math.floor(written / total * 100)) or ""))
end

local function take_dump(run, vm)
  local options = run.options
  local dump, message = vm:dump {dir = options.dump, timeout = options.timeout,
    progress = show_progress}
  command.show_progress ""
  if not dump then
    return run.problems:add(message)
  end
  local report = collect.dump(dump, run.problems)
  dump:close()
  return report
end

local function take_status(run, vm)
  local bytes, message = vm:status {log = run.options.status, timeout = run.options.timeout}
  if not bytes then
    run.problems:add(message)
  end
  return bytes
end

-- Describes a VM. If the run is repeated, `threads` has what is known from the last time.
local function describe(run, vm)
  local report, process_code = collect.vm(vm, run.problems, run.baseline)
  if run.threads then
    threads.mark_starved(run.threads, report)
  end
  return report, process_code
end

-- Reports on a VM. Each part is written as soon as it is known: a dump can take a minute.
local function report_vm(run, vm)
  local options = run.options
  local report = describe(run, vm)
  if run.text then
    run.text:vm(report)
  end
  report.status = options.status and take_status(run, vm)
  if run.text and report.status then
    run.text:text("status text", report.status)
  end
  report.dump = options.dump and take_dump(run, vm)
  if run.text and report.dump then
    run.text:say("")
    run.text:dump(report.dump)
  end
  return report
end

-- The answer of a VM; nil, message, code if it does not exist, or has ended meanwhile.
local function answer_of(name, progress)
  local vm, message, code = qvm.vm(name)
  local answer = vm and qvm.survey {names = {name}, progress = progress}()
  if answer then
    return answer
  elseif vm then
    return nil, vm.path .. ": no VM any more", "not_found"
  end
  return nil, message, code
end

function tasks.vm(run)
  local vm, message, code = answer_of(run.options.vm, run.progress)
  if not vm then
    return nil, message .. (code == "not_found" and " (--list shows all VMs)" or "")
  end
  return report_vm(run, vm)
end

-- A report with what each(vm) returns for all VMs. They are asked at once, so that stuck ones
-- cost one time limit in all.
local function of_all(run, each)
  local names, message = qvm.names()
  if not names then
    return nil, message
  end
  local vms = {}
  for vm in qvm.survey {progress = run.progress} do
    vms[#vms + 1] = (each(vm))
  end
  return {vms = vms}
end

function tasks.all(run)
  local is_first = true
  return of_all(run, function(vm)
    if run.text and not is_first then
      run.text:say("\n%s", ("-"):rep(80))
      run.text:say("")
    end
    is_first = false
    return report_vm(run, vm)
  end)
end

function tasks.list(run)
  local report, message = of_all(run, function(vm)
    return (describe(run, vm))
  end)
  if report and #report.vms > 0 and run.text then
    run.text:list(report.vms)
  end
  return report, message
end

-- Opens the dump. A truncated one is opened as far as it goes.
local function open(run)
  local dump, message, code = qvm.open(run.options.read)
  if code == "truncated" then
    run.problems:add(message)
    return qvm.open(run.options.read, {partial = true})
  end
  return dump, message
end

-- Reports what is missing from a kernel log. An empty one is no failure, but worth a warning.
local function add_log_problems(run, dump, log)
  local path = run.options.read
  for _, warning in ipairs(dump:vmcoreinfo().warnings) do
    run.problems:warn(path .. ": " .. warning)
  end
  if log.skipped > 0 then
    run.problems:add(("%s: %s of the kernel log %s"):format(path,
      text.count(log.skipped, "record"), log.reason and "left out: " .. log.reason
      or "corrupt, and left out"))
  end
  if log.given == 0 and not run.options.level then
    run.problems:warn(path .. ": the kernel log is empty")
  end
end

-- The kernel's log, as dmesg(1) prints it: lines are not wrapped. Messages are kept only for
-- JSON, and as JSON.
function tasks.dmesg(run)
  local dump, message = open(run)
  if not dump then
    return nil, message
  end
  local ok, messages, log = errors.try(dump.dmesg, dump, {level = run.options.level})
  if not ok then
    dump:close()
    return nil, messages
  end
  local report = {messages = {}}
  for m in messages do
    if run.text then
      run.text.put(tostring(m))
    else
      table.insert(report.messages, collect.encode {seq = m.seq, time = m.time, caller = m.caller,
        level = m.level, facility = m.facility, text = m.text})
    end
  end
  add_log_problems(run, dump, log)
  dump:close()
  return report
end

function tasks.read(run)
  local dump, message = open(run)
  if not dump then
    return nil, message
  end
  local report = {dump = collect.dump(dump, run.problems)}
  dump:close()
  if run.text then
    run.text:dump(report.dump)
  end
  return report
end

-- VMs for metrics. A VM that does not exist is not a failure: its metrics say so. A VM whose qvm
-- does not answer is not up.
function tasks.metrics(run)
  local function each(vm)
    local about, code = describe(run, vm)
    if code ~= "permission" then -- else it is unknown
      about.is_up = about.pid ~= nil and about.state ~= "stuck"
    end
    return about
  end
  if not run.options.vm then
    return of_all(run, each)
  end
  local vm, message, code = answer_of(run.options.vm)
  if not vm and code ~= "not_found" then
    return nil, message
  end
  return {vms = {vm and each(vm) or {name = run.options.vm, state = "unavailable",
    is_up = false}}}
end

return tasks
