-- Compares what a dump says of a real Linux guest's tasks and modules with what the guest said
-- itself, in /proc, before it was stopped.

local files = require "support.files"
local guests = require "real_guests.guests"
local qvm = require "qvm"

-- What the guest said on its console, by file: arrays of lines. The kernel may have printed
-- messages of its own in the middle of a line.
local function said(directory)
  local by_file = {}
  local log = files.read(directory .. "serial.log"):gsub("%[ *%d+%.%d+%] [^\r\n]*\r?\n", "")
  for file, text in log:gmatch "(/proc/[%w/]+):([^\r\n]*)\r?\n" do
    by_file[file] = by_file[file] or {}
    table.insert(by_file[file], text)
  end
  return by_file
end

-- The tasks in /proc/PID/stat, by pid: name, state, ppid, flags, cpu.
local function tasks_of(by_file)
  local tasks, count = {}, 0
  for file, lines in pairs(by_file) do
    local pid = file:match "^/proc/(%d+)/stat$"
    if pid then
      local name, state, ppid, rest = lines[1]:match "^%d+ %((.*)%) (%a) (%d+) (.*)$"
      assert.is_truthy(name, lines[1])
      local words = {}
      for word in rest:gmatch "%S+" do
        words[#words + 1] = word
      end
      tasks[tonumber(pid)] = {name = name, state = state, ppid = tonumber(ppid),
        flags = tonumber(words[5]), arguments = by_file["/proc/" .. pid .. "/cmdline"],
        maps = by_file["/proc/" .. pid .. "/maps"], stack = by_file["/proc/" .. pid .. "/stack"]}
      count = count + 1
    end
  end
  return tasks, count
end

local function by_pid(dump)
  local tasks = {}
  for task in dump:tasks() do
    assert.is_nil(tasks[task.pid])
    tasks[task.pid] = task
  end
  return tasks
end

-- Workers come and go, and so do the programs of the loops, which are named as their shells at
-- first, and zombies in the end.
local LOOPS = {kworker = true, grep = true, head = true, cat = true, sleep = true}
local SHELLS = {init = true, busybox = true, exe = true}

-- Does a task of /proc stay? told: all of them.
local function stays(task, told)
  local argument = task.arguments and task.arguments[2] or ""
  if task.state == "Z" then
    local parent = told[task.ppid]
    return parent ~= nil and parent.arguments ~= nil and parent.arguments[2] == "100003"
  elseif LOOPS[task.name:match "^%a*"] then
    return argument:find "^10000%d$" ~= nil
  end
  return not SHELLS[task.name] or task.ppid <= 1
end

-- Is it the shell of /init or of one of its loops? Those run now and then.
local function is_shell(task)
  return task.arguments ~= nil and task.arguments[1] == "/bin/busybox" and task.arguments[2] == "sh"
end

local EVERY = {"x86_64", "x86_64-la57", "aarch64", "aarch64-16k", "x86_64-testing",
  "aarch64-testing", "x86_64-bullseye"}

guests.each(EVERY, "the tasks of a %s guest", function(_, directory)
  local by_file, told, count

  setup(function()
    by_file = said(directory)
    told, count = tasks_of(by_file)
  end)

  for _, name in ipairs {"first.elf", "second.elf", "panic.elf"} do
    it("are those of /proc, in " .. name, function()
      local dump <close> = assert(qvm.open(directory .. name))
      local found, compared = by_pid(dump), 0
      for pid, expected in pairs(told) do
        if stays(expected, told) then
          local task = found[pid]
          assert.is_truthy(task, ("no task %d (%s)"):format(pid, expected.name))
          assert.are.same({expected.name:sub(1, 15), expected.ppid, pid,
            expected.flags & 0x00200000 ~= 0},
            {task.name:match "^%g+", task.ppid, task.tgid, task.kernel})
          compared = compared + 1
        end
      end
      assert.is_true(count > 40 and compared >= 25, compared .. " of " .. count)
    end)
  end

  it("have the states of those that sleep, are stuck, are stopped, or are zombies", function()
    local dump <close> = assert(qvm.open(directory .. "first.elf"))
    local states = {}
    for pid, task in pairs(by_pid(dump)) do
      local expected = told[pid]
      if expected and stays(expected, told) and expected.state ~= "R" and task.state ~= "R"
          and not is_shell(expected) then
        assert.are.equal(expected.state, task.state, tostring(task))
        states[task.state] = (states[task.state] or 0) + 1
      end
    end
    local function count_of(state)
      return states[state] or 0
    end
    assert.is_true(count_of "S" > 10 and count_of "Z" >= 1, count_of "S" .. ", " .. count_of "Z")
    assert.are.same({1, 1}, {count_of "D", count_of "T"})
  end)

  it("have the command lines of /proc", function()
    local dump <close> = assert(qvm.open(directory .. "first.elf"))
    local compared, has_words = 0, false
    for pid, task in pairs(by_pid(dump)) do
      local expected = told[pid] and stays(told[pid], told) and told[pid].arguments
      -- The kernel clears a page's entry while it copies the page for a task that writes to it.
      if expected and task.state ~= "R" then
        assert.are.same(expected, task:arguments())
        compared = compared + 1
        has_words = has_words or expected[6] == "words here"
      end
    end
    assert.is_true(compared >= 5 and has_words, compared)
  end)

  it("have the mappings of /proc", function()
    local dump <close> = assert(qvm.open(directory .. "first.elf"))
    local compared, is_deleted = 0, false
    for pid, task in pairs(by_pid(dump)) do
      local expected = told[pid] and stays(told[pid], told) and not is_shell(told[pid])
        and told[pid].maps
      if expected and task.state ~= "R" then -- not while it may change them
        local lines = {}
        for _, line in ipairs(expected) do
          local range, flags, offset, path = line:match "^(%x+%-%x+) (%S+) (%x+) %S+ %d+ *(.*)$"
          if path ~= "[vsyscall]" then -- not a mapping of the task
            lines[#lines + 1] = ("%s %s %s %s"):format(range, flags, offset, path)
            is_deleted = is_deleted or path == "/work/busybox (deleted)"
          end
        end
        local found = {}
        for m in task:mappings() do
          found[#found + 1] = ("%08x-%08x %s %08x %s"):format(m.start, m.start + m.size, m.flags,
            m.offset, m.path or "")
        end
        assert.are.same(lines, found)
        compared = compared + 1
      end
    end
    assert.is_true(compared >= 4 and is_deleted, compared)
  end)

  it("have programs that are about to return from a system call", function()
    local dump <close> = assert(qvm.open(directory .. "first.elf"))
    local size = dump.machine == "x86_64" and 2 or 4
    local instruction = dump.machine == "x86_64" and "\x0f\x05" or "\x01\x00\x00\xd4"
    local compared = 0
    for pid, task in pairs(by_pid(dump)) do
      if told[pid] and told[pid].arguments and stays(told[pid], told) and task.state == "S" then
        local registers = {}
        for name, value in task:registers() do
          registers[name] = value
        end
        local pc = registers.rip or registers.pc
        assert.are.equal(instruction, task:space():read(pc - size, size), tostring(task))
        compared = compared + 1
      end
    end
    assert.is_true(compared >= 4)
  end)

  it("run on the vCPUs that the dump has", function()
    local dump <close> = assert(qvm.open(directory .. "panic.elf"))
    local is_init = false -- it has panicked
    for cpu in dump:vcpus() do
      local task = assert(cpu:task())
      assert.is_true(task.running)
      is_init = is_init or task.pid == 1
    end
    assert.is_true(is_init)
  end)
end)

guests.each(EVERY, "the modules of a %s guest", function(_, directory)
  it("are those of /proc/modules, with their symbols", function()
    local dump <close> = assert(qvm.open(directory .. "second.elf"))
    local by_file, found = said(directory), {}
    for m in dump:modules() do
      found[#found + 1] = ("%s %d 0x%016x"):format(m.name, m.size, m.base)
    end
    local expected = {}
    for _, line in ipairs(by_file["/proc/modules"]) do
      local name, size, base = line:match "^(%S+) (%d+) .* (0x%x+)"
      expected[#expected + 1] = ("%s %s %s"):format(name, size, base)
    end
    assert.are.same(expected, found)
    assert.is_true(#found > 0)

    local names, compared = {}, 0
    for s in dump:symbols():all() do
      if s.module then
        names[("%016x %s"):format(s.address, s.name)] = s.module
      end
    end
    for _, line in ipairs(by_file["/proc/kallsyms"]) do
      local address, name, module = line:match "^(%x+) %a (%S+)%s+%[(.-)%]"
      if module and module ~= "bpf" and not name:find "^%$" then -- marks of code and data
        assert.are.equal(module, names[address .. " " .. name], line)
        assert.is_truthy(dump:address(name))
        compared = compared + 1
      end
    end
    assert.is_true(compared > 10)
  end)
end)

guests.each(EVERY, "the kernel stacks of a %s guest", function(_, directory)
  it("are those of /proc/PID/stack for tasks that stay asleep", function()
    local dump <close> = assert(qvm.open(directory .. "first.elf"))
    local told = tasks_of(said(directory))
    local compared, frames = 0, 0
    for pid, task in pairs(by_pid(dump)) do
      local expected = told[pid] and stays(told[pid], told) and told[pid].stack
      -- Threads of the kernel may have slept elsewhere when they were asked.
      if expected and not task.kernel and not task.running and task.state ~= "R"
          and #expected > 0 and not is_shell(told[pid]) then
        local list = {}
        for frame in task:backtrace() do
          assert.are_not.equal("scan", frame.how)
          list[#list + 1] = dump.machine == "aarch64" and dump:symbol(frame.address) or frame.symbol
        end
        local text = table.concat(list, "\n")
        local lines = {}
        for _, line in ipairs(expected) do
          lines[#lines + 1] = line:match "^%[<0>%] (%S+)"
        end
        local wanted = table.concat(lines, "\n")
        -- /proc leaves out the scheduler's own functions.
        assert.are.equal(wanted, text:sub(-#wanted), tostring(task))
        compared, frames = compared + 1, frames + #lines
      end
    end
    assert.is_true(compared >= 4 and frames > 15, ("%d tasks, %d frames"):format(compared, frames))
  end)

  it("are those of the guest's own Call Trace after a panic", function()
    local dump <close> = assert(qvm.open(directory .. "panic.elf"))
    local text = files.read(directory .. "serial.log")
    local trace = text:match "Kernel panic %- not syncing.*Call [Tt]race:\r?\n(.*)"
    assert.is_truthy(trace)
    local list = {} -- of panic()'s callers: it goes on after the trace
    local is_caller = false
    for line in trace:gmatch "[^\r\n]+" do
      local symbol = line:match "^%[[ %d.]+%] +([%w_.]+%+0x%x+/0x%x+)%f[%s\0]"
      if symbol then
        list[#list + 1] = is_caller and symbol or nil
        is_caller = is_caller or symbol:find "^panic%+" ~= nil
      elseif not line:find "%?" and not line:find "TASK>" then
        break
      end
    end
    assert.is_true(#list > 5)
    local found = {}
    for frame in dump:task(1):backtrace() do
      -- On aarch64 the kernel names a return address by the function that begins there.
      local symbol = dump.machine == "aarch64" and frame.address < 0 and dump:symbol(frame.address)
        or frame.symbol
      found[#found + 1] = frame.how ~= "scan" and symbol or nil
    end
    local wanted = table.concat(list, "\n")
    assert.is_truthy(table.concat(found, "\n"):find(wanted, 1, true),
      wanted .. "\n--\n" .. table.concat(found, "\n"))
  end)
end)
