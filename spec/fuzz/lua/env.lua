-- Env documents: decoded, and looked through for vCPUs and errata.

local Env = require "qvm.env"
local expect = require "expect"

local function check(env, kind)
  local index = 0
  for found in env[kind](env) do
    expect.harmless(found)
    -- It stands where it says.
    local there = env:get(found.path)
    assert(there ~= nil, found.path)
    if kind == "vcpus" then
      assert(rawequal(there, found.raw) and found.index == index)
      assert(found.tid == nil or math.type(found.tid) == "integer")
    else
      assert(type(found.id) == "string" and found.value ~= nil)
      assert(found.cpu == nil or math.type(found.cpu) == "integer")
    end
    index = index + 1
  end
end

return function(input)
  local env = expect.result("a test", Env.decode(input, "a test"))
  if env then
    check(env, "vcpus")
    check(env, "errata")
    local state = env:state()
    assert(state == "running" or state == "suspended" or state == "unknown")
    expect.harmless(env)
  end
end
