--- VMCOREINFO: what a Linux kernel tells of itself.
-- @classmod qvm.vmcoreinfo

-- Lines of KEY=value; most keys say what kind of value it is: SYMBOL(name) is an
-- address in hexadecimal, SIZE, OFFSET and LENGTH are decimal, NUMBER is either.

local core = require "qvm.core"
local line = require "qvm.util.text"

local find_matches = core.dump.matches

local vmcoreinfo = {}

--- @type VmcoreInfo
local Info = {__name = "VmcoreInfo"}

--- What a VmcoreInfo holds.
--
-- Tables are by name.
-- @table VmcoreInfo
-- @tfield string text all of it
-- @tfield string from where it was found
-- @tfield ?string release of the kernel
-- @tfield ?integer page_size bytes
-- @tfield {[string]=integer} symbols addresses
-- @tfield {[string]=integer} sizes bytes
-- @tfield {[string]=integer} offsets bytes
-- @tfield {[string]=integer} lengths of arrays
-- @tfield {[string]=integer} numbers
-- @tfield {[string]=string} values everything else
-- @tfield {string,...} warnings what is wrong with it, or with the note that it replaces
-- @usage info = assert(dump:vmcoreinfo())

Info.__tostring = line.tostring("VMCOREINFO", function(info)
  return ("VMCOREINFO of Linux %s, from %s"):format(
    info.release and line.cut(info.release) or "(no release)", info.from)
end)

local groups = {SYMBOL = "symbols", SIZE = "sizes", OFFSET = "offsets", LENGTH = "lengths",
  NUMBER = "numbers"}

local function hexadecimal(text)
  return text:find("^%x+$") and #text <= 16 and tonumber(text, 16) or nil
end

-- A longer one must not be taken for a decimal number.
local function symbol(text)
  return hexadecimal((text:gsub("^0x", "")))
end

-- Decimal, or with 0x; a number that takes more than 64 bits is none.
local function integer(text)
  if text:find("^0x%x+$") then
    return hexadecimal(text:sub(3))
  end
  local number = text:find("^%-?%d+$") and tonumber(text)
  return math.type(number) == "integer" and number or nil
end

function vmcoreinfo.parse(text, from)
  local info = {text = text, from = from, values = {}, warnings = {}}
  for _, group in pairs(groups) do
    info[group] = {}
  end
  -- Anchored: else a long line without "=" is tried from each of its bytes on.
  for one in text:gmatch("[^\n]+") do
    local key, value = one:match("^([^=]+)=(.*)$")
    local kind, name = (key or ""):match("^([A-Z]+)%((.-)%)$")
    local group = groups[kind]
    if group then
      local parse = kind == "SYMBOL" and symbol or integer
      info[group][name] = parse(value)
    elseif key then
      info.values[key] = value
    end
  end
  info.release = info.values.OSRELEASE
  info.page_size = integer(info.values.PAGESIZE or "")
  return setmetatable(info, Info)
end

-- The text ends at a NUL, or where the note does.
local function text_of(bytes)
  return bytes:match("^%z*([^%z]*)")
end

local SIZE_MAX = 65536 -- bytes of the text: Linux takes a page

-- Notes that are damaged, or missing from a partial dump, are no failure: the text is
-- in memory as well.
local ends = {malformed = true, truncated = true, too_large = true}

-- A note as the kernel writes it: lines, of which the first is the release. nil, what is
-- wrong with it.
local function parse_note(bytes)
  local text, rest = bytes:match("^([^%z]*)(.*)$")
  if not bytes:find("[^%z]") then
    return nil, bytes == "" and "the VMCOREINFO note is empty"
      or ("the VMCOREINFO note is %d zero bytes"):format(#bytes)
  elseif not text:find("^OSRELEASE=[^\n]") or rest:find("[^%z]") then
    return nil, "the VMCOREINFO note is damaged: parts of it are zero, or are no VMCOREINFO"
  elseif text:sub(-1) ~= "\n" then
    return nil, "the VMCOREINFO note is cut: its last line has no end"
  end
  return vmcoreinfo.parse(text, "its note")
end

-- nil, what is wrong, where the dump has a note of no use; with a code, where that could not
-- be found out; nil alone where it has none.
function vmcoreinfo.from_note(dump)
  local notes, message, code = dump:notes()
  local problem
  while notes do
    local note
    note, message, code = notes(true)
    if not note then
      break
    elseif note.name == "VMCOREINFO" then
      local bytes, info
      if note.filesz > SIZE_MAX then
        bytes, problem = nil, ("the VMCOREINFO note has %d bytes"):format(note.filesz)
      else
        bytes, message, code = note:read()
      end
      if bytes then
        info, problem = parse_note(bytes)
      elseif code then
        break
      end
      if info then
        return info
      end
    end
  end
  if code and not ends[code] then
    return nil, message, code
  end
  return nil, problem or code and "the notes are damaged: " .. message
end

local NAME = "VMCOREINFO\0\0"
local HEADER = 12      -- sizes of name and data, type: 4 bytes each, before the name
local FIRST = "OSRELEASE="
-- Memory may be full of what seems to be one.
local NAMES_MAX = 1 << 16 -- names that are looked at
local NOTES_MAX = 64      -- notes that are

-- The kernel keeps the note in its memory as it gives it to whoever writes a dump.
-- With the name alone found, the rest of the note must be there, too.
local function at(dump, address)
  local sizes = dump:array(address - HEADER, "u32", 3)
  if not sizes or sizes[1] ~= 11 or sizes[3] ~= 0 or sizes[2] > SIZE_MAX then
    return nil
  end
  local bytes = dump:read(address + #NAME, #FIRST) == FIRST
    and dump:read(address + #NAME, sizes[2])
  if bytes then
    return vmcoreinfo.parse(text_of(bytes), ("physical address 0x%016x"):format(address - HEADER))
  end
end

-- nil where there is none; nil, message where not all were looked at; nil, message, code
-- where that could not be found out. There may be several: of a crash kernel that is loaded
-- beside, or of a kernel that ran before. is_right(info) tells.
function vmcoreinfo.from_memory(dump, is_right)
  local looked_at, names = 0, 0
  local matches, message, code, closing = find_matches(dump, 0, -1, nil, nil, NAME, 4)
  if not matches then
    return nil, message, code
  end
  local _ <close> = closing
  while looked_at < NOTES_MAX and names < NAMES_MAX do
    local address
    address, message, code = matches()
    if not address then
      return nil, message, code
    end
    local info = math.ult(HEADER, address) and at(dump, address)
    if info and is_right(info) then
      return info
    end
    looked_at, names = looked_at + (info and 1 or 0), names + 1
  end
  return nil, ("memory has more than %d that are not the running kernel's"):format(
    looked_at == NOTES_MAX and looked_at or names)
end

return vmcoreinfo
