-- What huge configurations cost, in the parser and in the simulator.

local cost = require "support.cost"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

describe("the cost of a configuration", function()
  after_each(sim.clean)

  local function check(path, answer_bytes)
    return (cost.check(("local c, message, code = qvm.conf.load(%q) return code or c"):format(path),
      answer_bytes))
  end

  for name, text in pairs {
    ["16 MiB of words"] = ("a "):rep(8 << 20),
    ["16 MiB of options"] = ("cpu\n"):rep(4 << 20),
    ["1 MiB of options"] = ("cpu\n"):rep(1 << 18),
    ["1 MiB of variables"] = ("set a 1 "):rep(1 << 17),
  } do
    it("is bounded for " .. name, function()
      local path = files.write("many.qvmconf", text)
      assert.are.equal("too_large", check(path))
      assert.matches("many.qvmconf:%d+: more than ", select(2, qvm.conf.load(path)))
      local status, _, errors = process.run({"timeout", "10", sim.program, "@" .. path},
        {env = {QVM_ROOT = sim.root()}})
      assert.are.equal(65, status)
      assert.matches("more than", errors)
    end)
  end

  it("is bounded for long input within the limits", function()
    for _, text in ipairs {"a" .. (" b"):rep((1 << 19) - 2), ("\n"):rep(1 << 20),
      "cmdline '" .. ("\n"):rep((1 << 20) - 10) .. "'", "x" .. ("''"):rep((1 << 19) - 1),
      ("cpu\n"):rep(65536), ("#\n"):rep(1 << 19)} do
      assert.matches("^Conf ", check(files.write("long.qvmconf", text)))
    end
  end)

  it("is bounded for includes", function()
    files.write("big", ("#"):rep(1 << 19))
    local path = files.write("twice.qvmconf", "@big\n@big\n@big\n")
    assert.are.equal("too_large", check(path))
    assert.matches("twice.qvmconf:2: more than 1024 KiB of configuration",
      select(2, qvm.conf.load(path)))
    files.write("small", "cpu\n")
    path = files.write("thousand.qvmconf", ("@small\n"):rep(1001))
    assert.are.equal("too_large", check(path))
    assert.matches("thousand.qvmconf:1001: more than 1000 files", select(2, qvm.conf.load(path)))
  end)
end)
