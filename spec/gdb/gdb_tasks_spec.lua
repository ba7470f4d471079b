-- examples/gdbserve.lua and the tasks of a Linux guest: as gdb's threads, and in "monitor".

local files = require "support.files"
local gdbdump = require "support.gdbdump"
local example_guest = require "support.example_guest"
local qvm = require "qvm"
local rsp = require "support.rsp"

local USER = example_guest.USER

-- A register of aarch64: 8 bytes in hexadecimal.
local function word(value)
  return rsp.hex(string.pack("<i8", value))
end

describe("tasks as gdb's threads", function()
  local guest, path, tasks

  setup(function()
    guest = example_guest.new()
    path = example_guest.write(guest)
    tasks = {tasks = path}
  end)

  teardown(files.clean)

  it("are not there without --tasks", function()
    assert.are.same({"T05thread:1;", "m1,2", "l", "E03"},
      {rsp.ask(path, "?", "qfThreadInfo", "qsThreadInfo", "T7")})
  end)

  it("begin with those that vCPUs run; an idle task has the id of its vCPU", function()
    assert.are.same({"T05thread:7;", "m7,989681,1,2,8,9", "l", "QC7"},
      {rsp.ask(tasks, "?", "qfThreadInfo", "qsThreadInfo", "qC")})
    assert.are.equal("989681", ("%x"):format(10000001))
  end)

  it("are selected by their ids, in any order", function()
    assert.are.same({"OK", "QC9", "OK", "QC9", "OK", "OK", "E03", "E03", "E03", "QC1"},
      {rsp.ask(tasks, "Hg9", "qC", "Hg0", "qC", "T989681", "Hg1", "Hg3", "T989680", "Hgx", "qC")})
  end)

  it("have names, states and CPUs, escaped", function()
    local xml = rsp.ask(tasks, "qXfer:threads:read::0,3fff")
    for _, thread in ipairs {'id="7" core="0" name="worker">running, CPU 0, parent 1<',
      'id="989681" core="1" name="swapper/1">running, CPU 1, parent 0<',
      'id="1" core="1" name="init">sleeping, CPU 1, parent 0<',
      'id="2" core="0" name="kthread\\x1b[2J">sleeping, CPU 0, parent 0<',
      'id="8" core="0" name="a&lt;b&gt;&quot;&amp;">in uninterruptible sleep, CPU 0, parent 1, '
        .. "thread of 7<", 'id="9" core="0" name="defunct">zombie, CPU 0, parent 1<'} do
      assert.matches("<thread " .. thread, xml, 1, true)
    end
    assert.are.equal(6, select(2, xml:gsub("<thread ", "")))
    assert.are.equal("process 1 init: sleeping, CPU 1, parent 0",
      rsp.bytes((rsp.ask(tasks, "qThreadExtraInfo,1"))))
  end)

  it("have the registers of the vCPU that runs them", function()
    local _, all, _, idle = rsp.ask(tasks, "Hg7", "g", "Hg989681", "g")
    local words = {}
    for n = 0, 30 do
      words[n + 1] = word(1 << 8 | n)
    end
    assert.are.equal(table.concat(words) .. word(guest.idle) .. word(USER) .. "05000000"
      .. word(0x1ee), all)
    assert.are.equal(word(2 << 8), idle:sub(1, 16))
  end)

  it("have the registers that the kernel kept of them, and no others", function()
    local _, all, x19, x0 = rsp.ask(tasks, "Hg8", "g", "p13", "p0")
    local stack = qvm.open(path):task(8).object.thread.cpu_context.sp
    local pc = guest.symbols.schedule + 0x40
    local words = {("x"):rep(16 * 19)}
    for n = 19, 28 do
      words[#words + 1] = word(8 << 8 | n)
    end
    assert.are.equal(table.concat(words) .. word(stack) .. word(pc) .. word(stack) .. word(pc)
      .. ("x"):rep(8 + 16), all)
    assert.are.same({word(8 << 8 | 19), "E01"}, {x19, x0})
  end)

  it("have no registers if their stacks were freed", function()
    local _, all = rsp.ask(tasks, "Hg9", "g")
    assert.are.equal(("x"):rep(#all), all)
  end)

  it("read memory in their own address spaces and the kernel's", function()
    local size = ("%x"):format(#example_guest.OTHER)
    local read = ("m%x,%s"):format(USER, size)
    local kernel = ("m%x,4"):format(guest.symbols.schedule)
    local _, init, code, _, worker, _, thread, _, kthread, kernel_code = rsp.ask(tasks,
      "Hg1", read, kernel, "Hg7", read, "Hg8", read, "Hg2", read, kernel)
    local own = rsp.hex(example_guest.DATA:sub(1, #example_guest.OTHER))
    local other = rsp.hex(example_guest.OTHER)
    assert.are.same({own, "00000094", other, other, "E0e", "00000094"},
      {init, code, worker, thread, kthread, kernel_code})
    assert.are.equal(("1,%x"):format(USER + 6), (select(2, rsp.ask(tasks, "Hg1",
      ("qSearch:memory:%x;20;init"):format(USER)))))
  end)

  it("have backtraces and translations", function()
    local function monitor(thread, command)
      local parts, written = {rsp.ask(tasks, "Hg" .. thread, "qRcmd," .. rsp.hex(command))}, ""
      for _, part in ipairs(parts) do
        written = written .. (part:match("^O(%x+)$") or "")
      end
      return rsp.bytes(written)
    end
    assert.are.equal(([[
task 2:
#0  0x%016x schedule+0x40/0x100
#1  0x%016x e1000_open+0x20/0x40 [e1000\x1b]
]]):format(guest.symbols.schedule + 0x40, guest.module_text + 0x120),
      monitor("2", "backtrace"))
    assert.matches("^task 1:\n0x0000000000400000 is physical ", monitor("1", "translate 0x400000"))
    local function at(offset)
      return ("0x%016x is physical 0x"):format(guest.symbols.schedule + offset)
    end
    assert.matches(at(0), monitor("1", "translate schedule"), 1, true)
    assert.matches(at(16), monitor("1", "translate schedule+0x10"), 1, true)
    assert.matches(at(16), monitor("1", "translate schedule+16 1"), 1, true)
    assert.matches('no symbol "schedul"', monitor("1", "translate schedul+16"), 1, true)
    assert.matches('^task 1:\nbad symbol "schedule%+0x[f]+"', monitor("1",
      "translate schedule+0xffffffffffffffffff"))
    assert.matches("^task 2:\n.*not mapped\n$", (monitor("2", "translate 0x400000")
      :gsub("no page tables are known.-\n", "not mapped\n")))
    assert.matches("^vCPU 1:\n#0 .*idle_here", monitor("1", "backtrace 1"))
  end)
end)

describe("the threads of a guest", function()
  after_each(files.clean)

  it("without type information are refused with the reason", function()
    local path = example_guest.write(nil, false)
    local _, errors, status = rsp.serve({tasks = path}, rsp.packet "qC")
    assert.are.equal(1, status)
    assert.matches("tasks.gcore: the kernel has no type information (BTF)", errors, 1, true)
    local _, other, failed = rsp.serve({tasks = gdbdump.x86_64()}, "")
    assert.are.equal(1, failed)
    assert.matches("no VMCOREINFO", other, 1, true)
  end)

  it("end where the list of tasks is damaged, and a message says so", function()
    local guest = example_guest.new()
    local offset = guest.types:offset("struct task_struct", "tasks")
    guest:set(guest.leaders[3] + offset, 0x1234) -- after pid 7
    local output, errors, status = rsp.serve({tasks = example_guest.write(guest)},
      rsp.packet "qfThreadInfo")
    assert.are.equal(0, status)
    assert.matches("$m7,989681,1,2,8#", output, 1, true)
    assert.matches("gdb sees the tasks before it", errors, 1, true)
  end)

  it("are listed once if two have the same pid, and without pids out of range", function()
    local guest = example_guest.new()
    local function set_pid(leader, pid)
      guest:set(leader + guest.types:offset("struct task_struct", "pid"),
        string.pack("<i4", pid))
    end
    set_pid(guest.leaders[1], -1)
    set_pid(guest.leaders[2], 7)
    set_pid(guest.leaders[4], 0x400001)
    assert.are.equal("m7,989681,8", (rsp.ask({tasks = example_guest.write(guest)}, "qfThreadInfo")))
  end)
end)

describe("gdb's monitor command shows a guest's", function()
  local path

  setup(function() path = example_guest.write() end)
  teardown(files.clean)

  it("tasks", function()
    assert.are.equal([[
      PID    PPID  S   CPU  NAME
        1       0  S      1  init
        2       0  S      0  [kthread\x1b[2J]
>       7       1  R      0  worker
        8       1  D      0  a<b>"&, thread of 7
        9       1  Z      0  defunct
]], rsp.monitor(path, "ps"))
    assert.are.equal("      PID    PPID  S   CPU  NAME\n"
      .. ">       7       1  R      0  worker\n", rsp.monitor(path, "ps work"))
    assert.matches("\nno task has %[2J%.%* in its name\n$", rsp.monitor(path, "ps [2J.*"))
  end)

  it("single tasks", function()
    local text = rsp.monitor(path, "task 1")
    assert.matches("process 1 init: sleeping, CPU 1, parent 0\n"
      .. "command line: /sbin/init --verbose \\x1b[2J\n#0  0x", text, 1, true)
    assert.matches("wait_here%+0x20/0x100\n$", text)
    assert.matches("^kernel thread 2 kthread\\x1b%[2J: .-\n#0  0x.-schedule", rsp.monitor(path,
      "task 2"))
    assert.matches("defunct: zombie.*no memory of its own\n.*stack of .* was freed\n$",
      rsp.monitor(path, "task 9"))
    assert.matches("no task has the pid 3\n$", rsp.monitor(path, "task 3"))
    assert.are.equal("usage: monitor task PID\n", rsp.monitor(path, "task init"))
  end)

  it("modules", function()
    assert.are.equal("BASE                   BYTES  NAME (TAINTS)\n"
      .. "0xffffff8000380000     13568  e1000\\x1b (O)\n", rsp.monitor(path, "modules"))
  end)

  it("crash, or that there is none", function()
    local dump <close> = assert(qvm.open(path))
    if not dump.crash then
      return pending "dump:crash() is not there"
    end
    assert.matches("^[^\n]+\n$", rsp.monitor(path, "crash"))
  end)

  it("first tasks, if there are very many, and counts the others", function()
    local guest = example_guest.new()
    local first = guest:task {pid = 1001, name = "many"}
    for pid = 1002, 3500 do
      guest:task {pid = pid, tgid = 1001, name = "many", leader = first}
    end
    guest:link()
    local text = rsp.monitor(example_guest.write(guest), "ps")
    assert.matches("\n505 more were left out\n$", text)
    assert.are.equal(2002, select(2, text:gsub("\n", "\n")))
  end)

  it("nothing without type information, and why", function()
    local plain = example_guest.write(nil, false)
    for _, command in ipairs {"ps", "task 1", "modules"} do
      assert.matches("the kernel has no type information (BTF) in its memory",
        rsp.monitor(plain, command), 1, true)
      assert.matches("no VMCOREINFO", rsp.monitor(gdbdump.x86_64(), command), 1, true)
    end
  end)
end)
