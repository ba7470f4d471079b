--- Symbols of a guest's kernel, sorted by address.
-- @classmod qvm.symbols

-- From a System.map, from the symbol table of an ELF file, or from the kernel's own
-- table in its memory.

local core = require "qvm.core"
local failure = require "qvm.util.errors"
local line = require "qvm.util.text"
local methods_of = require "qvm.util.methods"

--- @type Symbols
local Symbols = {__name = "Symbols"}

--- What Symbols hold.
-- @table Symbols
-- @tfield string from the file's path, or `"kallsyms"`
-- @tfield integer slide bytes by which the kernel was moved from where the file says
-- @tfield integer count how many
-- @usage symbols = assert(dump:symbols "System.map")

-- Addresses are unsigned: with the highest bit turned they compare as Lua compares.
local SIGN = math.mininteger

Symbols.__tostring = line.tostring("Symbols", function(self)
  return ("%d symbols from %s%s"):format(self.count, self.from,
    self.slide ~= 0 and (", moved by 0x%x"):format(self.slide) or "")
end)

-- The index of the first symbol at or behind an address; behind the last where all are
-- before it. By halves, as millions may have one address.
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

-- A symbol without a size goes to the next one that begins elsewhere.
local function size_of(self, index)
  local size, keys = self._sizes[index], self._keys
  if size and size ~= 0 then
    return size
  end
  local key = keys[index]
  local following = key ~= math.maxinteger and keys[first_from(keys, key + 1)]
  return following and following - key or nil
end

--- The symbol that an address belongs to.
-- @tparam integer address virtual
-- @treturn ?string name; nil where it belongs to none
-- @treturn ?integer bytes into it
-- @treturn ?integer its size in bytes; up to the next symbol where it has none
-- @usage print(symbols:at(0xffffffff81000000))
function Symbols:at(address)
  local index = last_before(self._keys, address ~ SIGN)
  if index == 0 then
    return nil
  end
  local offset, size = (address ~ SIGN) - self._keys[index], size_of(self, index)
  if size and offset >= 0 and offset < size then
    return self._names[index], offset, size
  end
end

--- The address of a symbol.
-- @tparam string name
-- @treturn ?integer virtual address, of several of that name the lowest; nil where there
-- is none
-- @usage print(symbols:address "schedule")
function Symbols:address(name)
  local index = self._by_name[name]
  return index and self._keys[index] ~ SIGN
end

-- Marks of where code and data begin (ELF for the Arm 64-bit Architecture, "Mapping
-- symbols"): no names of anything.
local function is_mark(name)
  return name:find("^%$[adtx]$") or name:find("^%$[adtx]%.")
end

local function has_names(found)
  for _, name in ipairs(found.names) do
    if not is_mark(name) then
      return true
    end
  end
  return false
end

-- found: arrays of addresses, names, sizes (0: not known). slide is added to them.
local function build(found, from, slide)
  local order, keys = {}, {}
  for i, address in ipairs(found.addresses) do
    if not is_mark(found.names[i]) then
      order[#order + 1], keys[i] = i, address + slide ~ SIGN
    end
  end
  table.sort(order, function(a, b)
    if keys[a] ~= keys[b] then
      return keys[a] < keys[b]
    end
    return a < b
  end)
  local self = setmetatable({_keys = {}, _names = {}, _sizes = {}, _by_name = {}, from = from,
    slide = slide, count = #order}, Symbols)
  for i, index in ipairs(order) do
    local name = found.names[index]
    self._keys[i], self._names[i], self._sizes[i] = keys[index], name, found.sizes[index]
    self._by_name[name] = self._by_name[name] or i
  end
  return self
end

-- How far the kernel was moved from where its file says: by the symbols that
-- VMCOREINFO has, which must agree. nil, what is wrong.
local function slide_of(found, info)
  local address_of, slide, name_of = {}, nil, nil
  for i, name in ipairs(found.names) do
    address_of[name] = address_of[name] or found.addresses[i]
  end
  for _, name in ipairs {"_stext", "swapper_pg_dir", "init_uts_ns", "prb"} do
    local here, there = info.symbols[name], address_of[name]
    if here and there then
      if slide and here - there ~= slide then
        return nil, ("of another kernel: by %s it was moved by 0x%x, by %s by 0x%x"):format(
          name_of, slide, name, here - there)
      end
      slide, name_of = here - there, name
    end
  end
  return slide or 0
end

-- System.map -------------------------------------------------------------------------

-- "ffffffff81000000 T _stext"
local function parse_map(text)
  local found = {addresses = {}, names = {}, sizes = {}}
  -- Anchored: else many digits are tried from each of them on.
  for one in text:gmatch("[^\n]+") do
    local digits, name = one:match("^[ \t]*(%x+) [A-Za-z?] ([^ \t\r\n]+)")
    if digits and #digits <= 16 then
      local i = #found.names + 1
      found.addresses[i], found.names[i], found.sizes[i] = tonumber(digits, 16), name, 0
    end
  end
  return found
end

-- ELF ----------------------------------------------------------------------------------

local SHT_SYMTAB, SHT_DYNSYM = 2, 11
local STT_FILE, STT_SECTION = 4, 3
local SYMBOL_BYTES_MAX = 1 << 30

-- Reads at an offset; reads as file:read does; what the first failure was, once there is
-- one.
local function reader(file, size)
  local failed = {}
  local function take(what)
    local bytes, message, number = file:read(what)
    if not bytes and message and not failed.message then
      failed.message, failed.number = message, number
    end
    return bytes
  end
  return function(offset, n)
    if offset < 0 or n < 0 or offset > size or n > size - offset or n > SYMBOL_BYTES_MAX then
      return nil
    end
    file:seek("set", offset)
    local bytes = take(n)
    return (n == 0 or bytes and #bytes == n) and (bytes or "") or nil
  end, take, failed
end

-- By the ELF class: bytes of the header, where in it the section headers' offset is
-- and their size and count; formats of those and of symbols, and which values of a
-- symbol are which.
local forms = {
  {head = 52, word = "I4", offset_at = 32, count_at = 46, section = "I4I4I4I4I4I4I4I4I4I4",
    symbol = "I4I4I4BBI2", order = {name = 1, value = 2, size = 3, info = 4, section = 6}},
  {head = 64, word = "i8", offset_at = 40, count_at = 58, section = "I4I4i8i8i8i8I4I4i8i8",
    symbol = "I4BBI2i8i8", order = {name = 1, info = 2, section = 4, value = 5, size = 6}},
}

-- All sections: type, offset, size, link.
local function sections(read)
  local form = forms[(read(4, 1) or ""):byte()]
  local head = form and read(0, form.head)
  if not head then
    return nil
  end
  local order = head:byte(6) == 2 and ">" or "<"
  local start = string.unpack(order .. form.word, head, form.offset_at + 1)
  local entry_size, count = string.unpack(order .. "I2I2", head, form.count_at + 1)
  local list, size = {}, string.packsize(order .. form.section)
  local bytes = entry_size == size and read(start, size * count)
  for i = 0, bytes and count - 1 or -1 do
    local s = {string.unpack(order .. form.section, bytes, i * size + 1)}
    list[i] = {type = s[2], offset = s[5], size = s[6], link = s[7]}
  end
  return list, form, order
end

local function add_symbols(found, read, section, names, form, order)
  local size, at = string.packsize(order .. form.symbol), form.order
  local bytes, text = read(section.offset, section.size), read(names.offset, names.size)
  for i = 1, bytes and text and #bytes - size + 1 or 0, size do
    local s = {string.unpack(order .. form.symbol, bytes, i)}
    local kind = s[at.info] & 15
    local name = kind ~= STT_FILE and kind ~= STT_SECTION and s[at.section] ~= 0
      and s[at.name] < #text and text:match("^[^%z]+", s[at.name] + 1)
    if name then
      local n = #found.names + 1
      found.addresses[n], found.names[n], found.sizes[n] = s[at.value], name, s[at.size]
    end
  end
end

local function parse_elf(read)
  local list, form, order = sections(read)
  local found = {addresses = {}, names = {}, sizes = {}}
  for _, kind in ipairs {SHT_SYMTAB, SHT_DYNSYM} do
    for i = 0, list and #list or -1 do
      local section = list[i]
      local names = section and section.type == kind and list[section.link]
      if names then
        add_symbols(found, read, section, names, form, order)
      end
    end
    if #found.names > 0 then
      break
    end
  end
  return found
end

-- A file's symbols, moved as VMCOREINFO (or nil) tells; nil, message, code.
function Symbols.from_file(path, info)
  local file <close>, message, code = core.open_file(path)
  if not file then
    return nil, message, code
  end
  local size = file:seek("end")
  local read, take, failed = reader(file, size or 0)
  local found
  if read(0, 4) == "\127ELF" then
    found = parse_elf(read)
  else
    file:seek("set", 0)
    found = parse_map(take("a") or "")
  end
  if failed.message then
    return failure.of(path .. ": " .. failed.message, failed.number)
  end
  if not has_names(found) then
    return nil, path .. ": no symbols: neither a System.map nor an ELF file with a symbol table",
      "malformed"
  end
  local slide, problem = 0, nil
  if info then
    slide, problem = slide_of(found, info)
  end
  if not slide then
    return nil, path .. ": " .. problem, "malformed"
  end
  return build(found, path, slide)
end

-- The kernel's own table ---------------------------------------------------------------

-- A kernel has some 100000 names of 512 bytes at most (KSYM_NAME_LEN).
local COUNT_MAX, NAME_MAX, NAMES_MAX, PIECE = 1 << 22, 512, 1 << 26, 1 << 16

-- The 256 pieces that names are put together from.
local function tokens(space, info)
  local index = space:array(info.symbols.kallsyms_token_index, "u16", 256)
  local list = {}
  for i = 1, index and 256 or 0 do
    list[i - 1] = space:cstring(info.symbols.kallsyms_token_table + index[i], NAME_MAX)
    if not list[i - 1] then
      return nil
    end
  end
  return index and list
end

-- The names: each a length of one byte, or two if the first is above 127, and as many
-- indices of tokens. The first letter is the kind.
local function names_of(space, info, count, parts)
  local names, bytes, at, address = {}, "", 1, info.symbols.kallsyms_names
  local total = 0
  local function more()
    local left = bytes:sub(at)
    local new = space:read(address, PIECE) or space:read(address, 0x1000 - (address & 0xfff))
    if not new then
      return false
    end
    bytes, at, address = left .. new, 1, address + #new
    return true
  end
  for i = 1, count do
    if #bytes - at < 2 * NAME_MAX and not more() and at > #bytes then
      return nil
    end
    local length = bytes:byte(at) or 0
    at = at + 1
    if length > 127 then
      length = length & 127 | (bytes:byte(at) or 0) << 7
      at = at + 1
    end
    if length == 0 or length > NAME_MAX or at + length - 1 > #bytes then
      return nil
    end
    local letters, size = {}, 0
    for k = 1, length do
      letters[k] = parts[bytes:byte(at + k - 1)]
      size = size + #letters[k]
    end
    at, total = at + length, total + size
    if size > NAME_MAX or total > NAMES_MAX then
      return nil
    end
    names[i] = table.concat(letters):sub(2)
  end
  return names
end

-- An offset is from the base; or, where addresses of processors' own variables are
-- kept as they are, negative ones are: then which it is shows by a symbol.
local function addresses_of(names, offsets, base, stext)
  for _, signed in ipairs {false, true} do
    local list, right = {}, false
    for i, offset in ipairs(offsets) do
      if not signed then
        list[i] = base + (offset & 0xffffffff)
      else
        list[i] = offset >= 0 and offset or base - 1 - offset
      end
      right = right or names[i] == "_stext" and list[i] == stext
    end
    if right then
      return list
    end
  end
end

-- nil, what is missing.
function Symbols.from_memory(space, info)
  for _, name in ipairs {"names", "num_syms", "token_table", "token_index", "offsets",
    "relative_base"} do
    if not info.symbols["kallsyms_" .. name] then
      return nil, "VMCOREINFO has no SYMBOL(kallsyms_" .. name .. ")"
    end
  end
  local count, base = space:u32(info.symbols.kallsyms_num_syms),
    space:u64(info.symbols.kallsyms_relative_base)
  local parts = count and count <= COUNT_MAX and base and tokens(space, info)
  local names = parts and names_of(space, info, count, parts)
  local offsets = names and space:array(info.symbols.kallsyms_offsets, "i32", count)
  local addresses = offsets and addresses_of(names, offsets, base, info.symbols._stext)
  if not addresses then
    return nil, "its table of symbols (kallsyms) is not in the dump, or of a form that is not known"
  end
  local sizes = {}
  for i = 1, count do
    sizes[i] = 0
  end
  return build({addresses = addresses, names = names, sizes = sizes}, "kallsyms", 0)
end

methods_of(Symbols, "from_file", "from_memory")

return Symbols
