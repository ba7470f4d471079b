-- Measures 1000 VMs: directories with an env written by the simulator, and running
-- simulators. Prints figures; the answers are checked.
--
-- many.lua [VMS [SIMULATORS]]

package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = (os.getenv("QVM_BUILD") or "build") .. "/?.so;" .. package.cpath

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local clock = require("system").monotime

local VMS, SIMULATORS = tonumber(arg[1] or 1000), tonumber(arg[2] or 1000)
local config = ("ram 1M\ncpu\ncpu\ncpu\ncpu\n" .. "set sim-erratum-843419 on\n"
  .. "set sim-erratum-1286807 off\n")

local function measure(what, f)
  collectgarbage()
  local start, kilobytes = clock(), collectgarbage("count")
  f()
  local seconds = clock() - start
  collectgarbage()
  print(("  %-42s %9.3f ms  %+.0f KiB kept"):format(what, seconds * 1000,
    collectgarbage("count") - kilobytes))
end

local function measure_reads(count)
  measure("qvm.names()", function() assert(#assert(qvm.names()) == count) end)
  measure("qvm.vms()", function()
    local n = 0
    for _ in qvm.vms() do
      n = n + 1
    end
    assert(n == count)
  end)
  measure("env and state of each", function()
    for vm in qvm.vms() do
      assert(assert(vm:env()):state() == "running")
    end
  end)
  measure("errata snapshot of each", function()
    for vm in qvm.vms() do
      assert(#assert(qvm.errata.snapshot(vm)) == 2)
    end
  end)
end

qvm.root(sim.root())
local model = sim.start("model", config)
local text = assert(qvm.vm("model"):env()).text
model:stop()
for i = 1, VMS do
  local name = ("vms/vm%04d"):format(i)
  files.mkdir(name)
  files.write(name .. "/env", text)
end
print(("%d directories with an env of %d bytes"):format(VMS, #text))
measure_reads(VMS)
files.clean()

qvm.root(sim.root())
local simulators = {}
for i = 1, SIMULATORS do
  simulators[i] = sim.start(("vm%04d"):format(i), config, {wait = false})
end
assert(process.eventually(function() return #qvm.names() == SIMULATORS end, 60))
print(("%d simulators"):format(SIMULATORS))
measure_reads(SIMULATORS)
measure("process of each", function()
  for i, simulator in ipairs(simulators) do
    assert(assert(qvm.vm(("vm%04d"):format(i))):pid() == simulator.pid)
  end
end)
measure("signal to each", function()
  for vm in qvm.vms() do
    assert(vm:signal("status"))
  end
end)
for _, simulator in ipairs(simulators) do
  assert(process.eventually(function() return simulator:log_text():find("status 1 ", 1, true) end))
  assert(not simulator:log_text():find("status 2 ", 1, true))
end
sim.clean()
