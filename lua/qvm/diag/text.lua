-- Text for people: harmless, in units, in lines that fit.

local text = {}

-- A text of which the bytes that are no UTF-8 are replaced by what replace(byte)
-- gives; all else stays as it is.
function text.valid(bytes, replace)
  local length, bad = utf8.len(bytes)
  if length then
    return bytes
  end
  local parts, from = {}, 1
  while not length do
    parts[#parts + 1] = bytes:sub(from, bad - 1)
    parts[#parts + 1] = replace(bytes:sub(bad, bad))
    from = bad + 1
    length, bad = utf8.len(bytes, from)
  end
  parts[#parts + 1] = bytes:sub(from)
  return table.concat(parts)
end

local function escape(bytes)
  return (bytes:gsub(".", function(c)
    return ("\\x%02x"):format(c:byte())
  end))
end

-- Text from a VM must not drive the terminal: control characters, what some
-- terminals take for them, marks that turn the direction of writing, and bytes
-- that are no UTF-8.
function text.harmless(bytes)
  return (text.valid(bytes, escape)
    :gsub("[%c\127]", escape)
    :gsub("\194[\128-\159]", escape)
    :gsub("\216\156", escape)
    :gsub("\226\128[\142\143\168-\174]", escape)
    :gsub("\226\129[\166-\169]", escape))
end

local UNITS = {{2^60, "EiB"}, {2^50, "PiB"}, {2^40, "TiB"}, {2^30, "GiB"}, {2^20, "MiB"},
  {2^10, "KiB"}}

-- A number of bytes; a negative integer is one from 2^63 on.
function text.in_units(bytes)
  local size = bytes < 0 and bytes + 2^64 or bytes
  for _, unit in ipairs(UNITS) do
    if size >= unit[1] then
      return ("%.4g %s"):format(size / unit[1], unit[2])
    end
  end
  return text.count(bytes, "byte")
end

function text.count(n, what)
  return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
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
