-- qvm.survey: all VMs are asked at once.

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

local function states(options)
  local list = {}
  for vm in qvm.survey(options) do
    list[#list + 1] = vm.name .. " " .. tostring(vm:state())
  end
  return list
end

describe("qvm.survey", function()
  it("iterates over the VMs in name order, with what they answered", function()
    local linux2 = sim.start("linux2")
    local linux1 = sim.start("linux1", "ram 1M\ncpu\nvdev pl011 name c")
    linux2:tell("suspend")
    local answers = {}
    for vm in qvm.survey() do
      answers[#answers + 1] = vm
    end
    assert.are.equal(2, #answers)
    assert.are.equal("VM linux1 (" .. linux1.path .. "), as it answered", tostring(answers[1]))
    assert.are.equal("linux1", answers[1].name)
    assert.are.equal(linux1.pid, answers[1]:pid())
    assert.are.equal("unknown", (answers[1]:state()))
    assert.are.equal("c", answers[1]:nodes()())
    assert.are.same({"suspended", n = 1}, table.pack(answers[2]:state()))
    assert.are.equal("linux2", answers[2]:env():get("system"))
    linux2:tell("resume")
    assert.are.equal("suspended", (answers[2]:state())) -- as it answered
    assert.is_true(answers[2]:wait("running")) -- asks anew
    assert.is_true(answers[2]:signal("status"))
  end)

  it("costs one time limit, however many VMs are stuck", function()
    for i = 1, 5 do
      sim.start("hung" .. i):tell("hang")
    end
    sim.start("linux1")
    local calls, last = 0, nil
    local began = system.monotime()
    assert.are.same({"hung1 stuck", "hung2 stuck", "hung3 stuck", "hung4 stuck", "hung5 stuck",
      "linux1 running"}, states {progress = function(done, total)
        calls, last = calls + 1, {done, total}
      end})
    local took = system.monotime() - began
    assert.is_true(took >= 2 and took < 8, tostring(took))
    assert.is_true(calls > 10)
    assert.are.same({6, 6}, last)
    began = system.monotime()
    assert.are.same({"linux1 running"}, states {names = {"linux1", "nobody"}})
    assert.is_true(system.monotime() - began < 2)
  end)

  it("returns failures from the methods", function()
    sim.start("linux1")
    files.write("vms/linux1/env", "{") -- into the served file
    sim.start("linux2"):stop("KILL")
    sim.start("linux3"):tell("hang")
    local broken, killed, hung = table.unpack((function()
      local list = {}
      for vm in qvm.survey() do list[#list + 1] = vm end
      return list
    end)())
    assert.are.equal("malformed", select(3, broken:state()))
    assert.are.equal("malformed", select(3, broken:env()))
    assert.are.equal("gone", (killed:state()))
    assert.are.equal("gone", select(3, killed:pid()))
    assert.are.equal("linux2", killed:env():get("system"))
    assert.are.equal("timeout", select(3, hung:env()))
    assert.matches("linux3/env: no answer", select(2, hung:state()), 1, true)
  end)

  -- As a server of QNX may hold its client against every bound.
  it("gives up a question whose system call never returns", function()
    sim.start("linux1")
    local fifo = files.path("fifo")
    assert(os.execute("mkfifo " .. fifo))
    local began = system.monotime()
    local status, out, errors = process.run({process.lua, "-e", [[
      for vm in require "qvm".survey() do print(vm:state()) end]]},
      {env = {LUA_PATH = "lua/?.lua;lua/?/init.lua;;", LUA_CPATH = sim.build .. "/?.so;;",
        QVM_ROOT = sim.root(), QVM_PAUSE = fifo, -- nobody writes to it
        LD_PRELOAD = (os.getenv("LD_PRELOAD") or "") .. " " .. sim.build .. "/helpers/pause.so"}})
    assert.are.equal("", errors)
    assert.are.equal(0, status)
    assert.matches("^paused\nstuck\t[^\n]*linux1/env: no answer: its qvm process is stuck\n$", out)
    assert.is_true(system.monotime() - began < 6)
  end)

  it("asks more VMs than it has threads", function()
    for i = 1, 150 do
      local name = ("vms/vm%03d"):format(i)
      sim.root()
      files.mkdir(name)
      files.write(name .. "/env", "{}")
    end
    local list = states()
    assert.are.equal(150, #list)
    assert.are.equal("vm001 gone", list[1])
    assert.are.equal("vm150 gone", list[150])
  end)

  it("has no VMs below a root that does not exist, and raises if it is not a directory", function()
    qvm.root(files.path("later"))
    assert.are.same({}, states())
    qvm.root(files.write("file", ""))
    assert.error_matches(function() qvm.survey() end, "file: Not a directory")
    assert.error_matches(function() qvm.survey {name = {}} end, "no option 'name'")
  end)

  it("can be left from progress, and by Ctrl-C", function()
    sim.start("linux1"):tell("hang")
    local began = system.monotime()
    assert.has_error(function() qvm.survey {progress = function() error "enough" end} end)
    collectgarbage()
    local script = process.start({process.lua, "-e", [[local qvm = require "qvm" print "begun"
      io.stdout:flush() while true do qvm.survey() end]]},
      {env = {LUA_PATH = "lua/?.lua;lua/?/init.lua;;", LUA_CPATH = sim.build .. "/?.so;;",
        QVM_ROOT = sim.root(), LD_PRELOAD = os.getenv("LD_PRELOAD")},
        log = files.path("script.log")})
    assert.are.equal("begun", script:line())
    process.sleep(0.2)
    script:kill("INT")
    assert(process.eventually(function() return not script:is_alive() end))
    assert.matches("interrupted!", files.read(files.path("script.log")))
    assert.is_true(system.monotime() - began < 10)
  end)
end)
