-- What objects say of themselves: one line, harmless to a terminal whatever is in
-- it.

local line = {}

local FIELD = 200 -- bytes of one field that are worth a place in a line

local function escape(bytes)
  return (bytes:gsub(".", function(c)
    return ("\\x%02x"):format(c:byte())
  end))
end

-- Text of a VM or a file must not drive the terminal: control characters, what
-- some terminals take for them, marks that turn the direction of writing, and
-- bytes that are no UTF-8.
function line.harmless(text)
  if not utf8.len(text) then
    text = text:gsub("[\128-\255]", escape)
  end
  return (text:gsub("[%c\127]", escape)
    :gsub("\194[\128-\159]", escape)
    :gsub("\216\156", escape)
    :gsub("\226\128[\142\143\168-\174]", escape)
    :gsub("\226\129[\166-\169]", escape))
end

-- Like that, with the breaks of the lines left alone.
function line.harmless_lines(text)
  return (text:gsub("[^\n\t]+", line.harmless))
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
    local ok, text = pcall(describe, value)
    return line.harmless(ok and text or kind .. " (changed by the script)")
  end
end

return line
