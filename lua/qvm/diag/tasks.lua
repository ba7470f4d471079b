-- What qvm-diag does: one function a task. Each is given the run: its options,
-- its problems, and `text`, what writes for people; nil where nobody reads it.

local qvm = require "qvm"
local collect = require "qvm.diag.collect"
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
  local report = collect.dump(dump)
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
  local report = collect.vm(vm, run.problems)
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

function tasks.list(run)
  local names, message = qvm.names()
  if not names then
    return nil, message
  end
  local report = {vms = {}}
  for vm in qvm.vms() do
    table.insert(report.vms, collect.vm(vm, run.problems))
  end
  if #names > 0 and run.text then
    run.text:list(report.vms)
  end
  return report
end

function tasks.read(run)
  local dump, message, code = qvm.open(run.options.read)
  if code == "truncated" then
    -- What there is of it is better than nothing.
    run.problems:add(message)
    dump = qvm.open(run.options.read, {partial = true})
  end
  if not dump then
    return nil, message
  end
  local report = {dump = collect.dump(dump)}
  dump:close()
  if run.text then
    run.text:dump(report.dump)
  end
  return report
end

return tasks
