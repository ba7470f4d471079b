-- Writes symbols as an ELF file that debuggers read (System V ABI, chapters 4 and 5; ELF-64).
-- It has no code: the sections that symbols belong to are SHT_NOBITS, for the kernel's code, its
-- data, and its modules, so that a debugger knows functions from data. It says how frames are
-- found, since debuggers cannot read that from the code of a kernel.

local call_frames = require "qvm.guest.call_frames"
local core = require "qvm.core"

local MACHINES = {x86_64 = 62, aarch64 = 183} -- EM_X86_64, EM_AARCH64
local EXECUTABLE, VERSION = 2, 1              -- ET_EXEC, EV_CURRENT
local PROGBITS, SYMTAB, STRTAB, NOBITS = 1, 2, 3, 8 -- SHT_*
local WRITE, ALLOC, EXECUTE = 1, 2, 4         -- SHF_*
local GLOBAL_FUNCTION, GLOBAL_OBJECT = 1 << 4 | 2, 1 << 4 | 1
local ABSOLUTE = 0xfff1                       -- SHN_ABS
local HEADER_SIZE, SECTION_SIZE, SYMBOL_SIZE = 64, 64, 24
local BATCH = 4096                            -- symbols that are packed before they are joined

local TEXT, DATA, MODULES = 1, 2, 3         -- indices of sections
local NAMES = "\0.text\0.data\0.modules\0.symtab\0.strtab\0.debug_frame\0.shstrtab\0"

local function name_at(name)
  return NAMES:find("\0" .. name .. "\0", 1, true)
end

-- Joins the strings of a list, if there are many.
local function flush(list, parts)
  parts[#parts + 1] = table.concat(list)
  return {}
end

-- The symbol table and its strings. place(symbol): its section's index and its info.
local function tables(order, iterator, place)
  local form = order .. "I4BBI2i8I8"
  local entries, texts = {string.pack(form, 0, 0, 0, 0, 0, 0)}, {"\0"}
  local packed, strings, at, count = {}, {}, 1, 0
  for symbol in iterator do
    local section, info = place(symbol)
    entries[#entries + 1] = string.pack(form, at, info, 0, section, symbol.address,
      symbol.size or 0)
    texts[#texts + 1] = symbol.name .. "\0"
    at, count = at + #symbol.name + 1, count + 1
    if #entries == BATCH then
      entries, texts = flush(entries, packed), flush(texts, strings)
    end
  end
  flush(entries, packed)
  flush(texts, strings)
  return table.concat(packed), table.concat(strings), count
end

-- Says where symbols belong: to the code of the kernel, its data, or modules; or nowhere, as
-- offsets of per-CPU variables do. `extents` gets the range of addresses of each section.
local function placer(extents)
  local text = extents[TEXT]
  local function widen(section, symbol)
    local last = symbol.address + (symbol.size or 0)
    local extent = extents[section] or {symbol.address, last}
    extents[section] = extent
    extent[1] = math.ult(symbol.address, extent[1]) and symbol.address or extent[1]
    extent[2] = math.ult(extent[2], last) and last or extent[2]
    return section, section == MODULES and GLOBAL_FUNCTION or GLOBAL_OBJECT
  end
  return function(symbol)
    if symbol.module then
      return widen(MODULES, symbol)
    elseif symbol.address >= 0 then
      return ABSOLUTE, GLOBAL_OBJECT
    elseif math.ult(symbol.address - text[1], text[2] - text[1]) then
      return TEXT, GLOBAL_FUNCTION
    elseif math.ult(symbol.address, text[2]) then
      return ABSOLUTE, GLOBAL_OBJECT
    end
    return widen(DATA, symbol)
  end
end

-- Writes symbols. about: machine, byteorder; first, last: where the kernel's code begins and
-- ends; orc and space: see qvm.guest.call_frames. Returns the number of symbols; nil, message,
-- code.
return function(path, symbols, about)
  local order = about.byteorder == "big" and ">" or "<"
  local extents = {[TEXT] = {about.first, about.last}}
  local entries, strings, count = tables(order, symbols:all(), placer(extents))
  local at = HEADER_SIZE
  local headers, body = {("\0"):rep(SECTION_SIZE)}, {}
  local function section(name, kind, flags, address, bytes, size, link, info, align, entry)
    headers[#headers + 1] = string.pack(order .. "I4I4I8i8I8I8I4I4I8I8", name_at(name), kind, flags,
      address, at, size or #bytes, link, info, align, entry)
    body[#body + 1] = bytes
    at = at + #bytes
  end
  for index, name in ipairs {".text", ".data", ".modules"} do
    local extent = extents[index] or {0, 0}
    section(name, NOBITS, ALLOC | (index == DATA and WRITE or EXECUTE), extent[1], "",
      extent[2] - extent[1], 0, 0, 1, 0)
  end
  section(".symtab", SYMTAB, 0, 0, entries, nil, 5, 1, 8, SYMBOL_SIZE)
  section(".strtab", STRTAB, 0, 0, strings, nil, 0, 0, 1, 0)
  section(".debug_frame", PROGBITS, 0, 0, call_frames.of(about.machine, order,
    {extents[TEXT], extents[MODULES]}, about.orc, about.space), nil, 0, 0, 8, 0)
  section(".shstrtab", STRTAB, 0, 0, NAMES .. ("\0"):rep(-(at + #NAMES) % 8), nil, 0, 0, 1, 0)
  local ident = "\127ELF" .. string.char(2, order == "<" and 1 or 2, VERSION) .. ("\0"):rep(9)
  local header = ident .. string.pack(order .. "I2I2I4I8I8I8I4I2I2I2I2I2I2", EXECUTABLE,
    MACHINES[about.machine], VERSION, 0, 0, at, 0, HEADER_SIZE, 0, 0, SECTION_SIZE, #headers,
    #headers - 1)
  local ok, message, code = core.save(path, header .. table.concat(body) .. table.concat(headers))
  if not ok then
    return nil, message, code
  end
  return count
end
