-- The tasks of qvm-diag, a function for each. It takes the run, which has the options, the
-- problems, the baseline, and `text`: a Plain that writes the report for people, or nil. It
-- returns the report as a table, or nil and a message. `progress`, if the run has it, is called
-- while VMs are waited for.

local qvm = require "qvm"
local command = require "qvm.cli.command"
local collect = require "qvm.diag.collect"
local configuration = require "qvm.diag.configuration"
local errors = require "qvm.util.errors"
local guest = require "qvm.diag.guest"
local text = require "qvm.cli.text"
local system = require "qvm.util.system"
local threads = require "qvm.diag.threads"

local tasks = {}

-- Returns a progress function for VM:dump. Its notes are messages, but no failures.
local function new_progress(problems)
  return function(written, total, note)
    if note then
      command.show_progress ""
      problems:report(note)
    end
    command.show_progress("dump: " .. text.in_units(written) .. (total
      and (" of %s, %d%%"):format(text.in_units(total), math.floor(written / total * 100)) or ""))
  end
end

local function take_dump(run, vm)
  local options = run.options
  local dump, deleted, undeleted = vm:dump {dir = options.dump, timeout = options.timeout,
    conf = run.configuration and run.configuration.conf, keep = options.keep,
    progress = new_progress(run.problems)}
  command.show_progress ""
  if not dump then
    return run.problems:add(deleted)
  end
  local report = collect.dump(dump, run.problems)
  dump:close()
  report.deleted = deleted
  for _, message in ipairs(undeleted or {}) do
    run.problems:add(message)
  end
  return report
end

local function take_status(run, vm)
  local log, bytes, message = run.options.status, nil, nil
  if log == "slog" then
    log, message = qvm.slog2(vm)
  end
  if log then
    bytes, message = vm:status {log = log, timeout = run.options.timeout}
  end
  if not bytes then
    run.problems:add(message)
  elseif message then
    run.problems:warn(vm.name .. ": " .. message)
  end
  return bytes
end

local function compare_configuration(run, vm)
  local about, message = configuration.compare(run.configuration, vm)
  return about or run.problems:add(message)
end

-- Saves the errata of a VM as a baseline. Returns the path. An env in which none are found may
-- be one whose errata the rules do not find: that is no baseline.
local function save_baseline(run, vm, report)
  local path = run.options.save_baseline
  if not report.errata then
    return run.problems:add(("%s: not saved: no errata or vCPUs found in %s/env"):format(path,
      vm.path))
  end
  local snapshot, message = qvm.errata.snapshot(vm)
  local is_saved
  if snapshot then
    is_saved, message = qvm.errata.save(path, snapshot)
  end
  return is_saved and path or run.problems:add(message)
end

-- Saves a VM as a record. Returns the path. Why the VM could not be read was reported before, and a
-- message is written once: so this one is about the record.
local function save_record(run, vm)
  local path = run.options.record
  local is_saved, message = qvm.record(vm, path, {conf = run.options.conf})
  if is_saved then
    return path
  end
  return run.problems:add(message:sub(1, #path) == path and message
    or ("%s: not saved: %s"):format(path, message))
end

-- Saves what the options ask for.
local function save(run, vm, report)
  local options = run.options
  report.saved_baseline = options.save_baseline and save_baseline(run, vm, report)
  report.record = options.record and save_record(run, vm)
  if run.text and report.saved_baseline then
    run.text:say("\nerrata saved as a baseline: %s", text.field(report.saved_baseline))
  end
  if run.text and report.record then
    run.text:say("\nrecord saved: %s", text.field(report.record))
  end
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
  report.configuration = run.configuration and compare_configuration(run, vm)
  if run.text then
    run.text:vm(report)
  end
  save(run, vm, report)
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

-- The answers of VMs by their names, and of those that do not exist or have ended meanwhile the
-- message and code. They are asked at once.
local function answers_of(names, progress)
  local answers, missing, there = {}, {}, {}
  for _, name in ipairs(names) do
    local vm, message, code = qvm.vm(name)
    there[#there + 1] = vm and name
    missing[name] = not vm and {message = message, code = code}
      or {message = vm.path .. ": no VM any more", code = "not_found"}
  end
  for vm in qvm.survey {names = there, progress = progress} do
    answers[vm.name], missing[vm.name] = vm, nil
  end
  return answers, missing
end

function tasks.vm(run)
  local name = run.options.vm
  local answers, missing = answers_of({name}, run.progress)
  if missing[name] and select(3, system.stat(name)) == "file" then
    return nil, ("%s is a file: --read %s"):format(name, name)
  elseif missing[name] then
    return nil, missing[name].message
      .. (missing[name].code == "not_found" and " (--list shows all VMs)" or "")
  end
  return report_vm(run, answers[name])
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

-- A function that reports on VMs, one after the other.
local function in_full(run)
  local is_first = true
  return function(vm)
    if run.text and not is_first then
      run.text:say("\n%s", ("-"):rep(80))
      run.text:say("")
    end
    is_first = false
    return report_vm(run, vm)
  end
end

function tasks.all(run)
  return of_all(run, in_full(run))
end

-- Several VMs by name. One that does not exist is a problem; the others are reported.
function tasks.several(run)
  local answers, missing = answers_of(run.options.vms, run.progress)
  local report, each, message = {vms = {}}, in_full(run), nil
  for _, name in ipairs(run.options.vms) do
    if answers[name] then
      table.insert(report.vms, each(answers[name]))
    else
      message = missing[name].message
      run.problems:add(message)
    end
  end
  return report.vms[1] and report, message
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

local function add_log_problems(run, dump, log)
  local path = run.options.read
  for _, warning in ipairs(dump:vmcoreinfo().warnings) do
    run.problems:warn(path .. ": " .. warning)
  end
  guest.report_log(run.problems, path, log, run.options.level)
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

-- Failures to find a process that say that no qvm serves the VM, or that it does not answer.
local IS_DOWN = {gone = true, not_found = true, not_qvm = true, timeout = true}

-- VMs for metrics. One that does not exist is not a failure: its metrics say so. A VM whose qvm
-- does not answer is not up. After another failure to find its process it is unknown.
function tasks.metrics(run)
  local function each(vm)
    local about, code = describe(run, vm)
    if about.pid or IS_DOWN[code] then
      about.is_up = about.pid ~= nil and about.state ~= "stuck"
    end
    return about
  end
  if not run.options.vms then
    return of_all(run, each)
  end
  local answers, missing = answers_of(run.options.vms, run.progress)
  local vms = {}
  for i, name in ipairs(run.options.vms) do
    if missing[name] and missing[name].code ~= "not_found" then
      return nil, missing[name].message
    end
    vms[i] = answers[name] and each(answers[name])
      or {name = name, state = "unavailable", is_up = false}
  end
  return {vms = vms}
end

return tasks
