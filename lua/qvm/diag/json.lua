-- A report as JSON.
--
-- Members are sorted, for reports that are compared; an empty list is an array.

local writer = require "qvm.util.json_writer"
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

function to_json(value, is_list)
  if type(value) == "string" then
    return writer.string(value) -- of a dump: any bytes
  elseif value == nil then
    return "null"
  elseif type(value) ~= "table" then
    return assert(writer.encode(value))
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
