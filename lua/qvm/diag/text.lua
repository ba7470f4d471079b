-- Text for people: harmless, in units, in lines that fit.

local oneline = require "qvm.util.text"

local text = {
  valid = oneline.valid, harmless = oneline.harmless, in_units = oneline.in_units,
  float = oneline.float, cut = oneline.cut,
}

function text.count(n, what)
  return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
end

-- How many elements a list of a report has; "-" where the list is not known.
function text.known_count(list)
  return list and ("%d"):format(#list) or "-"
end

-- The lines of a text that are not empty.
function text.lines(bytes)
  local lines = {}
  for line in bytes:gmatch("[^\r\n]+") do
    lines[#lines + 1] = line
  end
  return lines
end

function text.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- Calls put for each part of a line that is too long: the parts but the first are
-- set in. Goes through the line once: a dump's text can be one line of many MiB.
function text.wrap(line, width, put)
  local indent, from = "", 1
  while #line - from + 1 > width - #indent do
    local cut = from + width - #indent - 1
    local half = from + width / 2
    while cut > half and line:sub(cut + 1, cut + 1) ~= " " do
      cut = cut - 1
    end
    if cut <= half then
      cut = from + width - #indent - 1
      while cut > half and line:find("^[\x80-\xbf]", cut + 1) do -- not in a character
        cut = cut - 1
      end
    end
    put(indent .. line:sub(from, cut))
    from = line:find("[^ ]", cut + 1) or #line + 1
    indent = "      "
  end
  if from <= #line then
    put(indent .. line:sub(from))
  end
end

-- What the library raises inside a loop is about the world too: the place in a
-- script does not matter.
function text.without_place(message)
  return (tostring(message):gsub("^[^:]*:%d+: ", ""))
end

return text
