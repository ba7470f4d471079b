-- The cost of env documents that hold more than any VM would write.

local cost = require "support.cost"
local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"

-- A VM with such an env, for use in cost.check: `vm`.
local function with_vm(env, body)
  if not files.exists(sim.root() .. "/hostile") then
    files.mkdir("vms/hostile")
  end
  files.write("vms/hostile/env", env)
  return ("qvm.root(%q) local vm = assert(qvm.vm 'hostile') %s"):format(sim.root(), body)
end

local function array(item, n)
  return "[" .. (item .. ","):rep(n - 1) .. item .. "]"
end

describe("an env document", function()
  before_each(function()
    qvm.root(sim.root())
    files.mkdir("vms/hostile")
    files.write("vms/hostile/env", "{}")
  end)

  after_each(sim.clean)

  local USE = [[
    local env, message, code = vm:env()
    if not env then return code end
    local n = 0
    for cpu in env:vcpus() do n = n + 1 end
    for e in env:errata() do n = n + 1 end
    return ("%d %s %s %d"):format(n, env:state(), tostring(env), #qvm.errata.snapshot(env))]]

  for name, text in pairs {
    ["a million vCPUs"] = array('{"tid":3}', 1000000),
    ["half a million vCPUs, in 16 MiB,"] = array('{"tid":3,"last_known_ip":5}', 580000),
    ["16 MiB of empty objects"] = array("{}", (16 << 20) // 3),
    ["16 MiB of empty arrays"] = array("[]", (16 << 20) // 3),
    ["16 MiB of numbers"] = array("1", (16 << 20) // 2 - 1),
    ["16 MiB of strings"] = array('"abc"', (16 << 20) // 6 - 1),
    ["16 MiB of errata"] = '{"errata":' .. array("8", (16 << 20) // 2 - 10) .. "}",
  } do
    it("of " .. name .. " is too large", function()
      assert.are.equal("too_large", (cost.check(with_vm(text, USE))))
      local _, message, code = qvm.vm("hostile"):env()
      assert.are.equal("too_large", code)
      assert.matches("vms/hostile/env:1:%d+: more than 65536 values$", message)
    end)
  end

  -- By name: the number of values per item, the number around them, and a function that
  -- makes a document of n items.
  for name, form in pairs {
    vCPUs = {3, 1, function(n) return array('{"tid":3,"last_known_ip":5}', n) end},
    ["vCPUs with inner thread ids"] = {3, 1, function(n) return array('{"a":{"tid":3}}', n) end},
    ["errata that are numbers"] = {1, 2, function(n)
      return '{"errata":' .. array("8", n) .. "}"
    end},
    ["errata that are members"] = {1, 2, function(n)
      local members = {}
      for i = 1, n do
        members[i] = ('"%x":1'):format(i)
      end
      return '{"errata":{' .. table.concat(members, ",") .. "}}"
    end},
    ["errata of records"] = {2, 2, function(n)
      return '{"errata":' .. array('{"id":"1"}', n) .. "}"
    end},
    ["errata of vCPUs"] = {4, 1, function(n) return array('{"tid":3,"errata":[1]}', n) end},
  } do
    it("with the maximum of " .. name .. " is within the memory limit", function()
      local of_one, around, make = table.unpack(form)
      local most = (65536 - around) // of_one
      assert.matches("Env .*hostile/env: ", (cost.check(with_vm(make(most), USE))))
      files.write("vms/hostile/env", make(most + 1))
      assert.are.equal("too_large", select(3, qvm.vm("hostile"):env()))
    end)
  end

  -- Repeated for each vCPU, the value would be too much for any use of the errata.
  it("with long values for many vCPUs is within the memory limit", function()
    local numbers = {}
    for i = 1, 30000 do
      numbers[i] = i
    end
    local indices = table.concat(numbers, ",")
    for _, value in ipairs {"[" .. indices .. "]", '"' .. ("x"):rep(1 << 20) .. '"'} do
      local env = ('{"errata":[{"id":"1","cpu":[%s],"value":%s}]}'):format(indices, value)
      local answer = cost.check(with_vm(env, [[
        local before, after = qvm.errata.snapshot(vm), qvm.errata.snapshot(vm)
        return ("%d %d %s"):format(#before, #qvm.errata.diff(before, after), before[1].cpu)]]))
      assert.are.equal("1 0 unknown", answer)
    end
  end)

  it("with long, deep names costs no more than its paths are long", function()
    local name = ("A"):rep(20000)
    local text = ('{"%s":'):format(name):rep(500) .. '[{"tid":3,"last_known_ip":5}]'
      .. ("}"):rep(500)
    local answer = cost.check(with_vm(text, [[
      local env = assert(vm:env())
      return #assert(env:vcpu(0)).path .. " " .. #tostring(assert(env:vcpu(0)))]]), 40 << 20)
    assert.matches("^10000502 ", answer)
  end)

  it("warns briefly about duplicate members", function()
    local name = ("n"):rep(60000)
    local _, warnings = qvm.decode("{" .. ('"%s":1,'):format(name):rep(120) .. '"a":1}')
    assert.are.equal(101, #warnings)
    assert.is_true(#warnings[1] < 200)
    assert.matches('^1:60007: duplicate member "n+%.%.%.": the last', warnings[1])
    _, warnings = qvm.decode('{"' .. ("é"):rep(100) .. '":1,"' .. ("é"):rep(100) .. '":1}')
    assert.is_truthy(utf8.len(warnings[1]))
  end)

  it("can be decoded on its own, at a cost in proportion to its value", function()
    assert.are.equal("too_large", (cost.check([[
      local value, message, code = qvm.decode("[" .. ("{},"):rep((16 << 20) // 3) .. "{}]")
      return code]])))
    -- The result: 2 million numbers.
    assert.are.equal("4000000", (cost.check([[
      return #assert(qvm.decode("[" .. ("1,"):rep(3999999) .. "1]"))]], 64 << 20)))
  end)

  it("of a baseline has a bounded cost as well", function()
    local path = files.write("baseline.json", '{"kind":"qvm errata baseline","version":1,"errata":'
      .. array('{"id":"1","value":1}', 300000) .. "}")
    assert.are.equal("too_large", (cost.check(("return (select(3, qvm.errata.load(%q)))")
      :format(path))))
    local ids = {}
    for i = 1, 30000 do
      ids[i] = ('{"id":"%d","value":%d}'):format(i, i)
    end
    path = files.write("baseline.json", '{"kind":"qvm errata baseline","version":1,"errata":['
      .. table.concat(ids, ",") .. "]}")
    assert.are.equal("30000 0 30000", (cost.check(([[
      local a, b = assert(qvm.errata.load(%q)), assert(qvm.errata.load(%q))
      return #a .. " " .. #qvm.errata.diff(a, b) .. " " .. #qvm.errata.diff(a, {})]]):format(path,
        path), 16 << 20)))
  end)

  it("with the maximum of errata has a baseline that can be loaded", function()
    for _, errata in ipairs {array("8", 65534), array('{"id":"1","cpu":1,"value":-1}', 16383)} do
      files.write("vms/hostile/env", '{"errata":' .. errata .. "}")
      local snapshot = assert(qvm.errata.snapshot(qvm.vm("hostile")))
      assert(qvm.errata.save(files.path("most.json"), snapshot))
      local read = assert(qvm.errata.load(files.path("most.json")))
      assert.are.equal(0, #qvm.errata.diff(snapshot, read))
    end
    local many = {}
    for i = 1, 110000 do
      many[i] = {id = "1", value = 1}
    end
    local saved, message, code = qvm.errata.save(files.path("more.json"), many)
    assert.are.same({nil, "too_large", false}, {saved, code, files.exists(files.path("more.json"))})
    assert.matches("110000 errata are 330004 values", message)
  end)

  it("of a record has a bounded cost as well", function()
    files.write("vms/hostile/env", '{"errata":' .. array('{"id":"1"}', 20000) .. "}")
    local record = files.path("hostile.record")
    assert(qvm.record(assert(qvm.vm("hostile")), record))
    files.write("hostile.record/env.json", array("{}", (16 << 20) // 3))
    assert.are.equal("too_large", (cost.check(("return (select(3, assert(qvm.replay(%q)):env()))")
      :format(record))))
    files.write("hostile.record/manifest.json", array("{}", (16 << 20) // 3))
    assert.are.equal("too_large", (cost.check(("return (select(3, qvm.replay(%q)))")
      :format(record))))
  end)
end)
