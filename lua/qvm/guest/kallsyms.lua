-- The symbol table in the memory of a Linux kernel (kallsyms). VMCOREINFO locates it (Linux
-- 6.0 and later).

local symbol_table = require "qvm.guest.symbol_table"

local kallsyms = {}

local NAME_MAX = 512 -- KSYM_NAME_LEN of the kernel
local PAGE, PIECE = 4096, 1 << 16

local FORM = "its table of symbols (kallsyms) is not in the dump, or has an unknown form"

-- The tokens that names are composed of, by the byte that stands for each.
local function tokens(space, symbols)
  local index = space:array(symbols.kallsyms_token_index, "u16", 256)
  local list = {}
  for i = 1, index and 256 or 0 do
    local token = space:cstring(symbols.kallsyms_token_table + index[i], NAME_MAX)
    if not token then
      return nil
    end
    list[string.char(i - 1)] = token
  end
  return index and list
end

-- A stream of virtual memory: next() returns bytes, or nil at the end of what can be read. It
-- ends at memory that it has read before through other pages, since a table that is mapped
-- repeatedly would have no end; then `is_repeated` is true.
local function stream_of(space, address)
  local stream, seen = {is_repeated = false}, {}
  local function is_new(size)
    local pages = {}
    for at = address & -PAGE, address + size - 1, PAGE do
      local physical = space:translate(at)
      if not physical or seen[physical] or pages[physical] then
        stream.is_repeated = physical ~= nil
        return false
      end
      pages[physical] = true
    end
    for physical in pairs(pages) do
      seen[physical] = true
    end
    return true
  end
  -- Pieces end at page boundaries, so that each page is checked once.
  function stream.next()
    for _, size in ipairs {PIECE, PAGE} do
      size = size - (address & PAGE - 1)
      local bytes = space:read(address, size)
      if bytes and is_new(size) then
        address = address + size
        return bytes
      end
    end
  end
  return stream
end

-- Decodes the names: each is a length of one byte, or of two if the first is above 127, and as
-- many bytes that stand for tokens. The first letter is the type of the symbol. nil, and
-- "end" if the memory ends, or "too_large".
local function names_of(stream, count, parts)
  local names, bytes, at, total = {}, "", 1, 0
  for i = 1, count do
    if #bytes - at < 2 * NAME_MAX then
      bytes, at = bytes:sub(at) .. (stream.next() or ""), 1
    end
    local length = bytes:byte(at) or 1
    at = at + 1
    if length > 127 then
      length = length & 127 | (bytes:byte(at) or 0) << 7
      at = at + 1
    end
    if length == 0 or length > NAME_MAX then
      return nil
    elseif at + length - 1 > #bytes then
      return nil, "end"
    end
    local name = bytes:sub(at, at + length - 1):gsub(".", parts)
    at, total = at + length, total + #name
    if #name > NAME_MAX then
      return nil
    elseif total > symbol_table.NAMES_MAX then
      return nil, "too_large"
    end
    names[i] = name:sub(2)
  end
  return names
end

-- Decodes a table of numbers; form: as for string.unpack.
local function numbers_of(stream, count, form)
  local list, size, rest = {}, string.packsize(form), ""
  while #list < count do
    local bytes = stream.next()
    if not bytes then
      return nil
    end
    rest = rest .. bytes
    local at, n = 1, #list
    while n < count and #rest - at + 1 >= size do
      n = n + 1
      list[n], at = string.unpack(form, rest, at)
    end
    rest = rest:sub(at)
  end
  return list
end

-- Makes an address of a number in the table. `from`: for 7.0 and later the address of the
-- table, before that the base address.
local ways = {
  -- 7.0 and later: relative to the entry's own address.
  {needs = "offsets", lacks = "relative_base", make = function(offset, i, from)
    return from + 4 * (i - 1) + offset
  end},
  {needs = "relative_base", make = function(offset, _, from)
    return from + (offset & 0xffffffff)
  end},
  -- Offsets of per-CPU variables are kept as they are; the others are negative.
  {needs = "relative_base", make = function(offset, _, from)
    return offset >= 0 and offset or from - 1 - offset
  end},
  {needs = "addresses", make = function(address)
    return address
  end},
}

-- The address of the table of addresses, the form of its numbers, and their base; nil, what is
-- missing.
local function table_of(dump, space, symbols)
  local order = dump.byteorder == "big" and ">" or "<"
  if not symbols.kallsyms_offsets then
    if symbols.kallsyms_addresses then
      return symbols.kallsyms_addresses, order .. "i" .. dump.bits // 8, 0
    end
    return nil, "VMCOREINFO has no SYMBOL(kallsyms_offsets)"
  end
  local base = symbols.kallsyms_offsets
  if symbols.kallsyms_relative_base then
    base = dump.bits == 64 and space:u64(symbols.kallsyms_relative_base)
      or space:u32(symbols.kallsyms_relative_base)
  end
  return base and symbols.kallsyms_offsets, base and order .. "i4" or FORM, base
end

-- Turns numbers into addresses, in place, by the way that gives `_stext` its address.
local function make_addresses(list, names, from, symbols)
  local stext
  for i, name in ipairs(names) do
    if name == "_stext" then
      stext = i
      break
    end
  end
  for _, way in ipairs(stext and ways or {}) do
    if symbols["kallsyms_" .. way.needs] and not (way.lacks and symbols["kallsyms_" .. way.lacks])
        and way.make(list[stext], stext, from) == symbols._stext then
      for i = 1, #list do
        list[i] = way.make(list[i], i, from)
      end
      return list
    end
  end
end

-- nil, why a table cannot be read, code.
local function problem_of(stream, code)
  if code == "end" and stream.is_repeated then
    return nil, "its table of symbols (kallsyms) is mapped to the same memory again and again",
      "malformed"
  elseif code == "too_large" then
    return nil, ("its symbols (kallsyms) have names of more than %d MiB"):format(
      symbol_table.NAMES_MAX >> 20), code
  end
  return nil, FORM, "not_found"
end

-- The kernel's symbols; nil, what is wrong, code. info: VMCOREINFO.
function kallsyms.read(dump, space, info)
  local symbols = info.symbols
  for _, name in ipairs {"kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table",
    "kallsyms_token_index", "_stext"} do
    if not symbols[name] then
      return nil, "VMCOREINFO has no SYMBOL(" .. name .. ")", "not_found"
    end
  end
  local at, form, from = table_of(dump, space, symbols)
  if not at then
    return nil, form, "not_found"
  end
  local count, parts = space:u32(symbols.kallsyms_num_syms), tokens(space, symbols)
  if not count or not parts then
    return nil, FORM, "not_found"
  elseif count > symbol_table.COUNT_MAX then
    return nil, ("its table of symbols (kallsyms) has %d of them, more than %d"):format(count,
      symbol_table.COUNT_MAX), "too_large"
  end
  local stream = stream_of(space, symbols.kallsyms_names)
  local names, code = names_of(stream, count, parts)
  if not names then
    return problem_of(stream, code)
  end
  stream = stream_of(space, at)
  local list = numbers_of(stream, count, form)
  if not list then
    return problem_of(stream, "end")
  end
  local addresses = make_addresses(list, names, from, symbols)
  if not addresses then
    return nil, FORM, "not_found"
  end
  return symbol_table.new({addresses = addresses, names = names},
    {from = "kallsyms", verified = "memory"})
end

return kallsyms
