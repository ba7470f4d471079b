-- Text of reports: escaped, in units, in columns, in lines that fit a terminal.

local columns = require "qvm.util.columns"
local line = require "qvm.util.text"

local text = {
  valid = line.valid, escape_controls = line.escape_controls, escape_lines = line.escape_lines,
  in_units = line.in_units, float = line.float, cut = line.cut, field = line.field,
  count = line.count,
  width = columns.of, pad = columns.pad,
}

-- The number of elements in a list of a report; "-" if the list is unknown.
function text.known_count(list)
  return list and ("%d"):format(#list) or "-"
end

-- An array of the lines of a text, without empty ones.
function text.lines(bytes)
  local lines = {}
  for part in bytes:gmatch("[^\r\n]+") do
    lines[#lines + 1] = part
  end
  return lines
end

-- Where to break a long line that has room for so many bytes, from one byte on: the last byte
-- of the part before the break.
local function break_after(long, from, room, width)
  local cut = from + room - 1
  local half = from + width / 2
  while cut > half and long:sub(cut + 1, cut + 1) ~= " " do
    cut = cut - 1
  end
  if cut > half then
    return cut
  end
  cut = from + room - 1
  while cut > half and long:find("^[\x80-\xbf]", cut + 1) do -- not within a character
    cut = cut - 1
  end
  return cut
end

-- Calls put for each part of a line that is too long. The parts after the first are indented.
-- Passes over the line once: a dump's text can be one line of many MiB.
function text.wrap(long, width, put)
  local indent, from = "", 1
  while #long - from + 1 > width - #indent do
    local cut = break_after(long, from, width - #indent, width)
    put(indent .. long:sub(from, cut))
    from = long:find("[^ ]", cut + 1) or #long + 1
    indent = "      "
  end
  if from <= #long then
    put(indent .. long:sub(from))
  end
end

-- Removes the position in a script from an error that the library raised in a loop: the user
-- of a command wants to know what failed, not where.
function text.without_place(message)
  return (tostring(message):gsub("^[^:]*:%d+: ", ""))
end

return text
