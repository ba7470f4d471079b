-- What objects and reports say to people: harmless to a terminal whatever is in it,
-- numbers of bytes in units.

local core = require "qvm.core"
local failure = require "qvm.util.errors"

local line = {}

local FIELD = 200 -- bytes of one field that are worth a place in a line

local CHUNK = 4096 -- bytes that are looked at one by one where they are not all UTF-8

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

-- A text of which the bytes that are no UTF-8 are replaced by what replace(byte)
-- gives; all else stays as it is. In chunks that end where a character does: a text of
-- many MiB needs little more memory than the answer.
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

-- Text of a VM or a file must not drive the terminal or deceive its reader: what could
-- is written as `\xNN` (see csrc/core/util/text.c).
function line.harmless(text)
  return text:find("[^ -~]") and core.escape(text) or text
end

-- Like that, with the breaks of the lines left alone.
function line.harmless_lines(text)
  return (text:gsub("[^\n\t]+", line.harmless))
end

local PIECE = 4096 -- bytes

-- Iterates over a text in pieces, to be made harmless one by one: they end at the end of a
-- line, else between two characters.
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

-- As string.lower, for ASCII only: that one depends on the locale.
function line.lower(text)
  return (text:gsub("[A-Z]+", function(letters)
    return letters:gsub(".", function(c)
      return string.char(c:byte() + 32)
    end)
  end))
end

-- A float by a format such as "%.1f", with a decimal point in every locale.
function line.float(format, value)
  return (format:format(value):gsub("[^%-+0-9a-z ]+", "."))
end

local UNITS = {{2^60, "EiB"}, {2^50, "PiB"}, {2^40, "TiB"}, {2^30, "GiB"}, {2^20, "MiB"},
  {2^10, "KiB"}}

-- A number of bytes; a negative integer is one from 2^63 on.
function line.in_units(bytes)
  local size = bytes < 0 and bytes + 2^64 or bytes
  for _, unit in ipairs(UNITS) do
    if size >= unit[1] then
      return line.float("%.4g", size / unit[1]) .. " " .. unit[2]
    end
  end
  return ("%d byte%s"):format(bytes, bytes == 1 and "" or "s")
end

-- What is long is cut, to so many bytes if that is said, and not within a character.
function line.cut(text, most)
  most = most or FIELD
  if #text <= most then
    return text
  end
  local last = most
  while last > most - 4 and last > 0 and text:find("^[\128-\191]", last + 1) do
    last = last - 1
  end
  return ("%s... (%d bytes)"):format(text:sub(1, last), #text)
end

-- A value of an env, or any other, as text of one line.
function line.value(value)
  if type(value) == "string" then
    return ('"%s"'):format(line.harmless(line.cut(value):gsub('[\\"]', "\\%0")))
  elseif math.type(value) == "float" then
    return line.float("%.14g", value)
  elseif math.type(value) == "integer" then
    return value < 0 and ("0x%016x"):format(value) or ("%d"):format(value)
  end
  return value == core.null and "null" or line.harmless(line.cut(tostring(value)))
end

-- Names a module of functions at the prompt.
function line.with_name(name, module)
  local names = {}
  for key in pairs(module) do
    names[#names + 1] = key
  end
  table.sort(names)
  local text = ("%s: functions %s"):format(name, table.concat(names, ", "))
  return setmetatable(module, {__tostring = function() return text end})
end

-- A __tostring. describe(value) makes the text; a script may have changed the
-- value's fields, and a line about it must not raise for that.
function line.tostring(kind, describe)
  return function(value)
    local ok, text = failure.but_memory(pcall(describe, value))
    return line.harmless(ok and text or kind .. " (changed by the script)")
  end
end

return line
