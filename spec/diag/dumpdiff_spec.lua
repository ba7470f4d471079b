-- examples/dumpdiff.lua, run like a user runs it.

local files = require "support.files"
local process = require "support.process"
local writer = require "support.dumpwriter"

local lua = os.getenv("LUA") or "lua5.4"

local function run(...)
  local status, output, errors = process.run({lua, "examples/dumpdiff.lua", ...},
    {env = {LD_PRELOAD = os.getenv("LD_PRELOAD"), QVM_BUILD = os.getenv("QVM_BUILD")}})
  return status, output, errors
end

local function page(text)
  return text .. ("\0"):rep(4096 - #text)
end

local function dump(name, pages, pc, more)
  local memory = {{paddr = 0x80000000, bytes = table.concat(pages)}}
  memory[2] = more
  return files.write(name, writer.small {memory = memory,
    cpus = {{registers = writer.aarch64 {elr = pc}, process = "one"}}})
end

describe("dumpdiff", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  local code = ("\1\2\3\4"):rep(1024)

  it("lists changes by region, with old and new values", function()
    local before = dump("before.gcore", {code, page "", page "data", code, code}, 0x1000)
    local after = dump("after.gcore", {code, ("text "):rep(819) .. ".", page "", code .. "", code},
      0x2000, {paddr = 0x90000000, bytes = page ""})
    local status, output, errors = run(before, after)
    assert.are.equal(1, status, errors)
    for _, line in ipairs {
      "   0  pc              0x0000000000001000  0x0000000000002000",
      "0x0000000080000000 - 0x0000000080004fff      20 KiB   4.004 KiB  2",
      "0x0000000090000000 - 0x0000000090000fff       4 KiB  after",
      "0x0000000080001000       4 KiB          4096  filled with text",
      "0x0000000080002000       4 KiB             4  cleared",
      "summary: 4.004 KiB differ, in 2 pages, which are 40.00% of 20 KiB",
      "  filled with text       1 page",
      "  in one of them only    1 range",
      "  changed                1 register of 1 vCPU"} do
      assert(("\n" .. output):find("\n" .. line .. "\n", 1, true),
        line .. "\nis not in\n" .. output)
    end
    for line in output:gmatch("[^\n]+") do
      assert.is_true(#line <= 80, line)
    end
  end)

  it("says that nothing differs", function()
    local path = dump("one.gcore", {code}, 0x1000)
    local status, output = run(path, path)
    assert.are.equal(0, status)
    assert.matches("\nno register differs\n", output)
    assert.matches("\nsummary: nothing differs, in 4 KiB and all registers\n", output)
  end)

  it("escapes names of registers, and aligns columns", function()
    local paths = {}
    for i = 1, 2 do
      paths[i] = files.write(i .. ".gcore", writer.small {cpus = {{
        registers = writer.aarch64 {}, extra = {i, i, i}}},
        note = {names = {"x\27[2J", "\u{65e5}\u{672c}", "plain"}}})
    end
    local _, output = run(paths[1], paths[2])
    assert.is_nil(output:find("\27", 1, true))
    assert.matches("\n   0  x\\x1b%[2J        0x0+1  0x0+2\n"
      .. "   0  \u{65e5}\u{672c}            0x0+1  0x0+2\n", output)
    assert.matches("\n   0  plain           0x0+1  0x0+2\n", output)
  end)

  it("counts differences within pages that consist of parts", function()
    local before = files.write("before.gcore", writer.file {machine = "aarch64", segments = {
      {paddr = 0x80000ffe, bytes = "abcd"}, {paddr = 0x80001800, bytes = "x"}}})
    local after = files.write("after.gcore", writer.file {machine = "aarch64", segments = {
      {paddr = 0x80000ffe, bytes = "aBCd"}, {paddr = 0x80001800, bytes = "y"}}})
    local status, output = run(before, after)
    assert.are.equal(1, status)
    assert.matches("summary: 3 bytes differ, in 2 pages", output, 1, true)
  end)

  it("reads the available parts of an incomplete dump, and says so", function()
    local path = dump("whole.gcore", {code, code}, 0x1000)
    local cut = files.write("cut.gcore", files.read(path):sub(1, 6000))
    local status, output, errors = run(path, cut)
    assert.are.equal(1, status)
    assert.matches("cut.gcore: %d+ of %d+ bytes are missing\n", errors)
    assert.matches("memory in only one of them", output)
    assert.matches("\n  not in the file        0 bytes of before, %d%.%d+ KiB of after\n", output)
  end)

  it("does not call memory equal that it cannot compare", function()
    local path = dump("whole.gcore", {code, code}, 0x1000)
    local cut = files.write("cut.gcore", files.read(path):sub(1, 2000))
    local status, output = run(cut, cut)
    assert.are.equal(2, status)
    assert.matches("\nno registers in either dump\n", output)
    assert.matches("\nsummary: nothing differs, as far as both files have memory and registers\n"
      .. "  not in the file        %d%.%d+ KiB of before, %d%.%d+ KiB of after\n$", output)
  end)

  it("does not call registers equal that are not there", function()
    local path = files.write("bare.gcore", writer.file {machine = "aarch64", segments = {
      {paddr = 0x80000000, bytes = code}}})
    local status, output = run(path, path)
    assert.are.equal(0, status)
    assert.matches("\nno registers in either dump\n", output)
    assert.matches("\nsummary: nothing differs, in 4 KiB and no registers\n", output)
  end)

  it("exits with 2, not 1, for invalid arguments", function()
    for argument, message in pairs {["--nonsense"] = "unknown option '--nonsense'",
      ["one.gcore"] = "missing argument 'after'"} do
      local status, output, errors = run(argument)
      assert.are.same({2, "", "qvm-dumpdiff: " .. message .. " (--help shows how)\n"},
        {status, output, errors})
    end
  end)

  it("refuses files that are not dumps, or are of another machine", function()
    local path = dump("one.gcore", {code}, 0x1000)
    local other = files.write("other.gcore", writer.small {machine = "x86_64"})
    for _, second in ipairs {other, files.path("nothing"), files.write("text", "hello")} do
      local status, output, errors = run(path, second)
      assert.are.equal(2, status)
      assert.are.equal("", output)
      assert.matches("^qvm%-dumpdiff: ", errors)
    end
  end)
end)
