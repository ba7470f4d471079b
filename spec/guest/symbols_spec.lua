-- Symbols of a guest's kernel: from a System.map, an ELF file, or the kernel's own table.

local cost = require "support.cost"
local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

-- Valgrind does not follow the process whose cost is measured, and makes its input slowly.
local it_costs = os.getenv("QVM_VALGRIND") and pending or it

local function dump_with(info, segments, machine)
  segments = segments or {}
  segments[#segments + 1] = {paddr = 0x1000, bytes = "x"}
  if info then
    segments[#segments + 1] = {type = 4, align = 0,
      bytes = writer.elf_note("VMCOREINFO\0", 0, info)}
  end
  return assert(qvm.open(files.write("symbols.gcore", writer.file {
    machine = machine or "x86_64", segments = segments})))
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

  it("are read through a symbolic link, as /boot may have it", function()
    assert(require("lfs").link("System.map", files.path("link"), true))
    files.write("System.map", "ffffffff81000000 T _stext\nffffffff81000010 T schedule\n")
    local dump = assert(qvm.open(files.write("s.gcore", writer.small())))
    assert.are.equal(2, assert(dump:symbols(files.path("link"))).count)
  end)

  it("translate addresses to names and names to addresses", function()
    local dump = dump_with()
    local symbols = assert(dump:symbols(files.write("System.map", map)))
    assert.are.equal("7 symbols from " .. files.path("System.map")
      .. ", not verified: nothing is known of the kernel", tostring(symbols))
    assert.is_nil(symbols.verified)
    assert.are.equal("helper+0x0/0xc0", dump:symbol(0xffffffff81000040))
    assert.are.equal("helper+0xbf/0xc0", dump:symbol(0xffffffff810000ff))
    assert.are.equal("schedule+0x0/0xffff00", dump:symbol(0xffffffff81000100))
    assert.are.equal("_stext+0x3f/0x40", dump:symbol(0xffffffff8100003f))
    assert.are.equal(0xffffffff81000100, dump:address "schedule")
    assert.are.equal(0xffffffff81000000, dump:address "_stext")
    assert.are.equal(0, dump:address "__per_cpu_start")
    -- After the last symbol, whose size is unknown.
    assert.is_nil((dump:symbol(0xffffffff82001000)))
    local _, message, code = dump:address "sched"
    assert.are.equal("not_found", code)
    assert.matches('no symbol "sched" among the 7 symbols from ', message, 1, true)
  end)

  it("exclude mapping symbols, which mark code and data", function()
    local dump = dump_with()
    local symbols = assert(dump:symbols(files.write("System.map", "1000 t $x\n1000 T one\n"
      .. "1010 t $d\n1020 t $x.7\n1030 T $dollar\n")))
    assert.are.equal(2, symbols.count)
    assert.are.equal("one+0x20/0x30", dump:symbol(0x1020))
    assert.are.equal(0x1030, dump:address "$dollar")
  end)

  it("are relocated with the kernel", function()
    local dump = dump_with "OSRELEASE=6\nSYMBOL(_stext)=ffffffff9aa00000\nSYMBOL(prb)=1\n"
    assert.matches("moved by 0x19a00000$", tostring(dump:symbols(files.write("System.map", map))))
    assert.are.equal("schedule+0x4/0xffff00", dump:symbol(0xffffffff9aa00104))
    dump = dump_with "OSRELEASE=6\nSYMBOL(_stext)=fffffff000000000\n"
    dump:symbols(files.path("System.map"))
    assert.are.equal("schedule+0x4/0xffff00", dump:symbol(0xfffffff000000104))
  end)

  it("are refused if they belong to another kernel", function()
    local dump = dump_with("OSRELEASE=6\nSYMBOL(_stext)=ffffffff9aa00000\n"
      .. "SYMBOL(swapper_pg_dir)=ffffffff9ba00008\n")
    local _, message, code = dump:symbols(files.write("System.map", map))
    assert.are.equal("malformed", code)
    assert.matches("System.map: not of this kernel: by _stext it was moved by 0x19a00000, by "
      .. "swapper_pg_dir by 0x19a00008", message, 1, true)
    for _, text in ipairs {"", "hello\n", "ffffffff81000000\n", "0 T $t\n"} do
      assert.are.equal("malformed", select(3, dump:symbols(files.write("bad", text))))
    end
    assert.are.equal("truncated", select(3, dump:symbols(files.write("bad", "\127ELF"))))
    local digits = files.write("digits", ("a"):rep(4 << 20)) -- quadratic matching would not end
    assert.are.equal("malformed", select(3, dump:symbols(digits)))
    assert.are.equal("not_found", select(3, dump:symbols(files.path("none"))))
    assert.are.equal("unsupported", select(3, dump:symbol(1)))
    assert.are.equal("not_found", select(3, dump_with():symbol(1)))
    os.execute("mkfifo " .. files.path("fifo"))
    for _, path in ipairs {files.path("fifo"), "/dev/zero", files.dir()} do -- endless files
      assert.are.same({nil, path .. ": not a regular file", "unsupported"}, {dump:symbols(path)})
    end
    assert.is_false(pcall(dump.symbols, dump, 5))
    assert.is_false(pcall(dump.symbol, dump, "16"))
  end)
end)

describe("symbols of another kernel's file", function()
  after_each(files.clean)

  local info = "OSRELEASE=6\nBUILD-ID=0a0b\nKERNELOFFSET=1000\nSYMBOL(_stext)=ffffffff81001000\n"
    .. "SYMBOL(prb)=ffffffff82001000\nSYMBOL(mem_section)=ffff888000000000\n"

  local function map_of(prb, other)
    return ("ffffffff81000000 T _stext\nffffffff81800000 D mem_section\n%x d prb\n%s"):format(
      prb, other or "")
  end

  it("are malformed, and the message says why", function()
    local dump = dump_with(info)
    local function refused(text)
      local _, message, code = dump:symbols(files.write("other", text))
      assert.are.equal("malformed", code)
      return message
    end
    assert(dump:symbols(files.write("System.map", map_of(0xffffffff82000000))))
    assert.matches("other: not of this kernel: it has none of the symbols that VMCOREINFO gives",
      refused "1000 T main\n", 1, true)
    assert.matches("by _stext it was moved by 0x1000, by prb by 0x1010",
      refused(map_of(0xffffffff81fffff0)), 1, true)
    -- One of several symbols with the same name matches.
    assert(dump:symbols(files.write("two", map_of(0xffffffff82000000,
      "ffffffff83000000 d prb\n"))))
    assert.matches("by _stext it was moved by 0x2000, by KERNELOFFSET of VMCOREINFO by 0x1000",
      refused("ffffffff80fff000 T _stext\n"), 1, true)
    -- The previous symbols stay in use.
    assert.are.equal(0xffffffff82001000, dump:address "prb")
    assert.matches("/two, moved by 0x1000$", tostring(assert(dump:symbols(files.path "two"))))
  end)

  it("are malformed if the file is a program", function()
    for _, text in ipairs {info, "OSRELEASE=6\nSYMBOL(_stext)=ffffffff81001000\n"} do
      local _, message, code = dump_with(text):symbols("/bin/ls")
      assert.are.equal("malformed", code)
      assert.matches("^/bin/ls: not of this kernel: it", message)
    end
  end)
end)

-- An ELF file with a symbol table. list: {name, address, size, kind, section} for each symbol.
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

  it("are read from its symbol table, in every class and byte order", function()
    for _, bits in ipairs {32, 64} do
      for _, order in ipairs {"<", ">"} do
        local dump = dump_with()
        local symbols = assert(dump:symbols(files.write("qnx.sym", elf(bits, order, {
          {"second", 0x2000, 0x20}, {"first", 0x1000, 0x10}, {"file.c", 0, 0, 4},
          {"undefined", 0x1800, 8, 2, 0}, {"", 0x3000, 0, 3}}))))
        assert.are.equal("2 symbols from " .. files.path("qnx.sym")
          .. ", not verified: nothing is known of the kernel", tostring(symbols))
        assert.are.equal("first+0xf/0x10", dump:symbol(0x100f))
        assert.is_nil((dump:symbol(0x1010)))
        assert.are.equal(0x2000, dump:address "second")
      end
    end
  end)

  it("do not crash the library if the file is truncated or changed", function()
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

  -- An ELF file with these sections: each a table of section header fields and its data.
  -- before: number of null sections that come first.
  local function elf_of(sections, before)
    local data, headers, at = {}, {writer.section_header {}}, 64
    local count = #sections + 1 + (before or 0)
    if count >= 0xff00 then
      headers[1] = writer.section_header {size = count}
    end
    headers[2] = writer.section_header {}:rep(before or 0)
    for _, section in ipairs(sections) do
      local bytes = section.data or ""
      headers[#headers + 1] = writer.section_header {type = section.type, link = section.link,
        offset = section.offset or at, size = section.size or #bytes}
      data[#data + 1], at = bytes, at + #bytes
    end
    return writer.header {machine = 62, phnum = 0, type = 2,
      shnum = count < 0xff00 and count or 0, shoff = at} .. table.concat(data)
      .. table.concat(headers)
  end

  local function symbol(name, value, section)
    return string.pack("<I4BBI2i8i8", name, 2, 0, section or 1, value, 16)
  end

  it("are found next to one whose name is outside the string table", function()
    local path = files.write("odd", elf_of {{type = 3, data = "\0first\0second\0"},
      {type = 2, link = 1, data = symbol(1, 0x1000) .. symbol(1 << 30, 0x1800)
        .. symbol(7, 0x2000)}})
    local dump = dump_with()
    assert.are.equal(2, assert(dump:symbols(path)).count)
    assert.are.equal(0x2000, dump:address "second")
  end)

  it("are found among 66,000 sections", function()
    for _, before in ipairs {0, 65276, 65277, 65278, 66000} do
      local path = files.write("many", elf_of({
        {type = 2, link = before + 2, data = symbol(1, 0x1000) .. symbol(7, 0x2000)},
        {type = 3, data = "\0first\0second\0"}}, before))
      local dump = dump_with()
      assert.are.equal(2, assert(dump:symbols(path)).count)
      assert.are.equal(0x2000, dump:address "second")
    end
  end)

  it("are verified by the build id, and refused if it differs", function()
    local function file(id)
      return files.write("vmlinux", elf_of {{type = 3, data = "\0_stext\0"},
        {type = 7, data = writer.elf_note("Xen\0", 3, "id") .. writer.elf_note("GNU\0", 3, id)},
        {type = 2, link = 1, data = symbol(1, 0xffffffff81000000)}})
    end
    local dump = dump_with "OSRELEASE=6\nBUILD-ID=0a0b\nSYMBOL(_stext)=ffffffff81000000\n"
    assert.are.equal("build_id", assert(dump:symbols(file "\10\11")).verified)
    assert.are.same({nil, files.path "vmlinux"
      .. ": not of this kernel: its build id is 0a0c, and the kernel's is 0a0b", "malformed"},
      {dump:symbols(file "\10\12")})
    dump = dump_with "OSRELEASE=6\nSYMBOL(_stext)=ffffffff81000000\n"
    assert.are.equal("addresses", assert(dump:symbols(file "\10\12")).verified)
    assert.is_nil(assert(dump_with():symbols(file "\10\12")).verified)
    assert.is_nil(assert(dump_with("OSRELEASE=6\n"):symbols(file "\10\12")).verified)
    dump = dump_with(nil, nil, "aarch64")
    assert.are.same({nil, files.path "vmlinux"
      .. ": not of this kernel: it is for x86_64, and the dump is of aarch64", "malformed"},
      {dump:symbols(files.path "vmlinux")})
  end)

  local function answer_of(bytes, answer)
    local path, dump = files.write("costly", bytes), dump_with()
    return (cost.check(([[local d = assert(qvm.open(%q))
      local s, message, code = d:symbols(%q)
      return s and tostring(s) or code .. " " .. message]]):format(dump.path, path), answer))
  end

  it("cost little for any contents of the file", function()
    -- First all symbols share a name of 1 MiB; then each has another suffix of it.
    local long, shared, ends = "\0" .. ("n"):rep(1 << 20) .. "\0short\0", {}, {}
    for i = 1, 30000 do
      shared[i] = symbol(1, i)
      ends[i] = symbol(#long - 8 - i % 4000, i)
    end
    local one = symbol(#long - 6, 5)
    assert.matches("^1 symbols from .*, 30000 skipped", answer_of(elf_of {
      {type = 3, data = long}, {type = 2, link = 1, data = table.concat(shared) .. one}}))
    assert.matches("^too_large .*names of symbols of more than 16 MiB", answer_of(elf_of {
      {type = 3, data = long}, {type = 2, link = 1, data = table.concat(ends)}}, 16 << 20))
    -- Many symbols in many overlapping tables: only the first table counts.
    local many = {{type = 3, data = "\0name\0"}, {type = 2, link = 1, data = one:rep(20000)}}
    local at = 64 + 6
    many[2].data = symbol(1, 5):rep(20000)
    for i = 3, 2000 do
      many[i] = {type = i % 2 == 0 and 2 or 11, link = 1, offset = at, size = 480000}
    end
    assert.matches("^20000 symbols", answer_of(elf_of(many)))
    assert.matches("^too_large .*more than 393216", answer_of(elf_of {
      {type = 3, data = "\0n\0"}, {type = 2, link = 1, data = symbol(1, 5):rep(600000)}}, 50 << 20))
    -- Sizes and counts beyond the end of the file.
    for _, size in ipairs {1 << 40, math.maxinteger, -1} do
      assert.matches("^truncated ", answer_of(elf_of {{type = 3, data = "\0n\0"},
        {type = 2, link = 1, size = size, data = symbol(1, 5)}}))
      assert.matches("^truncated ", answer_of(elf_of {{type = 3, data = "\0n\0", size = size},
        {type = 2, link = 1, data = symbol(1, 5)}}))
    end
    assert.matches("^malformed .*names are in section 4294967295 of 2", answer_of(elf_of {
      {type = 2, link = 0xffffffff, data = symbol(1, 5)}}))
    assert.matches("^malformed .*without a symbol table", answer_of(elf_of {{type = 1}}))
    local head = writer.header {machine = 62, phnum = 0, type = 2, shnum = 0, shoff = 64}
    assert.matches("^truncated ", answer_of(head .. writer.section_header {size = 1 << 18}))
    assert.matches("^too_large ", answer_of(head .. writer.section_header {size = 0xffffffff}))
    assert.matches("^too_large ", answer_of(head .. writer.section_header {size = 1 << 40}))
  end)

  it("are not read from a compressed file", function()
    local path = files.write("vmlinux", elf_of {{type = 3, data = "\0n\0"},
      {type = 2, link = 1, data = symbol(1, 5)}})
    os.execute("gzip -k " .. path)
    assert.are.same({nil, path .. ".gz: compressed by gzip: gzip -d it first", "unsupported"},
      {dump_with():symbols(path .. ".gz")})
  end)
end)

-- The kernel's own table has several forms:
-- - "base": offsets from a base address;
-- - "percpu": the same, except that per-CPU offsets are stored unchanged;
-- - "place": offsets from the place of each entry (7.0 and later);
-- - "addresses": full addresses.
describe("symbols of the kernel's own table", function()
  after_each(files.clean)

  local long_token = ("long"):rep(50)

  local machines = {
    x86_64 = {base = 0xffffffff81000000, tables = function()
      return pagetables.x86_64(0x100000)
    end, info = function(root)
      return ("NUMBER(phys_base)=0\nSYMBOL(swapper_pg_dir)=%x\n"):format(
        0xffffffff80000000 + root)
    end},
    aarch64 = {base = 0xffff800008000000, tables = function()
      return pagetables.aarch64(0x100000, 12, 48)
    end, info = function(root, base)
      return ("PAGESIZE=4096\nNUMBER(VA_BITS)=48\nNUMBER(kimage_voffset)=%d\n"
        .. "SYMBOL(swapper_pg_dir)=%x\n"):format(base - 0x200000, base - 0x200000 + root)
    end},
  }

  local function tokens_of()
    local token_table, token_index = "", ""
    for i = 0, 255 do
      token_index = token_index .. string.pack("<I2", #token_table)
      -- NUL is an empty token here: names contain no NUL.
      token_table = token_table .. (i == 200 and "_text" or i == 201 and long_token
        or string.char(i)) .. "\0"
    end
    return token_table, token_index
  end

  local encode = {
    base = function(name) return string.pack("<i4", name[2]) end,
    percpu = function(name) return string.pack("<i4", name[3] or -1 - name[2]) end,
    place = function(name, i, base, at)
      return string.pack("<i4", base + name[2] - (at + 4 * (i - 1)))
    end,
    addresses = function(name, _, base) return string.pack("<i8", base + name[2]) end,
  }

  local function dump_of(names, form, change, machine)
    local kind = machines[machine or "x86_64"]
    local base, t = kind.base, kind.tables()
    t:map(base, 0x200000, 1, 0)
    local bytes = string.pack("<I4I4i8", #names, 0, base) .. ("\0"):rep(0x1000 - 16)
    local info = "OSRELEASE=6\n" .. kind.info(t.root, base)
    local function add(name, data)
      info = info .. ("SYMBOL(kallsyms_%s)=%x\n"):format(name, base + #bytes)
      bytes = bytes .. data .. ("\0"):rep(-#data % 4096)
    end
    info = info .. ("SYMBOL(kallsyms_num_syms)=%x\n"):format(base)
    if form == "base" or form == "percpu" then
      info = info .. ("SYMBOL(kallsyms_relative_base)=%x\n"):format(base + 8)
    end
    local token_table, token_index = tokens_of()
    add("token_table", token_table)
    add("token_index", token_index)
    local encoded, numbers, at = {}, {}, base + #bytes
    for i, name in ipairs(names) do
      local text = "T" .. name[1]
      encoded[i] = (#text > 127 and string.char(#text & 127 | 128, #text >> 7)
        or string.char(#text)) .. text
      numbers[i] = encode[form](name, i, base, at)
    end
    add(form == "addresses" and form or "offsets", table.concat(numbers))
    add("names", table.concat(encoded))
    info = info .. ("SYMBOL(_stext)=%x\n"):format(base)
    local segments = t:segments()
    segments[#segments + 1] = {paddr = 0x200000, bytes = bytes}
    return dump_with(change and change(info) or info, segments, machine), base
  end

  local names = {{"cpu_var", 0x7ff00000, 0x1234}, {"_stext", 0}, {("long"):rep(40), 0x100},
    {"x\200", 0x200}}

  it("need no file, in any form and on both machines", function()
    for machine in pairs(machines) do
      for form in pairs(encode) do
        local dump, base = dump_of(names, form, nil, machine)
        local symbols = assert(dump:symbols())
        assert.are.equal("4 symbols from kallsyms", tostring(symbols))
        assert.are.equal("memory", symbols.verified)
        assert.are.equal("_stext+0x1/0x100", dump:symbol(base + 1))
        assert.are.equal(("long"):rep(40) .. "+0x0/0x100", dump:symbol(base + 0x100))
        assert.are.equal(base + 0x200, dump:address "x_text")
        assert.are.equal(form == "percpu" and 0x1234 or base + 0x7ff00000,
          dump:address "cpu_var")
      end
    end
  end)

  it("are in the order of addresses, and outlive the dump", function()
    local dump, base = dump_of({{"twice", 0x300}, {"twice", 0x200}, {"_stext", 0}, {"alias", 0},
      {"last", 0x400}}, "base")
    local symbols = assert(dump:symbols())
    dump:close()
    assert.are.equal(base + 0x200, symbols:address "twice")
    assert.are.equal(base, symbols:address "alias")
    assert.are.same({"_stext", 0x1ff, 0x200}, {symbols:at(base + 0x1ff)})
    assert.are.same({"twice", 0, 0x100}, {symbols:at(base + 0x300)})
    assert.is_nil((symbols:at(base + 0x400)))
    assert.is_nil(symbols:address "twic")
  end)

  it("include per-CPU offsets, which name no addresses", function()
    local dump = dump_of({{"first", 0, 0}, {"cpu_var", 0, 0x1000}, {"_stext", 0}, {"a", 16}},
      "percpu")
    assert.are.equal(0x1000, dump:address "cpu_var")
    for _, address in ipairs {0, 1, 0x1000, 0x1234, 0x400000, math.maxinteger} do
      assert.is_nil((dump:symbol(address)))
    end
  end)

  it("are not guessed", function()
    local function problem(change, list)
      local _, message, code = dump_of(list or names, "base", change):symbols()
      assert.are.equal("not_found", code)
      return message
    end
    assert.matches("VMCOREINFO has no SYMBOL(kallsyms_offsets)", problem(function(info)
      return (info:gsub("kallsyms_offsets", "other"))
    end), 1, true)
    assert.matches("or has an unknown form: pass ", problem(function(info)
      return (info:gsub("_stext%)=%x+", "_stext)=1"))
    end), 1, true)
    -- A name whose tokens expand to too many bytes.
    local _, message = dump_of({{"_stext", 0}, {("\201"):rep(3), 0x100}}, "base"):symbols()
    assert.matches("has an unknown form", message, 1, true)
    assert(dump_of({{"_stext", 0}, {("\201"):rep(2), 0x100}}, "base"):symbols())
    assert.matches("is not in the dump", problem(function(info)
      return (info:gsub("names%)=%x+", "names)=1000"))
    end), 1, true)
  end)

  -- The parts of the table as kernels before 6.0 lay them out, of which VMCOREINFO says nothing.
  local function dump_of_old_kernel(marker, change)
    local kind, token_table, token_index = machines.x86_64, tokens_of()
    local base, t = kind.base, kind.tables()
    t:map(base, 0x200000, 1, 0)
    local offsets, list, markers = {}, "", ""
    for i = 0, 599 do
      if i % 256 == 0 then
        markers = markers .. string.pack("<I" .. marker, #list)
      end
      local name = "T" .. (i == 0 and "_stext" or "function_" .. i)
      offsets[i + 1] = string.pack("<I4", 16 * i)
      list = list .. string.char(#name) .. name
    end
    local bytes = ("code 0\0001\0002\0003\0"):rep(4000)
    for _, part in ipairs {table.concat(offsets), string.pack("<i8", base),
        string.pack("<I4", 600), list, markers, token_table, token_index} do
      bytes = bytes .. ("\0"):rep(-#bytes % 8) .. part
    end
    bytes = change and change(bytes, markers) or bytes
    local segments = t:segments()
    segments[#segments + 1] = {paddr = 0x200000, bytes = bytes .. ("\0"):rep(0x20000 - #bytes)}
    return dump_with("OSRELEASE=5.10\n" .. kind.info(t.root, base)
      .. ("SYMBOL(_stext)=%x\n"):format(base), segments), base
  end

  it("are searched for, if VMCOREINFO does not say where they are", function()
    for _, marker in ipairs {4, 8} do
      local dump, base = dump_of_old_kernel(marker)
      assert.are.equal("600 symbols from kallsyms", tostring(dump:symbols()))
      assert.is_nil(dump:symbol(base + 16 * 599)) -- its size is not known
      assert.are.equal("function_300+0x4/0x10", dump:symbol(base + 16 * 300 + 4))
      assert.are.equal(base + 16 * 599, dump:address "function_599")
    end
  end)

  it("are not found if their parts do not fit together", function()
    for _, change in ipairs {
      function(bytes) return (bytes:gsub("8\0009\0", "8\0\0009\0")) end, -- no such token
      function(bytes, markers) return (bytes:gsub(markers, ("\xff"):rep(#markers))) end,
      function(bytes) return (bytes:gsub(string.char(#"function_7"), "\1")) end, -- lengths
    } do
      local _, message, code = dump_of_old_kernel(4, change):symbols()
      assert.are.equal("not_found", code)
      assert.matches("VMCOREINFO has no SYMBOL(kallsyms_names), and no table was found in memory",
        message, 1, true)
    end
  end)

  it_costs("cost little to search for where many places look like them", function()
    -- One page maps 52 MiB, then come many copies of the markers of so many names, and of tokens.
    for _, count in ipairs {500, 1536} do
      local base, t, markers = machines.x86_64.base, machines.x86_64.tables(), {}
      for i = 1, count do
        markers[i] = string.pack("<I4", 33280 * (i - 1))
      end
      local tail = table.concat(markers)
      local token_table, token_index = tokens_of()
      local bytes = string.pack("<I4I4", 256 * count, 0x01010101):rep(512)
        .. ("\0"):rep(8192 - #tail) .. tail .. token_table .. ("\0"):rep(-#token_table % 8)
        .. token_index
      for i = 0, 13311 do
        t:map(base + (i << 12), 0x200000, 0, 0)
      end
      local copied = (#bytes + 4095) // 4096 - 1
      for i = 0, 64 * copied - 1 do
        t:map(base + (13312 + i << 12), 0x201000 + (i % copied << 12), 0, 0)
      end
      local segments = t:segments()
      segments[#segments + 1] = {paddr = 0x200000, bytes = bytes .. ("\0"):rep(-#bytes % 4096)}
      local dump = dump_with("OSRELEASE=5.10\n" .. machines.x86_64.info(t.root, base)
        .. ("SYMBOL(_stext)=%x\n"):format(base), segments)
      local answer = cost.check(("local d = assert(qvm.open(%q)) "
        .. "return select(3, d:symbols())"):format(dump.path))
      assert.are.equal("not_found", answer)
    end
  end)

  it("replace a file's symbols again, and follow another VMCOREINFO", function()
    local dump, base = dump_of(names, "base")
    local own = assert(dump:symbols())
    assert(dump:symbols(files.write("System.map", ("%x T _stext\n%x T other\n"):format(
      base - 0x1000, base))))
    assert.are.equal("other+0x0/0x0", (dump:symbol(base + 0x1000) or "other+0x0/0x0"))
    assert.are.equal(base + 0x1000, dump:address "other")
    assert.are.equal("_stext+0x10/0x1000", dump:symbol(base + 0x10))
    assert.are.equal(own, (dump:symbols()))
    assert.are.equal("_stext+0x10/0x100", dump:symbol(base + 0x10))
    -- A file's symbols are relocated again.
    assert(dump:symbols(files.path("System.map")))
    assert(dump:vmcoreinfo("OSRELEASE=7\nSYMBOL(_stext)=ffffffffa0000000\n"))
    assert.are.equal("_stext+0x10/0x1000", dump:symbol(0xffffffffa0000010))
    local _, message, code = dump:symbols()
    assert.are.equal("unsupported", code)
    assert.matches("; those of .*/System.map stay in use$", message)
    assert.are.equal("_stext+0x10/0x1000", dump:symbol(0xffffffffa0000010))
  end)

  -- Memory that maps one page many times.
  local function aliased(count, page)
    local t = pagetables.x86_64(0x100000)
    local base = machines.x86_64.base
    t:map(base, 0x200000, 0, 0)
    local at = 1
    for _ = 1, 511 do
      t:map(base + at * 0x1000, 0x201000, 0, 0)
      at = at + 1
    end
    -- The same last-level table for every 2 MiB.
    local level2
    for _, one in ipairs(t.tables) do
      if one.entries[8] and not level2 then
        level2 = one
      end
    end
    local leaf_table = t.tables[#t.tables]
    for i = 9, 500 do
      level2.entries[i] = t.form.table(leaf_table.address)
    end
    local token_table, token_index = tokens_of()
    local first = string.pack("<I4I4i8", count, 0, base) .. token_index .. token_table
    local info = ("OSRELEASE=6\nNUMBER(phys_base)=0\nSYMBOL(swapper_pg_dir)=%x\n"
      .. "SYMBOL(kallsyms_num_syms)=%x\nSYMBOL(kallsyms_relative_base)=%x\n"
      .. "SYMBOL(kallsyms_token_index)=%x\nSYMBOL(kallsyms_token_table)=%x\n"
      .. "SYMBOL(kallsyms_names)=%x\nSYMBOL(kallsyms_offsets)=%x\nSYMBOL(_stext)=%x\n"):format(
      0xffffffff80000000 + t.root, base, base + 8, base + 16, base + 16 + 512, base + 0x1000,
      base + 0x1000, base)
    local segments = t:segments()
    segments[#segments + 1] = {paddr = 0x200000, bytes = first .. ("\0"):rep(0x1000 - #first)}
    segments[#segments + 1] = {paddr = 0x201000, bytes = page}
    return dump_with(info, segments)
  end

  local function cost_of_own(dump)
    return cost.check(([[local d = assert(qvm.open(%q))
      return tostring(select(3, d:symbols())) .. select(2, d:symbols())]]):format(dump.path))
  end

  it("are limited by the memory that they are stored in", function()
    local page = ("\1T"):rep(2048)
    for count, expected in pairs {[350000] = "^malformed.*to the same memory again and again",
      [4200000] = "^too_large.*has 4200000 of them, more than 393216",
      [0xffffffff] = "^too_large.*has 4294967295 of them"} do
      assert.matches(expected, (cost_of_own(aliased(count, page))))
    end
    -- Names that expand to megabytes.
    assert.matches("^not_found", (cost_of_own(aliased(350000, ("\xff\7" .. ("\201"):rep(1023))
      :rep(4):sub(1, 4096)))))
  end)
end)
