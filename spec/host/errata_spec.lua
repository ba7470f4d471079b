-- Errata regression: snapshots, baseline files, differences, assertions.

local cjson = require "cjson"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

require "qvm.assertions"

local errata = qvm.errata

-- A VM with that env.
local function vm_with(env, name)
  name = name or "linux1"
  if not files.exists(files.path(name)) then
    files.mkdir(name)
  end
  files.write(name .. "/env", env)
  qvm.root(files.dir())
  return assert(qvm.vm(name))
end

local env = [[{"errata": {"1530923": "auto", "843419": "on", "n": 18446744073709551615},
  "vcpus": [{ "tid": 3, "last_known_ip": 18446603336490160692, "errata": {"9": false}},
            { "tid": 4, "last_known_ip": 0, "errata": {"1286807": "off", "9": true}}]}]]

local function ids(list)
  local result = {}
  for i, e in ipairs(list) do
    result[i] = ("%s/%s=%s"):format(e.id, e.cpu, e.value)
  end
  return result
end

describe("a snapshot of errata", function()
  after_each(function()
    sim.clean()
    files.clean()
  end)

  local expected = {"9/0=false", "9/1=true", "843419/nil=on", "1286807/1=off", "1530923/nil=auto",
    "n/nil=-1"}

  it("has them by ID and vCPU, in the same order for any env", function()
    local vm = vm_with(env)
    assert.are.same(expected, ids(assert(errata.snapshot(vm))))
    assert.are.same(expected, ids(errata.snapshot(assert(vm:env()))))
  end)

  it("fails if the env cannot be read", function()
    local vm = vm_with("{")
    assert.are.equal("malformed", select(3, errata.snapshot(vm)))
    os.remove(vm.path .. "/env")
    assert.are.equal("not_found", select(3, errata.snapshot(vm)))
    for _, value in ipairs {1, "x", {}} do
      local ok, message = pcall(function() errata.snapshot(value) end)
      assert.is_false(ok)
      assert.matches("errata_spec.lua:%d+: bad argument #1 to 'snapshot'", message)
    end
  end)

  it("can be saved and loaded unchanged", function()
    local snapshot = assert(errata.snapshot(vm_with(env)))
    for _, value in ipairs {"text \"quoted\"\n\1", 0, -1, 1 << 53, (1 << 53) + 1, math.mininteger,
      math.maxinteger, 0.1, 1e300, true, false, cjson.null, {b = {1, 2}, a = "x"}, {}} do
      snapshot[#snapshot + 1] = {id = "x" .. #snapshot, value = value, cpu = 3}
    end
    local path = files.path("baseline.json")
    assert.is_true(assert(errata.save(path, snapshot)))
    local loaded = assert(errata.load(path))
    assert.are.equal(#snapshot, #loaded)
    assert.are.same({}, errata.diff(snapshot, loaded))
    for _, entry in ipairs(loaded) do
      for _, original in ipairs(snapshot) do
        if original.id == entry.id and original.cpu == entry.cpu then
          assert.are.same(original.value, entry.value)
          assert.are.equal(math.type(original.value), math.type(entry.value))
        end
      end
    end
  end)

  it("is saved with one erratum per line, always in the same form", function()
    local path = files.path("baseline.json")
    assert(errata.save(path, errata.snapshot(vm_with(env))))
    local text = files.read(path)
    assert.are.equal([[
{
  "kind": "qvm errata baseline",
  "version": 1,
  "errata": [
    {"id": "9", "cpu": 0, "value": false},
    {"id": "9", "cpu": 1, "value": true},
    {"id": "843419", "value": "on"},
    {"id": "1286807", "cpu": 1, "value": "off"},
    {"id": "1530923", "value": "auto"},
    {"id": "n", "value": -1}
  ]
}
]], text)
    assert(errata.save(path, errata.load(path)))
    assert.are.equal(text, files.read(path))
    assert(errata.save(path, {{id = "ip", value = -140737488338380}}))
    assert.matches('{"id": "ip", "value": -140737488338380}', files.read(path), 1, true)
    assert(errata.save(path, {{id = "ip", value = math.mininteger}}))
    assert.matches('{"id": "ip", "integer": "-9223372036854775808"}', files.read(path), 1, true)
    assert(errata.save(path, {}))
    assert.are.same({}, errata.load(path))
  end)

  it("is saved and loaded with a vCPU that the env does not state clearly", function()
    local vm = vm_with '{"errata": [{"id": "1", "value": "on", "cpu": -1}, {"id": "1", "cpu": 0}]}'
    local path = files.path("baseline.json")
    assert(errata.save(path, errata.snapshot(vm)))
    assert.are.same({"1/0=true", "1/unknown=on"}, ids(assert(errata.load(path))))
    assert.same_errata(path, vm)
    assert.are.same({{kind = "added", id = "1", actual = "on"},
      {kind = "removed", id = "1", cpu = "unknown", expected = "on"}},
      errata.diff({{id = "1", value = "on", cpu = "unknown"}}, {{id = "1", value = "on"}}))
  end)

  it("is not saved with what is no vCPU", function()
    local path = files.path("baseline.json")
    for _, cpu in ipairs {-1, "0", 1.5, 1.0, true, {}} do
      local entry = {id = "a", value = 1, cpu = cpu}
      assert.error_matches(function() errata.save(path, {entry}) end, "snapshot expected")
      assert.error_matches(function() errata.diff({entry}, {{id = "a", value = 1, cpu = 1}}) end,
        "snapshot expected")
    end
    assert.is_false(files.exists(path))
  end)

  it("is saved completely or not at all", function()
    local path = files.path("baseline.json")
    assert(errata.save(path, {{id = "1", value = true}}))
    local before = files.read(path)
    local blocked = files.mkdir("directory")
    assert.are.equal("not_found", select(3, errata.save(files.path("none/x.json"), {})))
    local done, message, code = errata.save(blocked, {})
    assert.is_nil(done)
    assert.matches("directory: ", message)
    assert(code == "unsupported" or code == "io", code)
    assert.is_false(pcall(errata.save, path, {{id = 1}}))
    assert.is_false(pcall(errata.save, path))
    assert.are.equal(before, files.read(path))
    assert.are.same({"baseline.json", "directory"}, files.list(files.dir()))
  end)

  it("is not written through a link in place of the temporary file", function()
    local victim = files.write("victim", "precious")
    local path = files.path("baseline.json")
    assert(errata.save(path, {{id = "1", value = true}}))
    local status, out, errors = process.run({"sh", "-c", [[
      ln -s "$1" "$2.new-$$-0"
      exec "$3" -e "print(require 'qvm'.errata.save([==[$2]==], {}))"]], "sh", victim,
      path, os.getenv("LUA") or "lua5.4"}, {env = {LD_PRELOAD = os.getenv("LD_PRELOAD"),
      LUA_PATH = package.path, LUA_CPATH = package.cpath}})
    assert.are.equal(0, status, errors)
    assert.are.equal("true\n", out) -- under another temporary name
    assert.are.equal("precious", files.read(victim))
    assert.are.same({}, errata.load(path))
  end)

  it("is not loaded from a file of another kind", function()
    for text, expected_code in pairs {
      ["{"] = "malformed", ["[]"] = "malformed", ["{}"] = "malformed", ["1"] = "malformed",
      ['{"kind": "qvm errata baseline", "version": 1}'] = "malformed",
      ['{"kind": "qvm errata baseline", "version": 1, "errata": {"1": {"id": "5", "value": 1}}}']
        = "malformed",
      ['{"kind": "another", "version": 1, "errata": []}'] = "malformed",
      ['{"kind": "qvm errata baseline", "version": 2, "errata": []}'] = "unsupported",
      ['{"kind": "qvm errata baseline", "version": 1, "errata": [{"id": 5}]}'] = "malformed",
      ['{"kind": "qvm errata baseline", "version": 1, "errata": [{"id": "5"}]}'] = "malformed",
      ['{"kind": "qvm errata baseline", "version": 1, "errata": [{"id": "5", "integer": "x"}]}']
        = "malformed",
      ['{"kind": "qvm errata baseline", "version": 1, "errata": [{"id": "5", "value": 1, '
        .. '"cpu": "x"}]}'] = "malformed"} do
      local path = files.write("baseline.json", text)
      local loaded, message, code = errata.load(path)
      assert.is_nil(loaded)
      assert.are.equal(expected_code, code, text)
      assert.matches("baseline.json:", message, 1, true)
    end
    assert.are.equal("not_found", select(3, errata.load(files.path("nothing"))))
  end)
end)

describe("the difference of errata", function()
  after_each(files.clean)

  local base = {{id = "1", value = "on"}, {id = "2", cpu = 1, value = 5}, {id = "3", value = true}}

  it("lists added, removed and changed errata", function()
    assert.are.same({}, errata.diff(base, base))
    assert.are.same({
      {kind = "changed", id = "1", expected = "on", actual = "off"},
      {kind = "removed", id = "2", cpu = 1, expected = 5},
      {kind = "added", id = "2", cpu = 2, actual = 5},
      {kind = "changed", id = "3", expected = true, actual = false},
      {kind = "added", id = "10", actual = 1}},
      errata.diff(base, {{id = "10", value = 1}, {id = "1", value = "off"},
        {id = "2", cpu = 2, value = 5}, {id = "3", value = false}}))
  end)

  it("distinguishes types, tables and repeated IDs", function()
    local function count(a, b)
      return #errata.diff({{id = "1", value = a}}, {{id = "1", value = b}})
    end
    assert.are.equal(1, count(1, "1"))
    assert.are.equal(1, count(1 << 60, (1 << 60) + 1))
    assert.are.equal(0, count({1, {a = 2}}, {1, {a = 2}}))
    assert.are.equal(1, count({1, {a = 2}}, {1, {a = 3}}))
    assert.are.equal(1, count(false, cjson.null))
    assert.are.equal(1, count({1, 2}, {1}))
    assert.are.equal(1, count({}, {a = false}))
    local twice = {{id = "1", value = 1}, {id = "1", value = 2}}
    assert.are.same({}, errata.diff(twice, twice))
    assert.are.same({{kind = "removed", id = "1", expected = 2}},
      errata.diff(twice, {{id = "1", value = 1}}))
  end)

  it("compares values that JSON cannot hold", function()
    local function nest(value)
      for _ = 1, 503 do
        value = {value}
      end
      return value
    end
    local function diff(a, b)
      return errata.diff({{id = "1", value = a}}, {{id = "1", value = b}})
    end
    assert.are.equal(0, #diff(nest "on", nest "on"))
    assert.are.equal(1, #diff(nest "on", nest "off"))
    assert.are.equal(1, #diff({"\xff"}, {"\xfe"}))
    assert.are.equal(0, #diff({"\xff"}, {"\xff"}))
    local ring, other = {}, {}
    ring[1], other[1] = ring, {other}
    assert.are.equal(0, #diff(ring, other))
    assert.is_false(pcall(assert.same_errata, {{id = "1", value = nest "on"}},
      {{id = "1", value = nest "off"}}))
    local function env_with(leaf)
      return vm_with('{"errata":{"843419":' .. ("["):rep(503) .. leaf .. ("]"):rep(503) .. "}}")
    end
    local before = errata.snapshot(env_with "true")
    assert.are.equal("changed", errata.diff(before, errata.snapshot(env_with "false"))[1].kind)
  end)

  it("raises for arguments that are not snapshots", function()
    for _, pair in ipairs {{nil, {}}, {{}, nil}, {"x", {}}, {{}, 1}} do
      assert.is_false(pcall(errata.diff, pair[1], pair[2]))
    end
  end)
end)

describe("an assertion", function()
  after_each(function()
    sim.clean()
    files.clean()
  end)

  local function message_of(f, ...)
    local ok, failure = pcall(f, ...)
    assert.is_false(ok)
    return type(failure) == "table" and failure.message or tostring(failure)
  end

  it("of the same errata lists each difference on a line", function()
    local vm = vm_with(env)
    local path = files.path("baseline.json")
    assert(errata.save(path, errata.snapshot(vm)))
    assert.same_errata(path, vm)
    assert.same_errata(errata.load(path), vm:env())
    local changed = vm_with((env:gsub('"on"', '"off"'):gsub('"1286807": "off", ', "")
      :gsub('{"1530923"', '{"77": 9223372036854775808, "1530923"')))
    assert.is_not.same_errata(path, changed)
    local message = message_of(assert.same_errata, path, changed)
    assert.matches("VM linux1", message, 1, true)
    assert.matches("3 of the errata differ from " .. path .. ":\n"
      .. '  77, all vCPUs: expected none, is -9223372036854775808 (0x8000000000000000)\n'
      .. '  843419, all vCPUs: expected "on", is "off"\n'
      .. '  1286807, vCPU 1: expected "off", is not there', message, 1, true)
    assert.matches("the errata are those of", message_of(assert.is_not.same_errata, path, path))
  end)

  it("of an erratum reports its actual value", function()
    local vm = vm_with(env)
    assert.has_erratum(vm, "843419")
    assert.has_erratum(vm, "843419", "on")
    assert.has_erratum(vm, 843419, "on")
    assert.has_erratum(vm, "9", false)
    assert.is_not.has_erratum(vm, "843419", "off")
    assert.is_not.has_erratum(vm, "1")
    assert.matches('expected erratum 843419 with the value "off"\n  843419, all vCPUs: is "on"',
      message_of(assert.has_erratum, vm, "843419", "off"), 1, true)
    assert.matches("expected erratum 1\n  it is not reported",
      message_of(assert.has_erratum, vm, "1"), 1, true)
    assert.matches('expected no erratum 9\n  9, vCPU 0: is false\n  9, vCPU 1: is true',
      message_of(assert.is_not.has_erratum, vm, "9"), 1, true)
  end)

  it("fails, as does its negation, if the errata are unknown", function()
    local vm = vm_with("{")
    for _, f in ipairs {
      function() assert.same_errata({}, vm) end, function() assert.is_not.same_errata({}, vm) end,
      function() assert.same_errata(files.path("nothing"), {}) end,
      function() assert.has_erratum(vm, "1") end, function() assert.is_not.has_erratum(vm, "1") end,
      function() assert.same_errata(5, {}) end} do
      local message = message_of(f)
      assert(message:find("env:1:2: ", 1, true) or message:find("nothing: ", 1, true)
        or message:find("bad argument to", 1, true), message)
    end
  end)

  it("fails, as does its negation, if nothing is found in an env", function()
    for _, text in ipairs {"{}", "[]", '{"vcpus": []}', '{"status": "starting"}'} do
      local vm = vm_with(text)
      for _, f in ipairs {
        function() assert.same_errata({}, vm) end, function() assert.is_not.same_errata({}, vm) end,
        function() assert.has_no_erratum(vm, "1") end,
        function() assert.has_erratum(assert(vm:env()), "1") end} do
        assert.matches("no vCPUs or errata found (see qvm.schema)", message_of(f), 1, true)
      end
    end
    assert.has_no_erratum(vm_with('{"vcpus": [{"tid": 3, "last_known_ip": 0}]}'), "1")
  end)
end)
