-- Errors about arguments are raised at the script's call, however deep in the library the
-- check is.

local api = require "support.api"
local qvm = require "qvm"
local sim = require "support.sim"

local function check(name, f, problem)
  local ok, message = pcall(function() f() return true end)
  assert.is_false(ok, name)
  assert.matches("^spec/util/arguments_spec.lua:%d+: ", message, nil, name)
  assert.matches(problem, message, 1, true)
end

describe("a bad argument", function()
  after_each(sim.clean)

  it("is raised at the caller's position", function()
    local o = api.objects()
    local vm, env, dump, space = o.VM[1], o.Env[1], o.Dump[1], o.Space[1]
    for problem, f in pairs {
      ["to 'wait' (\"x\" is not a state: running suspended "] = function() vm:wait "x" end,
      ["to 'wait' (number is not a state"] = function() vm:wait(5) end,
      ["to 'wait' (state expected)"] = function() vm:wait {} end,
      ["'wait' has no option 'timout': is it 'timeout'?"] = function()
        vm:wait("running", {timout = 1})
      end,
      ["'signal' (\"status\" or \"dump\" expected, got \"kill\")"] = function()
        vm:signal "kill"
      end,
      ["'status' needs the option 'log'"] = function() vm:status() end,
      ["a schema has no 'vcpu': is it 'vcpus'?"] = function() qvm.schema {vcpu = "a"} end,
      ["vcpus: string expected, got number"] = function() qvm.schema {vcpus = 1} end,
      ["character 2 of path \"a[\" is not understood"] = function() env:get "a[" end,
      ["'get' (string expected, got no value)"] = function() env:get() end,
      ["'vcpu' (integer expected, got float)"] = function() dump:vcpu(1.5) end,
      ["'u8' (number expected, got no value)"] = function() dump:u8() end,
      ["not a number in a string: \"12\""] = function() dump:u8 "12" end,
      ["bad symbol \"\""] = function() space:u64 "" end,
      ["'translate' (integer or symbol expected, got boolean)"] = function()
        space:translate(true)
      end,
      ["'diff_registers' (Dump expected, got table)"] = function() dump:diff_registers({}) end,
      ["'backtrace' (Space expected, got Dump)"] = function() dump:vcpu(0):backtrace(dump) end,
      ["'space' (vCPU or table of options expected, got no value)"] = function()
        dump:space()
      end,
      ["option 'granule' of 'space' is not 4096, 16384 or 65536"] = function()
        dump:space {root = 0, granule = 1}
      end,
      ["'record' (VM expected, got Dump)"] = function() qvm.record(dump, "x") end,
      ["'slog2' (VM expected, got string)"] = function() qvm.slog2 "linux1" end,
      ["'snapshot' (VM or Env expected, got number)"] = function() qvm.errata.snapshot(1) end,
      ["#2 to 'diff' (snapshot expected, got no value)"] = function() qvm.errata.diff({}) end,
      ["'check' (Conf expected, got table)"] = function() qvm.conf.check({}, vm) end,
      ["'hex' (integer expected, got no value)"] = function() qvm.hex() end,
      ["'sleep' (number of seconds expected, got -1)"] = function() qvm.sleep(-1) end,
      ["'open' has no option 'parital': is it 'partial'?"] = function()
        qvm.open("a", {parital = true})
      end,
      ["'open' has no option '5'"] = function() qvm.open("a", {[5] = true}) end} do
      check(problem, f, problem)
    end
  end)
end)
