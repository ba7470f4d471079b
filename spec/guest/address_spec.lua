-- Addresses as arguments of the public functions: integers, or kernel symbols.

local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local BASE, PHYSICAL = 0xffffffff81000000, 0x200000

local map = ("%x T _stext\n%x D greeting\n%x D last\n%x D far\n"):format(BASE, BASE + 0x100,
  BASE + 0x800, BASE + 0x40000000)

describe("an address", function()
  local dump, space

  before_each(function()
    local t = pagetables.x86_64(0x100000)
    t:map(BASE, PHYSICAL, 0, 0)
    local segments = t:segments()
    segments[#segments + 1] = {paddr = PHYSICAL, bytes = ("\0"):rep(0x100) .. "hello, guest\0"
      .. ("\0"):rep(0xef3)}
    segments[#segments + 1] = {type = 4, bytes = writer.elf_note("VMCOREINFO\0", 0,
      ("OSRELEASE=6\nNUMBER(phys_base)=0\nSYMBOL(_stext)=%x\nSYMBOL(swapper_pg_dir)=%x\n"):format(
        BASE, 0xffffffff80000000 + t.root)), align = 0}
    dump = assert(qvm.open(files.write("address.gcore", writer.file {machine = "x86_64",
      segments = segments})))
    assert(dump:symbols(files.write("System.map", map .. ("%x D swapper_pg_dir\n"):format(
      0xffffffff80000000 + t.root))))
    space = assert(dump:kernel_space())
  end)

  after_each(files.clean)

  it("may be an integer, or a symbol with an offset", function()
    for _, memory in ipairs {dump, space} do
      assert.are.equal("hello, guest", memory:cstring "greeting")
      assert.are.equal("guest", memory:cstring "greeting+0x7")
      assert.are.equal("guest", memory:cstring "_stext+263")
      assert.are.equal("hello", memory:read("greeting", 5))
      for _, type in ipairs {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"} do
        local address = memory == dump and PHYSICAL + 0x100 or BASE + 0x100
        assert.are.equal(memory[type](memory, address), memory[type](memory, "greeting"))
      end
      assert.are.same({0x68, 0x65}, memory:array("greeting", "u8", 2))
    end
    assert.are.equal(PHYSICAL + 0x100, (space:translate "greeting"))
    assert.are.same(space:walk(BASE + 0x100), space:walk "greeting")
    assert.are.equal("greeting+0x10/0x700", dump:symbol "greeting+0x10")
  end)

  it("may be a symbol in options and ranges too", function()
    local found = {}
    for _, memory in ipairs {dump, space} do
      for address in memory:find("guest", {from = "greeting", to = "last"}) do
        found[#found + 1] = address
      end
      for _ in memory:find("guest", {from = "greeting+8", to = "last"}) do
        error("a match before the range")
      end
    end
    for _, memory in ipairs {dump, space} do
      for address in memory:strings(5, {from = "greeting+7", to = "last"}) do
        found[#found + 1] = address
      end
    end
    assert.are.same({PHYSICAL + 0x107, BASE + 0x107, PHYSICAL + 0x107, BASE + 0x107}, found)
    for _ in dump:diff(dump, {from = "greeting"}) do
      error("a difference between equal dumps")
    end
    for start, size in space:mappings("greeting", "last") do
      assert.are.same({BASE + 0x100, 0x700}, {start, size})
    end
  end)

  it("must not be a number in a string", function()
    local calls = {}
    for _, memory in ipairs {dump, space} do
      for _, name in ipairs {"read", "cstring", "u8", "u16", "u32", "u64", "i8", "i16", "i32",
        "i64"} do
        calls[#calls + 1] = function(text) local _ = memory[name](memory, text, 1) end
      end
      calls[#calls + 1] = function(text) local _ = memory:array(text, "u8", 1) end
    end
    for _, name in ipairs {"translate", "walk", "mappings"} do
      calls[#calls + 1] = function(text) local _ = space[name](space, text) end
    end
    calls[#calls + 1] = function(text) local _ = space:mappings(0, text) end
    calls[#calls + 1] = function(text) local _ = dump:symbol(text) end
    for i, call in ipairs(calls) do
      for _, text in ipairs {"0x100000", "1", " 5 ", "-1", "1e3"} do
        local ok, message = pcall(call, text)
        assert.is_false(ok, tostring(i))
        assert.matches("address_spec.lua:%d+: an address is an integer or a symbol, not a number",
          message)
      end
      assert.is_false(pcall(call, ""))
      assert.is_false(pcall(call, "a+0xffffffffffffffffff"))
      assert.is_false(pcall(call, "a+99999999999999999999"))
    end
    for _, call in ipairs {function() dump:find("x", {from = "0x10"}) end,
      function() space:find("x", {to = "16"}) end, function() dump:strings(4, {to = "16"}) end,
      function() dump:diff(dump, {from = "16"}) end} do
      assert.error_matches(call, "is not an address")
    end
  end)

  it("raises in the script where an argument is wrong, or the dump is closed in a loop", function()
    for _, memory in ipairs {dump, space} do
      local _, message = pcall(function() local _ = memory:array("greeting", "u8", -1) end)
      assert.matches("^spec/guest/address_spec.lua:%d+: bad argument #3 to 'array'", message)
    end
    local _, message = pcall(function()
      for _ in dump:symbols(files.path "System.map"):all "a%" do error "a match" end
    end)
    assert.matches("^spec/guest/address_spec.lua:%d+: bad argument #1 to 'all' %(mal", message)
    _, message = pcall(function() for _ in space:mappings() do dump:close() end end)
    assert.matches("^spec/guest/address_spec.lua:%d+: the dump is closed$", message)
  end)

  it("fails beyond the end of the address space", function()
    for _, memory in ipairs {dump, space} do
      local value, message, code = memory:u8 "greeting+0xffffffffffffffff"
      assert.are.same({nil, "unmapped"}, {value, code})
      assert.matches("beyond the end of the address space$", message)
    end
  end)

  it("fails if its symbol is unknown or not mapped", function()
    for _, memory in ipairs {dump, space} do
      local _, message, code = memory:u64 "nothing"
      assert.are.equal("not_found", code)
      assert.matches('no symbol "nothing" among the 5 symbols', message, 1, true)
      local _, failure = pcall(function() memory:find("x", {from = "nothing"}) end)
      assert.matches('address_spec.lua:%d+: .*: no symbol "nothing"', failure)
      assert.are.equal("unmapped", select(3, memory:u64 "far"))
    end
    local _, failure = pcall(function() space:mappings("nothing") end)
    assert.matches('address_spec.lua:%d+: .*: no symbol "nothing"', failure)
    assert.are.equal("not_found", select(3, space:translate "nothing"))
    local other = assert(qvm.open(files.write("none.gcore", writer.small())))
    assert.are.equal("not_found", select(3, other:u8 "greeting"))
    other:close()
    assert.are.equal("gone", select(3, other:u8 "greeting"))
    dump:close()
    assert.are.equal("gone", select(3, dump:u8 "greeting"))
    assert.are.equal("gone", select(3, space:u8 "greeting"))
  end)
end)
