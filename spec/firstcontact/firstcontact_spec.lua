-- examples/firstcontact.lua, run on simulated hosts: one that is as the library assumes, and some
-- that differ on purpose.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local terminal = require "support.terminal"
local writer = require "support.dumpwriter"

local lua = process.lua

describe("qvm-firstcontact", function()
  after_each(function()
    terminal.clean()
    sim.clean()
  end)

  local function environment()
    return {QVM_ROOT = sim.root(), QVM_BUILD = sim.build, LUA_INIT_5_4 = os.getenv("LUA_INIT_5_4"),
      LD_PRELOAD = os.getenv("LD_PRELOAD")}
  end

  local function run(...)
    return process.run({lua, "examples/firstcontact.lua", ...}, {env = environment()})
  end

  -- Runs it on linux1 and unpacks the archive. Returns the rows by name, the archive's directory,
  -- the exit status and the output.
  local function contact(...)
    local directory = files.path("contact")
    local status, output, errors = run("linux1", "--log", files.path("linux1.log"), "--output",
      directory, ...)
    assert.are.equal("", errors)
    assert.matches("archive: " .. directory .. ".tar.gz\n", output, 1, true)
    assert.is_false(files.exists(directory))
    assert(os.execute(("tar -xzf '%s.tar.gz' -C '%s'"):format(directory, files.dir())))
    local rows = {}
    for _, row in ipairs(assert(qvm.decode(files.read(directory .. "/checks.json")))) do
      rows[row.name] = row
      assert.is_true(row.verdict ~= "unknown" or row.why ~= nil, row.name)
    end
    return rows, directory, status, output
  end

  local function different(rows)
    local names = {}
    for name, row in pairs(rows) do
      if row.verdict == "different" then
        names[#names + 1] = name
      end
    end
    table.sort(names)
    return names
  end

  local function dump_option()
    return "dump " .. files.mkdir("dumps")
  end

  -- A configuration; more: global options.
  local function usual(more)
    return ("set sim-erratum-843419 on\nram 1M\n%s\ncpu\ncpu\nvdev pl011 name console"):format(more)
  end

  -- A simulated guest has no page tables, and its dump no sections.
  local ALWAYS = {"sections", "translation of the pc"}

  it("writes an archive that replays the VM", function()
    if not sim.can_signal then
      return pending "signals cannot be sent under valgrind"
    end
    sim.start("linux1", usual(dump_option()))
    qvm.root(sim.root())
    local vm = assert(qvm.vm "linux1")
    local rows, directory, status, output = contact("--yes", "--conf", files.path("linux1.qvmconf"))
    assert.are.same(ALWAYS, different(rows))
    assert.are.equal(1, status)
    local replay = assert(qvm.replay(directory))
    assert.are.equal(vm:env().text, replay:env().text)
    assert.are.equal(vm:state(), replay:state())
    assert.are.equal("console", replay:nodes()())
    assert.are.same({}, qvm.errata.diff(qvm.errata.snapshot(vm), qvm.errata.snapshot(replay)))
    assert.matches("vcpu1 tid", files.read(directory .. "/status.txt"), 1, true)
    for line in output:gmatch("[^\n]+") do
      assert.is_true(#line <= 80 or line:find(files.dir(), 1, true) ~= nil, line)
    end
    local listed = files.read(directory .. "/CONTENTS")
    for _, name in ipairs(files.list(directory)) do
      assert.is_true(name == "CONTENTS" or listed:find("\n" .. name .. " ", 1, true) ~= nil, name)
    end
  end)

  it("keeps the dump's note, and no guest memory unless it is asked to", function()
    if not sim.can_signal then
      return pending "signals cannot be sent under valgrind"
    end
    sim.start("linux1", usual(dump_option()))
    local _, directory = contact("--yes", "--conf", files.path("linux1.qvmconf"))
    local dumps = files.list(files.path("dumps"))
    local dump <close> = assert(qvm.open(files.path("dumps/" .. dumps[1])))
    local head = files.read(directory .. "/dump.head")
    assert.is_nil(head:find("simulated guest linux1", 1, true))
    assert.are.equal("\x7fELF", head:sub(1, 4))
    for segment in dump:segments() do
      if segment.type == 4 then
        assert.are.equal(files.read(dump.path):sub(segment.offset + 1,
          segment.offset + segment.filesz), files.read(directory .. "/dump.note"))
      end
    end
    local memory = files.path("memory")
    assert.are.equal(1, (run("linux1", "--look", "--memory", "--read", dump.path, "--output",
      memory)))
    assert(os.execute(("tar -xzf '%s.tar.gz' -C '%s'"):format(memory, files.dir())))
    assert.matches("simulated guest linux1", files.read(memory .. "/dump.head"), 1, true)
  end)

  -- Runs it with a `uname` that does something first: the archive's directory is there by then.
  local function run_while(command, ...)
    local path = files.write(files.mkdir("bin") .. "/uname", "#!/bin/sh\n" .. command .. "\n")
    assert(os.execute("chmod +x " .. path))
    local variables = environment()
    variables.PATH = files.path("bin") .. ":" .. os.getenv("PATH")
    return process.run({lua, "examples/firstcontact.lua", ...}, {env = variables})
  end

  it("replaces and follows no name that was taken while it ran", function()
    files.write("victim", "precious")
    for _, link in ipairs {"-s ", ""} do
      local directory = files.path("contact" .. #link)
      local status, output = run_while(("ln %s%s %s.tar.gz"):format(link, files.path("victim"),
        directory), "--root", files.mkdir("none" .. #link), "--output", directory)
      assert.are.equal(0, status)
      assert.are.equal("precious", files.read(files.path("victim")))
      assert.matches("archive: " .. directory .. " (not packed: " .. directory .. ".tar.gz: exists",
        output, 1, true)
      assert.matches("0 VMs", files.read(directory .. "/report.txt"))
      os.remove(files.path("bin/uname"))
      os.remove(files.path("bin"))
    end
  end)

  it("names what differs: another env", function()
    local template = files.write("template", '{"guest": {"cpus": {"cpu0": {"thread": 1, '
      .. '"last_known_ip": 5, "mode": "on"}, "cpu1": {"thread": 2, "last_known_ip": 0}}},\n'
      .. '"errata": [{"id": 843419, "value": 1}]}')
    sim.start("linux1", usual("set sim-env-template " .. template))
    local rows = contact("--look")
    assert.are.same({"lines of env", "shape of the errata", "shape of the vCPUs", "threads"},
      different(rows))
    assert.are.equal("guest.cpus.cpun with last_known_ip, mode, thread; not known: mode, thread",
      rows["shape of the vCPUs"].saw)
    assert.are.equal("errata[n]", rows["shape of the errata"].saw)
    assert.are.equal("guest", rows["other members of env"].saw)
    assert.matches("missing: 1, 2", rows.threads.saw, 1, true)
  end)

  it("names what differs: an env that is no JSON", function()
    sim.start("linux1", usual("set sim-env-template "
      .. files.write("template", "vcpus: 2\n")))
    local rows, directory = contact("--look")
    assert.are.same({"reading env", "record"}, different(rows))
    assert.are.equal("vcpus: 2\n", files.read(directory .. "/env.json"))
  end)

  -- Runs it on linux1 without signals; a run that does not end is killed.
  local function look()
    local status, output = process.run({"timeout", "10", lua, "examples/firstcontact.lua", "linux1",
      "--look", "--output", files.path("contact")}, {env = environment()})
    return status, output
  end

  it("ends if env is a FIFO", function()
    files.mkdir("vms")
    assert(os.execute(("mkfifo '%s/env'"):format(files.mkdir("vms/linux1"))))
    local status, output = look()
    assert.are.equal(1, status)
    assert.matches("kind 'other', size 0", output, 1, true)
    assert.matches("archive: ", output, 1, true)
  end)

  it("ends if the server of env stops answering", function()
    local lacks = sim.lacks_fuse()
    if lacks then
      return pending(lacks)
    end
    local vm = sim.start("linux1", usual(""), {fuse = true})
    local child = process.start({lua, files.write("child.lua", [[
      io.stdout:setvbuf "line"
      local list = require "qvm.firstcontact.checklist".new(function(row)
        if row.name == "size of env" then
          print "read once"
          io.read("l")
        end
        print(row.name, row.verdict, row.saw)
      end)
      require "qvm.firstcontact.env"(list, require "qvm".vm "linux1")
      print "done"]])}, {env = {QVM_ROOT = sim.root(), LUA_PATH = package.path,
        LUA_CPATH = package.cpath, LD_PRELOAD = os.getenv("LD_PRELOAD")},
      log = files.path("child.errors")})
    repeat until assert(child:line()) == "read once"
    vm:tell("hang")
    child:write("\n")
    child:line()
    assert.matches("^env in pieces\tunknown\t.*no answer", child:line(10) or "it hangs")
  end)

  it("escapes the names of VMs, nodes and dumps, on the terminal and in its texts", function()
    local evil, escaped = "evil\27[31m\n", "evil\\x1b[31m\\x0a"
    files.mkdir("vms")
    files.mkdir("vms/" .. evil)
    files.write("vms/" .. evil .. "/env", '{"vcpus": [{"tid": 1, "last_known_ip": 0}]}')
    files.write("vms/" .. evil .. "/node" .. evil, "")
    local directory = files.path("contact")
    local _, output, errors = run(evil, "--look", "--conf", files.write("x.qvmconf", "system x\n"),
      "--read", files.write(evil .. ".elf", writer.small()), "--output", directory)
    assert.are.equal("", errors)
    assert(os.execute(("tar -xzf '%s.tar.gz' -C '%s'"):format(directory, files.dir())))
    local texts = {output = output}
    for _, name in ipairs {"report.txt", "dump.txt", "host.txt", "CONTENTS"} do
      texts[name] = files.read(directory .. "/" .. name)
    end
    for name, text in pairs(texts) do
      assert.is_nil(text:find("\27", 1, true), name)
      assert.is_true(name == "CONTENTS" or text:find(escaped, 1, true) ~= nil, name)
    end
    assert.matches("\nconfiguration: node node" .. escaped, output, 1, true)
    assert.matches("\n  different: configuration: node node" .. escaped, output, 1, true)
    assert.matches(escaped .. ".elf, ", texts["dump.txt"], 1, true)
    assert.matches("$ ls -ld ", texts["host.txt"], 1, true)
  end)

  it("copies the dump that it opened, whatever its name means by then", function()
    local bytes = writer.small()
    local dump, directory = files.write("x.elf", bytes), files.path("contact")
    local path = files.write("child.lua", ([[
      local qvm = require "qvm"
      local open = qvm.open
      qvm.open = function(...)
        local dump = assert(open(...))
        assert(os.execute("rm %s; mkfifo %s"))
        return dump
      end
      os.exit(require "qvm.firstcontact".run(arg), true)]]):format(dump, dump))
    local variables = environment()
    variables.LUA_PATH, variables.LUA_CPATH = package.path, package.cpath
    local status = process.run({"timeout", "20", lua, path, "--read", dump, "--root",
      files.mkdir("none"), "--output", directory}, {env = variables})
    assert.are.equal(1, status)
    assert(os.execute(("tar -xzf '%s.tar.gz' -C '%s'"):format(directory, files.dir())))
    local head = files.read(directory .. "/dump.head")
    assert.are.equal(bytes:sub(1, #head), head)
    assert.is_true(files.exists(directory .. "/dump.note"))
  end)

  it("names what differs: another note, under another name", function()
    if not sim.can_signal then
      return pending "signals cannot be sent under valgrind"
    end
    local dumps = files.mkdir("dumps")
    local patch = files.write("patch.lua", ([[
      local bytes = io.read("a")
      local at = bytes:find("\0\17\0\0\2\0", 65, true) -- note_version 0, signal 17, two vCPUs
      local file = io.open(%q, "wb")
      file:write(bytes:sub(1, at - 1), "\7", bytes:sub(at + 1))
      file:close()]]):format(dumps .. "/core.linux1"))
    sim.start("linux1", usual(('set sim-note old\ndump "|%s %s"'):format(lua, patch)))
    local rows = contact("--yes", "--dir", dumps, "--timeout", "5")
    local names = " " .. table.concat(different(rows), ", ") .. ","
    for _, name in ipairs {"dump on request", "name of the dump", "note: extra registers",
        "note: head"} do
      assert.matches(" " .. name .. ",", names, 1, true)
    end
    assert.matches("core.linux1", rows["name of the dump"].saw, 1, true)
    assert.matches("note_version 7, sig_num 17", rows["note: head"].saw, 1, true)
  end)

  it("names what differs: a 7.x host without a dump option", function()
    if not sim.can_signal then
      return pending "signals cannot be sent under valgrind"
    end
    sim.start("linux1", "ram 1M\ncpu\ncpu\nvdev pl011 name console set debug off")
    local rows = contact("--yes", "--dir", files.mkdir("dumps"), "--timeout", "5")
    assert.are.same({"dump on request", "vdevs in the status text"}, different(rows))
    assert.matches("has no `dump` option", rows["dump on request"].why, 1, true)
    assert.matches("documents of 7.x", rows["vdevs in the status text"].why, 1, true)
    assert.are.equal("as expected", rows["after SIGUSR2"].verdict)
  end)

  it("does not say that a stuck VM goes on", function()
    if not sim.can_signal then
      return pending "signals cannot be sent under valgrind"
    end
    sim.start("linux1", usual("")):tell("hang")
    local rows = contact("--yes", "--dir", files.mkdir("dumps"), "--timeout", "0.5")
    assert.matches("does not answer (it is stuck)", rows["dump on request"].why, 1, true)
    assert.are.equal("unknown", rows["after SIGUSR2"].verdict)
    assert.matches("no answer: its qvm process may be stuck", rows["after SIGUSR2"].why, 1, true)
  end)

  it("sends nothing without permission", function()
    local vm = sim.start("linux1", usual(dump_option()))
    local log = vm:log_text()
    for _, words in ipairs {{"--look"}, {}} do
      local output = select(2, run("linux1", "--log", vm.log, "--dir", files.path("dumps"),
        "--output", files.path("out" .. #words), table.unpack(words)))
      assert.matches("SIGUSR1 +unknown", output)
      assert.matches("SIGUSR2 +unknown", output)
    end
    assert.are.equal(log, vm:log_text())
    assert.are.same({}, files.list(files.path("dumps")))
  end)

  it("asks on a terminal before each signal", function()
    if not sim.can_signal then
      return pending "signals cannot be sent under valgrind"
    end
    local vm = sim.start("linux1", usual(dump_option()))
    local shell = terminal.open(50, environment())
    shell:type(("%s examples/firstcontact.lua --log %s --dir %s --output %s"):format(lua, vm.log,
      files.path("dumps"), files.path("out")), "Enter")
    shell:has(("send SIGUSR1 to process %d, which serves linux1? [y/N]"):format(vm.pid))
    shell:type("y", "Enter")
    shell:has(("send SIGUSR2 to process %d, which serves linux1? [y/N]"):format(vm.pid))
    shell:type("Enter")
    shell:has "archive: "
    assert.matches("status 1", vm:log_text(), 1, true)
    assert.are.same({}, files.list(files.path("dumps")))
  end)

  it("examines a host without a VM, and refuses what it cannot do", function()
    local status, output = run("--output", files.path("empty"), "--root", files.mkdir("none"))
    assert.are.equal(0, status)
    assert.matches("no VM below", output, 1, true)
    for _, words in ipairs {{"linux1"}, {"--look", "--yes"}, {"--timeout", "x"},
        {"--output", files.path("empty")}} do
      local failed, _, errors = run(table.unpack(words))
      assert.are.equal(2, failed)
      assert.matches("^qvm%-firstcontact: ", errors)
    end
  end)
end)
