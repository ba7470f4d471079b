-- Configurations checked against VMs, with the cases that no simulated VM of conf_spec.lua
-- covers.

local cost = require "support.cost"
local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"

-- A VM that consists of a directory with an env.
local function vm_with(env)
  files.mkdir("vms/linux1")
  files.write("vms/linux1/env", env)
  qvm.root(sim.root())
  return assert(qvm.vm("linux1"))
end

local function findings(text, vm, options)
  local conf = assert(qvm.conf.load(files.write("test.qvmconf", text)))
  local list = {}
  for i, f in ipairs(assert(qvm.conf.check(conf, vm, options))) do
    list[i] = ("%s: %s / %s: %s"):format(f.what, f.expected, f.actual, f.verdict)
    list[f.what] = f
  end
  return list
end

describe("a configuration checked against a VM", function()
  before_each(function()
    sim.root()
  end)

  after_each(sim.clean)

  it("implies one vCPU if it has no cpu option", function()
    local vm = vm_with '{"cpus":[{"tid":2,"last_known_ip":5}]}'
    assert.are.equal("vCPUs: 1 / 1: ok", findings("system linux1\nram 1M", vm)[2])
    assert.are.equal("vCPUs: 2 / 1: differs", findings("system linux1\ncpu cpu", vm)[2])
  end)

  it("reports an unknown number of vCPUs if the env lists none", function()
    for _, env in ipairs {'{"cpus":[]}', "{}"} do
      local list = findings("system linux1\ncpu cpu", vm_with(env))
      assert.are.equal("vCPUs: 2 / nil: cannot tell", list[2])
      sim.clean()
      sim.root()
    end
  end)

  it("finds nodes with absolute names, in the VM's directory and elsewhere", function()
    local vm = vm_with '{"cpus":[]}'
    files.write("vms/linux1/console", "")
    files.mkdir("elsewhere")
    files.write("elsewhere/net", "")
    local list = findings(("system linux1 vdev a name %s/console vdev b name %s vdev c name %s "
      .. "vdev d name %s"):format(vm.path, files.path("elsewhere/net"),
      files.path("elsewhere/gone"), files.path("nowhere/x")), vm)
    local verdicts = {}
    for i = 3, 6 do
      verdicts[#verdicts + 1] = list[i]:match("[^/]*: there / (.*)$")
    end
    assert.are.same({"there: ok", "there: ok", "not there: differs", "not there: differs"},
      verdicts)
    assert.is_nil(list[8]) -- the node in the VM's directory has its vdev
  end)

  it("does not compare a vCPU's errata with those of an unknown vCPU", function()
    local vm = vm_with [[{"cpus":[{"tid":2,"last_known_ip":5}],
      "errata":[{"id":"843419","value":"on","cpu":"first"}]}]]
    assert.are.equal("erratum 843419 on vCPU unknown: off / on: cannot tell",
      findings("system linux1 cpu set errata-843419 off", vm)[4])
    assert.are.equal("erratum 843419 on vCPU unknown: off / on: differs",
      findings("system linux1 set errata-843419 off", vm)[4])
  end)

  -- In the form that an 8.0 qvm prints.
  local variables = [[
allowed set variables
    debug                          (boolean, vdev)
    legacy-free                    (boolean, global)
    message-block-timeout          (number, global)
    slog-buffer                    (address, global)
    virtual-interrupts             (tristate, cpu)
    fdt-dump-file                  (string, global)
    odd                            (colour, global)
]]

  it("is checked for the names, types and contexts of its variables", function()
    local vm = vm_with '{"cpus":[{"tid":2,"last_known_ip":5}]}'
    local list = findings([[
system linux1
set message-block-timeout 0d500
set legacy-free maybe
set slog-buffer 64K
set fdt-dump-file "/tmp/a b"
set no-such 1
set odd red
cpu
  set virtual-interrupts auto
  set legacy-free on
vdev x
  set debug off
  set virtual-interrupts off
]], vm, {variables = variables})
    local seen = {}
    for _, line in ipairs(list) do
      seen[#seen + 1] = line:match("^set .*")
    end
    assert.are.same({
      "set message-block-timeout: 0d500 (global) / number, global: ok",
      "set legacy-free: maybe (global) / boolean, global: differs",
      "set slog-buffer: 64K (global) / address, global: ok",
      "set fdt-dump-file: /tmp/a b (global) / string, global: ok",
      "set no-such: 1 (global) / not a variable of this qvm: differs",
      "set odd: red (global) / colour, global: cannot tell",
      "set virtual-interrupts: auto (cpu) / tristate, cpu: ok",
      "set legacy-free: on (cpu) / boolean, global: differs",
      "set debug: off (vdev) / boolean, vdev: ok",
      "set virtual-interrupts: off (vdev) / tristate, cpu: differs"}, seen)
    assert.are.equal(6, list["set no-such"].line)
  end)

  it("has the variables of a qvm as a list", function()
    local list = assert(qvm.conf.variables(variables))
    assert.are.equal(7, #list)
    assert.are.same({name = "message-block-timeout", type = "number", context = "global"},
      setmetatable(list[3], nil))
    assert.are.equal("debug (boolean, vdev)", tostring(list[1]))
    assert.are.equal("global, cpu", qvm.conf.variables("x (string,global, cpu)\r\n")[1].context)
    assert.are.same({nil, "malformed"}, {nil, select(3, qvm.conf.variables("qvm: not found"))})
    assert.are.equal("too_large",
      select(3, qvm.conf.variables(("a (number, cpu)\n"):rep(65537))))
    assert.has_error(function() qvm.conf.variables() end,
      "bad argument #1 to 'variables' (string expected, got no value)")
  end)

  it("reads any list of variables in time that grows with its length", function()
    local limit = os.getenv "QVM_VALGRIND" and 60 or 2 -- seconds of CPU time
    for _, text in ipairs {("x"):rep(1 << 20), ("x "):rep(1 << 19), "x (" .. ("a"):rep(1 << 20),
      "x (number," .. ("a "):rep(1 << 19), ("x(a,"):rep(1 << 18), ("\t"):rep(1 << 20)} do
      local began = os.clock()
      assert.are.equal("malformed", select(3, qvm.conf.variables(text)))
      assert.is_true(os.clock() - began < limit)
    end
  end)

  it("says which variables that are not set control the reported errata", function()
    local vm = vm_with '{"cpus":[{"tid":2,"last_known_ip":5}],"errata":{"843419":"on","5":"off"}}'
    local text = variables .. "    erratum-843419    (boolean, global)\n"
      .. "    errata-report     (string, global)\n"
    local list = findings("# none\n\nsystem linux1", vm, {variables = text})
    assert.are.equal("erratum 843419: erratum-843419 is not set / on: cannot tell", list[#list])
    assert.are.equal(3, list["erratum 843419"].line)
    list = findings("system linux1\nset erratum-843419 off", vm, {variables = text})
    assert.are.same({"erratum 843419: off / on: differs",
      "set erratum-843419: off (global) / boolean, global: ok"}, {list[#list - 1], list[#list]})
  end)

  it("counts the last of several values of a variable in one context", function()
    local vm = vm_with [[{"cpus":[{"tid":2,"last_known_ip":5},{"tid":3,"last_known_ip":5}],
      "errata":{"843419":"on","all":{"1530923":1},"cpu0":{"77777":1},"cpu1":{"77777":0}}}]]
    local list = findings([[
system linux1
set errata-843419 off
set erratum-1530923 1
cpu set erratum-77777 0 set erratum-77777 1
cpu set erratum-77777 0
reserve loc 1
set errata-843419 bad
set errata-843419 on]], vm, {variables = variables .. " errata-843419 (boolean, global)\n"
      .. " erratum-1530923 (boolean, global)\n erratum-77777 (boolean, cpu)\n"})
    local seen = {}
    for i = 4, #list do
      seen[#seen + 1] = list[i]
    end
    assert.are.same({
      "erratum 1530923: 1 / 1: ok",
      "erratum 77777 on vCPU 0: 1 / 1: ok",
      "erratum 77777 on vCPU 1: 0 / 0: ok",
      "erratum 843419: on / on: ok",
      "set erratum-1530923: 1 (global) / boolean, global: ok",
      "set erratum-77777: 1 (cpu) / boolean, cpu: ok",
      "set erratum-77777: 0 (cpu) / boolean, cpu: ok",
      "set errata-843419: on (global) / boolean, global: ok"}, seen)
    assert.are.equal(8, list["erratum 843419"].line)
  end)

  it("gives a file and a line for each finding", function()
    local vm = vm_with '{"cpus":[{"tid":2,"last_known_ip":5},{"tid":3,"last_known_ip":5}]}'
    files.write("vms/linux1/node", "")
    files.write("common.conf", "\n\nsystem linux2\n")
    local list = findings("# common\n@common.conf\nset a 1", vm, {variables = variables})
    for _, what in ipairs {"system", "vCPUs", "node node", "dump"} do
      assert.are.same({files.path("common.conf"), 3}, {list[what].file, list[what].line}, what)
    end
    assert.are.same({files.path("test.qvmconf"), 3}, {list["set a"].file, list["set a"].line})
    assert.are.equal(("differs: vCPUs: expected 1, is 2 (%s:3)"):format(files.path "common.conf"),
      tostring(list["vCPUs"]))
    list = findings("cpu cpu cpu", vm)
    assert.are.same({files.path("test.qvmconf"), 1}, {list["node node"].file,
      list["node node"].line})
  end)

  it("reports a list of variables that cannot be read", function()
    local vm = vm_with '{"cpus":[]}'
    local conf = assert(qvm.conf.load(files.write("test.qvmconf", "system linux1")))
    local list, message, code = qvm.conf.check(conf, vm, {variables = "qvm: not found\n"})
    assert.are.same({nil, "malformed"}, {list, code})
    assert.matches("^variables: no row", message)
    assert.has_error(function() qvm.conf.check(conf, vm, {variables = 1}) end)
    assert.has_error(function() qvm.conf.check(conf, vm, {unknown = 1}) end)
  end)

  it("is checked against the variables that the simulator lists", function()
    local vm = vm_with '{"cpus":[]}'
    local pipe = assert(io.popen(sim.program .. " set '?'"))
    local text = pipe:read("a")
    pipe:close()
    local list = findings("system linux1\nset sim-machine x86_64\nset sim-nothing 1\nvdev x\n"
      .. "set debug off", vm, {variables = text})
    assert.are.same({"ok", "differs", "ok"}, {list["set sim-machine"].verdict,
      list["set sim-nothing"].verdict, list["set debug"].verdict})
  end)

  it("has a bounded cost for any configuration and env", function()
    local ids, sets = {}, {}
    for i = 1, 20000 do
      ids[i] = ('{"id":"%s","value":1}'):format(i % 2 == 0 and "99999" or 100000 + i)
      sets[i] = i <= 15000 and ("set a-99999-%d 1\n"):format(i) or ""
    end
    local vm = vm_with('{"errata":[' .. table.concat(ids, ",") .. "]}")
    local path = files.write("many.qvmconf", "system linux1\n" .. table.concat(sets))
    local answer = cost.check(([[
      qvm.root(%q)
      local list, message, code = qvm.conf.check(assert(qvm.conf.load(%q)), assert(qvm.vm "linux1"),
        {variables = ("  a-variable (boolean, global)\n"):rep(500000)})
      return code or #list]]):format(sim.root(), path), 16 << 20)
    assert.are.equal("too_large", answer)
    assert.are.equal("linux1", vm.name)
  end)
end)
