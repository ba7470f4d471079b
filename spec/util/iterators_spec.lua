-- Iterators of the public API: each loop has its own state.

local api = require "support.api"
local iterators = require "qvm.util.iterators"
local sim = require "support.sim"

-- The iterators of the library's objects, by the name of what creates them.
local function makers_of(o)
  local makers = {}
  for kind, names in pairs {VM = {"nodes"}, Replay = {"nodes"}, Env = {"vcpus", "errata"},
    Dump = {"segments", "ranges", "vcpus", "sections", "notes", "dmesg"},
    Vcpu = {"registers", "extra_registers", "backtrace"}, Space = {"mappings"},
    Type = {"members"}, SystemLog = {"lines"}} do
    for _, name in ipairs(names) do
      local object = o[kind][1]
      makers[kind .. ":" .. name] = function() return object[name](object) end
    end
  end
  return makers
end

local function list_of(iterator)
  local list = {}
  for a, b, c in iterator do
    list[#list + 1] = {tostring(a), b ~= nil and tostring(b), c ~= nil and tostring(c)}
  end
  return list
end

describe("iterators", function()
  after_each(sim.clean)

  it("of one object share no state", function()
    local found = 0
    for name, make in pairs(makers_of(api.objects())) do
      local alone, first, second = list_of(make()), make(), make()
      local one = {first()}
      assert.are.same(alone, list_of(second), name)
      assert.are.equal(#alone - (one[1] == nil and 0 or 1), #list_of(first), name)
      assert.is_nil(first(), name)
      found = found + #alone
    end
    assert.is_true(found > 20)
  end)

  it("take no arguments", function()
    for name, make in pairs(makers_of(api.objects())) do
      local count, iterator = #list_of(make()), make()
      local n = 0
      while iterator(true, true) ~= nil do
        n = n + 1
      end
      assert.are.equal(count, n, name)
    end
  end)

  it("of fields skip private ones", function()
    local hidden = 0
    local all = api.objects()
    all.Object = nil -- its fields are members of a structure
    for kind, objects in pairs(all) do
      for key in pairs(objects[1]) do
        assert.is_true(type(key) ~= "string" or not key:find("^_"), kind .. ": " .. tostring(key))
      end
      for key in next, objects[1] do
        hidden = hidden + (type(key) == "string" and key:find("^_") and 1 or 0)
      end
    end
    assert.is_true(hidden > 5)
  end)

  it("go through arrays, and through members in a fixed order", function()
    assert.are.same({{"a", false, false}, {"b", false, false}},
      list_of(iterators.values {"a", "b"}))
    assert.are.same({{"y", "1", false}, {"x", "2", false}},
      list_of(iterators.members({"y", "x"}, {x = 2, y = 1})))
    assert.are.equal(3, iterators.count(iterators.values {1, 2, 3}))
  end)

  it("raise the error of a failed step in the loop", function()
    local left = 2
    local iterator = iterators.steps(function()
      left = left - 1
      if left < 0 then
        return nil, "it was cut", "truncated"
      end
      return left
    end)
    local n = 0
    local ok, message = pcall(function()
      for _ in iterator do
        n = n + 1
      end
    end)
    assert.is_false(ok)
    assert.are.equal(2, n)
    assert.matches("^spec/util/iterators_spec.lua:%d+: it was cut$", message)
  end)
end)
