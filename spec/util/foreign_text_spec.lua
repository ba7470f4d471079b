-- Output of text from a VM: it contains no terminal controls, and long text is shortened,
-- with its size.

local cjson = require "cjson"
local cost = require "support.cost"
local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local lua = os.getenv("LUA") or "lua5.4"

-- ASCII and C1 controls, invisible marks, marks that change the writing direction,
-- noncharacters and a tag; and text that must stay unchanged.
local HOSTILE = "\27]0;x\7\127\u{85}\u{9b}2J\u{ad}\u{61c}\u{200b}\u{200d}\u{200f}\u{2028}\u{202e}"
  .. "\u{2066}\u{feff}\u{fffe}\u{ffff}\u{1fffe}\u{e0041}"
local PLAIN = "é中😀"

local UNSAFE = {"[\0-\8\11-\31\127]", "\194[\128-\159\173]", "\216\156", "\226\128[\139-\143]",
  "\226\128[\168-\174]", "\226\129[\160-\175]", "\239\187\191", "\239\191[\190\191]",
  "\240\159\191\190", "\243\160\129"}

local function check_bytes(text)
  for _, pattern in ipairs(UNSAFE) do
    assert.is_nil(text:find(pattern))
  end
  assert.truthy(utf8.len(text))
  assert.truthy(text:find(PLAIN, 1, true))
end

local function clean()
  sim.clean()
  files.clean()
end

describe("text from a VM", function()
  after_each(clean)

  before_each(function()
    files.mkdir("v")
    files.write("v/env", cjson.encode {title = HOSTILE .. PLAIN,
      errata = {[HOSTILE .. PLAIN] = PLAIN .. HOSTILE, big = ("x"):rep(5000000)}})
    qvm.root(files.dir())
  end)

  local function diag(...)
    local status, out, errors = process.run({lua, lfs.currentdir() .. "/examples/diag.lua",
      "--root", files.dir(), ...}, {env = {LUA_PATH = package.path, LUA_CPATH = package.cpath,
      LD_PRELOAD = os.getenv("LD_PRELOAD"), QVM_BUILD = sim.build}})
    assert(status == 0 or status == 1, errors)
    return out
  end

  it("is escaped in a report, a page and metrics, and shortened with its size", function()
    local page = files.path("page.html")
    diag("v", "--html", page)
    for _, text in ipairs {diag("v"), files.read(page), diag("v", "--prometheus")} do
      check_bytes(text)
      assert.matches("x... (5000000 bytes)", text, 1, true)
      assert.is_true(#text < 50000, #text)
    end
  end)

  it("is unchanged in JSON, with JSON escapes", function()
    local text = diag("v", "--json")
    check_bytes(text)
    local errata = qvm.decode(text).errata
    assert.are.same({[HOSTILE .. PLAIN] = PLAIN .. HOSTILE, big = ("x"):rep(5000000)},
      {[errata[1].id] = errata[1].value, [errata[2].id] = errata[2].value})
    local path = files.path("baseline.json")
    local snapshot = qvm.errata.snapshot(assert(qvm.vm("v")))
    assert(qvm.errata.save(path, snapshot))
    check_bytes(files.read(path))
    assert.are.same({}, qvm.errata.diff(snapshot, assert(qvm.errata.load(path))))
  end)

  it("is one line at the prompt", function()
    local snapshot = qvm.errata.snapshot(assert(qvm.vm("v")))
    local differences = qvm.errata.diff({}, snapshot)
    local shown = {}
    for _, value in ipairs {snapshot[1], snapshot[2], differences[1], differences[2]} do
      shown[#shown + 1] = tostring(value)
      assert.is_true(#shown[#shown] < 1500)
    end
    check_bytes(table.concat(shown) .. qvm.show(snapshot):gsub("\n", ""))
    assert.are.equal("Errata snapshot: 2 errata", tostring(snapshot))
    assert.matches("^qvm%.errata: functions diff, load, save, ", tostring(qvm.errata))
    assert.matches("^qvm%.conf: functions check, load", tostring(qvm.conf))
  end)

  it("is escaped by qvm.escape, which does not change other text", function()
    assert.are.equal("linux1", qvm.escape("linux1"))
    assert.are.equal("\u{65e5}\u{672c} \\x1b[2J\\x0a\\xff",
      qvm.escape("\u{65e5}\u{672c} \27[2J\n\xff"))
    assert.is_nil(qvm.escape("a\u{202e}b"):find("\u{202e}", 1, true))
    local ok, message = pcall(qvm.escape, 1)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'escape' %(string expected, got number%)", message)
  end)

  it("costs little to show and to escape", function()
    cost.check([[
      local text = ("\u{9b}"):rep(4 << 20)
      for _, d in ipairs(qvm.errata.diff({}, {{id = text, value = text}})) do
        assert(#tostring(d) < 4096)
      end
      assert(#qvm.show(text) < 4096)
      return assert(#qvm.errata.text(text) == 24 * (1 << 20) + 2)]],
      (24 + 8) << 20) -- the result, and the source text
    cost.check([[return #require "qvm.util.text".escape_controls(("\xff"):rep(4 << 20))]], 16 << 20)
  end)

  it("is escaped in messages", function()
    local name = "none" .. HOSTILE:gsub("/", "")
    for _, failure in ipairs {{qvm.vm(name)}, {qvm.open("/" .. name)}, {qvm.errata.load(name)},
      {qvm.conf.load(name)}, {qvm.replay(name)}, {qvm.errata.save(name .. "/x", {})}} do
      check_bytes(failure[2] .. PLAIN)
    end
  end)
end)

describe("a baseline that could not be read back", function()
  after_each(clean)

  it("is not written, and the message names the erratum", function()
    local path = files.path("baseline.json")
    local deep = {}
    for _ = 1, 600 do
      deep = {deep}
    end
    for what, value in pairs {["NaN has no form in JSON"] = 0 / 0,
      ["a string is not UTF-8"] = "\255", ["a function has no form in JSON"] = print,
      ["more than 500 tables in tables"] = deep, ["a member's name is a number"] = {[5] = 1}} do
      local saved, message, code = qvm.errata.save(path, {{id = "843419", value = value}})
      assert.is_nil(saved)
      assert.are.same({path .. ': not saved: erratum "843419": ' .. what, "unsupported"},
        {message, code})
    end
    assert.are.equal("too_large",
      select(3, qvm.errata.save(path, {{id = "1", value = ("\1"):rep(3 << 20)}})))
    assert.are.same({}, files.list(files.dir()))
  end)
end)
