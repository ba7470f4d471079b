-- The notes and sections of a dump.

local dumps = require "support.dumps"
local files = require "support.files"
local writer = require "support.dumpwriter"

local open, collect = dumps.open, dumps.collect

describe("an ELF dump", function()
  after_each(files.clean)

  local function note(name, kind, data, unit)
    unit = unit or 4
    local function pad(bytes, from)
      return bytes .. ("\0"):rep(-(#bytes + from) % unit)
    end
    return string.pack("<I4I4I4", #name, #data, kind) .. pad(name, 12) .. pad(data, 0)
  end

  local function with_notes(...)
    local segments = {}
    for i, bytes in ipairs {...} do
      segments[i] = {type = 4, bytes = bytes, align = 4}
    end
    return writer.file {machine = "x86_64", segments = segments}
  end

  it("lists notes of every kind", function()
    local dump = open(with_notes(
      note("CORE\0", 1, "prstatus") .. note("", 7, "abcde") .. note("VMCOREINFO\0", 0, ""),
      note("X\0", 0xffffffff, "last"):sub(1, -1)))
    local list = collect(dump:notes(), function(n)
      return ("%d %s %d %s"):format(n.segment, n.name, n.type, n:read())
    end)
    assert.are.same({"0 CORE 1 prstatus", "0  7 abcde", "0 VMCOREINFO 0 ",
      "1 X 4294967295 last"}, list)
    assert.are.equal('note "CORE" type 1: 8 bytes', tostring(dump:notes()()))
  end)

  it("lists notes padded to 8 bytes if the segment's alignment is 8", function()
    local dump = open(writer.file {machine = "x86_64", segments = {{type = 4, align = 8,
      bytes = note("GNU\0", 5, "123", 8) .. note("abcdefg\0", 6, "4567", 8)}}})
    assert.are.same({"GNU 123", "abcdefg 4567"}, collect(dump:notes(), function(n)
      return n.name .. " " .. n:read()
    end))
  end)

  it("reads notes in the file's byte order", function()
    local dump = open(writer.as(">", 32, function()
      return writer.file {machine = "arm", segments = {{type = 4, align = 4,
        bytes = string.pack(">I4I4I4", 4, 4, 9) .. "ABC\0data"}}}
    end))
    assert.are.same({"ABC 9 data"}, collect(dump:notes(), function(n)
      return ("%s %d %s"):format(n.name, n.type, n:read())
    end))
  end)

  it("does not list a QNX note", function()
    local qnx = writer.note {cpus = {{registers = writer.aarch64 {}}}}
    local dump = open(writer.file {machine = "aarch64", segments = {{type = 4, bytes = qnx},
      {type = 4, bytes = note("CORE\0", 1, "x"), align = 4}}})
    assert.are.equal("qnx", dump.format)
    assert.are.same({"CORE"}, collect(dump:notes(), function(n) return n.name end))
  end)

  it("lists notes up to one that does not fit", function()
    local good = note("A\0", 1, "good")
    for _, bad in ipairs {string.pack("<I4I4I4", 4, 0xffffffff, 1) .. "ABC\0",
      string.pack("<I4I4I4", 0xffffffff, 4, 1) .. "ABC\0", string.pack("<I4I4I4", 4, 5, 1)
      .. "ABC\0data"} do
      local dump = open(with_notes(good .. bad))
      local names = {}
      assert.error_matches(function()
        for n in dump:notes() do
          names[#names + 1] = n.name
        end
      end, ("test.gcore: offset %d: a note"):format(64 + 56 + #good), 1, true)
      assert.are.same({"A"}, names)
    end
  end)

  it("ignores padding at the end of a note segment", function()
    local dump = open(with_notes(note("A\0", 1, "x") .. "\0\0\0\0", "short", note("B\0", 2, "y")))
    assert.are.same({"A", "B"}, collect(dump:notes(), function(n) return n.name end))
  end)

  it("lists notes with NULs in their names", function()
    local names = {"a\0b\0\0", ("\0"):rep(65000) .. "x", "\0\0\0"}
    local bytes = ""
    for _, name in ipairs(names) do
      bytes = bytes .. note(name, 1, "")
    end
    assert.are.same({"a\0b", names[2], ""}, collect(open(with_notes(bytes)):notes(), function(n)
      return n.name
    end))
  end)

  -- A file with memory, then the sections' data and names, then the section headers.
  local function with_sections(sections, header)
    local names, data = "\0", "memory"
    local at = 64 + 56
    local headers = {writer.section_header {}}
    for _, section in ipairs(sections) do
      headers[#headers + 1] = writer.section_header {name = #names, type = section.type or 1,
        offset = section.offset or at + #data, size = section.size or #section.bytes,
        addr = section.addr}
      names = names .. section.name .. "\0"
      data = data .. (section.bytes or "")
    end
    headers[#headers + 1] = writer.section_header {name = #names, type = 3,
      offset = at + #data, size = #names + 10}
    data = data .. names .. ".shstrtab\0"
    local fields = {machine = 183, phnum = 1, shoff = at + #data, shnum = #headers,
      shstrndx = #headers - 1}
    for name, value in pairs(header or {}) do
      fields[name] = value
    end
    return writer.header(fields) .. writer.program_header {paddr = 0x1000, offset = at, filesz = 6}
      .. data .. table.concat(headers)
  end

  local two = {{name = ".note", bytes = "some text"}, {name = ".bss", type = 8, size = 1 << 40}}

  it("lists and reads sections", function()
    local dump = open(with_sections(two))
    assert.are.same({"0  ", "1 .note some text", "2 .bss ",
      "3 .shstrtab \0.note\0.bss\0.shstrtab\0"}, collect(dump:sections(), function(s)
      return ("%d %s %s"):format(s.index, s.name, s:read())
    end))
    assert.are.equal("memory", dump:read(0x1000, 6))
    for s in dump:sections() do
      if s.name == ".bss" then
        assert.are.same({1 << 40, 0}, {s.size, s.filesz})
        assert.matches("^section 2 .bss: type 8, 0 bytes at offset %d+$", tostring(s))
      end
    end
  end)

  it("may have no sections", function()
    for _, header in ipairs {{}, {shnum = 1}} do
      for _ in open(writer.small {header = header}):sections() do
        error("a section in a dump without sections")
      end
    end
  end)

  it("reports invalid section headers and sizes", function()
    local dump = open(with_sections {{name = "a", offset = 1 << 40, size = 4},
      {name = "b", offset = -1, size = -1}, {name = "c", offset = 0, size = 1 << 33}})
    local codes = {}
    for s in dump:sections() do
      codes[#codes + 1] = select(3, s:read()) or "fine"
    end
    assert.are.same({"fine", "truncated", "too_large", "too_large", "fine"}, codes)
    for _, case in ipairs {{{shoff = 1 << 40, shnum = 2}, "truncated"}, {{shoff = -1}, "truncated"},
      {{shnum = 0, shoff = 1 << 40}, "truncated"}, {{shstrndx = 7}, "truncated"},
      {{shstrndx = 0xffff}, nil}, {{shstrndx = 2}, nil}, {{shoff = 3, shnum = 4}, nil}} do
      dump = open(with_sections(two, case[1]))
      local ok, message = pcall(function()
        for _ in dump:sections() do end
      end)
      assert.are.equal(case[2] == nil, ok, message)
      assert.are.equal("memory", dump:read(0x1000, 6))
    end
  end)
end)
