-- Writes a report as JSON. Members are sorted, so that reports can be compared; an empty list is
-- an array; strings can be any bytes, since they come from dumps.

local writer = require "qvm.util.json_writer"
local text = require "qvm.cli.text"

local LISTS = {nodes = true, vcpus = true, errata = true, ranges = true, vms = true,
  errors = true, differences = true, messages = true}

local write

-- Members that are nil are written as null if the metatable lists them in `nullable`.
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

-- Elements of `messages` are JSON already: there are many, and JSON takes less memory.
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
    put(writer.string(value))
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

-- Returns the JSON of a small value.
local function encode(value)
  local parts = {}
  write(function(part) parts[#parts + 1] = part end, value)
  return table.concat(parts)
end

return {encode = encode, write = write}
