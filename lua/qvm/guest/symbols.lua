--- Symbols of a guest's kernel, sorted by address.
-- @classmod qvm.symbols

-- Arrays of addresses, names and sizes in order of the addresses: qvm.symbol_table makes
-- them of what qvm.symbol_file or qvm.kallsyms has read.

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local line = require "qvm.util.text"

--- @type Symbols
local Symbols = {__name = "Symbols"}

--- What Symbols hold.
-- @table Symbols
-- @tfield string from the file's path, or `"kallsyms"`
-- @tfield integer slide bytes by which the kernel was moved from where the file says
-- @tfield integer count how many
-- @tfield integer skipped how many were left out because their names are too long
-- @tfield ?"memory"|"build_id"|"addresses" verified how it is known that they are this
-- kernel's: they are in its memory; the file has its build id; their addresses are those
-- that VMCOREINFO gives. nil: nothing is known of the kernel
-- @usage symbols = assert(dump:symbols "System.map")

-- Addresses are unsigned: with the highest bit turned they compare as Lua compares.
local SIGN = math.mininteger

Symbols.__tostring = line.tostring("Symbols", function(self)
  return ("%d symbols from %s%s%s%s"):format(self.count, self.from,
    self.slide ~= 0 and (", moved by 0x%x"):format(self.slide) or "",
    self.skipped > 0 and (", %d skipped: their names are too long"):format(self.skipped) or "",
    self.verified and "" or ", not verified: nothing is known of the kernel")
end)

-- The index of the first symbol at or after an address; one past the last where all are
-- before it. By halves, as many symbols may have one address.
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

-- The index of the last symbol at or before an address, or 0; of several at one
-- address the first, as the kernel takes it.
local function last_before(keys, key)
  local index = first_from(keys, key)
  if keys[index] == key then
    return index
  end
  return index > 1 and first_from(keys, keys[index - 1]) or 0
end

-- A symbol without a size extends to the next one at another address.
local function size_of(self, index)
  local size, keys = self._sizes and self._sizes[index], self._keys
  if size and size ~= 0 then
    return size
  end
  local key = keys[index]
  local following = key ~= math.maxinteger and keys[first_from(keys, key + 1)]
  return following and following - key or nil
end

--- The symbol that an address belongs to.
--
-- Offsets of per-CPU variables are no addresses: where the kernel is in the upper half of
-- the addresses, symbols in the lower half name nothing.
-- @tparam integer address virtual
-- @treturn ?string name; nil where it belongs to none
-- @treturn ?integer bytes into it
-- @treturn ?integer its size in bytes; up to the next symbol where it has none
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

-- By name: the index of the lowest symbol. Made when it is first needed.
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
-- @treturn ?integer virtual address, of several of that name the lowest; nil where there
-- is none
-- @usage print(symbols:address "schedule")
function Symbols:address(name)
  check.string(name, 1, "address")
  local index = (self._by_name or index_of(self))[name]
  return index and self._keys[index] ~ SIGN
end

classes.publish(Symbols)

return Symbols
