-- Configurations as integrators write them, loaded and checked against running VMs.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local function load(text, name)
  return qvm.conf.load(files.write(name or "test.qvmconf", text))
end

-- The message for a malformed configuration.
local function error_of(text)
  local result, message, code = load(text)
  assert.is_nil(result)
  assert.are.equal("malformed", code)
  return (message:gsub("^.*/", ""))
end

describe("a configuration", function()
  after_each(files.clean)

  it("keeps the line of each option", function()
    local conf = assert(load [[
# a guest
system linux1
ram 0x80000000,256M
ram 1M
cpu runmask 0,1 sched 10
cpu
    set sched-errata on      # its own
load /images/Image
dump /dumps
logger fatal,error stderr
vdev pl011
    loc 0x1c090000
    intr gic:37
    name console
vdev virtio-net name "guest to host" peer /dev/vdevpeers/vp0
    set debug off
]])
    assert.are.same({"linux1", 2}, {conf.system, conf.system_line})
    assert.are.same({{0x80000000, 256 << 20, 3}, {1 << 20, nil, 4}},
      {{conf.ram[1].address, conf.ram[1].size, conf.ram[1].line},
        {conf.ram[2].size, conf.ram[2].address, conf.ram[2].line}})
    assert.are.same({"0,1", "10", 5}, {conf.cpus[1].runmask, conf.cpus[1].sched, conf.cpus[1].line})
    assert.are.same({["sched-errata"] = "on"}, conf.cpus[2].set)
    assert.are.same({"/dumps", 9}, {conf.dump.directory, conf.dump.line})
    assert.are.same({{"fatal", "error"}, "stderr"},
      {conf.loggers[1].filters, conf.loggers[1].destination})
    local uart, net = conf.vdevs[1], conf.vdevs[2]
    assert.are.same({"pl011", "console", "0x1c090000", "gic:37", 11},
      {uart.type, uart.name, uart.loc, uart.intr, uart.line})
    assert.are.same({"virtio-net", "guest to host", "/dev/vdevpeers/vp0", {debug = "off"}},
      {net.type, net.name, net.peer, net.set})
    assert.are.same({{"sched-errata", "on", "cpu", 1, 7}, {"debug", "off", "vdev", 1, 16}},
      {{conf.set[1].name, conf.set[1].value, conf.set[1].context, conf.set[1].index,
        conf.set[1].line}, {conf.set[2].name, conf.set[2].value, conf.set[2].context,
        conf.set[2].index, conf.set[2].line}})
    assert.matches("^Conf .*test.qvmconf: linux1, 2 cpus, 2 vdevs$", tostring(conf))
  end)

  it("may use tabs, CRLF, several options per line, and no final newline", function()
    for _, text in ipairs {"system a\nram 1M\ncpu\ncpu\nvdev x name n",
      "system\ta\r\nram\t1M\r\n\r\ncpu cpu\r\nvdev\r\n  x\r\n  name\r\n  n\r\n",
      "system a ram 1M cpu cpu vdev x name n # end",
      "'system' a\n\"ram\" 1M\ncpu cpu vdev 'x' name 'n'\n# no newline",
      "\n\n system a\n\tram\n1M # what\ncpu#\n"} do
      local conf = assert(load(text))
      if not text:find("['#]") or text:find("# end") then
        assert.are.same({"a", 1 << 20, 2, "x", "n"}, {conf.system, conf.ram[1].size, #conf.cpus,
          conf.vdevs[1].type, conf.vdevs[1].name})
      end
    end
    -- A quoted word is never an option.
    local conf = assert(load("vdev 'cpu' name \"a # b\" 'system' x"))
    assert.are.same({"cpu", "a # b"}, {conf.vdevs[1].type, conf.vdevs[1].name})
    assert.are.same({"system", {"x"}}, {conf.others[1].name, conf.others[1].arguments})
  end)

  it("keeps unknown options", function()
    local conf = assert(load [[
system a
frobnicate 1 2 "three four"
vdev x frob 7 loc 0x10 unheard
  of
pass loc 0x1000,0x1000,rw intr gic:5
cpu
]])
    local seen = {}
    for i, other in ipairs(conf.others) do
      seen[i] = other.line .. " " .. other.name .. ": " .. table.concat(other.arguments, "|")
    end
    assert.are.same({"2 frobnicate: 1|2|three four", "3 frob: 7", "3 unheard: ", "4 of: ",
      "5 pass: loc|0x1000,0x1000,rw|intr|gic:5"}, seen)
    assert.are.same({"0x10", 1}, {conf.vdevs[1].loc, #conf.cpus})
  end)

  it("assigns variables to the last cpu or vdev, or globally", function()
    local conf = assert(load "set a 1\ncpu\nset b 2\nram 1M\nset c 3\nvdev x\nset d 4\nset e 5")
    local seen = {}
    for i, set in ipairs(conf.set) do
      seen[i] = ("%s=%s %s %s"):format(set.name, set.value, set.context, set.index)
    end
    assert.are.same({"a=1 global nil", "b=2 cpu 0", "c=3 cpu 0", "d=4 vdev 0", "e=5 vdev 0"}, seen)
  end)

  it("includes files relative to the including file", function()
    files.mkdir("parts")
    files.write("parts/cpus.conf", "cpu\ncpu\n@more.conf")
    files.write("parts/more.conf", "vdev x name y\n")
    local conf = assert(load("system a\n@parts/cpus.conf\n@" .. files.path("parts/more.conf")))
    assert.are.same({2, 2}, {#conf.cpus, #conf.vdevs})
    assert.are.same({files.path("parts/more.conf"), 1}, {conf.vdevs[1].file, conf.vdevs[1].line})
  end)

  it("reports mistakes with their position", function()
    assert.are.equal("test.qvmconf:2: a quote is not closed", error_of "cpu\nsystem \"a\ncpu\n")
    assert.are.equal("test.qvmconf:3: 'system' has 1 argument, and none follows",
      error_of "cpu\n\nsystem")
    assert.are.equal("test.qvmconf:1: 'set' has 2 arguments, and one is missing", error_of "set a")
    assert.are.equal("test.qvmconf:1: 'loc' has 1 argument, and none follows",
      error_of "vdev x loc")
    for _, size in ipairs {"1Q", "x", "0x", "1,", ",1M", "1,2,3", "99999999999999999999",
      "8589934592G", "0x8000000000000000K", "-1"} do
      assert.are.equal(("test.qvmconf:1: '%s' is not [address,]size"):format(size),
        error_of("ram " .. size))
    end
    assert.matches("test.qvmconf:2: .*nothing.conf: No such file",
      select(2, load "\n@nothing.conf"))
    assert.are.equal("test.qvmconf:1: no file name after the @", error_of "@")
    assert.are.equal("test.qvmconf:2: it contains a NUL", error_of "\n\0")
    for _, options in ipairs {"debug x\nset a \0", {"set", "a", "\0"}} do
      local none, message, code = qvm.conf.load(files.write("test.qvmconf", "system a"),
        {options = options})
      assert.are.same({nil, "malformed"}, {none, code})
      assert.matches("^options:[23]: it contains a NUL$", message)
    end
    assert.matches("test.qvmconf:1: 16 files include one another", error_of "@test.qvmconf")
    assert.are.equal("not_found", select(3, qvm.conf.load(files.path("nothing"))))
    assert.is_false(pcall(qvm.conf.load))
  end)

  it("is not read from a pipe or a device", function()
    assert(os.execute("mkfifo " .. files.path("pipe")))
    for _, path in ipairs {files.path("pipe"), "/dev/null", files.dir()} do
      assert.are.same({nil, path .. ": not a regular file", "unsupported"},
        {qvm.conf.load(path)})
    end
    assert.matches("test.qvmconf:1: .*/pipe: not a regular file", select(2, load "@pipe"))
  end)

  it("is too large if its includes do not end", function()
    for i = 1, 14 do -- each of them twice: the last one 16384 times
      files.write("many" .. i, ("@many%d\n@many%d\n"):format(i + 1, i + 1))
    end
    files.write("many15", "cpu\n")
    local _, message, code = qvm.conf.load(files.path "many1")
    assert.are.equal("too_large", code)
    assert.matches("many%d+:%d: more than 1000 files are included", message)
    files.write("once", ("@many15\n"):rep(1000))
    assert.are.equal(1000, #assert(qvm.conf.load(files.path "once")).cpus)
  end)

  it("yields exact sizes", function()
    local sizes = {}
    for i, ram in ipairs(assert(load "ram 1 ram 0x10K ram 3m ram 8388607G ram 0,0x7f").ram) do
      sizes[i] = ram.size
    end
    assert.are.same({1, 16 << 10, 3 << 20, 8388607 << 30, 0x7f}, sizes)
  end)

  it("can be loaded from the examples", function()
    local conf = assert(qvm.conf.load("examples/linux1.qvmconf"))
    assert.are.same({"linux1", 2, 3}, {conf.system, #conf.cpus, #conf.vdevs})
    assert.is_not_nil(qvm.conf.load("examples/qnx1.qvmconf"))
  end)

  it("survives random changes", function()
    local text = files.read("examples/linux1.qvmconf")
    math.randomseed(5)
    for _ = 1, 500 do
      local changed = text
      for _ = 1, math.random(5) do
        local at = math.random(#changed)
        changed = changed:sub(1, at - 1) .. ("\0\"'#@\n\r \t,x9"):sub(math.random(12)):sub(1, 1)
          .. changed:sub(at + math.random(0, 1))
      end
      local result, message, code = load(changed)
      assert(result or (code == "malformed" and message:find("test.qvmconf:%d+: ")), message)
    end
  end)
end)

describe("a configuration checked against a VM", function()
  after_each(sim.clean)

  local function findings(conf, vm)
    local list = {}
    for i, finding in ipairs(assert(qvm.conf.check(conf, vm))) do
      list[i] = ("%s: %s / %s: %s"):format(finding.what, finding.expected, finding.actual,
        finding.verdict)
    end
    return list
  end

  it("yields findings: equal, different and unknown", function()
    local dumps = files.mkdir("dumps")
    local text = ("ram 1M\ncpu\ncpu\nset sim-erratum-1286807 off\ndump %s\n"
      .. "vdev pl011 name console\n"):format(dumps)
    text = "set sim-erratum-1530923 auto\nset errata_report all\n" .. text
    sim.start("linux1", text)
    qvm.root(sim.root())
    local vm = assert(qvm.vm("linux1"))
    local conf = assert(qvm.conf.load(files.path("linux1.qvmconf")))
    local list = findings(conf, vm)
    for _, line in ipairs {"system: linux1 / linux1: ok", "vCPUs: 2 / 2: ok",
      "node console: there / there: ok", ("dump: %s / a directory: ok"):format(dumps),
      "erratum 1530923: auto / auto: cannot tell",
      "variable errata_report: all / nil: cannot tell"} do
      local found = false
      for _, seen in ipairs(list) do
        found = found or seen == line
      end
      assert(found, line .. "\nis not in\n" .. table.concat(list, "\n"))
    end
    for _, finding in ipairs(qvm.conf.check(conf, vm)) do
      assert.are_not.equal("differs", finding.verdict)
      assert.are.same({files.path("linux1.qvmconf"), "integer"},
        {finding.file, math.type(finding.line)})
    end

    local other = assert(load(("system linux2\ncpu\ndump /nothing/here\nvdev x name gone\n"
      .. "vdev y\nset sim-erratum-1530923 off\n")))
    assert.are.same({"system: linux2 / linux1: differs", "vCPUs: 1 / 2: differs",
      "node gone: there / not there: differs",
      "node console: no vdev of that name / there: differs",
      "dump: /nothing/here / no directory: differs", "erratum 1530923: off / auto: differs"},
      findings(other, vm))
    assert.are.same({"dump: |gzip >x / nil: cannot tell"},
      {findings(assert(load "system linux1 cpu cpu dump '|gzip >x' vdev x name console"), vm)[4]})
    process.clean()
    assert.is_nil(qvm.conf.check(conf, {env = function() return nil, "no env", "gone" end}))
    assert.is_false(pcall(qvm.conf.check, {}, vm))
  end)
end)
