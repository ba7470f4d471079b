--- Objects: typed places in the memory of a guest's kernel.
--
-- Members are read when they are asked for: `task.comm`, `task.mm.pgd`. A pointer is followed
-- without asking, and a NULL pointer is nil. Elements of arrays count from 1, as everywhere in
-- Lua. Numbers are Lua integers, `bool` is a boolean, an enum an integer, an array of `char`
-- the string up to its NUL, an integer of 128 bits the text `"0x..."` of 32 digits.
-- Everything else is an Object. A failed read raises, and so does a member that does not
-- exist.
-- @classmod qvm.object

local core = require "qvm.core"
local declaration = require "qvm.guest.declaration"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local Type = require "qvm.guest.types".Type

local objects = {}

--- @type Object

--- A typed place in the kernel's memory, or a pointer that was read from it.
--
-- Members of a struct are its fields, elements of an array its elements from 1 on, `#` is an
-- array's length, and `ipairs` goes through an array. The functions of `qvm.c` are for
-- everything else: `qvm.c.address(object)`.
-- @table Object
-- @usage print(dump:variable("init_task").comm)

local function raise(what, object, key)
  local handle = core.object_about(object)
  local name = declaration.of(handle)
  if what == "member" then
    local kind, _, _, _, target = core.type_about(select(2, core.type_shape(handle)))
    Type.no_member(kind == "pointer" and target or handle, key)
  elseif what == "element" then
    errors.raise(("%s has no elements: it is neither an array nor a pointer"):format(name))
  elseif what == "length" then
    errors.raise(("%s has no length: it is not an array"):format(name))
  elseif what == "index" then
    errors.raise(("%s has no element %s: elements count from 1"):format(name,
      line.field(tostring(key))))
  end
  errors.raise(("%s: %s"):format(name, what))
end

core.objects_with(raise)

-- What the Objects of a dump share is made once for its types and its space.
function objects.context(dump, types, space)
  return core.object_context(types[1], space, dump)
end

-- The dump of an Object.
function objects.dump(object)
  return select(5, core.object_about(object))
end

-- Does the struct that an Object is, or points to, have a member? Kernels differ.
function objects.has(object, name)
  local handle = core.object_about(object)
  local kind, inner = core.type_shape(handle)
  if kind == "pointer" then
    handle = select(5, core.type_about(inner))
  end
  return core.type_member(handle, name) ~= nil
end

-- What a pointer of a struct leads to, where the kernel always has something; raises if it is NULL.
function objects.linked(object, name)
  local target = object[name]
  if target == nil then
    errors.raise(("%s: damaged: its %s is NULL"):format(tostring(object), name))
  end
  return target
end

local meta = core.object_meta
meta.__name = "Object"

local function symbol_of(object, address)
  local ok, name = errors.pcall(function()
    return (objects.dump(object):symbol(address))
  end)
  return ok and name and " " .. line.field(name) or ""
end

-- Is this the type of a pointer to a function?
local function points_to_function(handle)
  local kind, inner = core.type_shape(handle)
  local target = kind == "pointer" and select(5, core.type_about(inner))
  return target and core.type_shape(target) == "prototype"
end

meta.__tostring = line.tostring("Object", function(object)
  local handle, address, is_read = core.object_about(object)
  local name = declaration.of(handle)
  if is_read then
    return ("(%s) 0x%016x%s"):format(name, address,
      points_to_function(handle) and symbol_of(object, address) or "")
  end
  return ("%s at 0x%016x"):format(name, address)
end)

-- qvm.show ----------------------------------------------------------------------------------

local DEPTH, LINES, ELEMENTS = 3, 400, 16

local function enumerator(handle, value)
  local kind, inner = core.type_shape(handle)
  local index = 0
  while kind == "enum" do
    local name, one = core.type_part(inner, index)
    if not name then
      return nil
    elseif one == value then
      return name
    end
    index = index + 1
  end
end

local function scalar(handle, value)
  if math.type(value) == "integer" then
    local name = enumerator(handle, value)
    if name then
      return ("%s (%d)"):format(line.field(name), value)
    end
    local is_wide = value <= -(1 << 31) or value > 0xffffffff
    return is_wide and ("0x%016x"):format(value) or tostring(value)
  elseif value == nil then
    return "NULL"
  elseif core.is_object(value) then
    return tostring(value)
  end
  return line.value(value)
end

-- Reads what may fail: the value, or a text.
local function read(object, key)
  local ok, value = errors.pcall(function() return object[key] end)
  if ok then
    return value
  end
  return nil, "(" .. line.escape_controls(tostring(value):gsub("^[^ ]+:%d+: ", "")) .. ")"
end

local add_parts

local function add_value(lines, indent, label, handle, value, problem, depth)
  local text = problem or scalar(handle, value)
  local is_place = not problem and core.is_object(value) and not select(3, core.object_about(value))
  if is_place and depth < DEPTH then
    lines[#lines + 1] = ("%s%s:"):format(indent, label)
    add_parts(lines, indent .. "  ", value, core.object_about(value), depth + 1)
  else
    lines[#lines + 1] = ("%s%s: %s"):format(indent, label, text)
  end
end

local function add_elements(lines, indent, object, handle, depth)
  local _, inner = core.type_shape(handle)
  local _, _, _, length, target = core.type_about(inner)
  for i = 1, math.min(length, ELEMENTS) do
    local value, problem = read(object, i)
    add_value(lines, indent, ("[%d]"):format(i), target, value, problem, depth)
  end
  if length > ELEMENTS then
    lines[#lines + 1] = ("%s... and %d more"):format(indent, length - ELEMENTS)
  end
end

-- The members of a struct; those of anonymous ones as its own.
local function add_members(lines, indent, object, handle, depth)
  local index = 0
  local name, inner = core.type_part(handle, index)
  while inner do
    if #lines >= LINES then
      lines[#lines + 1] = indent .. "..."
      return
    elseif name ~= "" then
      local value, problem = read(object, name)
      add_value(lines, indent, line.field(name), inner, value, problem, depth)
    elseif depth < DEPTH + 2 then
      add_members(lines, indent, object, inner, depth + 1)
    end
    index = index + 1
    name, inner = core.type_part(handle, index)
  end
end

function add_parts(lines, indent, object, handle, depth)
  local kind = core.type_shape(handle)
  if kind == "struct" or kind == "union" then
    add_members(lines, indent, object, handle, depth)
  elseif kind == "array" then
    add_elements(lines, indent, object, handle, depth)
  end
end

function meta.__show(object)
  local handle, address, is_read = core.object_about(object)
  local lines = {tostring(object)}
  local kind, inner = core.type_shape(handle)
  if is_read then
    local target = select(5, core.type_about(inner))
    object = core.object(select(4, core.object_about(object)), target, address)
    handle, kind = target, core.type_shape(target)
  end
  if kind == "struct" or kind == "union" or kind == "array" then
    add_parts(lines, "  ", object, handle, 1)
  elseif not is_read then
    local ok, value = errors.pcall(core.object_value, object)
    lines[1] = lines[1] .. ": " .. (ok and scalar(handle, value) or "(cannot be read)")
  end
  return table.concat(lines, "\n")
end

return objects
