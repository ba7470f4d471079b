-- No memory, and system calls that fail: at every point of every public call.

local api = require "support.api"
local process = require "support.process"
local sim = require "support.sim"

local host = sim.build .. "/starve/host"

-- Runs a script in the host: what it has to complain about, its exit status, how many
-- attempts it made. With $QVM_STARVE at every point, also where that takes long.
local function walk(script, ...)
  local words = {host, "spec/starve/" .. script .. ".lua", ...}
  words[#words + 1] = os.getenv("QVM_STARVE") and "all" or nil
  local status, out, errors = process.run(words,
    {env = {QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("QVM_PRELOAD")}})
  local complaints = {}
  for line in out:gmatch("[^\n]+") do
    if line:find("^PROBLEM") then
      complaints[#complaints + 1] = line
    end
  end
  complaints[#complaints + 1] = errors ~= "" and errors or nil
  return complaints, status, tonumber(out:match("(%d+) attempts, %d+ problems\n$"))
end

describe("where something is lacking,", function()
  after_each(sim.clean)

  it("every public function and method is called", function()
    local called = {}
    local status, out, errors = process.run({host, "spec/starve/names.lua"},
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
    assert.are.same({}, missing, "not called by spec/starve/calls.lua")
    assert.are.same({}, called, "there is no such function")
  end)

  it("memory of the C core: nothing is lost, and the next call works", function()
    local complaints, status, attempts = walk("walk", "c")
    assert.are.same({}, complaints)
    assert.are.equal(0, status)
    assert.is_true(attempts > 1000)
  end)

  it("memory of Lua: nothing is lost, and the next call works", function()
    local complaints, status, attempts = walk("walk", "memory")
    assert.are.same({}, complaints)
    assert.are.equal(0, status)
    assert.is_true(attempts > 10000)
  end)

  it("memory while the library is loaded and first used: as if that had not been", function()
    local complaints, status, attempts = walk("cold")
    assert.are.same({}, complaints)
    assert.are.equal(0, status)
    assert.is_true(attempts > 500)
  end)

  it("a system call: the documented code, the file's name, and the next call works", function()
    local complaints, status, attempts = walk("walk", "system")
    assert.are.same({}, complaints)
    assert.are.equal(0, status)
    assert.is_true(attempts > 1000)
  end)
end)
