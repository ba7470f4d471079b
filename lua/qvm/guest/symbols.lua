--- Symbols of a guest's kernel, sorted by address.
-- @classmod qvm.symbols

-- Arrays of addresses, names and sizes, sorted by address. qvm.guest.symbol_table makes them
-- from what qvm.guest.symbol_file or qvm.guest.kallsyms has read.

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local line = require "qvm.util.text"

--- @type Symbols
local Symbols = {__name = "Symbols"}

--- Fields of Symbols.
-- @table Symbols
-- @tfield string from path of the file, or `"kallsyms"`
-- @tfield integer slide bytes by which the kernel was moved from the addresses in the file
-- @tfield integer count number of symbols
-- @tfield integer skipped number of symbols left out because their names are too long
-- @tfield ?"memory"|"build_id"|"addresses" verified how they were verified to be this
-- kernel's: they are in its memory; the file has its build id; their addresses match
-- VMCOREINFO. nil: they were not, because nothing is known of the kernel
-- @usage symbols = assert(dump:symbols "System.map")

-- Addresses are unsigned: with the highest bit inverted they compare like Lua integers.
local SIGN = math.mininteger

Symbols.__tostring = line.tostring("Symbols", function(self)
  return ("%d symbols from %s%s%s%s"):format(self.count, self.from,
    self.slide ~= 0 and (", moved by 0x%x"):format(self.slide) or "",
    self.skipped > 0 and (", %d skipped: their names are too long"):format(self.skipped) or "",
    self.verified and "" or ", not verified: nothing is known of the kernel")
end)

-- The index of the first symbol at or after an address; one past the last if there is none.
-- A binary search, since many symbols may have the same address.
local function first_from(keys, key)
  local low, high = 1, #keys + 1
  while low < high do
    local middle = (low + high) // 2
    if keys[middle] < key then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- The index of the last symbol at or before an address, or 0. If several have that address,
-- it is the first of them, as in the kernel.
local function last_before(keys, key)
  local index = first_from(keys, key)
  if keys[index] == key then
    return index
  end
  return index > 1 and first_from(keys, keys[index - 1]) or 0
end

-- A symbol without a size extends to the next symbol at another address.
local function size_of(self, index)
  local size, keys = self._sizes and self._sizes[index], self._keys
  if size and size ~= 0 then
    return size
  end
  local key = keys[index]
  local following = key ~= math.maxinteger and keys[first_from(keys, key + 1)]
  return following and following - key or nil
end

--- Finds the symbol that contains an address.
--
-- If the kernel is in the upper half of the addresses, symbols in the lower half are not
-- considered: they are offsets of per-CPU variables.
-- @tparam integer address virtual
-- @treturn ?string name; nil if no symbol contains it
-- @treturn ?integer offset into the symbol
-- @treturn ?integer its size in bytes; if it has none, up to the next symbol
-- @usage print(symbols:at(0xffffffff81000000))
function Symbols:at(address)
  check.integer(address, 1, "at")
  if self._upper and address >= 0 then
    return nil
  end
  local key = address ~ SIGN
  local index = last_before(self._keys, key)
  if index == 0 or self._upper and self._keys[index] < 0 then
    return nil
  end
  local offset, size = key - self._keys[index], size_of(self, index)
  if size and offset >= 0 and offset < size then
    return self._names[index], offset, size
  end
end

-- Indices by name, of the lowest symbol of each. Made on first use.
local function index_of(self)
  local names, by_name = self._names, {}
  for i = #names, 1, -1 do
    by_name[names[i]] = i
  end
  self._by_name = by_name
  return by_name
end

--- The address of a symbol.
-- @tparam string name
-- @treturn ?integer virtual address, the lowest if several symbols have that name; nil if
-- there is none
-- @usage print(symbols:address "schedule")
function Symbols:address(name)
  check.string(name, 1, "address")
  local index = (self._by_name or index_of(self))[name]
  return index and self._keys[index] ~ SIGN
end

classes.publish(Symbols)

return Symbols
