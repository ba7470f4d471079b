-- Markup out of values: whatever is not made here is text, and is escaped. So no
-- value can become markup.

local text = require "qvm.diag.text"

local Markup = {}
Markup.__index = Markup

local ENTITIES = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  ["'"] = "&#39;"}

-- What a terminal may not get, HTML need not hold either: it is shown as `\xNN`.
local function escape(value)
  return (text.harmless(tostring(value)):gsub("[&<>\"']", ENTITIES))
end

local function new(parts)
  return setmetatable({bytes = table.concat(parts)}, Markup)
end

local function add(parts, content)
  if getmetatable(content) == Markup then
    parts[#parts + 1] = content.bytes
  elseif type(content) == "table" then
    for _, part in ipairs(content) do
      add(parts, part)
    end
  elseif content ~= nil and content ~= "" then
    parts[#parts + 1] = escape(content)
  end
end

local EMPTY = {meta = true, br = true}

-- An element. attributes: a table of names and values; content: text, markup, or
-- an array of them.
function Markup.element(name, attributes, content)
  local parts = {"<", name}
  for _, key in ipairs(text.sorted_keys(attributes or {})) do
    parts[#parts + 1] = (' %s="%s"'):format(key, escape(attributes[key]))
  end
  parts[#parts + 1] = ">"
  if not EMPTY[name] then
    add(parts, content)
    parts[#parts + 1] = ("</%s>"):format(name)
  end
  return new(parts)
end

-- Lines of text, with their ends.
function Markup.lines(lines)
  local parts = {}
  for i, line in ipairs(lines) do
    parts[i] = escape(line) .. "\n"
  end
  return new(parts)
end

-- A style sheet: a constant of this program, which is not escaped.
function Markup.constant(bytes)
  return new {bytes}
end

return Markup
