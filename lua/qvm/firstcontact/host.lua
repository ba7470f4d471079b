-- The host of a first contact: its versions, its commands, its processes. Nothing here sends a
-- signal, and no vdev node is opened.

local list_of = require "qvm.firstcontact.checklist"
local qvm = require "qvm"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local host = {}

local OUTPUT_MAX = 1 << 16 -- bytes of a command's output, or of a file in /proc

-- Quotes a word for the shell.
function host.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- Whether the host has a command.
function host.has(name)
  return os.execute(("command -v %s >/dev/null 2>&1"):format(name)) == true
end

-- The beginning of what a command prints, errors included; nil if the host has no such command.
local function output_of(name, arguments)
  if not host.has(name) then
    return nil
  end
  local pipe <close> = assert(io.popen(("%s %s 2>&1 </dev/null"):format(name, arguments)))
  return pipe:read(OUTPUT_MAX) or ""
end

-- The beginning of a file in /proc; nil if it cannot be read.
local function proc_file(pid, name)
  local file <close> = io.open(("/proc/%d/%s"):format(pid, name), "rb")
  return file and file:read(OUTPUT_MAX)
end

-- The path of a process's executable: QNX has it as text, Linux as a link.
local function executable_of(pid)
  local path = proc_file(pid, "exefile") or output_of("readlink", ("/proc/%d/exe"):format(pid))
  return path and path:match("^[^%z\n]+")
end

-- Runs commands that show versions. Returns their output as one text, escaped, and that of uname.
local function run_commands(vm, pid, executable)
  local quote, parts, first = host.quote, {}, nil
  local wanted = {{"uname", "-a"}, {"pidin", "info"}, {"ls", "-ld " .. quote(qvm.root())}}
  if vm then
    wanted[#wanted + 1] = {"ls", ("-ld %s %s"):format(quote(vm.path), quote(vm.path .. "/env"))}
  end
  if executable then
    wanted[#wanted + 1] = {"use", "-i " .. quote(executable)}
  end
  if pid then
    wanted[#wanted + 1] = {"pidin", ("-p %d"):format(pid)}
    wanted[#wanted + 1] = {"pidin", ("-p %d arg"):format(pid)}
  end
  for _, words in ipairs(wanted) do
    local output = output_of(words[1], words[2])
    first = first or output
    parts[#parts + 1] = ("$ %s %s\n%s"):format(words[1], text.escape_controls(words[2]),
      output and text.escape_lines(output) or "(this host has no such command)\n")
  end
  return table.concat(parts, "\n"), first
end

-- The ids of a process's threads, as a set: from Linux's /proc, or from pidin, which prints
-- "pid tid name ..." for each; nil if neither is there.
local function threads_of(pid)
  local threads, any = {}, false
  for _, name in ipairs(system.entries(("/proc/%d/task"):format(pid)) or {}) do
    threads[tonumber(name) or name], any = true, true
  end
  for line in (not any and output_of("pidin", ("-p %d"):format(pid)) or ""):gmatch("[^\n]+") do
    local of, tid = line:match("^%s*(%d+)%s+(%d+)%s")
    if tonumber(of) == pid then
      threads[tonumber(tid)], any = true, true
    end
  end
  return any and threads or nil
end

local function check_release(list, uname)
  local release = uname and uname:match("^QNX%s+%S+%s+(%d[%d.]*)")
  local old = release and release:find("^7")
  list:add {"release", list_of.DOCUMENTED, "env and the two signals are documented for 8.0 only; "
    .. "on 7.x vdevs report their status on SIGUSR2", did = "uname -a",
    saw = uname and uname:gsub("\n$", "") or nil, as_expected = release and not old,
    why = old and "a 7.x host: SIGUSR1 may log little of the vdevs"
      or not release and "not QNX: whatever follows is of another system, or simulated" or nil}
end

-- Which directories of the root are VMs.
local function check_root(list)
  local root = qvm.root()
  local names, message = list:call("qvm.names()", qvm.names)
  list:add {"root directory", list_of.DOCUMENTED, "/dev/qvm has a directory with env for each VM",
    did = "qvm.names() below " .. root,
    saw = names and text.count(#names, "VM") .. ": " .. table.concat(names, ", ") or message,
    as_expected = names and names[1] and true or nil,
    why = not (names and names[1]) and "without a VM there is nothing to compare" or nil}
  local others = {}
  for _, name in ipairs(names and system.entries(root) or {}) do
    if not system.stat(root .. "/" .. name .. "/env") then
      others[#others + 1] = name
    end
  end
  if names then
    table.sort(others)
    list:add {"entries of the root", list_of.OURS, "every entry is the directory of a VM",
      did = "listed " .. root,
      saw = others[1] and "without env: " .. table.concat(others, ", ") or "all have an env",
      as_expected = not others[1]}
  end
end

local function check_process(list, vm, pid, executable)
  local name = executable and executable:match("[^/]*$")
  list:add {"executable", list_of.SEEN, "the process is called qvm",
    did = ("read /proc/%d"):format(pid), saw = executable or "no path",
    as_expected = name and name == "qvm", why = not name and "the path cannot be read" or nil}
  local words = proc_file(pid, "cmdline")
  words = words and words:gsub("%z$", ""):gsub("%z", " ")
  list:add {"command line", list_of.DOCUMENTED, "/proc/PID/cmdline has qvm's arguments: @file, or "
    .. "options", did = ("read /proc/%d/cmdline"):format(pid), saw = words or "cannot be read",
    as_expected = words and words:find("[@%s]") ~= nil,
    why = not words and "the file cannot be read" or nil}
  local threads, env, message = threads_of(pid), list:call("vm:env()", vm.env, vm)
  local missing, count = {}, 0
  for cpu in env and env:vcpus() or function() end do
    count = count + 1
    if not (cpu.tid and threads and threads[cpu.tid]) then
      missing[#missing + 1] = cpu.tid and ("%d"):format(cpu.tid) or "?"
    end
  end
  local total = 0
  for _ in pairs(threads or {}) do
    total = total + 1
  end
  local all_there -- nil if it cannot be told
  if threads and count > 0 then
    all_there = not missing[1]
  end
  list:add {"threads", list_of.DOCUMENTED, "one thread of qvm for each vCPU, with the id in env; "
    .. "thread 1 is the main thread; vdevs may have more", did = "listed the process's threads",
    saw = threads and ("%s; %d of %d vCPUs are among them%s"):format(text.count(total, "thread"),
      count - #missing, count, missing[1] and "; missing: " .. table.concat(missing, ", ") or "")
      or "no list", as_expected = all_there,
    why = not threads and "neither /proc nor pidin lists threads"
      or count == 0 and (message or "no vCPUs were found in env") or nil}
end

-- Checks the host, and the process of a VM, if there is one. Returns the output of commands.
function host.check(list, vm)
  check_root(list)
  local pid, message, executable
  if vm then
    pid, message = list:call("vm:pid()", vm.pid, vm)
    list:add {"process", list_of.DOCUMENTED, "ConnectServerInfo() on env gives the qvm that serves "
      .. "the VM (Linux: a record lock, the simulator's own)", did = "vm:pid()",
      saw = pid and ("process %d"):format(pid) or message, as_expected = pid ~= nil}
    executable = pid and executable_of(pid)
  end
  local output, uname = run_commands(vm, pid, executable)
  check_release(list, uname)
  if pid then
    check_process(list, vm, pid, executable)
  end
  return ("qvm %s, %s, root %s\n\n%s"):format(qvm.version, _VERSION,
    text.escape_controls(qvm.root()), output)
end

return host
