-- vcpu:thread(): what the host says about the thread of a vCPU.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local it = sim.can_signal and it or pending

before_each(function()
  qvm.root(sim.root())
end)

after_each(sim.clean)

-- A VM whose env is this text, in which PID is the id of its process.
local function with_env(text)
  local linux1 = sim.start("linux1")
  files.write("vms/linux1/env", (text:gsub("PID", linux1.pid))) -- into the served file
  return assert(qvm.vm("linux1"):env()), linux1
end

local function failure(...)
  local thread, message, code = ...
  assert.is_nil(thread)
  return code, message
end

-- The priority of this process, which the VMs inherit.
local function priority()
  local stat = files.read("/proc/self/stat"):match("^.*%) (.*)$")
  return math.tointeger(stat:match(("%S+ "):rep(15) .. "(%d+)"))
end

describe("vcpu:thread", function()
  it("has the time, priority, name and state of the thread", function()
    sim.start("linux1", "ram 1M\ncpu\ncpu\ncpu")
    local count = 0
    for cpu in qvm.vm("linux1"):env():vcpus() do
      local thread = process.eventually(function() -- it has just been started
        local now = assert(cpu:thread())
        return now.state == "sleeping" and now
      end)
      assert.are.equal("integer", math.type(thread.cpu_time))
      assert.is_true(thread.cpu_time > 0 and thread.cpu_time < 1000000000)
      assert.matches("^thread vcpu%d: sleeping, priority %d+, 0%.%d%d%d%d%d+ s on a processor$",
        tostring(thread))
      thread.cpu_time = nil
      assert.are.same({priority = priority(), state = "sleeping", name = "vcpu" .. count}, thread)
      count = count + 1
    end
    assert.are.equal(3, count)
  end)

  it("has a time in nanoseconds that grows while the thread runs", function()
    local env, linux1 = with_env '{"vcpus": [{"tid": PID, "last_known_ip": 1}]}'
    local cpu = env:vcpu(0)
    local before = assert(cpu:thread())
    assert.are.equal("qvm", before.name)
    for _ = 1, 5 do
      linux1:tell("status")
    end
    local after = assert(cpu:thread())
    assert.is_true(after.cpu_time > before.cpu_time)
    assert.is_true(after.cpu_time - before.cpu_time < 1000000000)
  end)

  it("has the state and priority that the kernel says", function()
    local env, linux1 = with_env '{"vcpus": [{"tid": PID}, {"tid": PID}]}'
    os.execute(("renice -n 17 -p %d >/dev/null"):format(linux1.pid))
    linux1:signal("STOP")
    finally(function() linux1:signal("CONT") end)
    local thread = process.eventually(function()
      local now = assert(env:vcpu(1):thread())
      return now.state == "stopped" and now
    end)
    assert.are.equal(37, thread.priority)
  end)

  it("names a thread exactly, whatever its name contains", function()
    -- The kernel takes the name from the link, and the executable is qvm.
    local program = files.path("a) R 1 (b\27[2J")
    assert(os.execute(("ln -s '%s' '%s'"):format(sim.program, program)))
    local linux1 = sim.start("linux1", nil, {program = program})
    files.write("vms/linux1/env", ('{"vcpus": [{"tid": %d}]}'):format(linux1.pid))
    local cpu = qvm.vm("linux1"):env():vcpu(0)
    local thread = process.eventually(function() -- it has just been started
      local now = assert(cpu:thread())
      return now.state == "sleeping" and now
    end)
    assert.are.equal("a) R 1 (b\27[2J", thread.name)
    assert.are.equal(priority(), thread.priority)
  end)

  it("fails if there is no such thread", function()
    local env, linux1 = with_env [[{"vcpus": [{"last_known_ip": 1}, {"last_known_ip": 1, "tid": 1},
      {"last_known_ip": 1, "tid": 18446744073709551615}, {"last_known_ip": 1, "tid": 0}]}]]
    local code, message = failure(env:vcpu(0):thread())
    assert.are.equal("not_found", code)
    assert.matches("linux1/env: vCPU 0 has no thread id$", message)
    for index, tid in ipairs {1, -1, 0} do
      code, message = failure(env:vcpu(index):thread())
      assert.are.equal("not_found", code)
      assert.matches(("linux1/env: process %d has no thread %d"):format(linux1.pid, tid), message,
        1, true)
    end
  end)

  it("is that of the process that serves the VM now", function()
    local linux1 = sim.start("linux1")
    local cpu = qvm.vm("linux1"):env():vcpu(0)
    linux1:stop("KILL")
    assert.are.equal("gone", (failure(cpu:thread())))
    local again = sim.start("linux1", nil, {wait = false})
    local vm = assert(qvm.vm("linux1"))
    assert(vm:wait("running"))
    local code, message = failure(cpu:thread()) -- the old thread id
    assert.are.equal("not_found", code)
    assert.matches("process " .. again.pid, message, 1, true)
    assert.are.equal("vcpu0", vm:env():vcpu(0):thread().name)
  end)

  it("fails if another program than qvm serves the env", function()
    local program = files.path("other")
    assert(os.execute(("cp '%s' '%s'"):format(sim.program, program)))
    sim.start("linux1", nil, {program = program})
    assert.are.equal("not_qvm", (failure(qvm.vm("linux1"):env():vcpu(0):thread())))
  end)

  it("is unsupported for a recorded VM", function()
    sim.start("linux1")
    assert(qvm.record(qvm.vm("linux1"), files.path("record")))
    local env = assert(qvm.replay(files.path("record")):env())
    local code, message = failure(env:vcpu(0):thread())
    assert.are.equal("unsupported", code)
    assert.matches("env.json: vCPU 0: a recorded VM has no process", message, 1, true)
  end)

  -- What a script prints if the kernel's files have these contents.
  local function read(stat, schedstat)
    local linux1 = sim.start("linux1")
    files.write("stat", stat)
    if schedstat then
      files.write("schedstat", schedstat)
    end
    local _, out = process.run({process.lua, "-e", [[
      local thread, message, code = require "qvm".vm("linux1"):env():vcpu(0):thread()
      print(thread and ("%d %d %s %s"):format(thread.cpu_time, thread.priority, thread.state,
        thread.name) or code .. " " .. message)]]},
      {env = {LUA_PATH = "lua/?.lua;lua/?/init.lua;;", LUA_CPATH = sim.build .. "/?.so;;",
        QVM_ROOT = sim.root(), QVM_TASKS = files.dir(),
        LD_PRELOAD = (os.getenv("LD_PRELOAD") or "") .. " " .. sim.build .. "/helpers/tasks.so"}})
    linux1:stop()
    os.remove(files.path("schedstat"))
    return (out:gsub("\n$", ""))
  end

  local REST = " 1 1 1 0 -1 4194304 1 2 3 4 12 30 5 6 %d 0 3 0 1 2 3\n"

  it("uses clock ticks if the kernel keeps no finer time", function()
    assert.are.equal("420000000 -51 running a b", read("7 (a b) R" .. REST:format(-51)))
    assert.are.equal("420000000 20 parked a", read("7 (a) P" .. REST:format(20), "0 0 0\n"))
  end)

  it("uses nanoseconds if the kernel counts them", function()
    assert.are.equal("123456789012345678 20 unknown nil",
      read("7 () Y" .. REST:format(20), "123456789012345678 5 6\n"))
  end)

  it("is unsupported if the kernel's files are not understood", function()
    for _, stat in ipairs {"", "7", "7 (a", "7 (a)", "7 (a) R 1 2", "7 )a( R" .. REST:format(1),
      "7 (a) R 1 1 1 0 -1 1 1 2 3 4 x y 5 6 20\n"} do
      assert.matches("^unsupported .*linux1/env: thread %d+: its stat in /proc is not understood$",
        read(stat, "1 2 3\n"))
    end
  end)

  it("raises if it is called on something else", function()
    sim.start("linux1")
    local cpu = qvm.vm("linux1"):env():vcpu(0)
    assert.error_matches(function() cpu.thread() end, "EnvVcpu expected, got no value")
  end)
end)
