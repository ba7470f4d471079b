-- Makes Symbols from arrays of addresses and names.

local Symbols = require "qvm.guest.symbols"

local symbol_table = {}

-- Bounds: real kernels have up to 300000 symbols, with names of 20 bytes on average.
symbol_table.COUNT_MAX, symbol_table.NAMES_MAX = 3 << 17, 16 << 20

-- Addresses are unsigned: with the highest bit inverted they compare like Lua integers.
local SIGN = math.mininteger

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

-- Is the kernel in the upper half of the addresses?
local function is_upper(addresses)
  local count = 0
  for _, address in ipairs(addresses) do
    count = count + (address < 0 and 1 or 0)
  end
  return 2 * count >= #addresses
end

-- found: arrays of addresses (replaced by the keys), names, and sizes (0: unknown) or nil;
-- skipped. about: from, slide, verified. The slide is added to the addresses of the kernel's
-- half.
function symbol_table.new(found, about)
  local keys, slide = found.addresses, about.slide or 0
  local upper = is_upper(keys)
  for i, address in ipairs(keys) do
    keys[i] = (upper and address >= 0 and address or address + slide) ~ SIGN
  end
  local order = order_of(keys)
  return setmetatable({_keys = arranged(keys, order), _names = arranged(found.names, order),
    _sizes = arranged(found.sizes, order), _upper = upper, from = about.from, slide = slide,
    verified = about.verified, count = #keys, skipped = found.skipped or 0}, Symbols)
end

return symbol_table
