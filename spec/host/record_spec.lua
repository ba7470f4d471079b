-- A recorded VM, which answers from its record.

local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"

require "qvm.assertions"

describe("a record of a VM", function()
  after_each(sim.clean)

  local function start()
    sim.start("linux1", "set sim-erratum-843419 on\nram 1M\ncpu\ncpu\nvdev pl011 name console\n"
      .. "vdev virtio-net name net")
    qvm.root(sim.root())
    return assert(qvm.vm("linux1"))
  end

  local function values(iterator, field)
    local list = {}
    for value in iterator do
      list[#list + 1] = field and value[field] or value
    end
    return list
  end

  it("answers like the VM did", function()
    local vm = start()
    local directory = files.path("record")
    local state, text = vm:state(), vm:env().text
    assert.is_true(assert(qvm.record(vm, directory, {conf = files.path("linux1.qvmconf")})))
    local replay = assert(qvm.replay(directory))
    assert.are.equal("linux1", replay.name)
    assert.are.equal(state, replay:state())
    assert.are.equal(text, replay:env().text)
    assert.are.same(values(vm:env():vcpus(), "last_known_ip"),
      values(replay:env():vcpus(), "last_known_ip"))
    assert.are.same({"console", "net"}, values(replay:nodes()))
    assert.are.same({}, qvm.errata.diff(qvm.errata.snapshot(vm), qvm.errata.snapshot(replay)))
    assert.are.same({}, qvm.errata.diff(qvm.errata.load(directory .. "/errata.json"),
      qvm.errata.snapshot(replay)))
    assert.vm_running(replay)
    local conf = assert(qvm.conf.load(directory .. "/vm.qvmconf"))
    for _, finding in ipairs(qvm.conf.check(conf, replay)) do
      assert.are_not.equal("differs", finding.verdict)
    end
    assert.are.same({"env.json", "errata.json", "manifest.json", "vm.qvmconf"},
      files.list(directory))
    assert.matches("^VM linux1 %(recorded %d+%-%d+%-%d+T%d+:%d+:%d+Z on .*, .*record%)$",
      tostring(replay))
    assert.are.equal(qvm.version, replay.manifest.library)
  end)

  it("has the state that was recorded", function()
    local directory = files.mkdir("record")
    local running = '{"v": [{"tid": 3, "last_known_ip": 1}, {"tid": 4, "last_known_ip": 5}]}'
    files.write("record/env.json", running)
    local function state_of(recorded)
      files.write("record/manifest.json", ('{"kind": "qvm record", "version": 1, "system": "a", '
        .. '"time": "t", "host": "h", "nodes": []%s}'):format(recorded))
      return assert(qvm.replay(directory)):state()
    end
    for _, name in ipairs {"unknown", "stuck", "unavailable", "gone"} do
      local state, why = state_of(', "state": "' .. name .. '"')
      assert.are.equal(name, state)
      assert.matches("^.*/record: .* when it was recorded$", why)
    end
    assert.are.same({"suspended"}, {state_of ', "state": "suspended"'})
    files.write("record/env.json", "{}")
    assert.are.same({"running"}, {state_of ', "state": "running"'})
    assert.matches("no vCPUs found", select(2, state_of ', "state": "unknown"'), 1, true)
    files.write("record/env.json", running)
    for _, other in ipairs {"", ', "state": "odd"', ', "state": {}'} do
      assert.are.equal(1, select("#", state_of(other)))
      assert.are.equal("running", (state_of(other)))
    end
  end)

  it("has no process", function()
    local vm = start()
    assert(qvm.record(vm, files.path("record")))
    local replay = assert(qvm.replay(files.path("record")))
    for _, call in ipairs {"pid", "signal", "status", "dump"} do
      local result, message, code = replay[call](replay, "dump")
      assert.is_nil(result)
      assert.are.equal("unsupported", code)
      assert.matches("a recorded VM has no process", message, 1, true)
    end
  end)

  it("is not overwritten, and not created if the VM cannot be read", function()
    local vm = start()
    local directory = files.mkdir("record")
    local _, message, code = qvm.record(vm, directory)
    assert.are.same({"busy", directory .. ": exists already"}, {code, message})
    assert.are.same({}, files.list(directory))
    assert.are.equal("not_found", select(3, qvm.record(vm, files.path("none/record"))))
    assert.are.equal("not_found",
      select(3, qvm.record(vm, files.path("other"), {conf = files.path("nothing")})))
    files.write(vm.path .. "/env", "{")
    assert.are.equal("malformed", select(3, qvm.record(vm, files.path("other"))))
    assert.is_false(files.exists(files.path("other")))
    assert.is_false(pcall(qvm.record, "linux1", directory))
    assert.is_false(pcall(qvm.record, vm))
    assert.is_false(pcall(qvm.record, vm, directory, {config = "x"}))
  end)

  it("needs a valid manifest", function()
    local directory = files.mkdir("record")
    assert.are.equal("not_found", select(3, qvm.replay(directory)))
    local good = '{"kind": "qvm record", "version": 1, "system": "a", "time": "t", "host": "h", '
      .. '"nodes": ["n"]}'
    for text, expected in pairs {["{"] = "malformed", ["[]"] = "malformed", ["{}"] = "malformed",
      [good:gsub("1", "2")] = "unsupported", [good:gsub('"a"', "5")] = "malformed",
      [good:gsub('"n"', "5")] = "malformed",
      [good:gsub('%["n"%]', '{"n": "n"}')] = "malformed",
      [good:gsub("record", "cord")] = "malformed"} do
      files.write("record/manifest.json", text)
      assert.are.equal(expected, select(3, qvm.replay(directory)), text)
    end
    files.write("record/manifest.json", good)
    local replay = assert(qvm.replay(directory))
    assert.are.equal("not_found", select(3, replay:env()))
    assert.are.equal("not_found", select(3, replay:state()))
  end)
end)
