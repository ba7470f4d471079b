-- JSON text: all digits of a number, members in order, and no character that could drive
-- a terminal. lua-cjson does none of that.

local core = require "qvm.core"
local line = require "qvm.util.text"

local writer = {}

local DEPTH = 500 -- tables in tables: qvm.decode takes 512

-- A string, of which the bytes that are no UTF-8 become U+FFFD.
function writer.string(text)
  return '"' .. core.escape(text, true) .. '"'
end

-- A float reads back as one, and infinity as itself. NaN is none of JSON's numbers.
local function float(value)
  if value ~= value then
    return nil, "NaN has no form in JSON"
  elseif value == math.huge or value == -math.huge then
    return value > 0 and "1e999" or "-1e999"
  end
  local text = line.float("%.17g", value)
  return text:find("[.e]") and text or text .. ".0"
end

local encode

local function encode_array(value, depth)
  local parts = {}
  for i, element in ipairs(value) do
    local text, why = encode(element, depth)
    if not text then
      return nil, why
    end
    parts[i] = text
  end
  return "[" .. table.concat(parts, ", ") .. "]"
end

local function encode_object(value, depth)
  local parts, keys = {}, {}
  for key in pairs(value) do
    if type(key) ~= "string" then
      return nil, ("a member's name is a %s"):format(type(key))
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    local name, text, why
    name, why = encode(key, depth)
    if name then
      text, why = encode(value[key], depth)
    end
    if not text then
      return nil, why
    end
    parts[i] = name .. ": " .. text
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

-- The text of a value; nil and the reason where JSON cannot hold it.
function encode(value, depth)
  if type(value) == "table" then
    if depth == DEPTH then
      return nil, ("more than %d tables in tables"):format(DEPTH)
    end
    return (value[1] ~= nil and encode_array or encode_object)(value, depth + 1)
  elseif math.type(value) == "integer" then
    return ("%d"):format(value)
  elseif math.type(value) == "float" then
    return float(value)
  elseif type(value) == "string" then
    if not utf8.len(value) then
      return nil, "a string is not UTF-8"
    end
    return writer.string(value)
  elseif type(value) == "boolean" then
    return tostring(value)
  elseif value == core.null then
    return "null"
  end
  return nil, ("a %s has no form in JSON"):format(type(value))
end

function writer.encode(value)
  return encode(value, 0)
end

return writer
