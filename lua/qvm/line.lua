-- What objects and reports say to people: harmless to a terminal whatever is in it,
-- numbers of bytes in units.

local failure = require "qvm.failure"

local line = {}

local FIELD = 200 -- bytes of one field that are worth a place in a line

local escapes = {}
for byte = 0, 255 do
  escapes[string.char(byte)] = ("\\x%02x"):format(byte)
end

local function escape(bytes)
  return (bytes:gsub(".", escapes))
end

-- A run of bytes from 128 on. A list that grows to the size of the text would take many
-- times its memory: it is joined now and then.
local function valid_run(run, replace)
  local length, bad = utf8.len(run)
  if length then
    return nil
  end
  local done, parts, from = {}, {}, 1
  while not length do
    parts[#parts + 1] = run:sub(from, bad - 1)
    parts[#parts + 1] = replace(run:sub(bad, bad))
    if #parts >= 4096 then
      done[#done + 1], parts = table.concat(parts), {}
    end
    from = bad + 1
    length, bad = utf8.len(run, from)
  end
  parts[#parts + 1] = run:sub(from)
  done[#done + 1] = table.concat(parts)
  return table.concat(done)
end

-- A text of which the bytes that are no UTF-8 are replaced by what replace(byte)
-- gives; all else stays as it is.
function line.valid(bytes, replace)
  return (bytes:gsub("[\128-\255]+", function(run)
    return valid_run(run, replace)
  end))
end

-- Text of a VM or a file must not drive the terminal: control characters, what
-- some terminals take for them, marks that turn the direction of writing, and
-- bytes that are no UTF-8.
function line.harmless(text)
  if not text:find("[^ -~]") then
    return text
  end
  return (line.valid(text, escape)
    :gsub("[%c\127]", escape)
    :gsub("\194[\128-\159]", escape)
    :gsub("\216\156", escape)
    :gsub("\226\128[\142\143\168-\174]", escape)
    :gsub("\226\129[\166-\169]", escape))
end

-- Like that, with the breaks of the lines left alone.
function line.harmless_lines(text)
  return (text:gsub("[^\n\t]+", line.harmless))
end

local UNITS = {{2^60, "EiB"}, {2^50, "PiB"}, {2^40, "TiB"}, {2^30, "GiB"}, {2^20, "MiB"},
  {2^10, "KiB"}}

-- A number of bytes; a negative integer is one from 2^63 on.
function line.in_units(bytes)
  local size = bytes < 0 and bytes + 2^64 or bytes
  for _, unit in ipairs(UNITS) do
    if size >= unit[1] then
      return ("%.4g %s"):format(size / unit[1], unit[2])
    end
  end
  return ("%d byte%s"):format(bytes, bytes == 1 and "" or "s")
end

-- What is long is cut, to so many bytes if that is said.
function line.cut(text, most)
  most = most or FIELD
  return #text > most and ("%s... (%d bytes)"):format(text:sub(1, most), #text) or text
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
