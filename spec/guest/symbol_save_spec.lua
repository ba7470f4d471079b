-- Symbols written as an ELF file, for gdb and other programs.

local files = require "support.files"
local linux_guest = require "support.linux_guest"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local function guest_of(form)
  local guest = linux_guest.new(form)
  local at = guest.base + (64 << 20)
  guest:module {name = "ext4", base = at, size = 0x2000, symbols = {{"ext4_init", at + 16, 32},
    {"odd\27name", at + 64, 8}}}
  guest:run_queues {guest.idle}
  local dump = guest:finish():open()
  return dump, assert(dump:symbols(files.path "System.map")), guest
end

-- The sections of an ELF file by name, and its header's type and machine.
local function sections_of(bytes)
  assert(bytes:sub(1, 5) == "\127ELF\2")
  local order = bytes:byte(6) == 1 and "<" or ">"
  local kind, machine = string.unpack(order .. "I2I2", bytes, 17)
  local first, _, _, _, _, size, count, names = string.unpack(order .. "I8I4I2I2I2I2I2I2",
    bytes, 41)
  local list, sections = {}, {}
  for i = 0, count - 1 do
    local name, type, flags, address, offset, length, link, info = string.unpack(
      order .. "I4I4I8i8I8I8I4I4", bytes, first + i * size + 1)
    list[i] = {name = name, type = type, flags = flags, address = address, offset = offset,
      size = length, link = link, info = info, index = i,
      bytes = type ~= 8 and bytes:sub(offset + 1, offset + length) or nil}
    assert(type == 8 or offset + length <= #bytes)
  end
  for i = 0, count - 1 do
    sections[list[names].bytes:match("^[^%z]*", list[i].name + 1)] = list[i]
  end
  return sections, kind, machine, order
end

-- The symbols of such a file by name.
local function symbols_of(bytes)
  local sections, _, _, order = sections_of(bytes)
  local table, strings, symbols = sections[".symtab"], sections[".strtab"], {}
  assert(table.link == strings.index and table.info == 1)
  for at = 25, #table.bytes, 24 do
    local name, info, _, section, address, size = string.unpack(order .. "I4BBI2i8I8", table.bytes,
      at)
    symbols[strings.bytes:match("^[^%z]*", name + 1)] = {info = info, section = section,
      address = address, size = size}
  end
  return symbols, sections
end

describe("symbols that are saved", function()
  after_each(files.clean)

  it("are an ELF file of the kernel's machine, with those of modules", function()
    for machine, number in pairs {aarch64 = 183, x86_64 = 62} do
      local _, symbols, guest = guest_of {machine = machine}
      local path = files.path "guest.sym"
      local count = assert(symbols:save(path))
      assert.are.equal(symbols.count + 2, count)
      local bytes = files.read(path)
      local saved, sections = symbols_of(bytes)
      local _, kind, found = sections_of(bytes)
      assert.are.same({2, number}, {kind, found})
      local at = guest.base + (64 << 20)
      local text = sections[".text"]
      assert.are.same({guest.symbols._stext, 0x100, 8}, {text.address, text.size, text.type})
      -- Code is functions, data is objects; an offset of a per-CPU variable is in no section.
      local expected = {
        _stext = {info = 0x12, section = 1, address = guest.symbols._stext, size = 0x100},
        ext4_init = {info = 0x12, section = 3, address = at + 16, size = 32},
        ["odd\27name"] = {info = 0x12, section = 3, address = at + 64, size = 8},
      }
      for name, one in pairs(expected) do
        assert.are.same(one, saved[name], name)
      end
      assert.are.same({0x11, 2, guest.idle}, {saved.init_task.info, saved.init_task.section,
        saved.init_task.address})
      assert.are.same({0xfff1, 0x40}, {saved.runqueues.section, saved.runqueues.address})
      for _, name in ipairs {".data", ".modules"} do
        local section = sections[name]
        for _, symbol in pairs(saved) do
          assert.is_true(symbol.section ~= section.index
            or not math.ult(section.size, symbol.address + symbol.size - section.address))
        end
      end
    end
  end)

  it("are in the dump's byte order", function()
    local _, symbols = guest_of {order = ">"}
    assert(symbols:save(files.path "guest.sym"))
    local bytes = files.read(files.path "guest.sym")
    assert.are.equal(">", select(4, sections_of(bytes)))
    assert.is_truthy(symbols_of(bytes).ext4_init)
  end)

  it("can be read again: the same names at the same addresses", function()
    local dump, symbols, guest = guest_of {}
    assert(symbols:save(files.path "guest.sym"))
    local again = assert(qvm.open(dump.path))
    local read = assert(again:symbols(files.path "guest.sym"))
    assert.are.equal(0, read.slide)
    for _, name in ipairs {"_stext", "init_task", "modules", "ext4_init", "odd\27name"} do
      assert.are.equal(symbols:address(name), read:address(name), name)
    end
    assert.are.equal("_stext+0x5/0x100", again:symbol(guest.symbols._stext + 5))
  end)

  it("are understood by binutils", function()
    if process.run {"sh", "-c", "command -v nm"} ~= 0 then
      pending "nm is not installed"
      return
    end
    local _, symbols, guest = guest_of {machine = "x86_64"}
    assert(symbols:save(files.path "guest.sym"))
    local status, output = process.run {"nm", files.path "guest.sym"}
    assert.are.equal(0, status)
    assert.matches(("%016x T _stext"):format(guest.symbols._stext), output, 1, true)
    assert.matches(("%016x B init_task"):format(guest.idle), output, 1, true)
    assert.matches("T ext4_init", output, 1, true)
  end)

  it("replace the file at once, and leave it when they cannot be written", function()
    local _, symbols = guest_of {}
    files.write("guest.sym", "old")
    assert(symbols:save(files.path "guest.sym"))
    assert.are.equal("\127ELF", files.read(files.path "guest.sym"):sub(1, 4))
    local none, message, code = symbols:save(files.path "no/such/guest.sym")
    assert.is_nil(none)
    assert.are.equal("not_found", code)
    assert.matches("no/such/guest.sym", message, 1, true)
    for _, bad in ipairs {"a\0b", 5, {}} do
      assert.is_false(pcall(symbols.save, symbols, bad))
    end
  end)

  it("need the ends of the kernel's code, and a machine that is known", function()
    local guest = linux_guest.new()
    guest.symbols._etext = nil
    local dump = guest:finish():open()
    local none, message, code = dump:symbols(files.path "System.map"):save(files.path "x.sym")
    assert.is_nil(none)
    assert.are.equal("unsupported", code)
    assert.matches("_stext and _etext", message)
    local other = assert(qvm.open(files.write("arm.gcore", writer.small {machine = "arm"})))
    local map = files.write("arm.map", "80000000 T _stext\n80001000 T _etext\n")
    assert.are.equal("unsupported", select(3, assert(other:symbols(map)):save(
      files.path "x.sym")))
    assert.is_false(files.exists(files.path "x.sym"))
  end)
end)
