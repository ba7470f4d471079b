-- Makes allocations and system calls fail at every point of every public call.

local api = require "support.api"
local process = require "support.process"
local sim = require "support.sim"

local host = sim.build .. "/fault_injection/host"

-- Runs a script in the host. Returns the problems it reports, its exit status and the
-- number of attempts. With $QVM_STARVE it tests every point, including the slow calls.
local function walk(script, ...)
  local words = {host, "spec/fault_injection/" .. script .. ".lua", ...}
  words[#words + 1] = os.getenv("QVM_STARVE") and "all" or nil
  local status, out, errors = process.run(words,
    {env = {QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("QVM_PRELOAD")}})
  local problems = {}
  for line in out:gmatch("[^\n]+") do
    if line:find("^PROBLEM") then
      problems[#problems + 1] = line
    end
  end
  problems[#problems + 1] = errors ~= "" and errors or nil
  return problems, status, tonumber(out:match("(%d+) attempts, %d+ problems\n$"))
end

describe("with failing allocations and system calls,", function()
  after_each(sim.clean)

  it("the calls cover every public function and method", function()
    local called = {}
    local status, out, errors = process.run({host, "spec/fault_injection/names.lua"},
      {env = {QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("QVM_PRELOAD")}})
    assert.are.equal(0, status, errors)
    for name in out:gmatch("[^\n]+") do
      called[name] = true
    end
    local names, missing = api.names(api.objects()), {}
    for _, name in ipairs(api.sorted(names)) do
      if names[name] == "function" and not called[name] then
        missing[#missing + 1] = name
      end
      called[name] = nil
    end
    assert.are.same({}, missing, "not called by spec/fault_injection/calls.lua")
    assert.are.same({}, called, "no such function")
  end)

  it("failed C allocations leak nothing, and the next call works", function()
    local problems, status, attempts = walk("walk", "c")
    assert.are.same({}, problems)
    assert.are.equal(0, status)
    assert.is_true(attempts > 1000)
  end)

  it("failed Lua allocations leak nothing, and the next call works", function()
    local problems, status, attempts = walk("walk", "memory")
    assert.are.same({}, problems)
    assert.are.equal(0, status)
    assert.is_true(attempts > 10000)
  end)

  it("failed allocations while the library loads leave no trace", function()
    local problems, status, attempts = walk("cold")
    assert.are.same({}, problems)
    assert.are.equal(0, status)
    assert.is_true(attempts > 500)
  end)

  it("failed system calls return the documented code and name the file", function()
    local problems, status, attempts = walk("walk", "system")
    assert.are.same({}, problems)
    assert.are.equal(0, status)
    assert.is_true(attempts > 1000)
  end)
end)
