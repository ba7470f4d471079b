-- The tasks of qvm-diag. Each function gets the run: its options, its problems, the baseline,
-- and `text`, which writes for people, or nil. It returns the report; nil, message.

local collect = require "qvm.diag.collect"
local errors = require "qvm.util.errors"
local json = require "qvm.diag.json"
local qvm = require "qvm"
local terminal = require "qvm.diag.terminal"
local text = require "qvm.diag.text"

local tasks = {}

local function show_progress(written, total)
  io.stderr:write("\r\27[Kdump: ", text.in_units(written), total and
    (" of %s, %d%%"):format(text.in_units(total), math.floor(written / total * 100)) or "")
end

-- Progress is shown only on a terminal.
local function take_dump(run, vm)
  local options, is_terminal = run.options, terminal.is_one(2)
  local dump, message = vm:dump {dir = options.dump, timeout = options.timeout,
    progress = is_terminal and show_progress or nil}
  if is_terminal then
    io.stderr:write("\r\27[K")
  end
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

-- Each part is written as soon as it is complete: a dump can take a minute.
local function report_vm(run, vm)
  local options = run.options
  local report = collect.vm(vm, run.problems, run.baseline)
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

function tasks.vm(run)
  local vm, message, code = qvm.vm(run.options.vm)
  if not vm then
    return nil, message .. (code == "not_found" and " (--list shows all VMs)" or "")
  end
  return report_vm(run, vm)
end

-- A report with each(vm) for all VMs.
local function of_all(each)
  local names, message = qvm.names()
  if not names then
    return nil, message
  end
  local vms = {}
  for vm in qvm.vms() do
    vms[#vms + 1] = (each(vm))
  end
  return {vms = vms}
end

function tasks.all(run)
  local is_first = true
  return of_all(function(vm)
    if run.text and not is_first then
      run.text:say("\n%s", ("-"):rep(80))
      run.text:say("")
    end
    is_first = false
    return report_vm(run, vm)
  end)
end

function tasks.list(run)
  local report, message = of_all(function(vm)
    return collect.vm(vm, run.problems)
  end)
  if report and #report.vms > 0 and run.text then
    run.text:list(report.vms)
  end
  return report, message
end

-- Opens a dump. A truncated one is opened as far as it goes.
local function open(run)
  local dump, message, code = qvm.open(run.options.read)
  if code == "truncated" then
    run.problems:add(message)
    return qvm.open(run.options.read, {partial = true})
  end
  return dump, message
end

-- Reports what is missing from a kernel log. An empty one is a warning.
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
  if log.given == 0 then
    run.problems:warn(path .. ": the kernel log is empty")
  end
end

-- Prints the kernel's log like dmesg(1), without limiting lines. Messages are kept only for
-- JSON, as JSON text.
function tasks.dmesg(run)
  local dump, message = open(run)
  if not dump then
    return nil, message
  end
  local ok, messages, log = errors.try(dump.dmesg, dump)
  if not ok then
    dump:close()
    return nil, messages
  end
  local report = {messages = {}}
  for m in messages do
    if run.text then
      run.text.put(tostring(m))
    else
      table.insert(report.messages, json.encode {seq = m.seq, time = m.time, caller = m.caller,
        text = m.text})
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

-- Reports VMs for metrics. A VM that is absent has metrics, too. It is not up if its qvm does
-- not answer.
function tasks.metrics(run)
  local function each(vm)
    local about, code = collect.vm(vm, run.problems)
    if code ~= "permission" then -- otherwise it is not known
      about.is_up = about.pid ~= nil and about.state ~= "stuck"
    end
    return about
  end
  if not run.options.vm then
    return of_all(each)
  end
  local vm, message, code = qvm.vm(run.options.vm)
  if not vm and code ~= "not_found" then
    return nil, message
  end
  return {vms = {vm and each(vm) or {name = run.options.vm, state = "unavailable",
    is_up = false}}}
end

return tasks
