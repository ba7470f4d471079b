-- A report as JSON.
--
-- Members are sorted, for reports that are compared; an empty list is an array.

local writer = require "qvm.util.json_writer"
local text = require "qvm.cli.text"

local LISTS = {nodes = true, vcpus = true, errata = true, ranges = true, vms = true,
  errors = true, differences = true, messages = true}

local write

-- Names that the metatable has as `nullable` are written as null where they are nil.
local function write_object(put, object)
  local names, meta = {}, getmetatable(object)
  for _, name in ipairs(meta and meta.nullable or {}) do
    names[name] = true
  end
  for name in pairs(object) do
    names[name] = true
  end
  put "{"
  for index, name in ipairs(text.sorted_keys(names)) do
    put(index > 1 and "," or "")
    write(put, name)
    put ":"
    write(put, object[name], name)
  end
  put "}"
end

-- Elements of `messages` are JSON already: there are many, and they are kept as such.
local function write_list(put, list, name)
  put "["
  for index, element in ipairs(list) do
    put(index > 1 and "," or "")
    if name == "messages" then
      put(element)
    else
      write(put, element)
    end
  end
  put "]"
end

function write(put, value, name)
  if type(value) == "string" then
    put(writer.string(value)) -- of a dump: any bytes
  elseif value == nil then
    put "null"
  elseif type(value) ~= "table" then
    put(assert(writer.encode(value)))
  elseif LISTS[name] then
    write_list(put, value, name)
  else
    write_object(put, value)
  end
end

-- The JSON of a small value.
local function encode(value)
  local parts = {}
  write(function(part) parts[#parts + 1] = part end, value)
  return table.concat(parts)
end

return {encode = encode, write = write}
