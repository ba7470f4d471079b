-- Addresses as arguments of public functions: an integer, or a symbol of the guest's kernel,
-- "schedule" or "schedule+0x10". In a Space it stands for the symbol's virtual address, in a
-- Dump for the physical address to which the kernel's page tables map it.

local check = require "qvm.util.arguments"
local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

local address = {}

-- Splits a symbol into its name and an offset. Raises if it is not a symbol.
local function parse(text)
  if tonumber(text) then
    errors.raise(("an address is an integer or a symbol, not a number in a string: %q")
      :format(text))
  end
  local name, offset = text:match("^(.+)%+(0[xX]%x+)$")
  if not name then
    name, offset = text:match("^(.+)%+(%d+)$")
  end
  local bytes = offset and tonumber(offset)
  if text == "" or offset and (math.type(bytes) ~= "integer" or #offset > 18) then
    errors.raise(("bad symbol %q (\"name\" or \"name+0x10\" expected)"):format(text))
  end
  return name or text, bytes or 0
end

local function resolve(memory, text)
  local name, offset = parse(text)
  local dump = memory.dump or memory
  if not core.dump.is_open(dump) then
    return nil, "the dump is closed", "gone"
  end
  local virtual, message, code = dump:address(name)
  if not virtual then
    return nil, message, code
  elseif math.ult(virtual + offset, virtual) then
    return nil, ('%s: "%s" is beyond the end of the address space'):format(dump.path,
      line.field(text)), "unmapped"
  elseif memory.dump then
    return virtual + offset
  end
  local space
  space, message, code = dump:kernel_space()
  if not space then
    return nil, message, code
  end
  local physical
  physical, message, code = space:translate(virtual + offset)
  if not physical then
    return nil, message, code
  end
  return physical
end

-- Resolves an address in the memory of a Dump or a Space: an integer, or nil, message, code.
-- It is argument number `index` of the public function `name`.
function address.of(memory, value, index, name)
  if math.type(value) == "integer" then
    return value
  elseif type(value) == "string" then
    return resolve(memory, value)
  end
  check.expected(value, index, name, "integer or symbol")
end

-- Resolves the options from and to, in a copy; nil, message, code. `options` may be nil.
function address.in_options(memory, options)
  local copy = {}
  for key, value in pairs(options or {}) do
    copy[key] = value
  end
  for _, key in ipairs {"from", "to"} do
    if type(copy[key]) == "string" then
      local value, message, code = resolve(memory, copy[key])
      if not value then
        return nil, message, code
      end
      copy[key] = value
    end
  end
  return copy
end

-- Functions of the C module that take addresses call this.
core.resolve_with(resolve)

return address
