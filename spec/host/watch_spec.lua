-- vm:wait and qvm.watch.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local system = require "system"

local it = sim.can_signal and it or pending

before_each(function()
  qvm.root(sim.root())
end)

after_each(sim.clean)

-- Runs shell text in the background that changes a simulated VM a little later.
local function later(text)
  return process.start {"sh", "-c", "sleep 0.2; " .. text}
end

-- Calls f, which asks VMs, until no answer can have been late: on a busy machine a VM that does
-- not answer within 0.2 s may count as unknown. Returns the results of f.
local function undelayed(f)
  local results
  assert(process.eventually(function()
    local began = system.monotime()
    results = table.pack(f())
    return system.monotime() - began < 0.2
  end), "too slow")
  return table.unpack(results, 1, results.n)
end

describe("vm:wait", function()
  it("returns true at once if the VM is in that state", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    assert.is_true(vm:wait("running"))
    linux1:tell("suspend")
    assert.is_true(vm:wait("suspended"))
    assert.is_true((undelayed(function()
      return vm:wait({"running", "suspended"}, {timeout = 0.01})
    end)))
    linux1:stop("KILL")
    assert.is_true(vm:wait("gone"))
  end)

  it("waits until the VM is in that state", function()
    local linux1 = sim.start("linux1")
    later("kill -KILL " .. linux1.pid)
    assert.is_true(qvm.vm("linux1"):wait({"unavailable", "gone"}, {interval = 0.01}))
    local linux2 = sim.start("linux2")
    later("kill -TERM " .. linux2.pid)
    assert.is_true(qvm.vm("linux2"):wait("unavailable", {interval = 0.01}))
  end)

  it("reports the actual state on a timeout", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    assert.are.same({nil, "linux1: not suspended or gone within 0.05 s, but running", "timeout"},
      {undelayed(function() return vm:wait({"suspended", "gone"}, {timeout = 0.05}) end)})
    linux1:tell("hang")
    local began = system.monotime()
    local ok, message, code = vm:wait("running", {timeout = 0.2})
    assert.are.same({nil, "timeout"}, {ok, code})
    assert.matches("but unknown: .*no answer", message)
    assert.is_true(system.monotime() - began < 1.5)
    assert.is_true(vm:wait("stuck"))
    assert.matches("not running within 2.3 s, but stuck: .*no answer",
      select(2, vm:wait("running", {timeout = 2.3})))
  end)

  it("raises for invalid arguments", function()
    sim.start("linux1")
    local vm = qvm.vm("linux1")
    assert.error_matches(function() vm:wait() end, "state expected")
    assert.error_matches(function() vm:wait {} end, "state expected")
    assert.error_matches(function() vm:wait "up" end, '"up" is not a state: running')
    assert.error_matches(function() vm:wait {"running", 1} end, "number is not a state")
    assert.error_matches(function() vm:wait("running", {timeout = 0}) end,
      "is not a number of seconds")
    assert.error_matches(function() vm:wait("running", {timout = 1}) end, "no option 'timout'")
  end)

  it("is unsupported for a recorded VM", function()
    sim.start("linux1")
    assert(qvm.record(qvm.vm("linux1"), files.path("record")))
    assert.are.equal("unsupported",
      select(3, assert(qvm.replay(files.path("record"))):wait("running")))
  end)
end)

describe("qvm.watch", function()
  -- Returns the next event as text, and the event.
  local function show(event)
    if event then
      return ("%s %s %s %s"):format(event.vm.name, event.kind, event.before, event.state), event
    end
  end

  local function watch(options)
    options = options or {}
    options.interval, options.timeout = 0.01, options.timeout or 20
    local next_event = qvm.watch(options)
    return function() return show(next_event()) end
  end

  -- Returns the first event of a watch as text, and the watch.
  local function first_of(options)
    return undelayed(function()
      local next_event = watch(options)
      return (next_event()), next_event
    end)
  end

  it("starts with the existing VMs", function()
    local linux2, linux1 = sim.start("linux2"), sim.start("linux1", "ram 1M\ncpu")
    local texts, pids = undelayed(function()
      local texts, pids = {}, {}
      for event in qvm.watch {timeout = 0.05, interval = 0.01} do
        texts[#texts + 1], pids[#pids + 1] = show(event), event.pid
        assert.are.equal("VM", getmetatable(event.vm).__name)
      end
      return texts, pids
    end)
    assert.are.same({"linux1 appeared nil unknown", "linux2 appeared nil running"}, texts)
    assert.are.same({linux1.pid, linux2.pid}, pids)
  end)

  it("reports changes", function()
    local next_event = watch()
    local linux1 = sim.start("linux1")
    local appeared = next_event()
    if appeared == "linux1 appeared nil unknown" then -- on a busy machine: see `undelayed`
      appeared = next_event():gsub("state unknown", "appeared nil")
    end
    assert.are.equal("linux1 appeared nil running", appeared)
    linux1:tell("suspend")
    local _, changed = next_event()
    assert.are.equal("Event linux1 state: running to suspended", tostring(changed))
    linux1:tell("resume")
    assert.are.equal("linux1 state suspended running", (next_event()))
    linux1:stop("KILL")
    local text, event = next_event()
    assert.are.equal("linux1 state running gone", text)
    assert.are.equal(linux1.pid, event.pid)
    local again = sim.start("linux1", nil, {wait = false})
    text, event = next_event()
    assert.are.equal("linux1 restarted gone running", text)
    assert.are.equal(again.pid, event.pid)
    again:stop()
    text, event = next_event()
    assert.are.equal("linux1 disappeared running unavailable", text)
    assert.are.equal(again.pid, event.pid)
  end)

  it("reports events of other VMs while one is stuck", function()
    local hung = {}
    for i = 1, 5 do
      hung[i] = sim.start("hung" .. i)
      hung[i]:tell("hang")
    end
    local next_event = watch {timeout = 100}
    for i = 1, 5 do
      assert.are.equal(("hung%d appeared nil unknown"):format(i), (next_event()))
    end
    local linux1 = sim.start("linux1")
    local seen, began = {}, system.monotime()
    local function until_event(wanted, other)
      repeat
        local text = assert(next_event(), wanted)
        seen[text] = true
      until text == wanted or text == other
    end
    -- On a busy machine it may not answer at once.
    until_event("linux1 appeared nil running", "linux1 state unknown running")
    for _ = 1, 3 do
      linux1:tell("suspend")
      until_event("linux1 state running suspended")
      linux1:tell("resume")
      until_event("linux1 state suspended running")
    end
    -- Each of these seven would take 10 s if all stuck VMs were waited for.
    assert.is_true(system.monotime() - began < 35)
    for i = 1, 5 do
      local stuck = ("hung%d state unknown stuck"):format(i)
      if not seen[stuck] then
        until_event(stuck)
      end
    end
    hung[3]:tell("resume")
    -- A reader that the simulated hang held receives an empty env.
    until_event("hung3 state stuck running", "hung3 state unknown running")
  end)

  it("watches only the given names", function()
    sim.start("linux1")
    sim.start("linux2")
    local appeared, next_event = first_of {names = {"linux2", "later"}, timeout = 0.1}
    assert.are.equal("linux2 appeared nil running", appeared)
    assert.is_nil((next_event()))
    assert.is_nil((watch {names = {}, timeout = 0.05}()))
  end)

  it("reports an unreadable env as unknown", function()
    sim.start("linux1")
    local appeared, next_event = first_of()
    assert.are.equal("linux1 appeared nil running", appeared)
    files.write("vms/linux1/env", "{") -- into the served file
    assert.are.equal("linux1 state running unknown", (next_event()))
  end)

  it("waits for a root that does not exist yet, and raises if it is not a directory", function()
    qvm.root(files.path("later"))
    assert.is_nil((watch {timeout = 0.05}()))
    qvm.root(files.write("file", ""))
    assert.error_matches(function() qvm.watch() end, "file: Not a directory")
  end)

  it("shares no state between two loops", function()
    sim.start("linux1")
    local one, other = undelayed(function()
      local one, other = watch(), watch()
      return (one()), (other())
    end)
    assert.are.equal("linux1 appeared nil running", one)
    assert.are.equal("linux1 appeared nil running", other)
  end)

  it("raises for invalid arguments", function()
    assert.error_matches(function() qvm.watch(1) end, "table expected, got number")
    assert.error_matches(function() qvm.watch {interval = 0} end, "is not a number of seconds")
    assert.error_matches(function() qvm.watch {names = "linux1"} end, "is not an array of names")
    assert.error_matches(function() qvm.watch {names = {1}} end, "is not an array of names")
    for _, name in ipairs {"a/b", "", ".", "..", "a\0"} do
      for _, call in ipairs {qvm.watch, qvm.survey} do
        assert.error_matches(function() call {names = {"linux1", name}} end,
          "is not an array of names")
      end
    end
    assert.error_matches(function() qvm.watch {every = 1} end, "no option 'every'")
  end)
end)

describe("qvm.sleep", function()
  it("sleeps", function()
    local began = system.monotime()
    qvm.sleep(0.05)
    qvm.sleep(0)
    assert.is_true(system.monotime() - began >= 0.05)
  end)

  it("is interrupted by Ctrl-C only", function()
    local sleeper = process.start({os.getenv("LUA") or "lua5.4", "-e",
      [[local qvm = require "qvm" print "begun" io.stdout:flush() qvm.sleep(600)]]},
      {env = {LUA_PATH = "lua/?.lua;lua/?/init.lua;;", LUA_CPATH = sim.build .. "/?.so;;",
        LD_PRELOAD = os.getenv("LD_PRELOAD")}, log = files.path("sleeper.log")})
    assert.are.equal("begun", sleeper:line())
    sleeper:kill("CONT")
    process.sleep(0.05)
    assert.is_true(sleeper:is_alive())
    sleeper:kill("INT") -- once: a second one ends lua without a message
    assert(process.eventually(function() return not sleeper:is_alive() end))
    assert.matches("interrupted!", files.read(files.path("sleeper.log")))
  end)

  it("raises for arguments that are not a number of seconds", function()
    for _, value in ipairs {"1", -1, 0 / 0, math.huge, 2^31} do
      assert.error_matches(function() qvm.sleep(value) end,
        "number of seconds expected")
    end
  end)
end)
