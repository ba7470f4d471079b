-- Measures what a dump says of its Linux guest: tasks and stacks as whole processes, members of
-- structures in a loop. drgn and crash need the debug information of the guest's kernel, a
-- vmlinux, in $QVM_VMLINUX.

local copies = require "bench.copies"
local run = require "bench.run"
local sheet = require "bench.sheet"

local lua = os.getenv("LUA") or "lua5.4"
local vmlinux = os.getenv("QVM_VMLINUX")

local opening = [[
package.path, package.cpath = %q, %q
local dump = assert(require "qvm".open(arg[1]))
]]

local scripts = {
  tasks = [[for task in dump:tasks() do print(task.pid, task.state, task.name) end]],
  stacks = [[
for task in dump:tasks() do
  print(task.pid, task.state, task.name)
  print(pcall(function() -- a zombie may have none
    for frame in task:backtrace() do print(frame) end
  end))
end]],
}

local drgn_scripts = {
  tasks = [[
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    print(task.pid.value_(), task.comm.string_().decode())
]],
  stacks = [[
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    print(task.pid.value_(), task.comm.string_().decode())
    try:
        print(prog.stack_trace(task))
    except (ValueError, LookupError) as error:
        print(error)
]],
}

local titles = {tasks = "list all tasks", stacks = "list all tasks with their kernel stacks"}
local crash_commands = {tasks = "ps", stacks = "foreach bt"}

local function qvm(what, path)
  return run.program {lua, copies.write(what .. ".lua",
    opening:format(package.path, package.cpath) .. scripts[what]), path}
end

local function drgn(what, path)
  if not vmlinux then
    return {absent = "no vmlinux in $QVM_VMLINUX"}
  end
  return run.program {"drgn", "-q", "-c", path, "-s", vmlinux,
    copies.write(what .. ".py", drgn_scripts[what])}
end

local function crash(what, path)
  if not vmlinux then
    return {absent = "no vmlinux in $QVM_VMLINUX"}
  end
  return run.program {"crash", "-s", "-i", copies.write(what .. ".crash",
    crash_commands[what] .. "\nquit\n"), vmlinux, path}
end

return function(path)
  for _, what in ipairs {"tasks", "stacks"} do
    sheet.work(titles[what] .. ", as a whole process")
    sheet.row("qvm, no debug information", qvm(what, path), "qvm")
    sheet.row("drgn, with debug information", drgn(what, path))
    sheet.row("crash, with debug information", crash(what, path))
  end
  sheet.work("10^5 times task.comm, in a loop of the script")
  sheet.row("qvm", run.qvm("members", path), "qvm")
  sheet.row("drgn", vmlinux and run.python("members", "drgn", path, vmlinux)
    or {absent = "no vmlinux in $QVM_VMLINUX"})
end
