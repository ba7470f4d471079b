-- The grammar of docs/configuration.md, in the parser and in the simulator.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local function load(text, name)
  return qvm.conf.load(files.write(name or "test.qvmconf", text))
end

local function error_of(text)
  local result, message, code = load(text)
  assert.is_nil(result)
  assert.are.equal("malformed", code)
  return (message:gsub("^.*/", ""))
end

local function others(conf)
  local seen = {}
  for i, other in ipairs(conf.others) do
    seen[i] = ("%d %s: %s"):format(other.line, other.name, table.concat(other.arguments, "|"))
  end
  return seen
end

-- Runs the simulator on a text; returns its exit code and its messages.
local function refused(text)
  local status, _, errors = process.run({"timeout", "10", sim.program,
    "@" .. files.write("test.qvmconf", text)}, {env = {QVM_ROOT = sim.root()}})
  return status, (errors:gsub("/[^ ]*/", ""))
end

describe("the syntax of configurations", function()
  after_each(sim.clean)

  it("allows quoted arguments over several lines", function()
    local conf = assert(load('system a\ncpu sched 10\ncpu sched 10\n'
      .. 'cmdline "console=ttyAMA0 earlycon\n  loglevel=8\n  androidboot.hardware=x"\n'
      .. 'load 0x80080000,Image\ninitrd load 0x84000000,ramdisk.img\n'
      .. 'fdt load 0x83000000,board.dtb\nvdev vdev-pl011.so loc 0x1c090000 hostdev >-\n'))
    assert.are.same({"10", "10"}, {conf.cpus[1].sched, conf.cpus[2].sched})
    assert.are.same({
      "4 cmdline: console=ttyAMA0 earlycon\n  loglevel=8\n  androidboot.hardware=x",
      "7 load: 0x80080000,Image", "8 initrd: load|0x84000000,ramdisk.img",
      "9 fdt: load|0x83000000,board.dtb"}, others(conf))
    assert.are.same({1, "pl011", ">-", 10},
      {#conf.vdevs, conf.vdevs[1].type, conf.vdevs[1].hostdev, conf.vdevs[1].line})
  end)

  it("joins lines at a backslash in quotes, also with CRLF", function()
    for _, text in ipairs {'cmdline "a \\\n b"\ncpu', "cmdline 'a \\\r\n b'\r\ncpu",
      'cmdline "a "\' b\'\n\ncpu'} do
      local conf = assert(load(text))
      assert.are.same({{"a  b"}, 3},
        {conf.others[1].arguments, conf.cpus[1].line})
    end
    assert.are.same({"a\nb\\c\\"}, assert(load "cmdline 'a\r\nb\\c\\'").others[1].arguments)
    assert.are.equal("test.qvmconf:2: a quote is not closed", error_of "cpu\ncmdline \"a\n\ncpu\n")
  end)

  it("has contexts, which global options neither open nor close", function()
    local conf = assert(load("system cluster\nram 128M\ncpu ram 64M sched 12 runmask 0,1\n"
      .. "vdev virtio-net loc 0x1c0c0000 load fw.bin intr gic:40 name p2p peer /dev/vp1\n"
      .. "reserve loc 0x9000000,0x100000\n"))
    assert.are.same({128 << 20, 64 << 20}, {conf.ram[1].size, conf.ram[2].size})
    assert.are.same({"12", "0,1"}, {conf.cpus[1].sched, conf.cpus[1].runmask})
    local vdev = conf.vdevs[1]
    assert.are.same({"0x1c0c0000", "gic:40", "p2p", "/dev/vp1"},
      {vdev.loc, vdev.intr, vdev.name, vdev.peer})
    assert.are.same({"4 load: fw.bin", "5 reserve: loc|0x9000000,0x100000"}, others(conf))
  end)

  it("closes a context when another opens; pass and reserve have their own", function()
    local conf = assert(load("vdev a loc 1\npass loc pci:0:2.0=pci:0:2.0\n intr gic:44=179\n"
      .. "set x 1\nvdev b loc 2\nreserve\n loc 3\nset y 2\ncpu\nset z 3\nram 1M\nset w 4"))
    assert.are.same({"1", "2"}, {conf.vdevs[1].loc, conf.vdevs[2].loc})
    assert.are.same({nil, nil}, {conf.vdevs[1].intr, conf.vdevs[2].intr})
    assert.are.same({"2 pass: loc|pci:0:2.0=pci:0:2.0|intr|gic:44=179", "6 reserve: loc|3"},
      others(conf))
    local contexts = {}
    for i, set in ipairs(conf.set) do
      contexts[i] = set.name .. " " .. set.context
    end
    assert.are.same({"x global", "y global", "z cpu", "w cpu"}, contexts)
  end)

  it("has global options with known arguments", function()
    local conf = assert(load("system a rom 0xc0000,0x40000 cmdline x initrd load f data load "
      .. "0d4096,g unsupported reference fail safety none dryrun guest load h fdt generate "
      .. "debug 1 cpu\n"))
    assert.are.same({"1 rom: 0xc0000,0x40000", "1 cmdline: x", "1 initrd: load|f",
      "1 data: load|0d4096,g", "1 unsupported: reference|fail", "1 safety: none", "1 dryrun: ",
      "1 guest: load|h", "1 fdt: generate", "1 debug: 1"}, others(conf))
    assert.are.equal(1, #conf.cpus)
  end)

  it("allows arguments on the next line, unless that line starts with an option", function()
    local conf = assert(load("system\none\nram 0d33554432\nvdev pl011 loc 0x1c090000\n"
      .. " intr\n  gic:37"))
    assert.are.same({"one", 32 << 20, "gic:37", 0},
      {conf.system, conf.ram[1].size, conf.vdevs[1].intr, #conf.cpus})
    assert.matches("no cpu option %(one vCPU%)", tostring(conf))
    local text = "system a\nvdev x loc\nvdev y\n"
    assert.are.equal("test.qvmconf:2: 'loc' has 1 argument, and none follows", error_of(text))
    assert.are.equal(65, (refused(text)))
    assert.are.equal("vdev", assert(load "vdev x name\n'vdev'").vdevs[1].name)
  end)

  it("ignores a byte order mark and accepts CRLF", function()
    local text = "\xef\xbb\xbfsystem bom\r\nram 0xC0000000,4K\r\nram 64M\r\ncpu\r\n"
    local conf = assert(load(text))
    assert.are.same({"bom", 4096, 0xc0000000, 64 << 20, 1},
      {conf.system, conf.ram[1].size, conf.ram[1].address, conf.ram[2].size, #conf.cpus})
    files.write("part.cfg", "\xef\xbb\xbfcpu\r\n")
    assert.are.equal(2, #assert(load("\xef\xbb\xbf@part.cfg\r\ncpu")).cpus)
  end)

  it("uses the last of an option that is repeated in one context", function()
    local conf = assert(load("vdev x loc 1 loc 2 name a name b\n"
      .. "cpu sched 1 sched 2\nset a 1 set a 2"))
    assert.are.same({"2", "b", "2", {a = "2"}},
      {conf.vdevs[1].loc, conf.vdevs[1].name, conf.cpus[1].sched, conf.cpus[1].set})
  end)

  it("treats x, vdev-x and vdev-x.so as one type", function()
    local conf = assert(load "vdev pl011 vdev vdev-pl011 vdev vdev-pl011.so vdev vdev- vdev .so")
    local types = {}
    for i, vdev in ipairs(conf.vdevs) do
      types[i] = vdev.type
    end
    assert.are.same({"pl011", "pl011", "pl011", "vdev-", ".so"}, types)
  end)

  it("accepts every form of sched, runmask, partition and cluster", function()
    local conf = assert(load("cpu sched 10r runmask 0,2,3 partition p1\n"
      .. "cpu cluster _cpu-1 sched 10,8,3,50,10 name boot"))
    local one, two = conf.cpus[1], conf.cpus[2]
    assert.are.same({"10r", "0,2,3", "p1"}, {one.sched, one.runmask, one.partition})
    assert.are.same({"_cpu-1", "10,8,3,50,10", "boot"}, {two.cluster, two.sched, two.name})
    assert.matches("^cpu name boot sched 10,8,3,50,10 cluster _cpu%-1", tostring(two))
  end)

  it("is accepted in files of any name", function()
    for _, ending in ipairs {"qvmconf", "conf", "config", "cfg", "qvmcfg", "txt"} do
      assert.are.equal("a", assert(load("system a", "x." .. ending)).system)
    end
  end)

  for text, message in pairs {
    ["ram 1M\nsystem a"] = "test.qvmconf:2: 'system' must be the first option",
    ["system a\nsystem b"] = "test.qvmconf:2: 'system' must be the first option",
    ["system name=x"] = "test.qvmconf:1: 'system name=x' is not the syntax: write 'system x'",
    ["system a\n\ncpu cluster=0,cores=2"] =
      "test.qvmconf:3: 'cluster=0,cores=2' is not the syntax: write 'cluster 0'",
    ["system a\nram=1M"] = "test.qvmconf:2: 'ram=1M' is not the syntax: write 'ram 1M'",
    ["system a\nram @SIZE@\n"] =
      "test.qvmconf:2: '@SIZE@' is a placeholder of a template: replace it by a value",
    ["system vm@N@\n"] =
      "test.qvmconf:1: '@N@' is a placeholder of a template: replace it by a value",
  } do
    it(("refuses %q and reports the position"):format(text), function()
      assert.are.equal(message, error_of(text))
      local status, errors = refused(text)
      assert.are.same({65, "qvm: " .. message .. "\n"}, {status, errors})
    end)
  end

  it("escapes text from the file in messages", function()
    assert.are.equal("test.qvmconf:1: '\\x1b[2J' is not [address,]size", error_of "ram \27[2J")
    assert.is_true(#error_of("ram " .. ("x"):rep(100000)) < 400)
  end)
end)

describe("several files and options", function()
  after_each(sim.clean)

  it("are read in order, as qvm reads them", function()
    local one = files.write("one.qvmconf", "system a\ncpu\n")
    local two = files.write("two.conf", "sched 5\nvdev x name n\n")
    local conf = assert(qvm.conf.load({one, two},
      {options = "set fdt-dump-file '/tmp/f 1' dryrun"}))
    assert.are.same({"a", "5", 1}, {conf.system, conf.cpus[1].sched, #conf.vdevs})
    assert.are.same({"fdt-dump-file", "/tmp/f 1", "vdev", "options", 1}, {conf.set[1].name,
      conf.set[1].value, conf.set[1].context, conf.set[1].file, conf.set[1].line})
    assert.are.same({one, {one, two}}, {conf.path, conf.paths})
    assert.are.equal("dryrun", conf.others[1].name)
    -- As command-line words: each is one word, and a file is included.
    conf = assert(qvm.conf.load(one, {options = {"cmdline", "a b", "@" .. two, "cpu"}}))
    assert.are.same({{"a b"}, 2, 1}, {conf.others[1].arguments, #conf.cpus, #conf.vdevs})
    assert.are.same({"options", 4}, {conf.cpus[2].file, conf.cpus[2].line})
    assert.are.same({nil, "options:2: 'ram' has 1 argument, and none follows", "malformed"},
      {qvm.conf.load(one, {options = {"cpu", "ram"}})})
    assert.are.same({nil, two .. ":3: 'system' must be the first option", "malformed"},
      {qvm.conf.load {one, files.write("two.conf", "\n\nsystem b")}})
  end)

  it("are checked against a VM", function()
    for _, arguments in ipairs {{}, {{}}, {{1}}, {"a\0"}, {{"a", "b\0"}}, {"a", {option = "x"}},
      {"a", {options = 1}}, {"a", {options = {1}}}} do
      local ok, message = pcall(function() qvm.conf.load(table.unpack(arguments)) end)
      assert.is_false(ok)
      assert.matches("conf_syntax_spec.lua:%d+: ", message)
    end
  end)
end)

describe("the parser and the simulator", function()
  after_each(sim.clean)

  -- "type detail value ..." of each vdev in the simulator's report.
  local function simulated(text)
    local vm = sim.start("same", text .. "\nlogger info stderr")
    vm:tell("status")
    local seen = {}
    process.eventually(function() return vm:log_text():find("status 1", 1, true) end)
    for line in vm:log_text():gmatch("[^\n]+") do
      seen[#seen + 1] = line:match("info: (vdev .*)") or line:match("info: (vcpu%d+) ")
        or line:match("info: (ram .*)")
    end
    return seen
  end

  local function read(text)
    local conf, seen = assert(load("system same\n" .. text)), {}
    for i, ram in ipairs(conf.ram) do
      seen[i] = ("ram 0x%016x size 0x%x"):format(ram.address, ram.size)
    end
    for i = 1, math.max(#conf.cpus, 1) do
      seen[#seen + 1] = "vcpu" .. i - 1
    end
    for _, vdev in ipairs(conf.vdevs) do
      local words = {"vdev " .. vdev.type, vdev.name}
      for _, name in ipairs {"loc", "intr", "hostdev", "peer"} do
        words[#words + 1] = vdev[name] and name .. " " .. vdev[name]
      end
      seen[#seen + 1] = table.concat(words, " ")
    end
    return seen
  end

  for name, text in pairs {
    ["contexts"] = "ram 0x80000000,1M\ncpu ram 0x90000000,4K sched 12\nvdev x loc 1 load nothing "
      .. "intr gic:1 name n peer /p\nreserve loc 0x9000000,0x100000\nvdev y\npass loc 7 intr 8",
    ["no cpu, 0d, the next line"] = "ram 0d2147483648,0d1048576\nvdev pl011 loc 3\n intr\n  gic:37",
    ["quotes, types, repetition"] = "ram 0x80000000,1m cmdline \"a\n b\\\n c\" cpu cpu vdev "
      .. "vdev-pl011.so loc 1 loc 2 name a name b",
    ["unknown options"] = "ram 0x80000000,1M\nvdev x frob 7 loc 1 unheard\n of\nfrobnicate 1 "
      .. "cpu\ncpu",
    ["every global option"] = "ram 0x80000000,1M rom 1,2 initrd load f data load 1,g fdt generate "
      .. "unsupported register ignore safety none dryrun guest load h debug on cpu vdev z loc 5",
    ["RAM of 4K alone"] = "ram 0x80000000,4K",
  } do
    it("agree on " .. name, function()
      assert.are.same(read(text), simulated(text))
    end)
  end

  it("accept RAM without room for the report text in a dump", function()
    local dumps = files.mkdir("dumps")
    local vm = sim.start("small", "ram 0xC0000000,4K\ndump " .. dumps)
    vm:tell("dump")
    local dump <close> = assert(qvm.open(dumps .. "/" .. files.list(dumps)[1]))
    assert.are.same({"simulated guest small", 4096},
      {dump:cstring(0xC0000000), select(2, dump:ranges()())})
    vm:stop()
    vm = sim.start("mixed", "ram 0x80000000,1M\nram 0xC0000000,4K\ndump " .. dumps)
    vm:tell("dump")
    local mixed <close> = assert(qvm.open(dumps .. "/" .. files.list(dumps)[1]))
    assert.matches("simulated VM", mixed:log())
  end)
end)
