-- Symbols of a file: a System.map, or an ELF file with a symbol table. A file that belongs to
-- another kernel is rejected.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local symbol_table = require "qvm.guest.symbol_table"

local symbol_file = {}

local function too_large(path, what)
  return nil, ("%s: %s; symbols of a kernel are expected"):format(path, what), "too_large"
end

-- Checks the limits after each step. nil, message, code.
local function check_limits(path, found)
  if #found.names > symbol_table.COUNT_MAX then
    return too_large(path, ("more than %d symbols"):format(symbol_table.COUNT_MAX))
  elseif found.name_bytes > symbol_table.NAMES_MAX then
    return too_large(path, ("names of symbols of more than %d MiB"):format(
      symbol_table.NAMES_MAX >> 20))
  end
  return true
end

local NO_SYMBOLS = "no symbols: neither a System.map nor an ELF file with a symbol table"

-- System.map -----------------------------------------------------------------------------

-- CHUNK bytes are read at a time. A line longer than LINE_MAX is skipped.
local CHUNK, LINE_MAX = 1 << 16, 4096

-- Mapping symbols mark where code and data begin (ELF for the Arm 64-bit Architecture); they
-- are not names.
local function is_mark(name)
  return name:byte() == 0x24 and (name:find("^%$[adtx]$") or name:find("^%$[adtx]%."))
end

-- Adds the symbols of complete lines: "ffffffff81000000 T _stext".
local function add_lines(found, text)
  local addresses, names = found.addresses, found.names
  local count, bytes = #names, found.name_bytes
  for one in text:gmatch("[^\n]+") do
    local digits, name = one:match("^%s*(%x+) [%a?] ([^%s]+)")
    if digits and #digits <= 16 and not is_mark(name) then
      count, bytes = count + 1, bytes + #name
      addresses[count], names[count] = tonumber(digits, 16), name
    end
  end
  found.name_bytes = bytes
end

-- Adds the lines that a chunk completes. Returns the start of an incomplete line, and whether
-- the rest of that line is to be skipped.
local function add_chunk(found, chunk, rest, is_skipping)
  if is_skipping then
    local _, first = chunk:find("\n", 1, true)
    if not first then
      return "", true
    end
    chunk = chunk:sub(first + 1)
  end
  local text = rest .. chunk
  local complete = text:match("^.*\n") or ""
  add_lines(found, complete)
  rest = text:sub(#complete + 1)
  if #rest > LINE_MAX then
    found.skipped = found.skipped + 1
    return "", true
  end
  return rest, false
end

-- Reads the whole file; the first chunk must contain a symbol.
local function read_map(file, path)
  local found = {addresses = {}, names = {}, name_bytes = 0, skipped = 0}
  local rest, is_skipping = "", false
  file:seek("set", 0)
  while true do
    local chunk, message, number = file:read(CHUNK)
    if not chunk and message then
      return errors.of_system(path .. ": " .. message, number)
    elseif not chunk then
      break
    end
    rest, is_skipping = add_chunk(found, chunk, rest, is_skipping)
    local ok, why, code = check_limits(path, found)
    if not ok then
      return nil, why, code
    elseif #found.names == 0 and file:seek() >= CHUNK then
      break
    end
  end
  if not is_skipping then
    add_lines(found, rest)
  end
  return found
end

-- ELF --------------------------------------------------------------------------------------

-- Returns the symbols found and what is known of the file; nil, message, code.
local function read_elf(path)
  local file <close>, about, code = core.open_symbols(path)
  if not file then
    return nil, about, code
  end
  local found = {addresses = {}, names = {}, sizes = {}, name_bytes = 0, skipped = 0}
  while true do
    local bytes, skipped, why = core.next_symbols(file, found.addresses, found.names, found.sizes)
    if not bytes and skipped then
      return nil, skipped, why
    elseif not bytes then
      return found, about
    end
    found.name_bytes, found.skipped = found.name_bytes + bytes, skipped
    local ok, message, limit = check_limits(path, found)
    if not ok then
      return nil, message, limit
    end
  end
end

-- Does it belong to the kernel? --------------------------------------------------------------

local function hex_of(bytes)
  return (bytes:gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

-- The addresses of the symbols that VMCOREINFO has, too, by name. SYMBOL(mem_section) is not
-- the symbol's address in every kernel.
local function known_addresses(found, info)
  local known = {}
  for i, name in ipairs(found.names) do
    if info.symbols[name] and name ~= "mem_section" then
      known[name] = known[name] or {}
      table.insert(known[name], found.addresses[i])
    end
  end
  return known
end

-- The name to compare by, which only one symbol has: `_stext`, or else the first.
local function reference_of(known)
  local best
  for name, list in pairs(known) do
    if #list == 1 and (name == "_stext" or best ~= "_stext" and (not best or name < best)) then
      best = name
    end
  end
  return best
end

local function has(list, address)
  for _, one in ipairs(list) do
    if one == address then
      return true
    end
  end
  return false
end

-- How far the kernel was moved from the addresses in its file. All symbols that VMCOREINFO has
-- must agree. Files of Symbols:save and copies of /proc/kallsyms have the addresses in memory,
-- which are not moved. nil, what is wrong.
local function slide_of(found, info)
  local known = known_addresses(found, info)
  local reference = reference_of(known)
  if not reference then
    return nil, "it has none of the symbols that VMCOREINFO gives"
  end
  local slide = info.symbols[reference] - known[reference][1]
  for name, list in pairs(known) do
    if not has(list, info.symbols[name] - slide) then
      return nil, ("by %s it was moved by 0x%x, by %s by 0x%x"):format(reference, slide, name,
        info.symbols[name] - list[1])
    end
  end
  local offset = info.values.KERNELOFFSET or ""
  if slide ~= 0 and offset:find("^%x+$") and #offset <= 16 and tonumber(offset, 16) ~= slide then
    return nil, ("by %s it was moved by 0x%x, by KERNELOFFSET of VMCOREINFO by 0x%s"):format(
      reference, slide, offset)
  end
  return slide
end

-- Returns slide and verified; nil, what is wrong. info: VMCOREINFO, or nil.
local function compare(found, about, info, machine)
  local build_id = info and info.values["BUILD-ID"]
  if about.machine and about.machine ~= machine then
    return nil, ("it is for %s, and the dump is of %s"):format(about.machine, machine)
  elseif about.build_id and build_id and hex_of(about.build_id) ~= build_id:lower() then
    return nil, ("its build id is %s, and the kernel's is %s"):format(hex_of(about.build_id),
      build_id)
  elseif not info or not next(info.symbols) then
    return 0, about.build_id and build_id and "build_id" or nil
  end
  local slide, problem = slide_of(found, info)
  if not slide then
    return nil, problem
  end
  return slide, about.build_id and build_id and "build_id" or "addresses"
end

-- Reads the symbols of a file and moves them as VMCOREINFO (or nil) says; nil, message, code.
function symbol_file.read(path, info, machine)
  local file <close>, message, code = core.open_file(path)
  if not file then
    return nil, message, code
  end
  local magic, problem, number = file:read(4)
  if problem then
    return errors.of_system(path .. ": " .. problem, number)
  end
  local found, about
  if magic == "\127ELF" or magic and magic:find("^\31\139") then
    found, about, code = read_elf(path)
  else
    found, about, code = read_map(file, path)
  end
  if not found then
    return nil, about, code
  elseif #found.names == 0 then
    return nil, path .. ": " .. NO_SYMBOLS, "malformed"
  end
  local slide, verified = compare(found, about or {}, info, machine)
  if not slide then
    return nil, ("%s: not of this kernel: %s"):format(path, verified), "malformed"
  end
  return symbol_table.new(found, {from = path, slide = slide, verified = verified})
end

return symbol_file
