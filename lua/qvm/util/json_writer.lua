-- Writes JSON. Integers keep all their digits, members are sorted by name, and characters
-- that could drive a terminal are escaped. lua-cjson does none of that.
--
-- A style is a table of:
--   comma, colon   what separates elements, and a name from its value
--   lenient        bytes of strings that are not UTF-8 become U+FFFD; else such a string
--                  cannot be written
--   arrays         set of members' names whose values are arrays, also empty ones; other
--                  tables are arrays if they have an element 1
--   raw            set of members' names whose values are arrays of JSON texts

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"

local writer = {}

local DEPTH = 500 -- tables in tables: qvm.decode takes 512

local NONE = {}
local PLAIN = {comma = ", ", colon = ": "}

local function fail(format, ...)
  errors.fail(format:format(...), "unsupported")
end

-- A float reads back as one, and infinity as itself. JSON has no NaN.
local function float(value)
  if value ~= value then
    fail "NaN has no form in JSON"
  elseif value == math.huge or value == -math.huge then
    return value > 0 and "1e999" or "-1e999"
  end
  local text = line.float("%.17g", value)
  return text:find("[.e]") and text or text .. ".0"
end

local function string(value, style)
  if not style.lenient and not utf8.len(value) then
    fail "a string is not UTF-8"
  end
  return '"' .. core.escape(value, true) .. '"'
end

local function scalar(value, style)
  if math.type(value) == "integer" then
    return ("%d"):format(value)
  elseif math.type(value) == "float" then
    return float(value)
  elseif type(value) == "string" then
    return string(value, style)
  elseif type(value) == "boolean" then
    return tostring(value)
  elseif value == nil or value == core.null then
    return "null"
  end
  fail("a %s has no form in JSON", type(value))
end

local write

local function write_array(put, array, style, depth, is_raw)
  put "["
  for i, element in ipairs(array) do
    put(i > 1 and style.comma or "")
    if is_raw then
      put(element)
    else
      write(put, element, style, depth + 1)
    end
  end
  put "]"
end

-- The names of an object's members. Those that its metatable has as `nullable` are written
-- as null where they are nil.
local function names_of(object)
  local names, meta = {}, getmetatable(object)
  for _, name in ipairs(meta and meta.nullable or NONE) do
    names[name] = true
  end
  for name in pairs(object) do
    if type(name) ~= "string" then
      fail("a member's name is a %s", type(name))
    end
    names[name] = true
  end
  return names
end

local function write_object(put, object, style, depth)
  put "{"
  local separator = ""
  for name in iterators.sorted(names_of(object)) do
    put(separator)
    put(string(name, style))
    put(style.colon)
    write(put, object[name], style, depth + 1, name)
    separator = style.comma
  end
  put "}"
end

-- `name` is that of the member, if the value is one.
function write(put, value, style, depth, name)
  if type(value) ~= "table" then
    return put(scalar(value, style))
  elseif depth == DEPTH then
    fail("more than %d tables in tables", DEPTH)
  end
  local is_raw = (style.raw or NONE)[name]
  if is_raw or (style.arrays or NONE)[name] or value[1] ~= nil then
    return write_array(put, value, style, depth, is_raw)
  end
  return write_object(put, value, style, depth)
end

local function text_of(value, style, name)
  local parts = {}
  write(function(part) parts[#parts + 1] = part end, value, style or PLAIN, 0, name)
  return parts[2] and table.concat(parts) or parts[1] -- a text can be large
end

-- Returns a value as JSON text; nil, message, code if JSON cannot hold it.
function writer.encode(value, style)
  return errors.catch(text_of, value, style)
end

-- Returns an array of texts, '"name": value', in the order given: members is an array of
-- {name, value}, of which those without a value are left out. nil, message, code if JSON
-- cannot hold one.
function writer.members(members, style)
  return errors.catch(function()
    local texts = {}
    for _, member in ipairs(members) do
      local name, value = member[1], member[2]
      if value ~= nil then
        texts[#texts + 1] = string(name, PLAIN) .. (style or PLAIN).colon
          .. text_of(value, style, name)
      end
    end
    return texts
  end)
end

-- Writes a value in pieces, by put(text). JSON must be able to hold it.
function writer.write(put, value, style)
  local _, problem = errors.catch(function()
    write(put, value, style or PLAIN, 0)
    return true
  end)
  assert(not problem, problem)
end

return writer
