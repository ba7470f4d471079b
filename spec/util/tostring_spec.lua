-- tostring() of the library's objects: one line each, whatever they contain.

local api = require "support.api"
local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local EVIL = "a\27[2J\r\n\7\155\226\128\174b" -- not UTF-8, with a C1 byte
local EVIL_UTF8 = "a\27[2J\r\n\7\194\155\226\128\174b"

-- Checks that it is one line without terminal controls.
local function check_escaped(text)
  assert.is_nil(text:find("[%c\127]"), ("%q"):format(text))
  assert.is_truthy(utf8.len(text), ("%q"):format(text))
  assert.is_nil(text:find("\194[\128-\159]"))
  assert.is_nil(text:find("\226\128\174", 1, true))
  assert.is_nil(text:find("table: 0x", 1, true))
end

local function json(text)
  return (text:gsub("%c", function(c) return ("\\u%04x"):format(c:byte()) end))
end

local function vm_called(name, env)
  local root = files.exists(files.path("vms")) and files.path("vms") or files.mkdir("vms")
  files.mkdir("vms/" .. name)
  files.write("vms/" .. name .. "/env", env)
  qvm.root(root)
  return assert(qvm.vm(name))
end

local function evil_vm()
  return vm_called(EVIL, json(('{"errata": {"%s": "%s", "843419": null, "x843420": 7, '
    .. '"1530923": {"value": 18446744073709551615}}, '
    .. '"vcpus": [{"tid": 3, "last_known_ip": 18446603336490160692}, {"last_known_ip": 0}]}')
    :format(EVIL_UTF8, EVIL_UTF8)))
end

local function list_of(...)
  local list = {}
  for item in ... do
    list[#list + 1] = item
  end
  return list
end

local function all(list)
  local texts = {}
  for i, item in ipairs(list) do
    texts[i] = tostring(item)
    check_escaped(texts[i])
  end
  return texts
end

describe("tostring()", function()
  after_each(function()
    qvm.root("/dev/qvm")
    sim.clean()
  end)

  it("describes VMs, their env and its parts", function()
    local vm = evil_vm()
    local env = assert(vm:env())
    local texts = all {vm, env, qvm}
    assert.matches("^VM a\\x1b%[2J\\x0d\\x0a\\x07\\x9b.*b %(", texts[1])
    assert.matches(": 2 vCPUs, 4 errata, %d+ bytes$", texts[2])
    assert.are.same({"vCPU 0: tid 3, last known ip 0xffff800010081234",
      "vCPU 1: tid ?, last known ip 0x0000000000000000"}, all(list_of(env:vcpus())))
    texts = all(list_of(env:errata()))
    assert.matches("^erratum a\\x1b%[2J.*b = a\\x1b%[2J.*b$", texts[1])
    assert.are.equal("erratum 843419 = null", texts[2])
    assert.are.equal("erratum 1530923 = 0xffffffffffffffff", texts[4])
  end)

  it("shortens a long erratum", function()
    local erratum = vm_called("one", ('{"errata": {"%s": "%s"}}'):format(("9"):rep(5000),
      ("x"):rep(5000))):env():errata()()
    assert.is_true(#tostring(erratum) < 500)
    assert.matches("%.%.%. %(5000 bytes%)$", tostring(erratum))
  end)

  it("describes snapshots of errata and their differences", function()
    local env = evil_vm():env()
    local snapshot = qvm.errata.snapshot(env)
    assert.are.equal("Errata snapshot: 4 errata", tostring(snapshot))
    local texts = all(snapshot)
    assert.are.equal("erratum 843419, all vCPUs: null", texts[1])
    assert.are.equal("erratum 1530923, all vCPUs: 0xffffffffffffffff", texts[2])
    local differences = qvm.errata.diff(snapshot, {{id = "843419", value = true},
      {id = "1", cpu = 1, value = {1}}})
    assert.are.equal("Errata differences: 5", tostring(differences))
    texts = all(differences)
    assert.are.equal("added: erratum 1, vCPU 1, is {...}", texts[1])
    assert.are.equal("changed: erratum 843419, all vCPUs, expected null, is true", texts[2])
    assert.are.equal("Errata differences: none", tostring(qvm.errata.diff(snapshot, snapshot)))
  end)

  it("describes a recorded VM", function()
    local path = files.path("record")
    assert(qvm.record(vm_called(EVIL_UTF8, '{"vcpus": []}'), path))
    local text = tostring(assert(qvm.replay(path)))
    check_escaped(text)
    assert.matches("^VM a\\x1b%[2J.*b %(recorded ", text)
  end)

  it("describes configurations, their entries, and findings", function()
    local conf = assert(qvm.conf.load(files.write("vm.qvmconf", 'system "x\27"\n'
      .. 'ram 0x80000000,1M\ncpu runmask 3\nvdev virtio-net name "y\27" loc 0x1c0c0000\n'
      .. 'set errata-1 on\nlogger info,warn stderr\ndump "|gzip \27"\nodd \27 b\n')))
    local path = files.path("vm.qvmconf")
    assert.matches("^Conf .*: x\\x1b, 1 cpu, 1 vdev$", tostring(conf))
    local texts = all {conf.ram[1], conf.cpus[1], conf.vdevs[1], conf.set[1], conf.loggers[1],
      conf.dump, conf.others[1]}
    assert.are.same({
      "ram address 0x80000000 size 0x100000 (" .. path .. ":2)",
      "cpu runmask 3 (" .. path .. ":3)",
      "vdev virtio-net name y\\x1b loc 0x1c0c0000 (" .. path .. ":4)",
      "set errata-1 on of vdev 0 (" .. path .. ":5)",
      "logger info,warn destination stderr (" .. path .. ":6)",
      "dump |gzip \\x1b (" .. path .. ":7)",
      "option odd \\x1b b (" .. path .. ":8)"}, texts)
    local findings = assert(qvm.conf.check(conf, evil_vm()))
    texts = all(findings)
    assert.matches("^differs: system: expected x\\x1b, is a\\x1b", texts[1])
    assert.are.equal("differs: vCPUs: expected 1, is 2 (" .. path .. ":3)", texts[2])
  end)

  it("describes dumps and their parts, open and closed", function()
    local function evil_file()
      return writer.small {cpus = {{registers = writer.aarch64 {elr = 0x1234, gpr = {[31] = 0x10}},
        process = EVIL}}}
    end
    local path = files.write(EVIL, evil_file())
    local dump = assert(qvm.open(path))
    local cpu, segments = dump:vcpu(0), list_of(dump:segments())
    assert.matches("^vCPU 0: pc 0x0000000000001234 sp 0x0000000000000010 a\\x1b%[2J",
      all({cpu})[1])
    assert.are.equal("segment 0: LOAD 0x0000000080000000 memsz 0x100 filesz 0x100 at 0xb0",
      all(segments)[1])
    assert.matches("^Dump .*a\\x1b%[2J.*: qnx aarch64, 1 vCPU, 256 bytes of memory$",
      all({dump})[1])
    dump:close()
    assert.matches(", closed$", all({dump, cpu, segments[1]})[1])
  end)

  it("describes sections and notes", function()
    local note = writer.elf_note(EVIL .. "\0", 7, "data")
    local names = "\0" .. EVIL .. "\0"
    local head = 64 + 56 * 2
    local path = files.write("parts.elf", writer.file {machine = "aarch64",
      header = {shoff = head + #note + #names, shnum = 2, shstrndx = 1},
      segments = {{type = 4, bytes = note}, {type = 6, bytes = names}}}
      .. writer.section_header {} .. writer.section_header {name = 1, type = 3,
        offset = head + #note, size = #names})
    local dump = assert(qvm.open(path))
    local notes, sections = list_of(dump:notes()), list_of(dump:sections())
    assert.matches('^note "a\\x1b%[2J.*b" type 7: 4 bytes$', all(notes)[1])
    assert.matches("^section 1 a\\x1b%[2J.*b: type 3, %d+ bytes at offset %d+$", all(sections)[2])
    dump:close()
    all(notes)
    all(sections)
  end)

  it("describes objects that a script has changed as far as possible", function()
    local vm = evil_vm()
    local env = vm:env()
    local dump = assert(qvm.open(files.write("a.gcore", writer.small())))
    local conf = assert(qvm.conf.load(files.write("vm.qvmconf", "ram 1M\ncpu\n")))
    local snapshot = qvm.errata.snapshot(env)
    local objects = {vm, env, env:vcpus()(), env:errata()(), dump:vcpu(0), dump:segments()(),
      conf, conf.ram[1], snapshot[1], qvm.conf.check(conf, vm)[1], dump}
    for _, object in ipairs(objects) do
      for name in pairs(object) do
        object[name] = nil
      end
      check_escaped(tostring(object))
      for line in qvm.show(object):gmatch("[^\n]+") do
        check_escaped(line)
      end
    end
  end)

  it("and qvm.show escape names, keys and titles", function()
    local vm = evil_vm()
    files.write("vms/" .. EVIL .. "/node\27", "")
    local odd = setmetatable({["k\27"] = 1, [true] = 2, x10 = 3, x9 = 4}, {__tostring = function()
      return "t\27"
    end})
    local failing = setmetatable({}, {__tostring = function() error "no" end})
    for _, value in ipairs {vm, vm:env(), odd, failing, setmetatable({}, {__metatable = "x"}),
      {odd, failing}} do
      for line in qvm.show(value):gmatch("[^\n]+") do
        check_escaped(line)
      end
    end
    assert.matches("\n    node\\x1b\n", qvm.show(vm))
    assert.are.equal("t\\x1b\n  k\\x1b: 1\n  x9: 4\n  x10: 3\n  true: 2", qvm.show(odd))
  end)

  -- Values that scripts pass in are unchanged.
  local plain = {SpaceByHand = true}

  it("returns a line for every kind, without the address of a table", function()
    for kind, objects in pairs(api.objects()) do
      for _, object in ipairs(objects) do
        if not plain[kind] then
          assert.is_nil(tostring(object):find("table: 0x", 1, true), kind)
        end
      end
    end
  end)
end)
