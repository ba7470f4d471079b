-- Text for people: one line for each object, whatever a VM or a file has put into it.

local core = require "qvm.core"
local errors = require "qvm.util.errors"

local line = {}

local FIELD = 200  -- bytes of one field that are shown in a line
local BINARY = 32  -- the same for a string that is not text
local NAME_MAX = 60 -- bytes of a name that is compared with others

-- Bytes and characters --------------------------------------------------------------------

local CHUNK = 4096 -- bytes that are checked one by one if they are not all UTF-8

local function valid_chunk(bytes, replace)
  local parts, from = {}, 1
  local length, bad = utf8.len(bytes)
  while not length do
    parts[#parts + 1] = bytes:sub(from, bad - 1)
    parts[#parts + 1] = replace(bytes:sub(bad, bad))
    from = bad + 1
    length, bad = utf8.len(bytes, from)
  end
  parts[#parts + 1] = bytes:sub(from)
  return table.concat(parts)
end

-- Replaces the bytes of a text that are not UTF-8 by what replace(byte) returns. Works in
-- chunks that end where a character does, so that a text of many MiB needs little more memory
-- than the answer.
function line.valid(bytes, replace)
  if utf8.len(bytes) then
    return bytes
  end
  local parts, from = {}, 1
  while from <= #bytes do
    local last = math.min(from + CHUNK - 1, #bytes)
    while last < #bytes and last < from + CHUNK + 3 and bytes:find("^[\128-\191]", last + 1) do
      last = last + 1
    end
    parts[#parts + 1] = valid_chunk(bytes:sub(from, last), replace)
    from = last + 1
  end
  return table.concat(parts)
end

-- Escapes what could drive a terminal or deceive a reader as `\xNN` (see
-- csrc/core/util/text.c). For text of a VM or of a file.
function line.escape_controls(text)
  return text:find("[^ -~]") and core.escape(text) or text
end

-- The same, except for line breaks and tabs.
function line.escape_lines(text)
  return (text:gsub("[^\n\t]+", line.escape_controls))
end

local PIECE = 4096 -- bytes

-- Iterates over a text in pieces that can be escaped one by one. They end at the end of a
-- line, or else between two characters.
function line.pieces(text)
  local at = 1
  return function()
    local piece = text:sub(at, at + PIECE - 1)
    if at + PIECE <= #text then
      local whole = piece:match("^.*\n") or piece:gsub("[\xc0-\xff][\x80-\xbf]*$", "")
      piece = whole ~= "" and whole or piece
    end
    at = at + #piece
    return piece ~= "" and piece or nil
  end
end

-- Like string.lower, but for ASCII only: string.lower depends on the locale.
function line.lower(text)
  return (text:gsub("[A-Z]+", function(letters)
    return letters:gsub(".", function(c)
      return string.char(c:byte() + 32)
    end)
  end))
end

-- The beginning of a text, at most so many bytes; it does not end within a character.
local function beginning(text, most)
  local last = most
  while last > most - 4 and last > 0 and text:find("^[\128-\191]", last + 1) do
    last = last - 1
  end
  return text:sub(1, last)
end

-- Cuts a text that is longer than so many bytes, and adds how long it is.
function line.cut(text, most)
  most = most or FIELD
  return #text <= most and text or ("%s... (%d bytes)"):format(beginning(text, most), #text)
end

-- Cuts and escapes a text: one field of a line.
function line.field(text, most)
  return line.escape_controls(line.cut(text, most))
end

-- Order -----------------------------------------------------------------------------------

-- Compares two runs of characters, each either of digits or without any: negative, 0 or
-- positive. Digits come first, and count by their value.
local function compare_runs(a, b)
  local is_number, other_is_number = a:find("^%d") ~= nil, b:find("^%d") ~= nil
  if is_number ~= other_is_number then
    return is_number and -1 or 1
  elseif is_number then
    a, b = a:match("^0*(%d*)$"), b:match("^0*(%d*)$")
    if #a ~= #b then
      return #a - #b
    end
  end
  return a == b and 0 or a < b and -1 or 1
end

-- Natural order, for table.sort: numbers in names count by their value, so "x2" comes before
-- "x10".
function line.natural_before(a, b)
  local i, j = 1, 1
  while i <= #a and j <= #b do
    local x, y = a:match("^%d+", i) or a:match("^%D+", i), b:match("^%d+", j) or b:match("^%D+", j)
    local order = compare_runs(x, y)
    if order ~= 0 then
      return order < 0
    end
    i, j = i + #x, j + #y
  end
  if i <= #a or j <= #b then
    return j <= #b
  end
  return a < b
end

-- The edits that make one text of another: insertions, deletions and exchanges of a byte.
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

line.distance = distance

-- The names of an array that are near enough to a name to be meant by it, the nearest first.
-- far(a, b), if given, replaces the number of edits.
function line.nearest(name, names, far)
  if #name > NAME_MAX then
    return {}
  end
  local most, list = #name > 3 and math.max(2, #name // 3) or 1, {}
  for _, known in ipairs(names) do
    -- As many edits as bytes are missing, at least.
    local edits = not far and math.abs(#name - #known) > most and most + 1
      or (far or distance)(name, known)
    if edits <= most then
      list[#list + 1] = {name = known, edits = edits, at = #list}
    end
  end
  table.sort(list, function(a, b)
    return a.edits < b.edits or a.edits == b.edits and a.at < b.at
  end)
  for i, near in ipairs(list) do
    list[i] = near.name
  end
  return list
end

-- Values ----------------------------------------------------------------------------------

-- Formats a float, with a decimal point in every locale; format: such as "%.1f".
function line.float(format, value)
  return (format:format(value):gsub("[^%-+0-9a-z ]+", "."))
end

local UNITS = {{2^60, "EiB"}, {2^50, "PiB"}, {2^40, "TiB"}, {2^30, "GiB"}, {2^20, "MiB"},
  {2^10, "KiB"}}

-- A number of bytes, which is unsigned, in units.
function line.in_units(bytes)
  local size = bytes < 0 and bytes + 2^64 or bytes
  for _, unit in ipairs(UNITS) do
    if size >= unit[1] then
      return line.float("%.4g", size / unit[1]) .. " " .. unit[2]
    end
  end
  return line.count(bytes, "byte")
end

-- A number of things: "1 vCPU", "2 vCPUs"; plural: if it is not formed by an s.
function line.count(n, what, plural)
  return ("%d %s"):format(n, n == 1 and what or plural or what .. "s")
end

-- A value of an env, or any other, as it is: strings are neither quoted nor escaped. An
-- integer from 2^63 on is negative here, and is shown by its bits.
function line.raw(value)
  if math.type(value) == "float" then
    return line.float("%.14g", value)
  elseif math.type(value) == "integer" then
    return value < 0 and ("0x%016x"):format(value) or ("%d"):format(value)
  elseif type(value) == "table" then
    return "{...}"
  end
  return value == core.null and "null" or tostring(value)
end

local ESCAPES = {["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\"}

-- A string in quotes. Little is shown of one that is not text.
function line.quoted(text)
  local most = utf8.len(text) and not text:find("\0", 1, true) and FIELD or BINARY
  local short = #text > most and beginning(text, most) or text
  return ('"%s"%s'):format(line.escape_controls((short:gsub('[\n\r\t"\\]', ESCAPES))),
    #text > most and (" ... (%d bytes)"):format(#text) or "")
end

-- Any value as text of one line.
function line.value(value)
  return type(value) == "string" and line.quoted(value) or line.field(line.raw(value))
end

-- Objects ---------------------------------------------------------------------------------

-- Makes a __tostring of describe(value). A script may have changed the value's fields: that
-- must not raise.
function line.tostring(kind, describe)
  return function(value)
    local ok, text = errors.pcall(describe, value)
    return line.escape_controls(ok and text or kind .. " (changed by the script)")
  end
end

-- Gives a module of functions a __tostring, for the prompt.
function line.with_name(name, module)
  local names = {}
  for key in pairs(module) do
    names[#names + 1] = key
  end
  table.sort(names)
  local text = ("%s: functions %s"):format(name, table.concat(names, ", "))
  return setmetatable(module, {__tostring = function() return text end})
end

-- A message without the path that it begins with, for one that has it already.
function line.without_path(message, path)
  local prefix = path .. ": "
  return message:sub(1, #prefix) == prefix and message:sub(#prefix + 1) or message
end

-- A place in a symbol, as the kernel writes it: "schedule+0x10/0x100", with " [module]" if it is
-- in one; nil without a name.
function line.symbol(name, offset, size, module)
  return name and ("%s+0x%x/0x%x%s"):format(name, offset, size,
    module and (" [%s]"):format(module) or "") or nil
end

return line
