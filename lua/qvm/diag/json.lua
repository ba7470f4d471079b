-- A report as JSON.
--
-- lua-cjson writes an empty array as an object and members in no order, so it
-- writes the scalars and this the rest: sorted, for reports that are compared.

local cjson = require "cjson"
local text = require "qvm.diag.text"

local LISTS = {nodes = true, vcpus = true, errata = true, ranges = true, vms = true,
  errors = true, differences = true, messages = true}

local to_json

-- Names that the metatable has as `nullable` are written as null where they are nil.
local function object_to_json(object)
  local names, parts = {}, {}
  local meta = getmetatable(object)
  for _, name in ipairs(meta and meta.nullable or {}) do
    names[name] = true
  end
  for name in pairs(object) do
    names[name] = true
  end
  for index, name in ipairs(text.sorted_keys(names)) do
    parts[index] = to_json(name) .. ":" .. to_json(object[name], LISTS[name])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Bytes of a dump need not be UTF-8, as JSON must.
local function string_to_json(value)
  return cjson.encode((text.valid(value, function() return "?" end)))
end

function to_json(value, is_list)
  if type(value) == "string" then
    return string_to_json(value)
  elseif type(value) == "number" then
    return (math.type(value) == "integer" and "%d" or "%.17g"):format(value)
  elseif value == nil then
    return "null"
  elseif type(value) ~= "table" then
    return cjson.encode(value)
  elseif not is_list then
    return object_to_json(value)
  end
  local parts = {}
  for index, element in ipairs(value) do
    parts[index] = to_json(element)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

return {encode = to_json}
