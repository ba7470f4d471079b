-- Symbols of a guest's kernel: from a System.map, from an ELF file, from the kernel's
-- own table.

local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local function dump_with(info, segments)
  segments = segments or {}
  segments[#segments + 1] = {paddr = 0x1000, bytes = "x"}
  if info then
    segments[#segments + 1] = {type = 4, align = 0,
      bytes = writer.elf_note("VMCOREINFO\0", 0, info)}
  end
  return assert(qvm.open(files.write("symbols.gcore", writer.file {machine = "x86_64",
    segments = segments})))
end

local map = [[
0000000000000000 D __per_cpu_start
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000040 t helper
ffffffff81000100 T schedule	[module]
ffffffff82000000 D swapper_pg_dir
ffffffff82001000 A _end
]]

describe("symbols of a System.map", function()
  after_each(files.clean)

  it("name addresses, and have them", function()
    local dump = dump_with()
    local symbols = assert(dump:symbols(files.write("System.map", map)))
    assert.are.equal("7 symbols from " .. files.path("System.map"), tostring(symbols))
    assert.are.equal("helper+0x0/0xc0", dump:symbol(0xffffffff81000040))
    assert.are.equal("helper+0xbf/0xc0", dump:symbol(0xffffffff810000ff))
    assert.are.equal("schedule+0x0/0xffff00", dump:symbol(0xffffffff81000100))
    assert.are.equal("_stext+0x3f/0x40", dump:symbol(0xffffffff8100003f))
    assert.are.equal(0xffffffff81000100, dump:address "schedule")
    assert.are.equal(0xffffffff81000000, dump:address "_stext")
    assert.are.equal(0, dump:address "__per_cpu_start")
    -- Behind the last one, which has no end.
    assert.is_nil((dump:symbol(0xffffffff82001000)))
    local _, message, code = dump:address "sched"
    assert.are.equal("not_found", code)
    assert.matches('no symbol "sched" among the 7 symbols from ', message, 1, true)
  end)

  it("are no marks of where code and data begin", function()
    local dump = dump_with()
    local symbols = assert(dump:symbols(files.write("System.map", "1000 t $x\n1000 T one\n"
      .. "1010 t $d\n1020 t $x.7\n1030 T $dollar\n")))
    assert.are.equal(2, symbols.count)
    assert.are.equal("one+0x20/0x30", dump:symbol(0x1020))
    assert.are.equal(0x1030, dump:address "$dollar")
  end)

  it("are moved as the kernel was", function()
    local dump = dump_with "OSRELEASE=6\nSYMBOL(_stext)=ffffffff9aa00000\nSYMBOL(prb)=1\n"
    assert.matches("moved by 0x19a00000$", tostring(dump:symbols(files.write("System.map", map))))
    assert.are.equal("schedule+0x4/0xffff00", dump:symbol(0xffffffff9aa00104))
    dump = dump_with "OSRELEASE=6\nSYMBOL(_stext)=fffffff000000000\n"
    dump:symbols(files.path("System.map"))
    assert.are.equal("schedule+0x4/0xffff00", dump:symbol(0xfffffff000000104))
  end)

  it("are refused where they are another kernel's", function()
    local dump = dump_with("OSRELEASE=6\nSYMBOL(_stext)=ffffffff9aa00000\n"
      .. "SYMBOL(swapper_pg_dir)=ffffffff9ba00008\n")
    local _, message, code = dump:symbols(files.write("System.map", map))
    assert.are.equal("malformed", code)
    assert.matches("System.map: of another kernel: by _stext it was moved by 0x19a00000, by "
      .. "swapper_pg_dir by 0x19a00008", message, 1, true)
    for _, text in ipairs {"", "hello\n", "\127ELF", "ffffffff81000000\n", "0 T $t\n"} do
      assert.are.equal("malformed", select(3, dump:symbols(files.write("bad", text))))
    end
    local digits = files.write("digits", ("a"):rep(4 << 20)) -- tried from each on: no end
    assert.are.equal("malformed", select(3, dump:symbols(digits)))
    assert.are.equal("not_found", select(3, dump:symbols(files.path("none"))))
    assert.are.equal("unsupported", select(3, dump:symbol(1)))
    assert.are.equal("not_found", select(3, dump_with():symbol(1)))
    os.execute("mkfifo " .. files.path("fifo"))
    for _, path in ipairs {files.path("fifo"), "/dev/zero", files.dir()} do -- without an end
      assert.are.same({nil, path .. ": not a regular file", "unsupported"}, {dump:symbols(path)})
    end
    assert.is_false(pcall(dump.symbols, dump, 5))
    assert.is_false(pcall(dump.symbol, dump, "x"))
  end)
end)

-- An ELF file with a symbol table: names to address, size, kind, section.
local function elf(bits, order, list)
  return writer.as(order, bits, function()
    local strings, symbols = "\0", {}
    local function pack(format, ...)
      return string.pack(order .. format, ...)
    end
    for i, s in ipairs(list) do
      local at = #strings
      strings = strings .. s[1] .. "\0"
      symbols[i] = bits == 64 and pack("I4BBI2i8i8", at, s[4] or 2, 0, s[5] or 1, s[2], s[3])
        or pack("I4I4I4BBI2", at, s[2], s[3], s[4] or 2, 0, s[5] or 1)
    end
    local table_bytes = table.concat(symbols)
    local head = bits == 64 and 64 or 52
    local sections = writer.section_header {}
      .. writer.section_header {type = 2, offset = head, size = #table_bytes, link = 2}
      .. writer.section_header {type = 3, offset = head + #table_bytes, size = #strings}
    return writer.header {machine = 62, phnum = 0, type = 2, shnum = 3,
      shoff = head + #table_bytes + #strings} .. table_bytes .. strings .. sections
  end)
end

describe("symbols of an ELF file", function()
  after_each(files.clean)

  it("are those of its symbol table, in every form", function()
    for _, bits in ipairs {32, 64} do
      for _, order in ipairs {"<", ">"} do
        local dump = dump_with()
        local symbols = assert(dump:symbols(files.write("qnx.sym", elf(bits, order, {
          {"second", 0x2000, 0x20}, {"first", 0x1000, 0x10}, {"file.c", 0, 0, 4},
          {"undefined", 0x1800, 8, 2, 0}, {"", 0x3000, 0, 3}}))))
        assert.are.equal("2 symbols from " .. files.path("qnx.sym"), tostring(symbols))
        assert.are.equal("first+0xf/0x10", dump:symbol(0x100f))
        assert.is_nil((dump:symbol(0x1010)))
        assert.are.equal(0x2000, dump:address "second")
      end
    end
  end)

  it("survive what is cut or changed", function()
    local whole = elf(64, "<", {{"first", 0x1000, 0x10}, {"second", 0x2000, 0x20}})
    local dump = dump_with()
    for length = 0, #whole do
      dump:symbols(files.write("cut", whole:sub(1, length)))
    end
    math.randomseed(4)
    for _ = 1, 500 do
      local at = math.random(#whole - 8)
      dump:symbols(files.write("changed", whole:sub(1, at) .. string.pack("<i8", math.random(0)
        >> math.random(0, 63)) .. whole:sub(at + 9)))
    end
  end)
end)

-- kallsyms of two tokens for each letter, so that names are indices of them.
describe("symbols of the kernel's own table", function()
  after_each(files.clean)

  local BASE = 0xffffffff81000000
  local long_token = ("long"):rep(50)

  local function dump_of(names, percpu, change)
    local token_table, token_index = "", ""
    for i = 0, 255 do
      token_index = token_index .. string.pack("<I2", #token_table)
      token_table = token_table .. (i == 200 and "_text" or i == 201 and long_token
        or string.char(i)) .. "\0"
    end
    -- NUL is a token of no bytes here: names have none.
    local encoded, offsets = "", ""
    for _, name in ipairs(names) do
      local text = "T" .. name[1]
      encoded = encoded .. (#text > 127 and string.char(#text & 127 | 128, #text >> 7)
        or string.char(#text)) .. text
      offsets = offsets .. string.pack("<i4", percpu and (name[3] or -1 - name[2]) or name[2])
    end
    local t = pagetables.x86_64(0x100000)
    t:map(BASE, 0x200000, 1, 0)
    local bytes = string.pack("<I4I4i8", #names, 0, BASE) .. ("\0"):rep(0x1000 - 16)
    local info = ("OSRELEASE=6\nNUMBER(phys_base)=0\nSYMBOL(swapper_pg_dir)=%x\n"):format(
      0xffffffff80000000 + t.root)
    local function add(name, data)
      info = info .. ("SYMBOL(kallsyms_%s)=%x\n"):format(name, BASE + #bytes)
      bytes = bytes .. data .. ("\0"):rep(-#data % 4096)
    end
    info = info .. ("SYMBOL(kallsyms_num_syms)=%x\nSYMBOL(kallsyms_relative_base)=%x\n"):format(
      BASE, BASE + 8)
    add("token_table", token_table)
    add("token_index", token_index)
    add("offsets", offsets)
    add("names", encoded)
    info = info .. ("SYMBOL(_stext)=%x\n"):format(BASE)
    local segments = t:segments()
    segments[#segments + 1] = {paddr = 0x200000, bytes = bytes}
    return dump_with(change and change(info) or info, segments)
  end

  local names = {{"cpu_var", 0x7ff00000, 0x1234}, {"_stext", 0}, {("long"):rep(40), 0x100},
    {"x\200", 0x200}}

  it("need no file", function()
    local dump = dump_of(names)
    assert.are.equal("4 symbols from kallsyms", tostring(assert(dump:symbols())))
    assert.are.equal("_stext+0x1/0x100", dump:symbol(BASE + 1))
    assert.are.equal(("long"):rep(40) .. "+0x0/0x100", dump:symbol(BASE + 0x100))
    assert.are.equal(BASE + 0x200, dump:address "x_text")
    assert.are.equal(BASE + 0x7ff00000, dump:address "cpu_var")
  end)

  it("have processors' own variables as they are", function()
    local dump = dump_of(names, true)
    assert.are.equal(0x1234, dump:address "cpu_var")
    assert.are.equal(BASE + 0x100, dump:address(("long"):rep(40)))
  end)

  it("are not guessed at", function()
    local function problem(change, list)
      local _, message, code = dump_of(list or names, false, change):symbols()
      assert.are.equal("not_found", code)
      return message
    end
    assert.matches("VMCOREINFO has no SYMBOL(kallsyms_offsets)", problem(function(info)
      return (info:gsub("kallsyms_offsets", "other"))
    end), 1, true)
    assert.matches("of a form that is not known: give dump:symbols(file)", problem(function(info)
      return (info:gsub("_stext%)=%x+", "_stext)=1"))
    end), 1, true)
    -- Names of tokens without end.
    local _, message = dump_of {{"_stext", 0}, {("\201"):rep(3), 0x100}}:symbols()
    assert.matches("of a form that is not known", message, 1, true)
    assert(dump_of {{"_stext", 0}, {("\201"):rep(2), 0x100}}:symbols())
    assert.matches("is not in the dump", problem(function(info)
      return (info:gsub("names%)=%x+", "names)=1000"))
    end), 1, true)
  end)
end)
