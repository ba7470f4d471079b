-- QNX's system log as the log of a VM. There is no slogger2 on this host; where it is
-- needed, a stand-in replaces the core's function that reads it.

local core = require "qvm.core"
local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"

describe("qvm.slog2", function()
  local real = core.slog2

  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(function()
    core.slog2 = real
    sim.clean()
  end)

  it("is unsupported without slogger2", function()
    local log, message, code = qvm.slog2()
    assert.is_nil(log)
    assert.are.equal("slog2: only QNX has it: give the path of a log, or a function", message)
    assert.are.equal("unsupported", code)
  end)

  it("reports a VM without a process before it reads any log", function()
    files.mkdir("vms/linux1")
    files.write("vms/linux1/env", "{}")
    core.slog2 = error
    assert.are.equal("gone", select(3, qvm.slog2(assert(qvm.vm("linux1")))))
  end)

  it("raises for arguments that are not VMs", function()
    for _, value in ipairs {"linux1", 7, {}, {pid = 1}, print} do
      assert.error_matches(function() qvm.slog2(value) end, "bad argument #1 to 'slog2'")
    end
  end)

  it("reads the log of the VM's process, or of all (stand-in for slogger2)", function()
    local linux1 = sim.start("linux1")
    local asked = {}
    core.slog2 = function(pid)
      asked[#asked + 1] = pid
      return "text " .. #asked
    end
    assert.are.equal("text 2", assert(qvm.slog2())())
    assert.are.equal("text 4", assert(qvm.slog2(assert(qvm.vm("linux1"))))())
    assert.are.same({0, 0, linux1.pid, linux1.pid}, asked)
  end)

  it("returns failures (stand-in for slogger2)", function()
    core.slog2 = function() return nil, "slog2: no", "io" end
    assert.are.same({nil, "slog2: no", "io"}, {qvm.slog2()})
  end)

  local it = sim.can_signal and it or pending

  it("can serve as the log for vm:status (stand-in for slogger2)", function()
    local linux1 = sim.start("linux1")
    core.slog2 = function() return linux1:log_text() end
    local vm = assert(qvm.vm("linux1"))
    assert.matches("^linux1 info: status 1 ",
      (assert(vm:status {log = assert(qvm.slog2(vm)), timeout = 20})))
  end)
end)

describe("vm:status with a log function", function()
  local it = sim.can_signal and it or pending

  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  it("sends nothing if the function fails at once", function()
    sim.start("linux1")
    local function log()
      return nil, "no log", "permission"
    end
    local vm = setmetatable({signal = error}, {__index = qvm.vm("linux1")})
    assert.are.same({nil, "no log", "permission"}, {vm:status {log = log}})
  end)

  it("returns a later failure of the function without waiting further", function()
    sim.start("linux1")
    local calls = 0
    local function log()
      calls = calls + 1
      if calls < 3 then
        return "text " .. calls
      end
      return nil, "log lost", "io"
    end
    local result = {qvm.vm("linux1"):status {log = log, timeout = 20}}
    assert.are.same({nil, "log lost", "io"}, result)
    assert.are.equal(3, calls)
  end)
end)
