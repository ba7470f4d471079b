--- VMCOREINFO: the Linux kernel's description of itself.
-- @classmod qvm.vmcoreinfo

-- Lines of KEY=value. Most keys have the form of a call: SYMBOL(name) is a hexadecimal
-- address; SIZE, OFFSET and LENGTH are decimal; NUMBER is decimal or hexadecimal.

local classes = require "qvm.util.classes"
local core = require "qvm.core"
local line = require "qvm.util.text"

local find_matches = core.dump.matches

local vmcoreinfo = {}

--- @type VmcoreInfo
local Info = {__name = "VmcoreInfo", __pairs = classes.public_pairs}

--- Fields of a VmcoreInfo.
--
-- Tables are keyed by name.
-- @table VmcoreInfo
-- @tfield string text the whole text
-- @tfield string from where it was found
-- @tfield ?string release of the kernel
-- @tfield ?integer page_size bytes
-- @tfield {[string]=integer} symbols addresses
-- @tfield {[string]=integer} sizes bytes
-- @tfield {[string]=integer} offsets bytes
-- @tfield {[string]=integer} lengths of arrays
-- @tfield {[string]=integer} numbers
-- @tfield {[string]=string} values all other lines
-- @tfield {string,...} warnings problems of it, or of the note that it replaces
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

-- Longer text must not be taken for a decimal number.
local function symbol(text)
  return hexadecimal((text:gsub("^0x", "")))
end

-- Decimal, or hexadecimal with 0x; nil if it takes more than 64 bits.
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
  -- Anchored: otherwise a long line without "=" would be tried from each of its bytes on.
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

-- The text up to a NUL, or to the end of the note.
local function text_of(bytes)
  return bytes:match("^%z*([^%z]*)")
end

local SIZE_MAX = 65536 -- bytes of the text: Linux uses a page

-- Damaged notes, and notes that a partial dump lacks, are not failures: the text is in memory
-- as well.
local ends = {malformed = true, truncated = true, too_large = true}

-- Parses a note as the kernel writes it: lines, beginning with the release. nil, what is wrong
-- with it.
local function parse_note(bytes)
  local text, rest = bytes:match("^([^%z]*)(.*)$")
  if not bytes:find("[^%z]") then
    return nil, bytes == "" and "the VMCOREINFO note is empty"
      or ("the VMCOREINFO note is %d zero bytes"):format(#bytes)
  elseif not text:find("^OSRELEASE=[^\n]") or rest:find("[^%z]") then
    return nil, "the VMCOREINFO note is damaged: parts of it are zero, or are not VMCOREINFO"
  elseif text:sub(-1) ~= "\n" then
    return nil, "the VMCOREINFO note is cut: its last line has no end"
  end
  return vmcoreinfo.parse(text, "its note")
end

local DUMP_NOTES_MAX = 1 << 18 -- notes that are read, as in Dump:notes

-- Reads the VMCOREINFO of a note; nil, what is wrong with it, and a code if it cannot be read.
local function read_note(dump, note)
  if note.filesz > SIZE_MAX then
    return nil, ("the VMCOREINFO note has %d bytes"):format(note.filesz)
  end
  local bytes, message, code = core.dump.bytes(dump, note.offset, note.filesz)
  if not bytes then
    return nil, message, code
  end
  return parse_note(bytes)
end

-- Returns the first usable note; else nil and what is wrong with the last one. If the notes
-- cannot be read: nil, message, code, and what is wrong with the last note before.
local function first_usable(dump)
  local segment, at, problem = 0, 0, nil
  for _ = 1, DUMP_NOTES_MAX do
    local note, next_segment, next_at = core.dump.note(dump, segment, at)
    if not note and next_segment then
      return nil, next_segment, next_at, problem -- a message and its code
    elseif not note then
      return nil, problem
    elseif note.name:find("^VMCOREINFO%z*$") then
      local info, message, code = read_note(dump, note)
      if info or code then
        return info, message, code, problem
      end
      problem = message
    end
    segment, at = next_segment, next_at
  end
  return nil, ("%s: more than %d notes"):format(dump.path, DUMP_NOTES_MAX), "too_large",
    problem
end

-- nil, what is wrong, if the dump has no usable note; with a code if that cannot be determined;
-- nil alone if it has no note.
function vmcoreinfo.from_note(dump)
  local info, message, code, problem = first_usable(dump)
  if code and ends[code] then
    return nil, problem or "the notes are damaged: " .. line.without_path(message, dump.path)
  end
  return info, message, code
end

local NAME = "VMCOREINFO\0\0"
local HEADER = 12      -- sizes of name and data, type: 4 bytes each, before the name
local FIRST = "OSRELEASE="
-- Memory may be full of apparent notes.
local NAMES_MAX = 1 << 16 -- names that are examined
local NOTES_MAX = 64      -- notes that are parsed

-- The kernel keeps the note in its memory in the form in which dumps have it. Only the name is
-- searched for; the rest is checked here.
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

-- Finds the VMCOREINFO in memory for which is_right(info) is true. There may be others: of a
-- crash kernel that is loaded, or of a previous kernel. nil if there is none; nil, message if
-- not all were examined; nil, message, code if memory cannot be read.
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
