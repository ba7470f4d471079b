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

local function raise(what, object, key, code)
  local handle = core.object_about(object)
  local name = declaration.of(handle)
  if what == "member" then
    local kind, _, _, _, target = core.type_about(select(2, core.type_shape(handle)))
    Type.no_member(kind == "pointer" and target or handle, key, objects.dump(object).path)
  elseif what == "element" then
    errors.raise(("%s has no elements: it is neither an array nor a pointer"):format(name))
  elseif what == "length" then
    errors.raise(("%s has no length: it is not an array"):format(name))
  elseif what == "index" then
    errors.raise(("%s has no element %s: elements count from 1"):format(name,
      line.field(tostring(key))))
  elseif what == "beyond" then
    errors.raise(("%s has no element %s: it is beyond the end of the address space"):format(name,
      line.field(tostring(key))))
  end
  errors.raise(("%s: %s"):format(name, what), code or "malformed")
end

core.objects_with(raise)

-- What the Objects of a dump share is made once for each of its types (a handle) and its space.
function objects.context(dump, types, space)
  return core.object_context(types, space, dump)
end

objects.is_object = core.is_object

-- The names of the members that an Object has, or what it points to.
function objects.member_names(object)
  local handle = core.object_about(object)
  local kind, target = objects.shape(handle)
  return Type.names(kind == "pointer" and target or handle)
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

-- Another Object of the same dump. Its type may be a module's, unlike that of the first.
function objects.make(object, handle, address, is_pointer)
  local own, _, _, context = core.object_about(object)
  if core.types_of(handle) ~= core.types_of(own) then
    context = assert(require "qvm.guest.typed_memory".context(objects.dump(object), handle))
  end
  return core.object(context, handle, address, is_pointer)
end

-- The kind of a type, typedefs aside, and what it points to or is an array of.
function objects.shape(handle)
  local kind, inner = core.type_shape(handle)
  return kind, select(5, core.type_about(inner))
end

-- Where an Object is; of a pointer, what it points to: its value, or the one in memory. name: of
-- the function that wants it.
function objects.target_of(object, name)
  local handle, address, is_read = core.object_about(object)
  if objects.shape(handle) == "pointer" and not is_read then
    object = core.object_value(object)
    if object == nil then
      errors.raise(("'%s': a NULL pointer"):format(name))
    end
    return (select(2, core.object_about(object)))
  end
  return address
end

-- Raises that a structure in memory is damaged.
function objects.damaged(object, what)
  errors.raise(("%s: %s: damaged: %s"):format(objects.dump(object).path, tostring(object), what),
    "malformed")
end

-- What a pointer of a struct leads to, where the kernel always has something; raises if it is NULL.
function objects.linked(object, name)
  local target = object[name]
  if target == nil then
    objects.damaged(object, ("its %s is NULL"):format(name))
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
local MEMBERS = 8 -- of a struct that is shown within another: larger ones take a line
local PARTS = 1 << 16 -- members that are looked at: anonymous structs within others could multiply

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
    local _, name_of_type = core.type_about(select(2, core.type_shape(handle)))
    local is_wide = value <= -(1 << 31) or value > 0xffffffff
      or value < 0 and name_of_type:find("unsigned", 1, true)
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

-- Is a value to be shown with its parts?
local function has_parts(value, depth)
  if not core.is_object(value) or depth >= DEPTH then
    return false
  end
  local handle, _, is_read = core.object_about(value)
  return not is_read and core.type_part(handle, MEMBERS) == nil
end

local function add_value(lines, indent, label, handle, value, problem, depth)
  local text = problem or scalar(handle, value)
  if not problem and has_parts(value, depth) then
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
    lines.parts = (lines.parts or 0) + 1
    if #lines >= LINES or lines.parts > PARTS then
      lines[#lines + 1] = #lines <= LINES and indent .. "..." or nil
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
