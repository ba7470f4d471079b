-- Finds the kernel's table of symbols where VMCOREINFO does not say where it is: Linux before 6.0.
--
-- Its parts follow each other in the kernel's image (scripts/kallsyms.c), each aligned to 8 bytes:
--
--   offsets        32 bits for each symbol, relative to
--   relative_base  64 bits
--   num_syms       the number of symbols
--   names          for each a length and as many tokens
--   markers        the offset in `names` of each 256th name, ascending from 0
--   token_table    256 strings; those of the codes of digits are these digits
--   token_index    the offset in token_table of each string, 16 bits
--
-- The digits are searched for, and the parts around them checked against each other.

local kallsyms_search = {}

local IMAGE = 128 << 20   -- bytes of a kernel's image, at most
local TOKENS, DIGIT = 256, 0x30
local TABLE_MAX = 1 << 16 -- bytes of token_table
local MARKED = 256        -- names from one marker to the next
local NAME_MAX = 130      -- bytes of a name's length and its tokens, before Linux 6.1
local RUN_MAX = MARKED * NAME_MAX -- bytes of their names
local NAMES_MAX = 16 << 20 -- bytes of all names
local MARKERS_MAX = 1536  -- of 3 << 17 symbols
local CANDIDATES = 64     -- places with digits that are looked at

local DIGITS = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0"

local function aligned(address)
  return (address + 7) & ~7
end

-- The token table around a '0' that is code 0x30 in it: its address and that of its index; nil.
local function tokens_around(space, order, zero)
  local bytes = space:read(zero, TABLE_MAX)
  local at = 1
  for _ = DIGIT, TOKENS - 1 do
    at = bytes and bytes:find("\0", at, true)
    if not at then
      return nil
    end
    at = at + 1
  end
  local index_at = aligned(zero + at - 1)
  local index = space:read(index_at, 2 * TOKENS)
  local offsets = index and {string.unpack(order .. ("I2"):rep(TOKENS), index)}
  if not offsets or offsets[1] ~= 0 then
    return nil
  end
  for i = 2, TOKENS do
    if offsets[i] <= offsets[i - 1] then
      return nil
    end
  end
  return zero - offsets[DIGIT + 1], index_at
end

-- The markers before an address, of `size` bytes each: their address, an array of them; nil.
local function markers_before(space, order, last, size)
  local bytes = space:read(last - MARKERS_MAX * size, MARKERS_MAX * size)
  if not bytes then
    return nil
  end
  local form, reversed, at = order .. "I" .. size, {}, #bytes - size + 1
  local function word()
    return string.unpack(form, bytes, at)
  end
  if word() == 0 then
    at = at - size -- the gap that aligns what follows
  end
  local before = math.maxinteger
  while at >= 1 do
    local value = word()
    if value >= before or before ~= math.maxinteger and before - value > RUN_MAX
        or value > NAMES_MAX then
      return nil
    end
    reversed[#reversed + 1], before = value, value
    if value == 0 then
      break
    end
    at = at - size
  end
  if before ~= 0 then
    return nil
  end
  local markers = {}
  for i = #reversed, 1, -1 do
    markers[#markers + 1] = reversed[i]
  end
  return last - MARKERS_MAX * size + at - 1, markers
end

-- Does the first marked run of names end where its marker says?
local function is_marked(bytes, at, expected)
  local first = at
  for _ = 1, MARKED do
    local length = bytes:byte(at)
    if not length then
      return false
    end
    at = at + 1 + length
  end
  return at - first == expected
end

-- The names before their markers: their address and number; nil. The number of symbols is 8
-- bytes before them. All that is read is where they can begin, and as far as the first marked run
-- can end.
local function names_before(space, order, last, markers)
  local size = markers[#markers] + RUN_MAX
  local bytes = #markers >= 2 and space:read(last - size, math.min(size, 2 * RUN_MAX))
  if not bytes then
    return nil
  end
  for start = last - markers[#markers] & ~7, last - size + 8, -8 do
    local at = start - (last - size) + 1
    local count = string.unpack(order .. "I4", bytes, at - 8)
    if count > MARKED * (#markers - 1) and count <= MARKED * #markers
        and is_marked(bytes, at, markers[2]) then
      return start, count
    end
  end
end

-- The addresses of the parts, by their names as symbols, if they are around a '0'; nil.
local function parts_around(space, order, zero)
  local token_table, token_index = tokens_around(space, order, zero)
  for _, size in ipairs(token_table and {4, 8} or {}) do -- 8 bytes before Linux 4.20
    local at, markers = markers_before(space, order, token_table & ~7, size)
    local names, count
    if at then
      names, count = names_before(space, order, at & ~7, markers)
    end
    if names then
      return {kallsyms_token_table = token_table, kallsyms_token_index = token_index,
        kallsyms_names = names, kallsyms_num_syms = names - 8,
        kallsyms_relative_base = names - 16,
        kallsyms_offsets = names - 16 - aligned(4 * count)}
    end
  end
end

-- Where the parts of the table are, by their names as symbols; nil if they were not found.
-- first: where the kernel's code begins.
function kallsyms_search.locate(space, byteorder, first)
  local order, looked = byteorder == "big" and ">" or "<", 0
  for zero in space:find(DIGITS, {from = first, to = first + IMAGE}) do
    looked = looked + 1
    local parts = parts_around(space, order, zero)
    if parts or looked == CANDIDATES then
      return parts
    end
  end
end

return kallsyms_search
