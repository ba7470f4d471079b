-- Env documents: decodes them and searches them for vCPUs and errata.

local Env = require "qvm.host.env"
local expect = require "expect"

local function check(env, kind)
  local index = 0
  for found in env[kind](env) do
    expect.escaped(found)
    -- It is at its path.
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

local ours = {vcpus = "a.b", errata = "e", tid = "t", ip = "i"}

-- An "s" before the document selects a schema for the paths.
return function(input)
  local with_schema = input:sub(1, 1) == "s"
  Env.schema(with_schema and ours or nil)
  input = with_schema and input:sub(2) or input
  local env = expect.result("a test", Env.decode(input, "a test"))
  if env then
    check(env, "vcpus")
    check(env, "errata")
    local state = env:state()
    assert(state == "running" or state == "suspended" or state == "unknown")
    expect.escaped(env)
  end
end
