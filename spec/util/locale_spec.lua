-- Nothing depends on the locale: neither the decimal point nor the case of letters.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local lua = os.getenv("LUA") or "lua5.4"

local LOCALES = {"de_DE.UTF-8", "tr_TR.ISO-8859-9"} -- a decimal comma; another lower case of I

-- Uses the library with numbers that have a point and names in capitals.
local PROGRAM = [[
local name, root, path = ...
assert(os.setlocale(name), "no locale " .. name)
assert(name == "C" or ("%.1f"):format(1.5) == "1,5")
local qvm = require "qvm"
qvm.root(root)
local vm = assert(qvm.vm "v")
local env = assert(vm:env())
print(vm:state(), env)
for cpu in env:vcpus() do print(cpu, cpu.tid, cpu.last_known_ip) end
for e in env:errata() do print(e, e.id, math.type(e.value)) end
local snapshot = qvm.errata.snapshot(vm)
assert(qvm.errata.save(path, snapshot))
print(io.open(path):read("a"))
local loaded = assert(qvm.errata.load(path))
print(#qvm.errata.diff(snapshot, loaded), qvm.errata.text(0.1))
for i, e in ipairs(loaded) do print(e, math.type(e.value), e.value == snapshot[i].value) end
for _, d in ipairs(qvm.errata.diff({}, snapshot)) do print(d) end
print(qvm.show(snapshot), qvm.show(env))
print(qvm.help "QVM.OPEN")
print(qvm.decode "[1.5,1e3]"[1] == 1.5)
local dump = assert(qvm.open(root .. "/dump.gcore"))
print(dump)
print(pcall(dump.space, dump, {kind = "X86_64"}))
print(require "qvm.util.text".in_units(1610612736))
local conf = assert(qvm.conf.load(root .. "/c.qvmconf"))
for _, finding in ipairs(qvm.conf.check(conf, vm)) do print(finding) end
]]

describe("the locale", function()
  local places = os.tmpname() .. ".locales"
  local made = lfs.mkdir(places)

  setup(function()
    for _, name in ipairs(LOCALES) do
      local language, charset = name:match("^(.-)%.(.*)$")
      made = made and process.run {"localedef", "-i", language, "-f", charset,
        places .. "/" .. name} == 0
    end
  end)

  teardown(function() os.execute("rm -rf '" .. places .. "'") end)

  after_each(function()
    sim.clean()
    files.clean()
  end)

  local function compare(make)
    if not made then
      return pending("needs the locale sources (Debian: locales)")
    end
    local expected = make("C")
    for _, name in ipairs(LOCALES) do
      assert.are.equal(expected, make(name), name)
    end
    return expected
  end

  it("does not change what the library reads and writes", function()
    files.mkdir("v")
    files.write("v/env", '{"CPUS":[{"TID":2,"LAST_KNOWN_IP":5},{"TID":3,"LAST_KNOWN_IP":0}],'
      .. '"ERRATA":{"5":1e400,"6":1.5,"7":-0.0,"8":1e308,"9":3.0},'
      .. '"X":{"errata":[{"ID":0.5,"VALUE":"On"}]}}')
    files.write("c.qvmconf", "system v\ncpu\ncpu\nset ERRATA-6 ON\n")
    files.write("dump.gcore", writer.small())
    files.write("program.lua", PROGRAM)
    local out = compare(function(name)
      local status, out, errors = process.run({lua, files.path("program.lua"), name, files.dir(),
        files.path("baseline.json")}, {env = {LUA_PATH = package.path, LUA_CPATH = package.cpath,
          LOCPATH = places, LD_PRELOAD = os.getenv("LD_PRELOAD")}})
      assert.are.equal(0, status, errors)
      return out
    end)
    assert.matches('"id": "5", "value": 1e999}', out, 1, true)
    assert.matches('"id": "6", "value": 1.5}', out, 1, true)
  end)
end)
