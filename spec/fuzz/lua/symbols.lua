-- Symbols of a file: of a System.map or an ELF file. Bit 1 of the first byte: the kernel is
-- known. An input that is an ELF file has no such byte.

local expect = require "expect"
local fuzz = require "fuzz"
local symbol_file = require "qvm.guest.symbol_file"
local symbol_table = require "qvm.guest.symbol_table"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"

local INFO = vmcoreinfo.parse("SYMBOL(_stext)=ffffffff9aa00000\nSYMBOL(prb)=1\n"
  .. "BUILD-ID=0a0b\nKERNELOFFSET=1000\n", "a test")

-- Lower limits, so that small inputs reach them.
symbol_table.COUNT_MAX, symbol_table.NAMES_MAX = 1 << 10, 1 << 12

-- Each symbol must be found by name and by address.
local function check(symbols)
  local keys, names = symbols._table.keys, symbols._table.names
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
    assert(not found or not symbols._table.is_upper or address < 0)
  end
  for _, address in ipairs {0, -1, math.maxinteger, math.mininteger} do
    local name, offset, size = symbols:at(address)
    assert(not name or offset >= 0 and offset < size)
  end
end

return function(input)
  local kind, bytes = (input:byte() or 0), input:sub(2)
  if kind == 127 then
    bytes = input
  end
  local path = fuzz.file(0, bytes)
  local info = kind & 2 == 2 and kind ~= 127 and INFO or nil
  local symbols = expect.result(path, symbol_file.read(path, info, "x86_64"))
  if symbols then
    check(symbols)
  end
end
