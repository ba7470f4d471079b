-- VMs whose directory a simulator serves with FUSE: the env has no size, each open composes it,
-- and the server can make its readers wait. No more is claimed about a QNX resource manager.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local lfs = require "lfs"
local clock = require("system").monotime

local lacks = sim.lacks_fuse()

local function it(title, test)
  if lacks then
    pending(("%s (%s)"):format(title, lacks))
  else
    require("busted").it(title, test)
  end
end

local CONFIG = [[
ram 1M
cpu
cpu
vdev pl011 name console loc 0x1c090000 intr gic:37
vdev shmem name shared
]]

local function start(name)
  return sim.start(name or "linux1", CONFIG, {fuse = true})
end

-- Runs f, which must end within a few seconds.
local function soon(f, ...)
  local began = clock()
  local results = table.pack(f(...))
  assert.is_true(clock() - began < 6, "took too long")
  return table.unpack(results, 1, results.n)
end

local function code_of(f, ...)
  local value, message, code = soon(f, ...)
  assert.is_nil(value)
  assert.matches("linux1/env: ", message, 1, true)
  return code, message
end

-- The environment of a script that uses the library.
local function environment()
  return {LUA_PATH = "lua/?.lua;lua/?/init.lua;;", LUA_CPATH = sim.build .. "/?.so;;",
    QVM_ROOT = sim.root(), LD_PRELOAD = os.getenv("LD_PRELOAD")}
end

-- Starts a script that prints `begun` first; its messages are in script.log.
local function script(code)
  local child = process.start({process.lua, "-e",
    'local qvm = require "qvm" print "begun" io.stdout:flush() ' .. code},
    {env = environment(), log = files.path("script.log")})
  assert.are.equal("begun", child:line())
  return child
end

local function count(directory)
  local number = 0
  for _ in lfs.dir(directory) do
    number = number + 1
  end
  return number
end

-- The nodes that this process opened, as "env env".
local function opened(vm)
  local nodes = {}
  for _, line in ipairs(vm:opens()) do
    nodes[#nodes + 1] = line:match "^%S+"
  end
  return table.concat(nodes, " ")
end

before_each(function()
  qvm.root(sim.root())
end)

after_each(sim.clean)

describe("a served env", function()
  it("has no size, and is found, read and verified as any other", function()
    local linux1 = start()
    start "linux2"
    assert.are.equal(0, lfs.attributes(linux1.env_path, "size"))
    assert.are.same({"linux1", "linux2"}, qvm.names())
    local vm = assert(qvm.vm("linux1"))
    assert.are.equal(linux1.pid, vm:pid())
    assert.are.equal("running", vm:state())
    local env = assert(vm:env())
    assert.are.equal("linux1", env.raw.system)
    for cpu in env:vcpus() do
      assert.is_true(files.exists(("/proc/%d/task/%d"):format(linux1.pid, cpu.tid)))
    end
    local nodes = {}
    for name in vm:nodes() do
      nodes[#nodes + 1] = name
    end
    assert.are.same({"console", "shared"}, nodes)
  end)

  it("shows the state at the time it is opened", function()
    local linux1 = start()
    local vm = qvm.vm("linux1")
    local before <close> = assert(io.open(linux1.env_path))
    linux1:tell("suspend")
    local after <close> = assert(io.open(linux1.env_path))
    assert.are.equal("suspended", vm:state())
    linux1:tell("resume")
    assert.are.equal("running", vm:state())
    assert.are.equal("running", qvm.decode(before:read("a")) and vm:env():state())
    assert.is_nil(before:read(1))
    assert.matches('"last_known_ip": 0 }', after:read("a"), 1, true)
  end)

  it("is read whole if each read gives one byte", function()
    local linux1 = start()
    local text = qvm.vm("linux1"):env().text
    linux1:tell("trickle")
    assert.are.equal(text, qvm.vm("linux1"):env().text)
    assert.are.equal("running", qvm.vm("linux1"):state())
    local file <close> = assert(io.popen(("dd bs=4096 count=1 if=%s 2>/dev/null"):format(
      linux1.env_path)))
    assert.are.equal("{", file:read("a"))
  end)

  it("stays that of the VM across a reboot", function()
    local linux1 = start()
    local vm = qvm.vm("linux1")
    linux1:tell("suspend")
    linux1:tell("reboot")
    assert.are.equal("running", vm:state())
    assert.are.equal(linux1.pid, vm:pid())
  end)

  it("leaves nothing behind when the VM ends", function()
    local linux1 = start()
    local vm = qvm.vm("linux1")
    assert.are.same({"exit", 0}, {linux1:stop()})
    assert.are.equal("unavailable", vm:state())
    assert.are.same({}, qvm.names())
    assert.are.same({}, files.list(sim.root()))
  end)

  it("is one of a VM that may not be started twice", function()
    local linux1 = start()
    local other = sim.start("linux1", CONFIG, {wait = false})
    assert.are.equal("exit", (other.process:wait()))
    assert.matches("linux1 is running already, as process " .. linux1.pid, other:log_text(), 1,
      true)
    assert.are.equal(linux1.pid, qvm.vm("linux1"):pid())
  end)
end)

describe("the record of who opened what", function()
  it("has the process and its command", function()
    local linux1 = start()
    assert.are.equal(0, (process.run({"cat", linux1.env_path, linux1.path .. "/console"})))
    local list = linux1:opens()
    assert.matches("^env %d+ cat$", list[1])
    assert.matches("^console %d+ cat$", list[2])
    assert.are.equal(2, #list)
    assert.are.same({}, linux1:opens())
  end)

  it("shows that finding VMs and their nodes opens nothing", function()
    local linux1 = start()
    assert.are.same({"linux1"}, qvm.names())
    for vm in qvm.vms() do
      for _ in vm:nodes() do end
    end
    assert(qvm.vm("linux1"))
    assert.are.equal("", opened(linux1))
  end)

  it("shows that env is opened once for each question, and a vdev's node never", function()
    local linux1 = start()
    local vm = qvm.vm("linux1")
    assert(vm:env())
    assert.are.equal("env", opened(linux1))
    assert(vm:pid())
    assert.are.equal("env", opened(linux1))
    assert.are.equal("running", vm:state())
    assert.are.equal("env env", opened(linux1))
    for each in qvm.survey() do
      assert.are.equal("running", each:state())
    end
    assert.are.equal("env env", opened(linux1))
    if sim.can_signal then
      assert(vm:status {log = linux1.log})
      assert.are.equal("env", opened(linux1))
    end
    assert(vm:env():vcpu(0):thread())
    assert(qvm.record(vm, files.path("record")))
    for _, line in ipairs(linux1:opens()) do
      assert.matches("^env ", line)
    end
  end)

  it("shows the same of qvm-diag", function()
    local linux1 = start()
    for _, arguments in ipairs {{"--list"}, {"--all"}, {"linux1"}, {"--prometheus"}} do
      assert.are.equal(0, (process.run({process.lua, "examples/diag.lua",
        table.unpack(arguments)}, {env = environment()})), arguments[1])
    end
    local list = linux1:opens()
    assert.is_true(#list >= 4)
    for _, line in ipairs(list) do
      assert.matches("^env ", line)
    end
  end)
end)

local HANGS = {"hang-open", "hang", "hang-close"}

-- True if a thread of the process is in close(). Linux gives its number, which is 3 on
-- x86-64 and 57 on other 64-bit machines.
local function closes(pid)
  local _, machine = process.run {"uname", "-m"}
  local number = machine == "x86_64\n" and "3" or "57"
  local task = ("/proc/%d/task/"):format(pid)
  for id in lfs.dir(task) do
    local call = id ~= "." and id ~= ".." and files.read(task .. id .. "/syscall")
    if call and call:match "^%d+" == number then
      return true
    end
  end
  return false
end

describe("a server that hangs in open, read or close", function()
  it("is stuck, and holds up no call and no other VM", function()
    local vms = {}
    for _, hang in ipairs(HANGS) do
      vms[hang] = start(hang)
      vms[hang]:tell(hang)
    end
    start "other"
    assert.are.equal(4, #soon(qvm.names))
    local states = {}
    for vm in soon(qvm.survey) do
      states[vm.name] = vm:state()
    end
    assert.are.same({other = "running", ["hang-open"] = "stuck", hang = "stuck",
      ["hang-close"] = "stuck"}, states)
    for _, hang in ipairs(HANGS) do
      vms[hang]:tell("resume")
      assert.are.equal("running", qvm.vm(hang):state())
    end
  end)

  it("causes a timeout, with a message that says why", function()
    local linux1 = start()
    local vm = qvm.vm("linux1")
    linux1:tell("hang-open")
    local code, message = code_of(vm.env, vm)
    assert.are.equal("timeout", code)
    assert.matches("no answer: its qvm process may be stuck", message, 1, true)
    assert.are.equal("timeout", (code_of(vm.pid, vm)))
    linux1:tell("resume")
    assert.is_table(vm:env())
  end)

  for _, hang in ipairs(HANGS) do
    it("holds one thread and one descriptor, however often it is asked: " .. hang, function()
      local linux1 = start()
      local vm = qvm.vm("linux1")
      assert.is_table(vm:env())
      process.sleep(0.1) -- a thread that was joined may still be listed
      local threads, descriptors = count("/proc/self/task"), count("/proc/self/fd")
      linux1:tell(hang)
      for _ = 1, 4 do
        assert.are.equal("timeout", select(3, vm:wait("running", {timeout = 0.05})))
      end
      assert.is_true(count("/proc/self/task") <= threads + 1)
      assert.is_true(count("/proc/self/fd") <= descriptors + 1)
      linux1:tell("resume")
      assert.are.equal("running", vm:state())
      assert(process.eventually(function()
        return count("/proc/self/task") <= threads and count("/proc/self/fd") <= descriptors
      end))
    end)

    it("is gone if it dies, and its reader is told: " .. hang, function()
      local linux1 = start()
      local vm = qvm.vm("linux1")
      linux1:tell(hang)
      local reader = script [[local env, message, code = qvm.vm("linux1"):env()
        print(env and env.raw.system or code)]]
      assert(process.eventually(function() return linux1:opens()[1] end))
      if hang == "hang-close" then -- it has read the env, and waits for 2 s
        assert(process.eventually(function() return closes(reader.pid) end))
      end
      linux1:stop("KILL")
      assert.are.equal(hang == "hang-close" and "linux1" or "gone", reader:line(5))
      local state, why = soon(vm.state, vm)
      assert.are.equal("gone", state)
      assert.matches("linux1/env: no process serves it", why, 1, true)
    end)
  end

  it("answers at once when it answers again, whoever was asking before", function()
    local linux1 = start()
    qvm.root(sim.root())
    linux1:tell "hang-open"
    for _ = 1, 3 do -- each leaves a question that nobody waits for
      assert.is_truthy(qvm.watch {timeout = 0.1, interval = 0.05}())
      collectgarbage()
    end
    linux1:tell "resume"
    local began = clock()
    assert(qvm.vm("linux1"):env())
    assert.is_true(clock() - began < 1, "an abandoned question holds up the next one")
  end)

  it("tells its readers when the VM ends", function()
    local linux1 = start()
    linux1:tell("hang")
    local reader = script [[print(select(3, qvm.vm("linux1"):env()))]]
    assert(process.eventually(function() return linux1:opens()[1] end))
    assert.are.same({"exit", 0}, {linux1:stop()})
    assert.are.equal("gone", reader:line(5))
    assert.are.same({}, files.list(sim.root()))
  end)

  it("can be left by Ctrl-C", function()
    start():tell("hang-open")
    local child = script 'while true do qvm.vm("linux1"):env() end'
    process.sleep(0.2)
    soon(function()
      child:kill("INT")
      assert(process.eventually(function() return not child:is_alive() end))
    end)
    assert.matches("interrupted!", files.read(files.path("script.log")))
  end)
end)

describe("a request to a server that hangs", function()
  it("in open is not sent, not even when the server answers at last", function()
    local linux1 = start()
    local vm = qvm.vm("linux1")
    local log = linux1:log_text()
    linux1:tell("hang-open")
    assert.are.equal("timeout", (code_of(vm.signal, vm, "status")))
    linux1:tell("resume")
    assert.are.equal("running", vm:state()) -- after the request, whose thread it waits for
    process.sleep(0.2)
    assert.are.equal(log, linux1:log_text())
  end)

  it("in close is sent", function()
    if not sim.can_signal then
      pending("valgrind does not support pidfd_send_signal")
      return
    end
    local linux1 = start()
    local vm = qvm.vm("linux1")
    linux1:tell("hang-close")
    assert.is_true(soon(vm.signal, vm, "status"))
  end)
end)

describe("a server that was killed", function()
  it("leaves a VM that is gone in every respect", function()
    local linux1 = start()
    local vm = qvm.vm("linux1")
    linux1:stop("KILL")
    assert.are.same({"linux1"}, qvm.names())
    assert.are.equal("gone", (qvm.vm("linux1"):state()))
    for _, method in ipairs {"pid", "env"} do
      local code, message = code_of(vm[method], vm)
      assert.are.equal("gone", code, method)
      assert.matches("no process serves it", message, 1, true)
    end
    assert.are.equal("gone", (code_of(vm.signal, vm, "dump")))
    assert.is_nil(vm:nodes()())
  end)

  it("is replaced by the next one of its name", function()
    local before = start()
    local vm = qvm.vm("linux1")
    before:stop("KILL")
    local now = start()
    assert.are.equal("running", vm:state())
    assert.are.equal(now.pid, vm:pid())
    assert.are_not.equal(before.pid, now.pid)
    now:stop()
    assert.are.same({}, files.list(sim.root()))
  end)

  it("causes an event, and its successor another one", function()
    local before = start()
    local events = {}
    for event in qvm.watch {interval = 0.05, timeout = 20} do
      events[#events + 1] = event.kind .. " " .. event.state
      if #events == 1 then
        before:stop("KILL")
      elseif #events == 2 then
        start()
      else
        break
      end
    end
    assert.are.same({"appeared running", "state gone", "restarted running"}, events)
  end)
end)

describe("another user", function()
  it("reads the env that root serves, but may not examine the process", function()
    if select(2, process.run({"id", "-u"})) ~= "0\n" then
      pending("needs root")
      return
    end
    start()
    local status, out, errors = process.run({"setpriv", "--reuid=65534", "--regid=65534",
      "--clear-groups", process.lua, "-e", [[local qvm = require "qvm"
      local vm = assert(qvm.vm("linux1"))
      print(select(3, vm:pid())) print((vm:state())) print(vm:env().raw.system)]]},
      {env = environment()})
    assert.are.equal("", errors)
    assert.are.equal(0, status)
    assert.are.equal("permission\nrunning\nlinux1\n", out)
  end)
end)

describe("an env that is a file", function()
  require("busted").it("can neither hang in open nor say who opened it", function()
    local linux1 = sim.start("linux1", CONFIG)
    for _, command in ipairs {"hang-open", "hang-close", "trickle", "opens"} do
      linux1.process:write(command .. "\n")
      assert.are.equal("failed " .. command, linux1.process:line())
    end
    assert.matches("opens: only with set sim-env fuse", linux1:log_text(), 1, true)
    assert.are.equal("running", qvm.vm("linux1"):state())
  end)

  require("busted").it("is what `sim-env` says, or a FUSE server", function()
    local status, _, errors = process.run({sim.program, "system", "x", "set", "sim-env", "pipe"},
      {env = {QVM_ROOT = sim.root()}})
    assert.are.equal(65, status)
    assert.matches("set sim-env: bad value 'pipe', wanted files or fuse", errors, 1, true)
  end)
end)
