-- What the prompt shows: qvm.show and qvm.hexdump.

local dumps = require "support.dumps"
local files = require "support.files"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

describe("show", function()
  after_each(files.clean)

  it("shows any table, sorted, with addresses in hexadecimal", function()
    local value = {b = 1, a = "x\n\"\27", [2] = true, [1] = 0xffff800010081234, pc = 5,
      t = {1, {2, {3, {4, {5}}}}}, empty = {}}
    value.self = value
    assert.are.equal([[
table
  [1]: 0xffff800010081234
  [2]: true
  a: "x\n\"\x1b"
  b: 1
  empty: {}
  pc: 0x0000000000000005
  self: (shown above)
  t:
    [1]: 1
    [2]:
      [1]: 2
      [2]:
        [1]: 3
        [2]: {...}]], qvm.show(value))
    assert.are.equal("5", qvm.show(5))
    assert.are.equal("nil", qvm.show(nil))
    assert.are.equal('"a\\xff"', qvm.show("a\255"))
    assert.are.equal(('"%s" ... (528 bytes)'):format(("\\x00"):rep(32)), qvm.show(("\0"):rep(528)))
    assert.are.equal('"é"', qvm.show("é"))
    assert.matches('^"x+" ... %(5000 bytes%)$', qvm.show(("x"):rep(5000)))
  end)

  it("shortens long values", function()
    local value = {}
    for i = 1, 250 do
      value[i] = i
    end
    local text = qvm.show(value)
    assert.matches("%[100%]: 100\n  %.%.%. and 150 more$", text)
  end)

  it("shows a bounded number of lines for any value, and counts the rest", function()
    local cost = require "support.cost"
    local deep = {}
    for i = 1, 100 do
      deep[i] = {}
      for j = 1, 100 do
        deep[i][j] = {i, j}
      end
    end
    local text = qvm.show(deep)
    local _, lines = text:gsub("\n", "")
    assert.is_true(lines < 510, lines)
    assert.matches("\n    %.%.%. and %d+ more\n  %.%.%. and %d+ more$", text)
    local wide = setmetatable({[("k"):rep(5000000)] = 1}, {__tostring = function()
      return ("t"):rep(5000000)
    end})
    assert.is_true(#qvm.show(wide) < 3000)
    local regs = {}
    for i = 1, 5000 do
      regs["r" .. i] = i
    end
    text = qvm.show {regs = regs}
    assert.matches("\n    r498: +0x%x+\n    %.%.%. and 4502 more$", text)
    text = cost.check [[
      local many = {}
      for i = 1, 1000000 do many[i] = i end
      for i = 1, 200000 do many["key" .. i] = i end
      return qvm.show(many):match("[^\n]*\n[^\n]*$"):gsub("\n", "|")]]
    assert.matches("%[100%]: 100|  %.%.%. and 1199900 more", text)
  end)

  it("refuses more bytes than anyone reads", function()
    local text, message, code = qvm.hexdump(("x"):rep(1 << 23))
    assert.are.same({nil, "hexdump: 8388608 bytes, more than 1048576 at once", "too_large"},
      {text, message, code})
    assert.are.equal("too_large", select(3, qvm.hexdump(dumps.open(writer.small()), 0, 1 << 40)))
    require "support.cost".check([[
      return #qvm.hexdump(("x"):rep(1 << 20))]], 5 << 20)
  end)

  it("shows a dump with its parts, and a vCPU with its registers", function()
    local dump = dumps.open(writer.small {cpus = {{registers = writer.aarch64 {elr = 0x1234},
      process = "one"}}})
    local text = qvm.show(dump)
    assert.matches("^Dump .*test.gcore: qnx aarch64, 1 vCPU, 256 bytes of memory\n", text)
    assert.matches("\n  vCPUs:\n    vCPU 0: pc 0x0000000000001234 ", text)
    assert.matches("\n  memory:\n    0x0000000080000000  256 bytes\n", text)
    assert.matches("\n  machine: \"aarch64\"\n", text)
    text = qvm.show(dump:vcpu(0))
    assert.matches("\n  pc: 0x0000000000001234\n", text)
    -- In the architecture's order.
    assert.matches("\n  regs:\n    x0:     0x0000000000000000\n    x1:     ", text)
    assert.matches("\n    x30:    0x%x+\n    sp:     0x%x+\n    pc:     0x0000000000001234\n"
      .. "    pstate: 0x0000000000000000\n", text)
    -- A script may have changed them.
    local cpu = dump:vcpu(0)
    cpu.regs.mine = 5
    assert.matches("\n  regs:\n    mine:   0x0000000000000005\n    pc: ", qvm.show(cpu))
    dump:close()
    assert.matches("closed", qvm.show(dump))
    assert.matches("\n    rdi:    0x%x+\n    rsi:    0x%x+\n    rdx:    ",
      qvm.show(dumps.open(writer.small {machine = "x86_64"}):vcpu(0)))
  end)

  it("shows a VM and its env", function()
    files.mkdir("linux1")
    files.write("linux1/env", '{"errata": {"843419": "on"}, "vcpus": '
      .. '[{"tid": 3, "last_known_ip": 18446603336490160692, "none": null}]}')
    qvm.root(files.dir())
    local vm = assert(qvm.vm("linux1"))
    assert.matches("^VM linux1 %(.*linux1%)\n  nodes: none\n"
      .. "  name: \"linux1\"\n", qvm.show(vm))
    local text = qvm.show(vm:env())
    assert.matches("\n  vCPUs:\n    vCPU 0: tid 3, last known ip 0xffff800010081234\n", text)
    assert.matches("last_known_ip: 0xffff800010081234\n        none: null\n        tid: 3",
      text)
    for line in text:gmatch("[^\n]+") do
      assert.is_nil(line:find("_orders", 1, true))
    end
  end)
end)

describe("hexdump", function()
  after_each(files.clean)

  it("shows bytes", function()
    assert.are.equal("0000000000000000: 6865 6c6c 6f00 ff" .. (" "):rep(23) .. "|hello..|",
      qvm.hexdump("hello\0\255"))
    local lines = {}
    local text = qvm.hexdump(("0123456789abcdef"):rep(2) .. "!", 0xffff800010080000)
    for line in text:gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    assert.are.same({
      "ffff800010080000: 3031 3233 3435 3637 3839 6162 6364 6566 |0123456789abcdef|",
      "ffff800010080010: 3031 3233 3435 3637 3839 6162 6364 6566 |0123456789abcdef|",
      "ffff800010080020: 21                                      |!|"}, lines)
    assert.are.equal("", qvm.hexdump(""))
    assert.are.equal(qvm.hexdump("ab"), qvm.hexdump("abcd", 0, 2))
  end)

  it("shows a dump's memory, or the reason why it cannot", function()
    local dump = dumps.open(writer.small {memory = {{paddr = 0x1000, bytes = ("x"):rep(300)}}})
    local text = qvm.hexdump(dump, 0x1000)
    assert.are.equal(16, select(2, text:gsub("|xxxxxxxxxxxxxxxx|", "")))
    assert.matches("^0000000000001000: 7878 ", text)
    assert.are.equal("unmapped", select(3, qvm.hexdump(dump, 0x1000, 301)))
    for _, arguments in ipairs {{5}, {dump}, {dump, true}, {"x", 1.5}, {"x", 1, "n"}, {}} do
      local ok, message = pcall(function()
        return qvm.hexdump(table.unpack(arguments, 1, 3)), 1
      end)
      assert.is_false(ok)
      assert.matches("bad argument", message)
    end
    assert.are.equal("not_found", select(3, qvm.hexdump(dump, "symbol")))
    assert.error_matches(function() local _ = qvm.hexdump(dump, "0x1000") end, "number in a string")
  end)
end)
