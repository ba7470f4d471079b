local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

-- A VM's directory without a process, which is enough for a listing.
local function make_vm(name)
  files.mkdir("vms/" .. name)
  files.write("vms/" .. name .. "/env", "{}")
end

describe("discovery", function()
  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  it("lists the systems that have an env, sorted", function()
    for _, name in ipairs {"qnx10", "linux1", "Android", "a b", "ünï", "-x", "..."} do
      make_vm(name)
    end
    files.mkdir("vms/rebooting")
    files.write("vms/a-file", "")
    assert.are.same({"-x", "...", "Android", "a b", "linux1", "qnx10", "ünï"}, qvm.names())
  end)

  it("lists nothing in an empty root", function()
    assert.are.same({}, qvm.names())
    for _ in qvm.vms() do
      error("there is no VM")
    end
  end)

  it("skips what cannot be read", function()
    make_vm("good")
    files.symlink("/nonexistent", "vms/dangling")
    files.symlink("loop", "vms/loop")
    files.mkdir("vms/dangling-env")
    files.symlink("/nonexistent", "vms/dangling-env/env")
    assert.are.same({"good"}, qvm.names())
  end)

  it("lists a VM that this user may not look at", function()
    make_vm("hidden")
    make_vm("linux1")
    os.execute("chmod 0 " .. process.quote(files.path("vms/hidden")))
    local words = {process.lua, "-e", ([[
      package.path, package.cpath = %q, %q
      local qvm = require "qvm"
      print(table.concat(qvm.names(), " "))
      for vm in qvm.vms() do print(vm.name, (select(3, vm:env()))) end
      for vm in qvm.survey() do print(vm.name, (select(3, vm:state()))) end
      print(qvm.vm("hidden"):state())]]):format(package.path, package.cpath)}
    if select(2, process.run {"id", "-u"}) == "0\n" then
      words = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        table.unpack(words)}
    end
    local _, out, errors = process.run(words, {env = {QVM_ROOT = sim.root(),
      LD_PRELOAD = os.getenv("LD_PRELOAD"), ASAN_OPTIONS = os.getenv("ASAN_OPTIONS")}})
    assert.are.equal("", errors)
    assert.are.equal(([[
hidden linux1
hidden	permission
linux1	nil
hidden	permission
linux1	nil
nil	%s/hidden/env: Permission denied	permission
]]):format(sim.root()), out)
  end)

  it("reports a missing root and suggests a fix", function()
    qvm.root(files.path("nowhere"))
    local names, message, code = qvm.names()
    assert.is_nil(names)
    assert.are.equal("not_found", code)
    assert.matches("nowhere: No such file or directory", message, 1, true)
    assert.matches("$QVM_ROOT", message, 1, true)
    for _ in qvm.vms() do
      error("there is no VM")
    end
  end)

  it("raises in a loop over a root that is not a directory", function()
    qvm.root(files.write("file", ""))
    assert.are.equal("not_found", select(3, qvm.names()))
    assert.error_matches(function() qvm.vms() end, "Not a directory")
  end)

  it("takes the root from qvm.root, $QVM_ROOT or the default", function()
    assert.are.equal(sim.root(), qvm.root())
    local program = "print(require 'qvm'.root())"
    local arguments = {os.getenv("LUA") or "lua5.4", "-e", ("package.path=%q;package.cpath=%q;%s")
      :format(package.path, package.cpath, program)}
    local env = {LD_PRELOAD = os.getenv("LD_PRELOAD"), ASAN_OPTIONS = os.getenv("ASAN_OPTIONS")}
    assert.are.equal("/dev/qvm\n", select(2, process.run(arguments, {env = env})))
    env.QVM_ROOT = "/elsewhere"
    assert.are.equal("/elsewhere\n", select(2, process.run(arguments, {env = env})))
  end)

  it("iterates over VMs, with separate state for each loop", function()
    for _, name in ipairs {"a", "b", "c"} do
      make_vm(name)
    end
    local seen = {}
    for outer in qvm.vms() do
      for inner in qvm.vms() do
        seen[#seen + 1] = outer.name .. inner.name
      end
    end
    assert.are.equal("aa ab ac ba bb bc ca cb cc", table.concat(seen, " "))
  end)

  it("skips a VM that disappears during the loop", function()
    for _, name in ipairs {"a", "b", "c"} do
      make_vm(name)
    end
    local seen = {}
    for vm in qvm.vms() do
      seen[#seen + 1] = vm.name
      os.remove(files.path("vms/b/env"))
    end
    assert.are.same({"a", "c"}, seen)
  end)

  it("finds a VM by name", function()
    make_vm("linux1")
    local vm = qvm.vm("linux1")
    assert.are.equal(1, select("#", qvm.vm("linux1"))) -- no nils beside it at the prompt
    assert.are.equal("linux1", vm.name)
    assert.are.equal(sim.root() .. "/linux1", vm.path)
    assert.are.equal(("VM linux1 (%s/linux1)"):format(sim.root()), tostring(vm))
  end)

  it("reports an unknown VM", function()
    files.mkdir("vms/rebooting")
    for _, name in ipairs {"linux1", "rebooting", ("x"):rep(5000)} do
      local vm, message, code = qvm.vm(name)
      assert.is_nil(vm)
      assert.are.equal("not_found", code)
      assert.matches("no VM", message)
    end
  end)

  it("raises for names that would leave the root", function()
    make_vm("linux1")
    for _, name in ipairs {"", ".", "..", "../vms/linux1", "linux1/", "/", "a/b", "linux1\0x"} do
      assert.error_matches(function() qvm.vm(name) end, "is not a system name")
    end
    assert.error_matches(function() qvm.vm(nil) end, "string expected, got no value")
    assert.error_matches(function() qvm.vm(7) end, "string expected, got number")
  end)

  it("lists the nodes next to env without opening them", function()
    make_vm("linux1")
    local path = files.path("vms/linux1")
    assert(os.execute("mkfifo " .. process.quote(path .. "/guest_to_host"))) -- would hang
    files.write("vms/linux1/console", "")
    files.mkdir("vms/linux1/disk")
    local names = {}
    for name in qvm.vm("linux1"):nodes() do
      names[#names + 1] = name
    end
    assert.are.same({"console", "disk", "guest_to_host"}, names)
  end)

  it("lists no nodes for a VM that is gone", function()
    make_vm("linux1")
    local vm = qvm.vm("linux1")
    os.execute("rm -r " .. process.quote(vm.path))
    for _ in vm:nodes() do
      error("it is gone")
    end
    assert.are.equal("unavailable", vm:state())
  end)

  it("finds a simulated VM and its process", function()
    local linux1 = sim.start("linux1", "ram 1M\ncpu\nvdev a name one\nvdev b\nvdev c name two")
    assert.are.same({"linux1"}, qvm.names())
    local vm = qvm.vm("linux1")
    assert.are.equal(linux1.pid, vm:pid())
    local names = {}
    for name in vm:nodes() do
      names[#names + 1] = name
    end
    assert.are.same({"one", "two"}, names)
    linux1:stop()
    assert.are.same({}, qvm.names())
    assert.are.equal("not_found", select(3, vm:pid()))
  end)
end)
