-- Symbols: of a System.map, of an ELF file, of the kernel's own table in memory. The first
-- byte tells which; an input that is an ELF file is one.

local expect = require "expect"
local fuzz = require "fuzz"
local qvm = require "qvm"
local Symbols = require "qvm.guest.symbols"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"
local writer = require "support.dumpwriter"

local INFO = vmcoreinfo.parse("SYMBOL(_stext)=ffffffff9aa00000\nSYMBOL(prb)=1\n", "a test")

-- Each is found by its own name, and at its own address.
local function check(symbols)
  assert(symbols.count == #symbols._names and symbols.count > 0)
  expect.harmless(symbols)
  for i = 1, math.min(symbols.count, 50) do
    local name = symbols._names[i]
    local address = assert(symbols:address(name))
    local found, offset, size = symbols:at(address)
    assert(found == nil or offset == 0 and (size > 0 or math.type(size) == "integer"))
    assert(not found or not math.ult(address, symbols:address(found))) -- or one before it
    assert(i == 1 or symbols._keys[i - 1] <= symbols._keys[i])
  end
  for _, address in ipairs {0, -1, math.maxinteger, math.mininteger} do
    local name, offset, size = symbols:at(address)
    assert(not name or offset >= 0 and offset < size)
  end
end

local function of_memory(bytes, order)
  bytes = bytes .. ("\0"):rep(-#bytes % 4096) -- it is read by pages
  local file = writer.as(order, 64, function()
    return writer.file {machine = "x86_64", segments = {{paddr = 0x1000, bytes = bytes}}}
  end)
  local path = fuzz.file(0, file)
  local dump = assert(qvm.open(path))
  local text = ""
  for i, name in ipairs {"num_syms", "relative_base", "token_index", "token_table", "names",
    "offsets"} do
    local at = i < 3 and 0x1000 + 8 * (i - 1) or 0x1000 + string.unpack(order .. "I2",
      bytes, 2 * i + 11)
    text = text .. ("SYMBOL(kallsyms_%s)=%x\n"):format(name, at)
  end
  local symbols, problem = Symbols.from_memory(dump,
    vmcoreinfo.parse(text .. "SYMBOL(_stext)=ffffffff81000000\n", "a test"))
  if symbols then
    check(symbols)
  else
    assert(type(problem) == "string")
  end
  dump:close()
end

return function(input)
  local kind, bytes = (input:byte() or 0), input:sub(2)
  if kind == 0 or kind == 2 then
    if #bytes >= 24 then
      of_memory(bytes, kind == 0 and "<" or ">")
    end
    return
  elseif kind == 127 then
    bytes = input
  end
  local path = fuzz.file(0, bytes)
  local symbols = expect.result(path, Symbols.from_file(path, kind == 3 and INFO or nil))
  if symbols then
    check(symbols)
  end
end
