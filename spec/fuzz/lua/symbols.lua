-- Symbols from a System.map, an ELF file, or the kernel's own table in memory. The first
-- byte selects which; an input that is an ELF file is used as one. An even byte selects a
-- table in memory: bit 1: big-endian; bits 3:2: its format; bit 4: the memory is repeated.

local expect = require "expect"
local fuzz = require "fuzz"
local kallsyms = require "qvm.guest.kallsyms"
local qvm = require "qvm"
local symbol_file = require "qvm.guest.symbol_file"
local symbol_table = require "qvm.guest.symbol_table"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"
local writer = require "support.dumpwriter"

local INFO = vmcoreinfo.parse("SYMBOL(_stext)=ffffffff9aa00000\nSYMBOL(prb)=1\n"
  .. "BUILD-ID=0a0b\nKERNELOFFSET=1000\n", "a test")

-- Lower limits, so that small inputs reach them.
symbol_table.COUNT_MAX, symbol_table.NAMES_MAX = 1 << 10, 1 << 12

-- Each symbol must be found by name and by address.
local function check(symbols)
  local keys, names = symbols._keys, symbols._names
  assert(symbols.count == #names and symbols.count == #keys and symbols.count > 0)
  assert(symbols.count <= symbol_table.COUNT_MAX and symbols.skipped >= 0)
  expect.escaped(symbols)
  local bytes = 0
  for i, name in ipairs(names) do
    bytes = bytes + #name
    assert(i == 1 or keys[i - 1] <= keys[i])
  end
  assert(bytes <= symbol_table.NAMES_MAX)
  for i = 1, math.min(symbols.count, 50) do
    local address = assert(symbols:address(names[i]))
    local found, offset, size = symbols:at(address)
    assert(found == nil or offset == 0 and (size > 0 or math.type(size) == "integer"))
    assert(not found or not math.ult(address, symbols:address(found))) -- or the one before it
    assert(not found or not symbols._upper or address < 0)
  end
  for _, address in ipairs {0, -1, math.maxinteger, math.mininteger} do
    local name, offset, size = symbols:at(address)
    assert(not name or offset >= 0 and offset < size)
  end
end

local BASE, PAGE = 0x1000, 4096

-- A dump's memory as an address space, optionally repeated.
local function space_of(dump, size, is_repeated)
  local space = {}
  local function physical(address)
    if is_repeated and address >= BASE then
      return BASE + (address - BASE) % size
    end
    return address
  end
  for _, name in ipairs {"u32", "u64", "cstring", "array"} do
    space[name] = function(_, address, ...)
      return dump[name](dump, physical(address), ...)
    end
  end
  function space.read(_, address, n)
    if not is_repeated or address < BASE then
      return dump:read(address, n)
    end
    local parts = {}
    while n > 0 do
      local part = math.min(n, PAGE - (address & PAGE - 1))
      parts[#parts + 1] = assert(dump:read(physical(address), part))
      address, n = address + part, n - part
    end
    return table.concat(parts)
  end
  function space.translate(_, address)
    return physical(address)
  end
  return space
end

local forms = {[0] = {"relative_base", "offsets"}, {"offsets"}, {"addresses"},
  {"relative_base", "offsets", "addresses"}}

local function of_memory(kind, bytes)
  local order = kind & 2 == 0 and "<" or ">"
  bytes = bytes .. ("\0"):rep(-#bytes % PAGE) -- it is read by pages
  local file = writer.as(order, 64, function()
    return writer.file {machine = "x86_64", segments = {{paddr = BASE, bytes = bytes}}}
  end)
  local dump = assert(qvm.open(fuzz.file(0, file)))
  local text = {("SYMBOL(kallsyms_num_syms)=%x\n"):format(BASE),
    "SYMBOL(_stext)=ffffffff81000000\n"}
  local function add(name, at)
    text[#text + 1] = ("SYMBOL(kallsyms_%s)=%x\n"):format(name, at)
  end
  local function place(i)
    return BASE + string.unpack(order .. "I2", bytes, 2 * i + 11)
  end
  for i, name in ipairs {"token_index", "token_table", "names"} do
    add(name, place(i + 2))
  end
  for _, name in ipairs(forms[kind >> 2 & 3]) do
    add(name, name == "relative_base" and BASE + 8 or place(6))
  end
  local symbols, problem, code = kallsyms.read(dump, space_of(dump, #bytes, kind & 16 == 16),
    vmcoreinfo.parse(table.concat(text), "a test"))
  if symbols then
    check(symbols)
  else
    assert(type(problem) == "string" and type(code) == "string")
  end
  dump:close()
end

return function(input)
  local kind, bytes = (input:byte() or 0), input:sub(2)
  if kind & 1 == 0 then
    if #bytes >= 24 then
      of_memory(kind, bytes)
    end
    return
  elseif kind == 127 then
    bytes = input
  end
  local path = fuzz.file(0, bytes)
  local info = kind & 2 == 2 and kind ~= 127 and INFO or nil
  local symbols = expect.result(path, symbol_file.read(path, info, "x86_64"))
  if symbols then
    check(symbols)
  end
end
