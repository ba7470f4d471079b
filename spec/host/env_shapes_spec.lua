-- Of an env's member names, only last_known_ip is documented: the same facts must be found
-- in documents of many shapes.

local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"

local function env_of(text)
  local directory = files.path("vms/shape")
  if not files.exists(directory) then
    files.mkdir("vms/shape")
  end
  files.write("vms/shape/env", text)
  return assert(qvm.vm("shape"):env())
end

-- "index:tid:ip" of each vCPU; checks that the value at its path is its record.
local function vcpus(env)
  local list = {}
  for cpu in env:vcpus() do
    list[#list + 1] = ("%s:%s:%s"):format(cpu.index, cpu.tid, cpu.last_known_ip)
    assert.are.equal(cpu.raw, env:get(cpu.path))
  end
  return list
end

-- "id=value" or "id=value@cpu" of each erratum.
local function errata(env)
  local list = {}
  for e in env:errata() do
    assert.are.equal("string", type(e.id))
    assert(env:get(e.path) ~= nil, "nothing at " .. e.path)
    list[#list + 1] = e.id .. "=" .. tostring(e.value) .. (e.cpu and "@" .. e.cpu or "")
  end
  return list
end

describe("vCPUs are found in", function()
  before_each(function()
    qvm.root(sim.root())
    qvm.schema(nil)
  end)

  after_each(function()
    qvm.schema(nil)
    sim.clean()
  end)

  local two = {"0:3:17", "1:4:0"}

  local shapes = {
    ["an array at the top"] =
      '{"vcpus": [{"tid": 3, "last_known_ip": 17}, {"tid": 4, "last_known_ip": 0}]}',
    ["a document that is an array"] =
      '[{"tid": 3, "last_known_ip": 17}, {"tid": 4, "last_known_ip": 0}]',
    ["an object of records"] =
      '{"cpu0": {"tid": 3, "last_known_ip": 17}, "cpu1": {"tid": 4, "last_known_ip": 0}}',
    ["an object whose order is not that of its names"] =
      '{"g": {"z": {"tid": 3, "last_known_ip": 17}, "a": {"tid": 4, "last_known_ip": 0}}}',
    ["a place far down, under any name"] =
      [[{"x": {"y": [1, {"guest": {"cores": [{"thread_id": 3, "last_known_ip": 17, "more": {}},
        {"last_known_ip": 0, "thread_id": 4}]}}]}}]],
    ["other names for a thread id"] =
      '{"v": [{"threadId": 3, "last_known_ip": 17}, {"Thread-ID": 4, "last_known_ip": 0}]}',
    ["numbers written as strings"] =
      '{"v": [{"tid": "3", "last_known_ip": "0x11"}, {"tid": "0x4", "last_known_ip": "0"}]}',
    ["more than one array"] =
      [[{"clusters": [{"cpus": [{"tid": 3, "last_known_ip": 17}]},
        {"cpus": [{"tid": 4, "last_known_ip": 0}]}]}]],
    ["a document that lists other threads too"] =
      [[{"vdev_threads": [{"tid": 9}], "main": {"tid": 1},
        "vcpus": [{"tid": 3, "last_known_ip": 17}, {"tid": 4, "last_known_ip": 0}]}]],
    ["records with a thread id one object deeper"] =
      [[{"guest": {"processors": [{"id": 0, "host": {"thread_id": 3}, "last_known_ip": 17},
        {"id": 1, "host": {"thread_id": 4}, "last_known_ip": 0}]}}]],
    ["records whose thread is an object"] =
      [[{"cpus": [{"thread": {"id": 3, "prio": 10}, "last_known_ip": 17, "regs": {"id": 9}},
        {"last_known_ip": 0, "thread": {"id": "4"}}]}]],
    ["records in which a thread also has a name"] =
      [[{"v": [{"thread": "vcpu0", "tid": 3, "last_known_ip": 17},
        {"tid": 4, "thread_id": 4, "last_known_ip": 0}]}]],
    ["records beside other values"] =
      [[{"vcpus": ["two", 2, null, {"tid": 3, "last_known_ip": 17}, {},
        {"tid": 4, "last_known_ip": 0}]}]],
  }

  for name, text in pairs(shapes) do
    it(name, function()
      local env = env_of(text)
      assert.are.same(two, vcpus(env))
      assert.are.equal("suspended", env:state())
    end)
  end

  it("records without an instruction pointer", function()
    local env = env_of('{"threads": [{"tid": 9}], "vcpus": [{"tid": 3}, {"tid": 4}]}')
    assert.are.same({"0:3:nil", "1:4:nil"}, vcpus(env))
    assert.are.equal("unknown", env:state())
  end)

  it("records without a thread ID", function()
    local env = env_of('{"v": [{"last_known_ip": 17}, {"last_known_ip": 0}]}')
    assert.are.same({"0:nil:17", "1:nil:0"}, vcpus(env))
  end)

  it("records with a thread ID one object deeper and no instruction pointer", function()
    assert.are.same({"0:3:nil", "1:4:nil"},
      vcpus(env_of '{"c": [{"id": 0, "host": {"tid": 3}}, {"id": 1, "host": {"tid": 4}}]}'))
    -- A single object is not a record just because something in it has a thread ID.
    assert.are.same({"0:3:nil"},
      vcpus(env_of '{"vm": {"cpu0": {"tid": 3}}, "x": [{"y": {"tid": 9}}]}'))
  end)

  it("records with an ambiguous or deeper thread ID, which is ignored", function()
    for _, record in ipairs {'"a": {"tid": 3}, "b": {"tid": 4}', '"a": {"tid": 3, "thread": 4}',
      '"tid": 3, "thread_id": 4', '"a": {"b": {"tid": 3}}', '"a": [{"tid": 3}]',
      '"a": {"tid": null}', '"id": 3', '"a": {"id": 3}', '"tid": "x", "b": {"c": 1}'} do
      local text = ('{"v": [{%s, "last_known_ip": 17}]}'):format(record)
      assert.are.same({"0:nil:17"}, vcpus(env_of(text)), record)
    end
    -- The same value twice is not ambiguous.
    assert.are.same({"0:3:17"},
      vcpus(env_of '{"v": [{"a": {"tid": 3}, "b": {"tid": "3"}, "last_known_ip": 17}]}'))
    -- The record's own thread ID takes precedence over a deeper one.
    assert.are.same({"0:3:17"},
      vcpus(env_of '{"v": [{"a": {"tid": 9}, "tid": 3, "last_known_ip": 17}]}'))
  end)

  it("a document, one at a time", function()
    local env = env_of '{"v": [{"tid": 3, "last_known_ip": 17}, {"tid": 4}]}'
    assert.are.same({4, 1, "v[2]"}, {env:vcpu(1).tid, env:vcpu(1).index, env:vcpu(1).path})
    for _, index in ipairs {2, -1, math.maxinteger, math.mininteger} do
      local none, message, code = env:vcpu(index)
      assert.are.same({nil, "not_found"}, {none, code})
      assert.matches("shape/env: no vCPU " .. index, message, 1, true)
    end
    assert.has_error(function() env:vcpu("1") end)
    qvm.schema {vcpus = "v", tid = "last_known_ip"}
    assert.are.equal(17, env:vcpu(0).tid)
  end)

  it("records of which one has no instruction pointer yet", function()
    local env = env_of('{"v": [{"tid": 3, "last_known_ip": 17}, {"tid": 4}]}')
    assert.are.same({"0:3:17", "1:4:nil"}, vcpus(env))
    assert.are.equal("unknown", env:state())
  end)

  it("no document without any vCPU", function()
    for _, text in ipairs {"{}", "[]", "null", "7", '"tid"', '{"tid": 3}', '{"tid": {"a": 1}}'} do
      local env = env_of(text)
      assert.are.same({}, vcpus(env))
      assert.are.same({}, errata(env))
      assert.are.equal("unknown", env:state())
    end
  end)

  it("the place named by a schema", function()
    local text = [[{"a": [{"tid": 1, "last_known_ip": 1}], "b": {"list": [
      {"id": 3, "pc": 17, "tid": 99}, {"id": 4, "pc": 0}]}}]]
    qvm.schema {vcpus = "b.list", tid = "id", ip = "pc"}
    assert.are.same(two, vcpus(env_of(text)))
    qvm.schema {vcpus = "b.nothing"}
    assert.are.same({}, vcpus(env_of(text)))
    qvm.schema {vcpus = "tids"}
    assert.are.same({"0:3:nil", "1:4:nil"}, vcpus(env_of '{"tids": [3, 4]}'))
    qvm.schema {tid = "id", ip = "pc"}
    assert.are.same(two, vcpus(env_of(text)))
    qvm.schema(nil)
    assert.are.same({"0:1:1"}, vcpus(env_of(text)))
  end)

  it("a document, whose state follows from their instruction pointers", function()
    local function state(...)
      local records = {}
      for i, ip in ipairs {...} do
        records[i] = ('{ "tid": %d, "last_known_ip": %s }'):format(i, ip)
      end
      return env_of('{"v": [' .. table.concat(records, ",\n") .. "]}"):state()
    end
    assert.are.equal("suspended", state("17", "0"))
    assert.are.equal("suspended", state("0", "0", "0"))
    assert.are.equal("running", state("0", "0", "18446603336490160692"))
    assert.are.equal("running", state("17", "5", "0"))
    assert.are.equal("unknown", state("17"))
    assert.are.equal("unknown", state("17", "null"))
    assert.are.equal("unknown", state("17", "0", "null"))
    assert.are.equal("running", state("17", "null", "5"))
  end)

  it("records, which are readable as text", function()
    local env = env_of('[{"tid": 3, "last_known_ip": 18446603336490160692}, {"tid": 4}]')
    local texts = {}
    for cpu in env:vcpus() do
      texts[#texts + 1] = tostring(cpu)
    end
    assert.are.same({"vCPU 0: tid 3, last known ip 0xffff800010081234",
      "vCPU 1: tid 4, last known ip ?"}, texts)
  end)
end)

describe("errata are found in", function()
  before_each(function()
    qvm.root(sim.root())
    qvm.schema(nil)
  end)

  after_each(function()
    qvm.schema(nil)
    sim.clean()
  end)

  local shapes = {
    {"an object of ids", '{"errata": {"843419": true, "1530923": "auto", "9": 5}}',
      {"843419=true", "1530923=auto", "9=5"}},
    {"an array of ids", '{"errata": ["843419", 1530923]}', {"843419=true", "1530923=true"}},
    {"an array of records",
      '{"errata": [{"id": 843419, "value": "on"}, {"name": "a", "enabled": false}, {"id": "b"}]}',
      {"843419=on", "a=false", "b=true"}},
    {"an array of records for CPUs",
      '{"errata": [{"id": "a", "cpu": 1, "status": "on"}, {"id": "b", "status": "on"}]}',
      {"a=on@1", "b=on"}},
    {"an object of records",
      '{"errata": {"843419": {"enabled": true, "cpu": 0}, "a": {"value": 1}}}',
      {"843419=true@0", "a=1"}},
    {"an object for each CPU", '{"errata": {"all": {"a": 1}, "cpu0": {"b": 2}, "vCPU-1": ["c"]}}',
      {"a=1", "b=2@0", "c=true@1"}},
    {"an array for each CPU", '{"errata_by_cpu": [["a", "b"], [], ["c"]]}',
      {"a=true@0", "b=true@0", "c=true@2"}},
    {"records of one CPU each", '{"errata": [{"cpu": 0, "ids": ["a"]}, {"cpu": 1, "a": "off"}]}',
      {"a=true@0", "a=off@1"}},
    {"the records of the vCPUs",
      [[{"v": [{"tid": 3, "last_known_ip": 1, "errata": {"a": 1}},
        {"tid": 4, "last_known_ip": 1, "active_errata": ["b"]}]}]],
      {"a=1@0", "b=true@1"}},
    {"objects that are named after CPUs", '{"x": {"cpu3": {"cpu_errata": {"a": 1}}}}', {"a=1@3"}},
    {"groups", '{"Errata": {"cortex-a57": {"832075": true}, "a76": ["1286807"]}}',
      {"832075=true", "1286807=true"}},
    {"a single value", '{"platform": {"errata_mask": 18446744073709551615}}', {"errata_mask=-1"}},
    {"more than one place, in order",
      '{"z_errata": {"b": 1}, "guest": {"errata": ["a"]}, "errata": {}}', {"b=1", "a=true"}},
    {"an object whose order is not that of its names", '{"errata": {"z": 1, "a": 2, "m": 3}}',
      {"z=1", "a=2", "m=3"}},
    {"records that list vCPUs", [[{"errata": [{"id": "a", "cpu": [0, "cpu2", "x"]},
      {"id": "b", "cpu": "All"}, {"id": "c", "cpu": null}, {"cpu": [1], "ids": ["d"]},
      {"cpu": [0, 1], "e": "on"}, {"cpu": ["843419"]}, {"id": "f", "cpu": [1, 1, "cpu1"]}]}]],
      {"a=true@0", "a=true@2", "a=true@unknown", "b=true", "c=true", "d=true@1", "e=on@unknown",
      "843419=true", "f=true@1"}},
    {"records whose vCPU is not understood", [[{"errata": [{"id": "a", "cpu": "first"},
      {"id": "b", "cpu": -1}, {"id": "c", "cpu": 1.5}, {"id": "d", "cpu": {"no": 1}},
      {"id": "e", "cpu": []}, {"cpu": true, "f": 1}]}]], {"a=true@unknown", "b=true@unknown",
      "c=true@unknown", "d=true@unknown", "e=true@unknown", "f=1@unknown"}},
    {"objects that name their vCPU", [[{"errata": {"cpu": 1, "a": "on",
      "843419": {"enabled": true, "cpu": "first"}, "9": {"mode": 1, "cpu": [2, 3]}}}]],
      {"a=on@1", "843419=true@unknown", "9=1@2", "9=1@3"}},
    {"nothing that is no id", '{"errata": [null, true, {"id": null, "value": 3}, 7.0, 1.5]}',
      {"7=true", "1.5=true"}},
    {"a record under its number", '{"errata": {"843419": {"note": "x"}}}', nil},
  }

  for _, shape in ipairs(shapes) do
    it(shape[1], function()
      local env = env_of(shape[2])
      if shape[3] then
        assert.are.same(shape[3], errata(env))
      else
        local iterator = env:errata()
        local erratum = iterator()
        assert.are.equal("843419", erratum.id)
        assert.are.same({note = "x"}, erratum.value)
        assert.is_nil(iterator())
      end
    end)
  end

  it("records whose value is an array or object", function()
    local list = {}
    for e in env_of([[{"errata": [{"id": "1", "value": {"state": "off"}, "cpu": 2},
      {"id": "2", "applied": [false]}, {"id": "3", "state": {"a": 1}, "enabled": "on"}],
      "x": {"errata": {"843419": {"state": {"a": 1}, "cpu": 1}}}}]]):errata() do
      list[#list + 1] = {e.id, e.value, e.cpu}
    end
    assert.are.same({{"1", {state = "off"}, 2}, {"2", {false}}, {"3", "on"},
      {"843419", {state = {a = 1}, cpu = 1}, 1}}, list)
  end)

  it("the place named by a schema", function()
    local text = '{"errata": {"a": 1}, "cfg": {"quirks": {"b": 2, "c": {"cpu1": {"d": 3}}}}}'
    qvm.schema {errata = "cfg.quirks"}
    assert.are.same({"b=2", "d=3@1"}, errata(env_of(text)))
    qvm.schema {errata = "cfg.quirks.b"}
    assert.are.same({"b=2"}, errata(env_of(text)))
    qvm.schema {errata = "nowhere"}
    assert.are.same({}, errata(env_of(text)))
  end)

  it("a document whose paths would take gigabytes", function()
    local name = ("k"):rep(200000)
    local env = env_of('{"' .. name .. 'errata": [' .. ("1,"):rep(40000) .. '1], "' .. name
      .. '": [' .. ("{},"):rep(20000) .. "{}]}")
    local count, last = 0, nil
    for e in env:errata() do
      count, last = count + 1, e
    end
    assert.are.equal(40001, count)
    assert.are.equal(name .. "errata[40001]", last.path)
    assert.are.equal("unknown", env:state())
  end)

  it("records, which are readable as text", function()
    local texts = {}
    for e in env_of('{"errata": {"all": {"a": 7}, "cpu1": {"b": "on"}}}'):errata() do
      texts[#texts + 1] = tostring(e)
    end
    assert.are.same({"erratum a = 7", "erratum b = on (vCPU 1)"}, texts)
  end)
end)

describe("env:get", function()
  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  it("follows a path", function()
    local env = env_of([[{"a": {"b": [{"c": 1}, {"c": false}], "x y": {"d.e": 2}, "": 3,
      "q\"\\]": 4, "12": 5}, "n": null}]])
    assert.are.equal(1, env:get("a.b[1].c"))
    assert.are.equal(false, env:get("a.b[2].c"))
    assert.are.equal(2, env:get('a["x y"]["d.e"]'))
    assert.are.equal(3, env:get('a[""]'))
    assert.are.equal(4, env:get('a["q\\"\\\\]"]'))
    assert.are.equal(5, env:get("a.12"))
    assert.are.equal(env.raw, env:get(""))
    assert.are.equal(require("cjson").null, env:get("n"))
  end)

  it("returns nil for missing values", function()
    local env = env_of('{"a": {"b": [1]}, "n": null}')
    for _, path in ipairs {"b", "a.c", "a.b[0]", "a.b[2]", "a.b[1].c", "a[1]", "n.x", "a.b.c.d"} do
      assert.is_nil(env:get(path))
    end
  end)

  it("raises for malformed paths", function()
    local env = env_of("{}")
    assert.matches("env_shapes_spec.lua:%d+: bad argument #1 to 'get'",
      select(2, pcall(function() env:get() end)))
    for _, path in ipairs {".", "a.", "a..b", "a[", "a[x]", "a[1", 'a["b', 'a["b"', "a]", "a[-1]",
      ".a", "[1]x"} do
      assert.error_matches(function() env:get(path) end, "is not understood")
    end
  end)

  it("follows the paths of names that need quoting", function()
    local env = env_of([=[{"errata": {"a.b": 1, "c\"d": 2, "e\\": 3, "[1]": 4, " ": 5, "": 6,
      "f\n": 7, "g]": 8}}]=])
    local sum = 0
    for e in env:errata() do
      assert.are.equal(e.value, env:get(e.path))
      sum = sum + e.value
    end
    assert.are.equal(36, sum)
  end)
end)

describe("qvm.schema", function()
  after_each(function()
    qvm.schema(nil)
  end)

  it("raises for malformed schemas", function()
    assert.error_matches(function() qvm.schema(7) end, "table expected")
    assert.error_matches(function() qvm.schema {vcpu = "a"} end, "has no 'vcpu'")
    assert.error_matches(function() qvm.schema {vcpus = 7} end, "vcpus: string expected")
    assert.error_matches(function() qvm.schema {tid = {}} end, "tid: string expected")
    assert.error_matches(function() qvm.schema {errata = "a[["} end, "is not understood")
  end)
end)
