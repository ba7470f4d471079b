-- Symbols of a file, as arrays of addresses, names and sizes, sorted by address.

local Symbols = require "qvm.guest.symbols"

local symbol_table = {}

-- Bounds, as of csrc/core/guest/kallsyms.h: real kernels have up to 300000 symbols, with names
-- of 20 bytes on average.
symbol_table.COUNT_MAX, symbol_table.NAMES_MAX = 3 << 17, 16 << 20

-- Addresses are unsigned: with the highest bit inverted they compare like Lua integers.
local SIGN = math.mininteger

-- keys: addresses with the highest bit inverted; names; sizes (0: unknown) or nil; is_upper:
-- is the kernel in the upper half of the addresses?; by_name: see index_of.
local Table = {}
Table.__index = Table

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
  local size, keys = self.sizes and self.sizes[index], self.keys
  if size and size ~= 0 then
    return size
  end
  local key = keys[index]
  local following = key ~= math.maxinteger and keys[first_from(keys, key + 1)]
  return following and following - key or nil
end

-- The name of the symbol that contains an address, the offset into it, and its size; nil.
function Table:at(address)
  local keys, key = self.keys, address ~ SIGN
  local index = last_before(keys, key)
  if index == 0 or self.is_upper and keys[index] < 0 then
    return nil
  end
  local offset, size = key - keys[index], size_of(self, index)
  if size and offset >= 0 and offset < size then
    return self.names[index], offset, size
  end
  return nil
end

-- Indices by name, of the lowest symbol of each. Made on first use.
local function index_of(self)
  local names, by_name = self.names, {}
  for i = #names, 1, -1 do
    by_name[names[i]] = i
  end
  self.by_name = by_name
  return by_name
end

-- The lowest address of a name; nil.
function Table:address(name)
  local index = (self.by_name or index_of(self))[name]
  return index and self.keys[index] ~ SIGN
end

-- The name, address and size (0: unknown) of the symbol of an index, from 0 on; nil after the
-- last.
function Table:get(index)
  local name = self.names[index + 1]
  if name then
    return name, self.keys[index + 1] ~ SIGN, size_of(self, index + 1) or 0
  end
end

-- The permutation that sorts keys; nil if they are sorted.
local function order_of(keys)
  local is_sorted = true
  for i = 2, #keys do
    if keys[i - 1] > keys[i] then
      is_sorted = false
      break
    end
  end
  if is_sorted then
    return nil
  end
  local order = {}
  for i = 1, #keys do
    order[i] = i
  end
  table.sort(order, function(a, b)
    if keys[a] ~= keys[b] then
      return keys[a] < keys[b]
    end
    return a < b
  end)
  return order
end

local function arranged(list, order)
  if not list or not order then
    return list
  end
  local new = {}
  for i, index in ipairs(order) do
    new[i] = list[index]
  end
  return new
end

local function is_upper(addresses)
  local count = 0
  for _, address in ipairs(addresses) do
    count = count + (address < 0 and 1 or 0)
  end
  return 2 * count >= #addresses
end

-- found: arrays of addresses (replaced by the keys), names, and sizes (0: unknown) or nil. The
-- slide is added to the addresses of the kernel's half.
function symbol_table.lookup(found, slide)
  local keys = found.addresses
  local upper = is_upper(keys)
  for i, address in ipairs(keys) do
    keys[i] = (upper and address >= 0 and address or address + slide) ~ SIGN
  end
  local order = order_of(keys)
  return setmetatable({keys = arranged(keys, order), names = arranged(found.names, order),
    sizes = arranged(found.sizes, order), is_upper = upper}, Table)
end

-- found: as above, and skipped. about: from, slide, verified. Returns Symbols.
function symbol_table.new(found, about)
  return Symbols.new(symbol_table.lookup(found, about.slide), {from = about.from,
    slide = about.slide, count = #found.addresses, skipped = found.skipped,
    verified = about.verified})
end

return symbol_table
