-- examples/errata_spec.lua, run by busted against simulated VMs as on a board.

local files = require "support.files"
local process = require "support.process"
local sim = require "support.sim"

local lua = os.getenv("LUA") or "lua5.4"

describe("the example suite for errata", function()
  after_each(sim.clean)

  -- Runs busted as a separate process; returns its status and output.
  local function run(options, output)
    local env = {QVM_ROOT = sim.root(), LUA_PATH_5_4 = package.path, LUA_CPATH_5_4 = package.cpath,
      LD_PRELOAD = os.getenv("LD_PRELOAD"),
      QVM_BASELINE = files.path("baseline.json")}
    for key, value in pairs(options) do
      env[key] = value
    end
    local pipe <close> = assert(io.popen("command -v " .. lua))
    return process.run({"busted", "--lua=" .. pipe:read("l"), "-o", output or "TAP",
      "-f", files.write("busted.conf", "return {}"),
      "examples/errata_spec.lua"}, {env = env})
  end

  local function start(name, erratum)
    return sim.start(name, ("set sim-erratum-843419 %s\nset sim-erratum-9 auto\nram 1M\ncpu\ncpu")
      :format(erratum))
  end

  it("can be run with the command in its header", function()
    start("linux1", "on")
    local command = files.read("examples/errata_spec.lua"):match("\n%-%- +([^\n]*busted [^\n]*)")
    local status, output = process.run({"sh", "-c", command .. " -f \"$0\" -o TAP",
      files.write("busted.conf", "return {}")}, {env = {QVM_ROOT = sim.root(),
      QVM_VM = "linux1", QVM_RECORD = "1", QVM_BASELINE = files.path("baseline.json"),
      LUA_PATH_5_4 = package.path, LUA_CPATH_5_4 = package.cpath,
      LD_PRELOAD = os.getenv("LD_PRELOAD")}})
    assert.are.equal(0, status, output)
    assert.matches("ok 3 - the errata of linux1 are those of the baseline", output, 1, true)
  end)

  it("passes if the errata equal the baseline, and lists each that differs", function()
    start("linux1", "on")
    start("linux2", "off")
    local status, output = run {QVM_VM = "linux1"}
    assert.are_not.equal(0, status)
    assert.matches("QVM_RECORD=1 records what the VM reports now", output, 1, true)
    assert.is_false(files.exists(files.path("baseline.json")))

    status, output = run {QVM_VM = "linux1", QVM_RECORD = "1"}
    assert.are.equal(0, status, output)
    assert.is_true(files.exists(files.path("baseline.json")))
    local recorded = files.read(files.path("baseline.json"))
    assert.matches('{"id": "843419", "value": "on"}', recorded, 1, true)

    status, output = run {QVM_VM = "linux1", QVM_RECORD = "1"}
    assert.are.equal(0, status, output)
    assert.matches("ok 3 - the errata of linux1 are those of the baseline", output, 1, true)

    status, output = run {QVM_VM = "linux2", QVM_RECORD = "1"}
    assert.are.equal(1, status, output)
    assert.matches("not ok 3 - the errata of linux2 are those of the baseline", output, 1, true)
    assert.matches('843419, all vCPUs: expected "on", is "off"', output, 1, true)
    assert.are.equal(recorded, files.read(files.path("baseline.json")))
  end)

  it("writes JUnit XML", function()
    start("linux2", "off")
    files.write("baseline.json", '{"kind": "qvm errata baseline", "version": 1, "errata": []}')
    local status, output = run({QVM_VM = "linux2"}, "junit")
    assert.are.equal(1, status)
    assert.matches("<testsuite .*failures='1'", output)
    assert.matches("9, all vCPUs: expected none, is", output, 1, true)
  end)

  it("fails for a VM that is missing or not running", function()
    local vm = start("linux1", "on")
    assert.are.equal(0, (run {QVM_VM = "linux1", QVM_RECORD = "1"}))
    vm:tell("suspend")
    local status, output = run {QVM_VM = "linux1"}
    assert.are.equal(1, status)
    assert.matches("expected running, is suspended", output, 1, true)
    status, output = run {QVM_VM = "nothing"}
    assert.are_not.equal(0, status)
    assert.matches('no VM "nothing"', output, 1, true)
    status, output = run {}
    assert.are_not.equal(0, status)
    assert.matches("QVM_VM is not set", output, 1, true)
  end)
end)
