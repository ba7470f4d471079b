-- The simulator as an integrator uses it: started as qvm is.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local it_signals = sim.can_signal and it or pending

-- Runs the simulator to its end: exit code, what it said on stderr.
local function run(arguments)
  local status, _, errors = process.run({sim.program, table.unpack(arguments)},
    {env = {QVM_ROOT = sim.root()}})
  return status, errors
end

describe("the simulator", function()
  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  it("takes options on the command line", function()
    local vm = process.start({sim.program, "system", "cli", "ram", "1M", "cpu", "cpu", "cpu"},
      {env = {QVM_ROOT = sim.root()}})
    assert(process.eventually(function() return qvm.vm("cli") end))
    assert.are.equal(vm.pid, qvm.vm("cli"):pid())
    local count = 0
    for _ in qvm.vm("cli"):env():vcpus() do
      count = count + 1
    end
    assert.are.equal(3, count)
  end)

  it_signals("never claims to be QNX", function()
    local linux1 = sim.start("linux1")
    assert.matches("not QNX", qvm.vm("linux1"):env().raw.simulator)
    assert.matches("not QNX", (assert(qvm.vm("linux1"):status {log = linux1.log})))
    local _, help = process.run {sim.program, "--help"}
    assert.matches("This is not QNX", help)
    for line in help:gmatch("[^\n]+") do
      assert.is_true(#line <= 80, line)
    end
  end)

  it("writes a vCPU a line, in the form that an existing script reads", function()
    sim.start("linux1", "ram 1M\ncpu\ncpu")
    local count = 0
    for line in qvm.vm("linux1"):env().text:gmatch("[^\n]+") do
      if line:find("last_known_ip", 1, true) then
        assert.matches('^%s*{ "tid": %d+, "last_known_ip": %d+ },?$', line)
        count = count + 1
      end
    end
    assert.are.equal(2, count)
  end)

  it("gives errata that set variables control", function()
    sim.start("linux1", [[
      set sim-erratum-843419 on
      set sim-erratum-9 0xffffffffffffffff
      cpu
      cpu
        set sim-erratum-1286807 auto]])
    local list = {}
    for e in qvm.vm("linux1"):env():errata() do
      list[#list + 1] = tostring(e)
    end
    assert.are.same({"erratum 843419 = on", "erratum 9 = 0xffffffffffffffff",
      "erratum 1286807 = auto (vCPU 1)"}, list)
  end)

  it("serves a captured document in place of its own", function()
    local text = '{"captured": [1, 2]}\n'
    sim.start("linux1", "ram 1M\nset sim-env-template " .. files.write("env.json", text))
    assert.are.equal(text, qvm.vm("linux1"):env().text)
  end)

  it("ends as a qvm does", function()
    for name, status in pairs {TERM = 0, INT = 0, QUIT = 3} do
      local linux1 = sim.start("linux1", "ram 1M\nvdev a name node")
      local how, got = linux1:stop(name)
      assert.are.equal("exit", how)
      assert.are.equal(status, got)
      assert.are.same({}, files.list(sim.root()))
    end
  end)

  it("refuses a second instance of a system, and takes over from a dead one", function()
    local first = sim.start("linux1")
    local status, errors = run {"@" .. files.path("linux1.qvmconf")}
    assert.are.equal(64, status)
    assert.matches("linux1 is running already, as process " .. first.pid, errors, 1, true)
    assert.are.equal(first.pid, qvm.vm("linux1"):pid())
    first:stop("KILL")
    local second = sim.start("linux1", nil, {wait = false})
    assert(process.eventually(function() return qvm.vm("linux1"):pid() == second.pid end))
  end)

  it("is gone for a moment when it reboots", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    local watcher = process.start {"sh", "-c",
      "echo watching; while [ -e " .. process.quote(linux1.path) .. " ]; do :; done; echo gone"}
    assert.are.equal("watching", watcher:line())
    linux1:tell("reboot")
    assert.are.equal("gone", watcher:line())
    assert.are.equal("running", vm:state())
    assert.are.equal(linux1.pid, vm:pid())
  end)

  it("numbers dumps of one second, and refuses an eleventh", function()
    local dumps = files.mkdir("dumps")
    local linux1 = sim.start("linux1", "ram 256K\ndump " .. dumps)
    for second = os.time(), os.time() + 3 do
      local stamp = os.date("%Y%m%d-%H%M%S", second)
      for suffix = 0, 9 do
        files.write(("dumps/linux1-%s%s.gcore"):format(stamp,
          suffix > 0 and "-" .. suffix or ""), "")
      end
    end
    linux1.process:write("dump\n")
    assert(process.eventually(function()
      return linux1:log_text():find("error: no dump: all ten names up to .*%-9.gcore are taken")
    end), linux1:log_text())
    assert.are.equal(40, #files.list(dumps))
  end)

  it("answers every command", function()
    local linux1 = sim.start("linux1", "ram 1M\nvdev a name b")
    local answers = {["suspend"] = "ok suspend", ["dump"] = "failed dump", ["jump"] = "failed jump",
      ["suspend resume"] = "failed suspend resume", [" status \t"] = "ok status"}
    for command, answer in pairs(answers) do
      linux1.process:write(command .. "\n")
      assert.are.equal(answer, linux1.process:line())
    end
  end)

  it("pipes a dump to a command", function()
    local out = files.path("piped.gcore")
    local linux1 = sim.start("linux1", ('ram 1M\ncpu\ndump "|gzip | gunzip >%s"'):format(out))
    linux1:tell("dump")
    local dump <close> = assert(qvm.open(out))
    assert.are.equal("simulated guest linux1", dump:cstring(0x80000000))
  end)

  it("writes a large dump sparse", function()
    local dumps = files.mkdir("dumps")
    local linux1 = sim.start("linux1", "ram 0,2G\nram 4G,6G\ndump " .. dumps)
    linux1:tell("dump")
    local path = dumps .. "/" .. files.list(dumps)[1]
    local dump <close> = assert(qvm.open(path))
    assert.is_true(dump.size > 8 << 30)
    assert.is_true(require("lfs").attributes(path, "blocks") * 512 < 16 << 20)
    assert.are.equal(0x280000000 - 0x1000000, dump:u64(0x280000000 - 0x1000000))
    local ranges = {}
    for from, size in dump:ranges() do
      ranges[#ranges + 1] = {from, size}
    end
    assert.are.same({{0, 2 << 30}, {4 << 30, 6 << 30}}, ranges)
  end)

  it_signals("abandons a slow dump when it is told to end", function()
    local dumps = files.mkdir("dumps")
    local linux1 = sim.start("linux1", "ram 4M\nset sim-dump-seconds 30\ndump " .. dumps)
    assert(qvm.vm("linux1"):signal("dump"))
    assert(process.eventually(function() return files.list(dumps)[1] end))
    assert.are.equal("exit", (linux1:stop()))
    assert.are.equal("truncated", select(3, qvm.open(dumps .. "/" .. files.list(dumps)[1])))
  end)

  describe("reads configurations", function()
    -- As integrators write them.
    it("with tabs, comments, quotes, includes, CRLF and no final newline", function()
      files.write("common.conf", "cpu sched 10 runmask 4,5\r\n\tcpu\tsched 10r\r\n")
      local config = 'debug # a comment\n@common.conf\nlogger debug,info,error slog\n'
        .. "unsupported register ignore\nrom 0xc0000,0x40000\nram 4096M,2048M\n"
        .. "initrd load /guests/vramdisk\ndata load 0xD1C30000,/guests/handover\n"
        .. 'cmdline "printk.devkmsg=on \\\n console=ttyAMA0 # no comment"\n'
        .. "pass loc mem:0x1000,0x2000,rwcxm\nset counter-offset 0\n"
        .. "vdev virtio-net\r\n  loc 0x1c0c0000\r\n  intr gic:40\n  name 'p2p'\n"
        .. "vdev pl011 loc 0x1c090000 intr gic:37 name \"console\"\n\tset debug off"
      local linux1 = sim.start("linux1", config)
      local names = {}
      for name in qvm.vm("linux1"):nodes() do
        names[#names + 1] = name
      end
      assert.are.same({"console", "p2p"}, names)
      local count = 0
      for _ in qvm.vm("linux1"):env():vcpus() do
        count = count + 1
      end
      assert.are.equal(2, count)
      assert.matches("linux1.qvmconf:%d+: warning: .*unsupported", linux1:log_text())
    end)

    for text, expected in pairs {
      ["ram 1M"] = "no system",
      ["system a/b\n"] = "1: ",
      ["system .."] = "1: ",
      ["system a\n\nram 12Q"] = "3: ",
      ["system a\nram"] = "2: ",
      ["system a\nram 1M\nram 0x80000000,1M"] = "3: ",
      ["system a\nset sim-machine vax"] = "2: ",
      ["system a\nset sim-frobnicate 1"] = "2: ",
      ["system a\ncmdline \"open"] = "2: ",
      ["system a\n@nowhere.conf"] = "2: ",
      ["system a\n@bad.qvmconf"] = "bad.qvmconf",
      ["system a\nvdev x name n\nvdev y name n"] = "3: ",
      ["system a\nvdev x name env"] = "2: ",
      ["system a\nsystem b"] = "2: ",
    } do
      it(("and refuses %q"):format(text), function()
        local status, errors = run {"@" .. files.write("bad.qvmconf", text)}
        assert.are.equal(65, status)
        assert.matches("qvm: ", errors, 1, true)
        assert.matches(expected:gsub("^%d", "bad.qvmconf:%0"), errors, 1, true)
        assert.are.same({}, files.list(sim.root()))
      end)
    end
  end)
end)
