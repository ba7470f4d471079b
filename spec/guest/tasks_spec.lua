-- Tasks of a Linux guest: what each is and does, its memory, its registers.

local cost = require "support.cost"
local files = require "support.files"
local linux_guest = require "support.linux_guest"
local qvm = require "qvm"

local KERNEL_THREAD = 0x00200000

-- Opens a guest in which these tasks are; build(guest) adds them.
local function dump_of(form, build)
  local guest = linux_guest.new(form)
  build(guest)
  return guest:finish():open(), guest
end

-- All tasks, each as a text.
local function lines_of(dump)
  local lines = {}
  for task in dump:tasks() do
    lines[#lines + 1] = tostring(task)
  end
  return lines
end

-- The message that a function raises.
local function raised(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return message
end

local FORMS = {}
for _, order in ipairs {"<", ">"} do
  for _, state in ipairs {"state", "__state"} do
    for _, cpu in ipairs {"task", "thread_info"} do
      FORMS[#FORMS + 1] = {order = order, state = state, cpu = cpu}
    end
  end
end
FORMS[#FORMS + 1] = {machine = "x86_64"}

describe("the tasks of a Linux guest", function()
  it("may be unknown to run, in a kernel that was built for one CPU", function()
    local dump = dump_of({one_cpu = true}, function(guest)
      guest:task {pid = 1, name = "init"}
    end)
    local task = dump:task(1)
    assert.is_nil(task.running)
    assert.are.equal("process 1 init: running, CPU 0, parent 0", tostring(task))
    assert.is_false(dump_of({}, function(guest)
      guest:task {pid = 1, name = "init"}
    end):task(1).running)
  end)

  after_each(files.clean)

  it("are its processes, each with its threads, in the order of the kernel's list", function()
    for _, form in ipairs(FORMS) do
      local dump = dump_of(form, function(guest)
        local init = guest:task {pid = 1, name = "init", state = 1, cpu = 1}
        guest:task {pid = 2, name = "kthreadd", state = 1, flags = KERNEL_THREAD}
        local server = guest:task {pid = 40, name = "server", parent = init, on_cpu = 1, cpu = 3}
        guest:task {pid = 41, tgid = 40, leader = server, name = "worker", parent = init, state = 2}
        guest:task {pid = 42, tgid = 40, leader = server, name = "spare", parent = init}
        guest:task {pid = 50, name = "gone", parent = init, exit_state = 0x20, signal = 0}
      end)
      assert.are.same({"process 1 init: sleeping, CPU 1, parent 0",
        "kernel thread 2 kthreadd: sleeping, CPU 0, parent 0",
        "process 40 server: running, CPU 3, parent 1",
        "thread 41 of 40 worker: in uninterruptible sleep, CPU 0, parent 1",
        "thread 42 of 40 spare: ready, CPU 0, parent 1",
        "process 50 gone: zombie, CPU 0, parent 1"}, lines_of(dump))
    end
  end)

  it("are found by their pid, threads too; 0 is the idle task", function()
    local dump, guest = dump_of({}, function(guest)
      local leader = guest:task {pid = 7, name = "main", state = 1}
      guest:task {pid = 8, tgid = 7, leader = leader, name = "second", state = 1}
    end)
    local task = assert(dump:task(8))
    assert.are.same({8, 7, 0, "second", "S", 0, false, false}, {task.pid, task.tgid, task.ppid,
      task.name, task.state, task.cpu, task.running, task.kernel})
    assert.are.equal("main", task.object.group_leader.comm)
    assert.are.equal("idle task 0 swapper/0: ready, CPU 0, parent 0", tostring(dump:task(0)))
    assert.are.equal(guest.idle, qvm.c.address(dump:task(0).object))
    local none, message, code = dump:task(9)
    assert.is_nil(none)
    assert.are.equal("not_found", code)
    assert.matches("no task has the pid 9$", message)
    assert.is_false(pcall(dump.task, dump, "init"))
  end)

  -- Bits of the state, and of the state of a task that exits, as the kernel's task_state_index
  -- has them.
  local STATES = {{0, 0, "R"}, {1, 0, "S"}, {2, 0, "D"}, {4, 0, "T"}, {8, 0, "t"}, {0, 0x10, "X"},
    {0, 0x20, "Z"}, {0x40, 0, "P"}, {0x402, 0, "I"},
    {0x102, 0, "D"},    -- killable
    {0x2001, 0, "S"},   -- freezable
    {0x104, 0, "T"}, {0x200, 0, "R"}, {0x80, 0x20, "Z"}, {0x80, 0x30, "Z"}, {0x800, 0, "R"},
    {0x1000, 0, "D"},   -- on a lock of PREEMPT_RT
    {0x8000, 0, "D"},   -- frozen
    {0x8402, 0, "D"}}   -- frozen when it was idle

  it("have the states that ps shows", function()
    for _, form in ipairs {{state = "state"}, {state = "__state"}} do
      local dump = dump_of(form, function(guest)
        for i, one in ipairs(STATES) do
          guest:task {pid = i, name = "t", state = one[1], exit_state = one[2]}
        end
      end)
      for task in dump:tasks() do
        local one = STATES[task.pid]
        assert.are.equal(one[3], task.state, ("0x%x, 0x%x"):format(one[1], one[2]))
      end
    end
  end)

  it("are one line of text, whatever a program calls itself", function()
    local dump = dump_of({}, function(guest)
      guest:task {pid = 1, name = "a\27[31m\n\0tail", state = 1}
      guest:task {pid = 2, name = ("\255"):rep(16), state = 1}
    end)
    for _, line in ipairs(lines_of(dump)) do
      assert.is_nil(line:find "[%c\128-\255]")
    end
    assert.are.equal("a\27[31m\n", dump:task(1).name)
    assert.are.equal(16, #dump:task(2).name)
  end)

  it("are found in kernels whose symbols are those of code alone", function()
    local dump = dump_of({}, function(guest)
      local at = guest:task {pid = 1, name = "init", state = 1}
      guest:place "swapper\0 in a text"
      guest:run_queues {at}
      for _, name in ipairs {"init_task", "modules", "runqueues", "__per_cpu_offset",
        "nr_cpu_ids"} do
        guest.symbols[name] = nil
      end
    end)
    assert.is_nil((dump:address "init_task"))
    assert.are.same({"process 1 init: sleeping, CPU 0, parent 0"}, lines_of(dump))
    assert.are.equal("swapper/0", dump:variable("init_task").comm)
  end)

  it("need types: without them the message says which file helps", function()
    local guest = linux_guest.new()
    guest:task {pid = 1, name = "init"}
    guest:place(("\0"):rep(64), "last")
    guest.add_btf = function() end
    local dump = guest:finish():open()
    local message = raised(dump.tasks, dump)
    assert.matches("no type information %(BTF%) in its memory: pass a file with it to dump:types",
      message)
    assert.are.equal("not_found", select(3, dump:task(1)))
    assert.is_false(pcall(dump.modules, dump))
    -- What needs no types works.
    assert.are.equal("_stext+0x0/0x100", dump:symbol(guest.symbols._stext))
    assert.is_truthy(dump:kernel_space():read(guest.symbols.init_task, 16))
    assert.is_truthy(dump:symbols(files.path "System.map"):all()())
    assert.is_truthy(dump:guest().release)
    -- And with the file everything does.
    assert(dump:types(files.write("kernel.btf", guest.types:btf())))
    assert.are.equal("init", dump:task(1).name)
  end)

  it("need the types of Linux: the message says where they differ", function()
    local dump = dump_of({}, function(guest)
      local btf = guest.types.btf
      function guest.types:btf()
        return (btf(self):gsub("%z(%w+)%f[%z]", {tgid = "\0comm", comm = "\0tgid"}))
      end
    end)
    assert.matches("kernel.gcore: not the type information of a Linux kernel: %w+ of struct "
      .. "task_struct is `[%w_%[%]]+`$", raised(dump.tasks, dump))
    for _, method in ipairs {"tasks", "modules"} do
      assert.is_false(pcall(dump[method], dump))
    end
    assert.are.equal("malformed", select(3, dump:task(1)))
  end)

  it("cannot be listed on a dump that was closed", function()
    local dump = dump_of({}, function(guest) guest:task {pid = 1, name = "init"} end)
    dump:close()
    assert.is_false(pcall(dump.tasks, dump))
    assert.are.equal("gone", select(3, dump:task(1)))
  end)
end)

-- vCPUs ---------------------------------------------------------------------------------------

describe("the task of a vCPU", function()
  after_each(files.clean)

  it("is that of the CPU of its number, on aarch64", function()
    local dump = dump_of({}, function(guest)
      local a = guest:task {pid = 1, name = "a", cpu = 1, on_cpu = 1}
      guest:run_queues {guest.idle, a}
      guest:add_vcpus {{pc = 0x1000}, {pc = 0x2000}}
    end)
    assert.are.equal(0, assert(dump:vcpu(0):task()).pid)
    assert.are.equal(1, assert(dump:vcpu(1):task()).pid)
  end)

  it("is that of the CPU whose variables GS points to, on x86_64", function()
    local dump = dump_of({machine = "x86_64"}, function(guest)
      local tasks = {}
      for pid = 1, 3 do
        tasks[pid] = guest:task {pid = pid, name = "t" .. pid, on_cpu = 1, cpu = pid - 1}
      end
      local offsets = guest:run_queues(tasks)
      -- In the kernel, in a program, and one whose registers say nothing.
      guest:add_vcpus {{pc = guest.symbols._stext, sp = guest.symbols._stext, gs = offsets[3]},
        {pc = 0x1000, kernel_gs = offsets[1]}, {pc = 0x1000, gs = 5}}
    end)
    assert.are.equal(3, assert(dump:vcpu(0):task()).pid)
    assert.are.equal(1, assert(dump:vcpu(1):task()).pid)
    assert.are.equal(3, assert(dump:vcpu(2):task()).pid) -- by its place in the dump
  end)

  -- In a switch the run queue names the next task, and both may be marked as running.
  it("is that whose stack it is on, while the kernel switches", function()
    for on_cpu = 0, 1 do
      local stacks, threads = {}, {}
      local dump = dump_of({}, function(guest)
        for i = 1, 2 do
          stacks[i] = guest:stack()
          guest:set(stacks[i], string.pack("<I8", 0x57ac6e9d))
          local pc = guest.symbols._stext + 0x10 * i
          threads[i] = {cpu_context = {pc = pc, sp = stacks[i] + 0x3000}}
        end
        guest:task {pid = 1, name = "a", on_cpu = 1, stack = stacks[1], thread = threads[1]}
        local b = guest:task {pid = 2, name = "b", on_cpu = on_cpu, stack = stacks[2],
          thread = threads[2]}
        guest:run_queues {b, b, b}
        local interrupts = guest:stack()
        local pc = guest.symbols._stext
        guest:add_vcpus {{pc = pc, sp = stacks[1] + 0x3f00}, {pc = pc, sp = stacks[2] + 0x4000},
          {pc = pc, sp = interrupts + 0x3f00}}
      end)
      assert.are.equal(1, assert(dump:vcpu(0):task()).pid)
      assert.are.equal(2, assert(dump:vcpu(1):task()).pid)
      assert.are.equal(2, assert(dump:vcpu(2):task()).pid)
      assert.are.equal(dump:vcpu(0).pc, dump:task(1):backtrace()().address)
      assert.are.equal(threads[2].cpu_context.pc, dump:task(2):backtrace()().address)
    end
  end)

  it("is looked for once, however many tasks are said to run on a CPU", function()
    local dump = dump_of({}, function(guest)
      local stack = guest:stack() -- of no task
      guest:set(stack, string.pack("<I8", 0x57ac6e9d))
      guest:run_queues {guest:task {pid = 1, name = "a", on_cpu = 1, stack = guest:stack()}}
      for pid = 2, 2000 do
        guest:task {pid = pid, name = "b", on_cpu = 1}
      end
      guest:add_vcpus {{pc = guest.symbols._stext, sp = stack + 0x3f00}}
    end)
    assert.are.equal("2000", (cost.check(([[
      local dump, count = assert(qvm.open(%q)), 0
      assert(dump:symbols(%q))
      for task in dump:tasks() do
        pcall(task.backtrace, task)
        count = count + 1
      end
      return count]]):format(dump.path, files.path "System.map"))))
  end)

  it("is missing where the run queue has none, or nothing leads to the CPU", function()
    local dump = dump_of({}, function(guest)
      guest:run_queues {0}
      guest:add_vcpus {{pc = 0x1000}, {pc = 0x1000}, {pc = 0x1000}}
    end)
    local none, message, code = dump:vcpu(0):task()
    assert.is_nil(none)
    assert.matches("CPU 0 runs no task$", message)
    assert.are.equal("not_found", code)
    assert.is_nil((dump:vcpu(2):task()))
  end)

  it("gives the vCPU its user addresses, on aarch64", function()
    local dump = dump_of({}, function(guest)
      local mm = guest:memory_of {pgd = guest:user_tables {[0x10000] = "program"}}
      guest:run_queues {guest:task {pid = 1, name = "a", on_cpu = 1, mm = mm}}
      guest:add_vcpus {{pc = 0x10000}}
    end)
    local space = assert(dump:vcpu(0):space())
    assert.are.equal("program", space:cstring(0x10000))
    assert.are.equal(0x10000, (function()
      for name, value in dump:task(1):registers() do
        if name == "pc" then
          return value
        end
      end
    end)())
  end)
end)

-- Memory --------------------------------------------------------------------------------------

-- A guest with one process of a memory. build(guest) returns the members of its mm_struct, and
-- its areas.
local function process_of(form, build)
  local dump, guest = dump_of(form, function(guest)
    local mm, areas = build(guest)
    guest:task {pid = 1, name = "p", state = 1, mm = guest:memory_of(mm, areas)}
  end)
  return assert(dump:task(1)), guest, dump
end

local function arguments_of(text, first, last)
  local task = process_of({}, function(guest)
    return {pgd = guest:user_tables {[0x10000] = text}, arg_start = first or 0x10000,
      arg_end = last or 0x10000 + #text}
  end)
  return task:arguments()
end

describe("the arguments of a task", function()
  after_each(files.clean)

  it("are the words that its program was started with, empty ones too", function()
    for _, form in ipairs {{}, {order = ">"}, {machine = "x86_64"}} do
      local task = process_of(form, function(guest)
        return {pgd = guest:user_tables {[0x10ff0] = ("\0"):rep(16), [0x11000] = "ls\0\0-l a\0"},
          arg_start = 0x11000, arg_end = 0x11009}
      end)
      assert.are.same({"ls", "", "-l a"}, task:arguments())
      assert.are.equal("ls", task:space():cstring(0x11000))
    end
  end)

  it("may lack a NUL at their end, or be none", function()
    assert.are.same({"a", "b"}, arguments_of "a\0b")
    assert.are.same({}, arguments_of("a", 0x10000, 0x10000))
  end)

  it("fail where they are not in memory, missing, or too many", function()
    for _, one in ipairs {{0x20000, 0x20010, "unmapped"}, {0x10000, 0, "not_found"},
      {0x10000, 0x10000 + (5 << 20), "too_large"}, {0x10010, 0x10000, "too_large"},
      {1, -1, "too_large"}, {-1 << 63, (1 << 63) - 1, "too_large"}, {-16, -8, "unmapped"}} do
      local none, message, code = arguments_of("a\0", one[1], one[2])
      assert.is_nil(none)
      assert.are.equal(one[3], code, message)
    end
  end)

  it("are those of programs alone", function()
    local dump = dump_of({}, function(guest)
      local mm = guest:memory_of {pgd = guest:user_tables {[0x10000] = "x"}}
      guest:task {pid = 2, name = "kthreadd", flags = KERNEL_THREAD, mm = mm}
      guest:task {pid = 3, name = "gone", exit_state = 0x20}
      guest:task {pid = 4, name = "broken", mm = guest:memory_of {arg_start = 1, arg_end = 2}}
      guest:task {pid = 5, name = "wild", mm = 0x5000}
    end)
    for pid, code in pairs {[2] = "not_found", [3] = "not_found", [4] = "malformed",
      [5] = "unsupported"} do
      for _, method in ipairs {"arguments", "space"} do
        local task = dump:task(pid)
        local none, message, found = task[method](task)
        assert.is_nil(none)
        assert.are.equal(code, found, message)
      end
    end
    assert.matches("kernel thread 2 kthreadd.* has no memory of its own", select(2,
      dump:task(2):space()))
    assert.matches("its pgd is NULL", select(2, dump:task(4):space()))
  end)
end)

local function mappings_of(task)
  local lines = {}
  for mapping in task:mappings() do
    lines[#lines + 1] = tostring(mapping)
  end
  return lines
end

-- The path of a mapped file. build(guest) returns the address of its struct file.
local function path_of(build)
  local task = process_of({}, function(guest)
    return {}, {{vm_start = 0x1000, vm_end = 0x2000, vm_flags = 1, vm_file = build(guest)}}
  end)
  return task:mappings()().path
end

describe("the mappings of a task", function()
  after_each(files.clean)

  local function check_maps(areas)
    local task = process_of({areas = areas}, function(guest)
      local root = guest:dentry "/"
      local mount = guest:mount(root)
      local file = guest:file(mount, guest:dentry("cat", guest:dentry("bin", root)))
      local names = guest:reserve(64)
      guest.symbols.special_mapping_name = names
      guest.symbols.after_special_mapping_name = names + 64
      local operations = guest:object("struct vm_operations_struct", {name = names})
      local vdso = guest:object("struct vm_special_mapping", {name = guest:place "[vdso]\0"})
      return {start_brk = 0x700000, brk = 0x721000, start_stack = 0x7ffffff000}, {
        {vm_start = 0x400000, vm_end = 0x401000, vm_flags = 0x75, vm_file = file, vm_pgoff = 2},
        {vm_start = 0x401000, vm_end = 0x403000, vm_flags = 0x73, vm_pgoff = 0x401},
        {vm_start = 0x700000, vm_end = 0x721000, vm_flags = 0x73},
        {vm_start = 0x800000, vm_end = 0x801000, vm_flags = 0xff},
        {vm_start = 0x7fffffe000, vm_end = 0x8000000000, vm_flags = 0x173},
        {vm_start = 0x8000000000, vm_end = 0x8000001000, vm_flags = 0x5, vm_ops = operations,
          vm_private_data = vdso}}
    end)
    assert.are.same({"000000400000-000000401000 r-xp     2000 /bin/cat",
      "000000401000-000000403000 rw-p        0",
      "000000700000-000000721000 rw-p        0 [heap]",
      "000000800000-000000801000 rwxs        0",
      "007fffffe000-008000000000 rw-p        0 [stack]",
      "008000000000-008000001000 r-xp        0 [vdso]"}, mappings_of(task))
    local first = task:mappings()()
    assert.are.same({0x400000, 0x1000, "r-xp", 0x2000, "/bin/cat"}, {first.start, first.size,
      first.flags, first.offset, first.path})
    assert.are.equal(0x75, first.object.vm_flags)
  end

  it("are those of /proc/PID/maps", function()
    check_maps "list"
  end)

  it("are in a maple tree since Linux 6.1", function()
    check_maps "tree"
  end)

  it("have paths from the root of all mounts on", function()
    assert.are.equal("/mnt/usb/dir/file", path_of(function(guest)
      local root = guest:dentry "/"
      local mount = guest:mount(root)
      local point = guest:dentry("usb", guest:dentry("mnt", root))
      -- A mount over a mount: the upper one is on the root of the lower one.
      local lower = guest:dentry "/"
      local lower_mount = guest:mount(lower, mount, point)
      local upper = guest:dentry "/"
      local upper_mount = guest:mount(upper, lower_mount, lower)
      return guest:file(upper_mount, guest:dentry("file", guest:dentry("dir", upper)))
    end))
    assert.are.equal("/", path_of(function(guest)
      local root = guest:dentry "/"
      return guest:file(guest:mount(root), root)
    end))
  end)

  it("say that a file was deleted", function()
    assert.are.equal("/tmp/file (deleted)", path_of(function(guest)
      local root = guest:dentry "/"
      local name = guest:dentry("file", guest:dentry("tmp", root), {d_hash = {pprev = 0}})
      return guest:file(guest:mount(root), name)
    end))
  end)

  it("name files that are in no directory as the kernel does", function()
    for name, expected in pairs {simple_dname = "/memfd:x (deleted)",
      anon_inodefs_dname = "anon_inode:memfd:x", another_dname = "memfd:x"} do
      assert.are.equal(expected, path_of(function(guest)
        local dname = guest:reserve(64)
        guest.symbols[name], guest.symbols.after_it = dname, dname + 64
        local operations = guest:object("struct dentry_operations", {d_dname = dname})
        local root = guest:dentry "/"
        return guest:file(guest:mount(root), guest:dentry("memfd:x", root, {d_op = operations}))
      end))
    end
  end)

  it("are one line of text, whatever a file is called", function()
    local task = process_of({}, function(guest)
      local root = guest:dentry "/"
      local file = guest:file(guest:mount(root), guest:dentry("a\27[2J\nb", root))
      return {}, {{vm_start = 0x1000, vm_end = 0x2000, vm_file = file}}
    end)
    assert.are.equal("/a\27[2J\nb", task:mappings()().path)
    assert.is_nil(tostring(task:mappings()()):find "%c")
  end)

  it("raise for a task without memory", function()
    local dump = dump_of({}, function(guest)
      guest:task {pid = 2, name = "kthreadd", flags = KERNEL_THREAD}
    end)
    local task = dump:task(2)
    assert.matches("has no memory of its own", raised(task.mappings, task))
  end)

  it("raise where they are damaged", function()
    local AREA = "struct vm_area_struct"
    local broken = {
      ["from 0x1000 to 0x2000, after one to 0x4000"] = function(guest, areas)
        guest:write_member(areas[2], AREA, "vm_next", areas[1])
      end,
      ["from 0x3000 to 0x3000"] = function(guest, areas)
        guest:write_member(areas[2], AREA, "vm_end", 0x3000)
      end,
      ["from 0x1800 to 0x4000"] = function(guest, areas)
        guest:write_member(areas[2], AREA, "vm_start", 0x1800)
      end,
      ["virtual address 0x0000000000001244"] = function(guest, areas)
        guest:write_member(areas[2], AREA, "vm_next", 0x1234)
      end,
    }
    for expected, damage in pairs(broken) do
      local task = process_of({}, function(guest)
        local second = guest:object(AREA, {vm_start = 0x3000, vm_end = 0x4000})
        local first = guest:object(AREA, {vm_start = 0x1000, vm_end = 0x2000, vm_next = second})
        damage(guest, {first, second})
        return {mmap = first}
      end)
      local message = raised(mappings_of, task)
      assert.matches(expected, message, 1, true)
    end
  end)

  local function damaged_path(build)
    local task = process_of({}, function(guest)
      return {}, {{vm_start = 0x1000, vm_end = 0x2000, vm_file = build(guest)}}
    end)
    return raised(mappings_of, task)
  end

  it("raise where a path has no end, or a name is too long", function()
    assert.matches("a path without an end", damaged_path(function(guest)
      local root = guest:dentry "/"
      local one = guest:dentry("one", root)
      local two = guest:dentry("two", one)
      guest:write_member(one, "struct dentry", "d_parent", two)
      return guest:file(guest:mount(root), two)
    end))
    assert.matches("a path without an end", damaged_path(function(guest)
      local root, other = guest:dentry "/", guest:dentry "/"
      local first = guest:mount(root)
      local second = guest:mount(other, first, root)
      guest:write_member(first, "struct mount", "mnt_parent", second)
      guest:write_member(first, "struct mount", "mnt_mountpoint", other)
      return guest:file(second, other)
    end))
    assert.matches("a name of 4294967295 bytes", damaged_path(function(guest)
      local root = guest:dentry "/"
      return guest:file(guest:mount(root), guest:dentry("x", root, {
        d_name = {len = 0xffffffff, name = guest.idle}}))
    end))
    for member, what in pairs {d_parent = 0, d_name = {len = 3, name = 0}} do
      assert.matches("is NULL", damaged_path(function(guest)
        local root = guest:dentry "/"
        return guest:file(guest:mount(root), guest:dentry("x", root, {[member] = what}))
      end))
    end
    assert.matches("its dentry is NULL", damaged_path(function(guest)
      return guest:object("struct file", {})
    end))
  end)
end)

-- Registers -----------------------------------------------------------------------------------

local function registers_of(task)
  local registers, names = {}, {}
  for name, value in task:registers() do
    registers[name], names[#names + 1] = value, name
  end
  return registers, names
end

describe("the registers of a task", function()
  after_each(files.clean)

  it("are those at its entry into the kernel, on x86_64 with and without FRED", function()
    for _, gap in ipairs {0, 16} do
      local dump = dump_of({machine = "x86_64"}, function(guest)
        guest:task {pid = 1, name = "p", state = 1, stack = guest:stack({ip = 0x401234,
          sp = 0x7ffc0000, cs = 0x33, ss = 0x2b, ax = -38, orig_ax = 7, r15 = -1}, gap)}
      end)
      local registers, names = registers_of(dump:task(1))
      assert.are.same({0x401234, 0x7ffc0000, -38, 7, -1, 0x33}, {registers.rip, registers.rsp,
        registers.rax, registers.orig_rax, registers.r15, registers.cs})
      assert.are.same({"rax", 21}, {names[1], #names})
    end
  end)

  it("are those at its entry into the kernel, on aarch64", function()
    local dump = dump_of({}, function(guest)
      guest:task {pid = 1, name = "p", state = 1, stack = guest:stack {pc = 0x401234,
        sp = 0x7ffc0000, pstate = 0x60001000, regs = {[1] = 5, [31] = 9}}}
    end)
    local registers, names = registers_of(dump:task(1))
    assert.are.same({0x401234, 0x7ffc0000, 0x60001000, 5, 9}, {registers.pc, registers.sp,
      registers.pstate, registers.x0, registers.x30})
    assert.are.same({"x0", "pstate", 34}, {names[1], names[34], #names})
  end)

  it("are at the top of a stack of any number of pages", function()
    local dump = dump_of({}, function(guest)
      local stack = guest:stack {pc = 0x1000, pstate = 0}
      guest:task {pid = 1, name = "p", state = 1, stack = stack - 16384,
        stack_vm_area = guest:object("struct vm_struct", {nr_pages = 8})}
    end)
    assert.are.equal(0x1000, registers_of(dump:task(1)).pc)
  end)

  it("are missing for kernel threads, stacks that were freed, and entries from the kernel",
    function()
      local dump = dump_of({}, function(guest)
        guest:task {pid = 1, name = "kthreadd", flags = KERNEL_THREAD,
          stack = guest:stack {pc = 0x1000}}
        guest:task {pid = 2, name = "gone", exit_state = 0x20}
        guest:task {pid = 3, name = "p", stack = guest:stack {pc = 0x1000, pstate = 5}}
        guest:task {pid = 4, name = "wild", stack = 0x1000}
      end)
      for pid = 1, 3 do
        local task = dump:task(pid)
        assert.matches("has no user registers$", raised(task.registers, task))
      end
      assert.is_false(pcall(dump:task(4).registers, dump:task(4)))
    end)
end)

describe("the backtrace of a task", function()
  after_each(files.clean)

  local function first_frame(machine, offset)
    local dump = dump_of({machine = machine}, function(guest)
      guest.symbols.ret_from_fork = guest.symbols._stext + 0x80
      local stack, switch = guest:stack(), guest.symbols._stext + offset
      local sp = stack + 0x3000
      local thread = machine == "x86_64" and {sp = sp}
        or {cpu_context = {pc = switch, sp = sp, fp = 0}}
      if machine == "x86_64" then
        guest:set(sp + 48, switch)
      end
      guest:task {pid = 1, name = "p", state = 1, stack = stack, thread = thread}
    end)
    return assert(dump:task(1):backtrace()())
  end

  it("begins where the kernel switched away from it", function()
    for _, machine in ipairs {"aarch64", "x86_64"} do
      local first = first_frame(machine, 0x20)
      assert.are.equal("_stext+0x20/0x80", first.symbol)
      assert.are.equal("registers", first.how)
    end
  end)

  it("begins where a new task will, which nothing has switched away from", function()
    for _, machine in ipairs {"aarch64", "x86_64"} do
      assert.are.equal("ret_from_fork+0x0/0x80", first_frame(machine, 0x80).symbol)
    end
  end)

  it("raises for a task whose stack was freed, or is nowhere", function()
    local dump = dump_of({machine = "x86_64"}, function(guest)
      guest:task {pid = 1, name = "gone", exit_state = 0x20}
      guest:task {pid = 2, name = "wild", stack = 0x1000, thread = {sp = 0x1500}}
      guest:task {pid = 3, name = "wrap", stack = 0x1000, thread = {sp = -8}}
    end)
    assert.matches("stack of process 1 gone.* was freed", raised(dump:task(1).backtrace,
      dump:task(1)))
    for pid = 2, 3 do
      assert.is_false(pcall(dump:task(pid).backtrace, dump:task(pid)))
    end
  end)
end)

-- Damage --------------------------------------------------------------------------------------

describe("the list of tasks, where it is damaged,", function()
  after_each(files.clean)

  local TASK = "struct task_struct"

  -- Three tasks; damage(guest, tasks) is called when the lists are linked.
  local function damaged(damage)
    local guest, tasks = linux_guest.new(), {}
    for pid = 1, 3 do
      tasks[pid] = guest:task {pid = pid, name = "t" .. pid, state = 1}
    end
    guest:finish()
    damage(guest, tasks, guest.types:offset(TASK, "tasks"), guest.types:offset(TASK,
      "thread_node"))
    return guest:open()
  end

  it("raises at the place", function()
    local cases = {
      ["its prev is not"] = function(guest, tasks, offset)
        guest:set(tasks[3] + offset, tasks[1] + offset) -- a loop
      end,
      ["its next is NULL"] = function(guest, tasks, offset)
        guest:set(tasks[2] + offset, 0)
      end,
      ["virtual address 0x0000000000001008"] = function(guest, tasks, offset)
        guest:set(tasks[2] + offset, 0x1000)
      end,
      ["in the process of another leader"] = function(guest, tasks)
        guest:write_member(tasks[2], TASK, "group_leader", tasks[1])
      end,
    }
    for expected, damage in pairs(cases) do
      local dump = damaged(damage)
      assert.matches(expected, raised(lines_of, dump), 1, true)
      local none, message = dump:task(77)
      assert.is_nil(none)
      assert.matches(expected, message, 1, true)
      assert.are.equal(1, dump:task(1).pid) -- those before the damage are found
    end
  end)

  it("raises for threads that lead into another process", function()
    local dump = damaged(function(guest, tasks)
      local other = guest.threads[tasks[2]].signal
      guest:write_member(tasks[1], TASK, "signal", other)
    end)
    assert.matches("in the process of another leader", raised(lines_of, dump))
  end)

  it("costs no time or memory without end", function()
    local dump = damaged(function(guest, tasks)
      guest:write_member(tasks[1], TASK, "real_parent", 0)
      guest:write_member(tasks[2], TASK, "pid", -1)
      guest:write_member(tasks[3], TASK, "flags", 0xffffffff)
    end)
    local before = collectgarbage "count"
    assert.are.equal(3, #lines_of(dump))
    assert.is_true(collectgarbage "count" - before < 4096)
    assert.are.equal(0, dump:task(1).ppid)
  end)
end)
