-- Values of an env document: their order, names and places.

local classes = require "qvm.util.classes"
local core = require "qvm.core"
local line = require "qvm.util.text"
local path = require "qvm.host.env_path"

local nodes = {}

-- The place of a value: the place of its parent, and its key there. Paths are written only on
-- request, since the paths of a document of a few hundred KB can add up to gigabytes.
function nodes.place(parent, key)
  return {parent = parent, key = key}
end

local function write_path(here)
  local keys = {}
  while here.parent do
    table.insert(keys, here.key)
    here = here.parent
  end
  local pieces = {here.path}
  for index = #keys, 1, -1 do
    pieces[#pieces + 1] = path.piece(keys[index], #pieces == 1 and here.path == "")
  end
  return table.concat(pieces)
end

-- Makes the metatable of records that have a path. If it gets a table `methods`, those are the
-- records' methods.
function nodes.record_type(name, kind, to_text)
  local class = {__name = name, __pairs = classes.public_pairs,
    __tostring = line.tostring(kind, to_text)}
  function class.__index(record, key)
    if key == "path" then
      return write_path(record._place)
    end
    return class.methods and class.methods[key]
  end
  return class
end

-- Iterates over the members of an array or object, in the order of the document.
function nodes.members(env, node)
  local order = env._orders[node]
  local index = 0
  return function()
    index = index + 1
    local key = index
    if order then
      key = order[index]
    end
    if key ~= nil and node[key] ~= nil then
      return key, node[key]
    end
  end
end

function nodes.is_object(env, value)
  return type(value) == "table" and env._orders[value] ~= nil
end

-- Longer names have no meaning here.
local NAME_MAX = 64

-- "Thread-ID" and "thread_id" are the same name.
function nodes.plain(name)
  return #name > NAME_MAX and name or (line.lower(name):gsub("[^0-9a-z]", ""))
end

function nodes.set(...)
  local names = {}
  for _, name in ipairs {...} do
    names[name] = true
  end
  return names
end

-- Converts an integer, which may be written as a string: "3", "0xffff800010081234".
function nodes.to_integer(value)
  if type(value) == "string" and value:find("^0[xX]%x+$") and #value <= 18 then
    return tonumber(value)
  elseif type(value) == "string" and value:find("^%d+$") then
    value = core.decode(value)
  end
  return type(value) == "number" and math.tointeger(value) or nil
end

-- The member of a record that has one of the names, or the given name; of those with one of
-- the names, the first that is no array or object. The second value is the first that is one.
function nodes.member(env, record, names, name)
  if name then
    return record[name]
  end
  local inner
  for key, value in nodes.members(env, record) do
    if names[nodes.plain(key)] and type(value) ~= "table" then
      return value, inner
    elseif names[nodes.plain(key)] then
      inner = inner or value
    end
  end
  return nil, inner
end

return nodes
