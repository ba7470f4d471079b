-- The state of a VM according to its env and its process, and the assertions about it.

local assert_that = assert
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

require "qvm.assertions"

local it = sim.can_signal and it or pending

-- A VM that has an env but no process.
local function left_behind(name, env)
  if not files.exists(sim.root() .. "/" .. name) then
    files.mkdir("vms/" .. name)
  end
  files.write("vms/" .. name .. "/env", env)
  return assert_that(qvm.vm(name))
end

local function message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return type(message) == "table" and tostring(message.message or message) or tostring(message)
end

local TWO_RUNNING = '{"vcpus": [{"last_known_ip": 1}, {"last_known_ip": 2}]}'

before_each(function()
  qvm.root(sim.root())
end)

after_each(sim.clean)

describe("vm:state", function()
  it("has no reason for a VM that is running or suspended", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    assert.are.same({"running", n = 1}, table.pack(vm:state()))
    linux1:tell("suspend")
    assert.are.same({"suspended", n = 1}, table.pack(vm:state()))
  end)

  it("is gone if the VM was killed and its env is left", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1:stop("KILL")
    local state, why = vm:state()
    assert.are.equal("gone", state)
    assert.matches("linux1/env: no process serves it", why, 1, true)
  end)

  it("is stuck if qvm does not answer", function()
    local linux1 = sim.start("linux1")
    linux1:tell("hang")
    local state, why = qvm.vm("linux1"):state()
    assert.are.equal("stuck", state)
    assert.matches("linux1/env: no answer", why, 1, true)
    linux1:tell("resume")
    assert.are.equal("running", (qvm.vm("linux1"):state()))
  end)

  it("is gone, not stuck, if a hung VM was killed", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1:tell("hang")
    linux1:stop("KILL")
    assert.are.equal("gone", (vm:state()))
  end)

  it("is unavailable without an env", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1:stop()
    local state, why = vm:state()
    assert.are.equal("unavailable", state)
    assert.matches("linux1/env: No such file", why, 1, true)
  end)

  it("is unavailable, not gone, if the env is removed while the VM is asked", function()
    local linux1 = sim.start("linux1")
    local go = files.path("go")
    assert_that(process.run {"mkfifo", go} == 0)
    assert_that(process.run {"cp", sim.build .. "/helpers/pause.so", files.dir()} == 0)
    local asker = process.start({process.lua, "-e", ([[
      package.path, package.cpath = %q, %q
      print((require "qvm".vm("linux1"):state()))]]):format(package.path, package.cpath)},
      {log = files.path("asker.log"), env = {QVM_ROOT = sim.root(), QVM_PAUSE = go,
        LD_PRELOAD = (os.getenv("LD_PRELOAD") or "") .. " " .. files.path("pause.so")}})
    assert.are.equal("paused", asker:line())
    linux1:stop()
    files.write("go", "go\n")
    assert.are.equal("unavailable", asker:line())
  end)

  it("is unknown, with the reason, if the env has too little information", function()
    sim.start("linux1", "ram 1M\ncpu")
    local state, why = qvm.vm("linux1"):state()
    assert.are.equal("unknown", state)
    assert.matches("linux1/env: with one vCPU the state cannot be determined", why, 1, true)
  end)

  it("is unknown if the env is served by another program than qvm", function()
    local program = files.path("other")
    assert_that(os.execute(("cp '%s' '%s'"):format(sim.program, program)))
    sim.start("linux1", nil, {program = program})
    local state, why = qvm.vm("linux1"):state()
    assert.are.equal("unknown", state)
    assert.matches("which is other, not qvm", why, 1, true)
  end)

  it("of a recorded VM is the state at the time of the record", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1:stop("KILL")
    assert_that(qvm.record(vm, files.path("record")))
    local replay = assert_that(qvm.replay(files.path("record")))
    assert.are.equal("gone", replay.manifest.state)
    local state, why = replay:state()
    assert.are.equal("gone", state)
    assert.matches("no process served it when it was recorded", why)
    assert.is_not.vm_running(replay)
    assert.is_not.vm_served(replay)
  end)
end)

describe("env:state", function()
  local function state_of(text)
    return left_behind("linux1", text):env():state()
  end

  it("explains an unknown state", function()
    for text, why in pairs {["{}"] = "no vCPUs found: see qvm.schema",
      ['{"vcpus": [{"tid": 1}]}'] = "with one vCPU the state cannot be determined",
      ['{"vcpus": [{"tid": 1}, {"tid": 2}]}'] = "vCPU 1 has no last known instruction pointer"} do
      local state, reason = state_of(text)
      assert.are.equal("unknown", state)
      assert.matches("linux1/env: " .. why, reason, 1, true)
    end
  end)
end)

describe("an Env as text", function()
  it("does not count what was not found", function()
    assert.matches("env: no vCPUs or errata found (see qvm.schema), 2 bytes",
      tostring(left_behind("linux1", "{}"):env()), 1, true)
    assert.matches("env: no vCPUs found (see qvm.schema), 1 erratum, 23 bytes",
      tostring(left_behind("linux2", '{"errata": {"1": "on"}}'):env()), 1, true)
    assert.matches("env: 2 vCPUs, 0 errata", tostring(left_behind("linux3", TWO_RUNNING):env()),
      1, true)
  end)
end)

describe("assert.vm_running and assert.vm_served", function()
  it("hold for a VM that is served by a qvm", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    assert.vm_running(vm)
    assert.vm_served(vm)
    assert.matches("expected not to run, is running", message_of(assert.is_not.vm_running, vm))
    assert.matches("expected not to be served, is served",
      message_of(assert.is_not.vm_served, vm))
    linux1:tell("suspend")
    assert.is_not.vm_running(vm)
    assert.vm_served(vm)
    assert.matches("expected running, is suspended", message_of(assert.vm_running, vm))
  end)

  it("hold for a VM with one vCPU that is served", function()
    local linux1 = sim.start("linux1", "ram 1M\ncpu")
    local vm = qvm.vm("linux1")
    assert.vm_running(vm)
    assert.vm_served(vm)
    linux1:stop("KILL")
    assert.is_not.vm_running(vm)
    assert.is_not.vm_served(vm)
  end)

  it("do not hold for a VM that was killed", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1:stop("KILL")
    assert.is_not.vm_running(vm)
    assert.is_not.vm_served(vm)
    assert.matches("expected running, is gone %(.*no process serves it",
      message_of(assert.vm_running, vm))
    assert.matches("expected to be served, is gone %(.*no process serves it",
      message_of(assert.vm_served, vm))
  end)

  it("do not hold for a VM that has ended or does not answer", function()
    local linux1, linux2 = sim.start("linux1"), sim.start("linux2")
    local ended, hung = qvm.vm("linux1"), qvm.vm("linux2")
    linux1:stop()
    linux2:tell("hang")
    for vm, state in pairs {[ended] = "unavailable", [hung] = "stuck"} do
      assert.is_not.vm_running(vm)
      assert.is_not.vm_served(vm)
      assert.matches("expected running, is " .. state, message_of(assert.vm_running, vm))
    end
  end)

  it("fail, as do their negations, if the state cannot be determined", function()
    sim.start("linux1")
    files.write("vms/linux1/env", "{") -- into the served file
    local broken = qvm.vm("linux1")
    for _, f in ipairs {assert.vm_running, assert.is_not.vm_running, assert.vm_served,
      assert.is_not.vm_served} do
      assert.matches("env:1:2: ", message_of(f, broken), 1, true)
      assert.matches("VM expected, got string", message_of(f, "linux1"))
    end
    -- The VM is served, but its schema finds nothing.
    sim.start("linux2")
    qvm.schema {vcpus = "nowhere"}
    finally(function() qvm.schema(nil) end)
    local vm = qvm.vm("linux2")
    assert.matches("no vCPUs found", message_of(assert.vm_running, vm))
    assert.matches("no vCPUs found", message_of(assert.is_not.vm_running, vm))
    assert.vm_served(vm)
  end)
end)
