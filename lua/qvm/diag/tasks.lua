-- What qvm-diag looks for: one function a task. Each is given the run: its options,
-- its problems, the baseline, and `text`, what writes for people; nil where nobody
-- reads it. It gives the report, or nil and a message.

local qvm = require "qvm"
local collect = require "qvm.diag.collect"
local errors = require "qvm.util.errors"
local json = require "qvm.diag.json"
local terminal = require "qvm.diag.terminal"
local text = require "qvm.diag.text"

local tasks = {}

local function show_progress(written, total)
  io.stderr:write("\r\27[Kdump: ", text.in_units(written), total and
    (" of %s, %d%%"):format(text.in_units(total), math.floor(written / total * 100)) or "")
end

-- Progress is for people: nothing goes to a pipe or a file.
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

-- Each part is written as soon as it is there: a dump can take a minute.
local function tell(run, vm)
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
    return nil, message .. (code == "not_found" and " (--list shows what there is)" or "")
  end
  return tell(run, vm)
end

-- What each(vm) gives of all VMs.
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
    return tell(run, vm)
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

-- A dump that is cut is opened as far as it goes: that is better than nothing.
local function open(run)
  local dump, message, code = qvm.open(run.options.read)
  if code == "truncated" then
    run.problems:add(message)
    return qvm.open(run.options.read, {partial = true})
  end
  return dump, message
end

-- What is missing from a kernel log. An empty one is no failure, but said.
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

-- The kernel's log as dmesg(1) prints it: lines are as long as they are. Only for JSON are
-- its messages kept, as they will stand there.
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

-- VMs for metrics. That one is not there is what its metrics tell. One whose qvm does not
-- answer is not up.
function tasks.metrics(run)
  local function each(vm)
    local about, code = collect.vm(vm, run.problems)
    if code ~= "permission" then -- else nobody can tell
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
