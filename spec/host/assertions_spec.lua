-- The assertions for luassert: their spellings and their messages.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

require "qvm.assertions"

local lua = os.getenv("LUA") or "lua5.4"

-- A VM with that env and no process.
local function vm_with(env, name)
  name = name or "v"
  if not files.exists(files.path(name)) then
    files.mkdir(name)
  end
  files.write(name .. "/env", env)
  qvm.root(files.dir())
  return assert(qvm.vm(name))
end

local NESTED = [[{"guest": {"processors": [
  {"id": 0, "host": {"thread_id": 11}, "last_known_ip": 4096},
  {"id": 1, "host": {"thread_id": 12}, "last_known_ip": 0}]}, "errata": {"5": "on"}}]]

local function clean()
  sim.clean()
  files.clean()
end

-- The assertion of a given spelling, such as "is_not.vm_running".
local function spelled(spelling)
  local found = assert
  for word in spelling:gmatch("[^.]+") do
    found = found[word]
  end
  return found
end

describe("an assertion accepts every spelling of luassert:", function()
  after_each(clean)

  local function check(passes, fails, ...)
    for _, spelling in ipairs(passes) do
      spelled(spelling)(...)
    end
    for _, spelling in ipairs(fails) do
      local ok, message = pcall(spelled(spelling), ...)
      message = tostring(type(message) == "table" and message.message or message)
      assert(not ok and message:find("expected", 1, true), spelling .. ": " .. message)
    end
  end

  local HAS = {"has_erratum", "has.erratum", "erratum", "does.has_erratum", "is.has_erratum"}
  local HAS_NOT = {"has_no_erratum", "has_no.erratum", "has.no.erratum", "no.erratum",
    "no_erratum", "is_not.has_erratum", "not_has_erratum", "not.has_erratum", "has_not_erratum",
    "does_not.has_erratum", "is_not_has_erratum", "has.no_erratum"}

  it("an erratum", function()
    local vm = vm_with(NESTED)
    check(HAS, HAS_NOT, vm, "5")
    check(HAS_NOT, HAS, vm, "nosuch")
    check(HAS, HAS_NOT, vm, "5", "on")
    check(HAS_NOT, HAS, vm, "5", "off")
  end)

  it("the same errata", function()
    local vm = vm_with(NESTED)
    local same = {"same_errata", "are.same_errata", "are_same_errata", "has.same_errata"}
    local other = {"are_not.same_errata", "are_not_same_errata", "not_same_errata",
      "is_not.same_errata", "are.not_same_errata", "no.same_errata"}
    check(same, other, qvm.errata.snapshot(vm), vm)
    check(other, same, {}, vm)
  end)

  it("a VM that runs and is served", function()
    local running = {"vm_running", "is.vm_running", "is_vm_running", "vm.running"}
    local other = {"is_not.vm_running", "is_not_vm_running", "not_vm_running", "not.vm_running",
      "is.not_vm_running"}
    local served, unserved = {}, {}
    for i, name in ipairs(running) do
      served[i] = name:gsub("running", "served")
    end
    for i, name in ipairs(other) do
      unserved[i] = name:gsub("running", "served")
    end
    check(other, running, vm_with(NESTED))
    check(unserved, served, vm_with(NESTED))
    sim.start("linux1", "ram 1M\ncpu\ncpu")
    qvm.root(sim.root())
    local vm = assert(qvm.vm("linux1"))
    check(running, other, vm)
    check(served, unserved, vm)
  end)
end)

describe("a failure message of an assertion", function()
  after_each(clean)

  local HOSTILE = '{"cpus":[{"tid":2,"last_known_ip":5},{"tid":3,"last_known_ip":0}],'
    .. '"errata":{"1\\u001b]0;x\\u0007":"on","2\\u0008":"\\uffff","a\\nnot ok 9":"</failure>",'
    .. '"\\u202eabc":"\\u0085", "]]>":"\\ufffe&\\u200b", "big":"' .. ("x"):rep(5000000) .. '"}}'

  -- A suite with a failing assertion of each kind that can show values from the VM.
  local SUITE = [[
    local qvm = require "qvm"
    require "qvm.assertions"
    describe("hostile", function()
      local vm
      setup(function() vm = assert(qvm.vm "v\27x") end)
      it("differs", function() assert.same_errata({}, vm) end)
      it("lacks", function() assert.same_errata(qvm.errata.snapshot(vm), {}) end)
      it("is equal", function() assert.are_not.same_errata(vm, vm) end)
      it("runs", function() assert.vm_running(vm) end)
      it("has others", function()
        local messages
        for _, setting in ipairs(qvm.errata.snapshot(vm)) do
          local ok, message = pcall(assert.has_no_erratum, vm, setting.id, setting.value)
          assert(not ok)
          messages = (messages or "") .. tostring(message) .. "\n"
        end
        error(messages)
      end)
      it("is not found", function() assert(qvm.vm("\27[31mnone\u{ffff}")) end)
      it("has no baseline", function() assert.same_errata("\27none", vm) end)
      it("is none", function() assert.same_errata(qvm.root() .. "/v\27x/env", vm) end)
    end)]]

  local function run(output)
    vm_with(HOSTILE, "v\27x")
    local pipe <close> = assert(io.popen("command -v " .. lua))
    local status, text = process.run({"busted", "--lua=" .. pipe:read("l"), "-o", output,
      "-f", files.write("busted.conf", "return {}"), files.write("hostile_spec.lua", SUITE)},
      {env = {QVM_ROOT = files.dir(), LUA_PATH_5_4 = package.path, LUA_CPATH_5_4 = package.cpath,
        LD_PRELOAD = os.getenv("LD_PRELOAD")}})
    assert.are_not.equal(0, status, text)
    return text
  end

  it("contains no terminal controls, and shortens long values", function()
    local text = run("TAP")
    assert.is_nil(text:find("[\0-\8\11-\31\127]"))
    assert.is_nil(text:find("\194[\128-\159]"))
    assert.is_nil(text:find("\226\128[\139-\143\168-\174]"))
    assert.is_nil(text:find("\nnot ok 9", 1, true))
    assert.matches([[1\x1b]0;x\x07, all vCPUs: expected none, is "on"]], text, 1, true)
    assert.matches([[2\x08, all vCPUs: expected none, is "\xef\xbf\xbf"]], text, 1, true)
    assert.matches([[a\x0anot ok 9, all vCPUs: expected none]], text, 1, true)
    assert.matches([[\xe2\x80\xaeabc, all vCPUs: expected none, is "\xc2\x85"]], text, 1, true)
    assert.matches([[v\x1bx]], text, 1, true)
    assert.matches([[xxx" ... (5000000 bytes)]], text, 1, true)
    assert.is_true(#text < 100000, #text)
  end)

  local python = io.open("/usr/bin/python3")
  local with_python = python and python:close() and it or pending

  with_python("makes JUnit's XML that an XML parser accepts", function()
    local path = files.write("junit.xml", run("junit"))
    local status, out, errors = process.run({"/usr/bin/python3", "-c", [[
import sys, xml.etree.ElementTree as tree
page = tree.parse(sys.argv[1])
print(len(page.findall(".//failure") + page.findall(".//error")))
]], path})
    assert.are.equal(0, status, errors)
    assert.are.equal("8\n", out)
  end)
end)
