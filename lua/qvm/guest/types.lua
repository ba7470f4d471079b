--- Types of a guest's kernel: its own type information (BTF).
-- @classmod qvm.types

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local core = require "qvm.core"
local declaration = require "qvm.guest.declaration"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

--- @type Types
local Types = {__name = "Types"}

--- Fields of Types.
-- @table Types
-- @tfield string from path of the file, or `"the kernel's memory"`
-- @tfield integer count number of types
-- @usage print(dump:types().count)

Types.__tostring = line.tostring("Types", function(types)
  return ("%d types from %s"):format(types.count, types.from)
end)

--- @type Type
local Type = {__name = "Type"}

--- Fields of a Type.
--
-- Two Types of one name are not equal as tables: compare names, or with `==`, which compares
-- what they are.
-- @table Type
-- @tfield string name as `Dump:type` takes it: `"struct list_head *"`; `"struct {...}"` if
-- it has none
-- @tfield string kind `int` `bool` `float` `enum` `pointer` `array` `struct` `union`
-- `function` `typedef` `const` `volatile` `restrict` `void`; `forward` for a struct whose
-- members are not known; `type_tag` for what the kernel marks, such as `__rcu`
-- @tfield ?integer size bytes; nil if it has none
-- @tfield ?integer length number of elements of an array; 0 if it is not known
-- @tfield ?Type target what a pointer points to, an array is of, a typedef names, or a
-- function returns
-- @usage print(dump:type("struct list_head *").target.size)

-- What scripts see as "function": BTF has functions, and their prototypes.
local KINDS = {prototype = "function"}

local function wrap(handle)
  local kind, _, size, length, target = core.type_about(handle)
  return setmetatable({handle, name = declaration.of(handle), kind = KINDS[kind] or kind,
    size = size, length = length, target = target and wrap(target)}, Type)
end

Type.new = wrap

function Type.__eq(a, b)
  return rawequal(a, b) or getmetatable(a) == getmetatable(b) and a[1] == b[1]
end

Type.__tostring = line.tostring("Type", function(self)
  return declaration.line(self[1])
end)

-- The lines of a Type for qvm.show.
function Type.__show(self)
  return declaration.layout(self[1])
end

local function part_kind(self, wanted, method)
  local kind = core.type_shape(self[1])
  if not wanted[kind] then
    errors.raise(("'%s': %s is not %s"):format(method, self.name, wanted.text))
  end
end

local STRUCTURES = {struct = true, union = true, text = "a struct or union"}
local ENUMS = {enum = true, text = "an enum"}

local Member = {__name = "Member", __tostring = line.tostring("member", function(member)
  return ("%s at offset %d%s"):format(declaration.of(member.type[1], member.name), member.offset,
    member.bits and (", %d bits from bit %d"):format(member.bits, member.bit_offset) or "")
end)}

--- A member of a struct or union.
-- @table Member
-- @tfield string name empty if it is anonymous
-- @tfield Type type
-- @tfield integer offset bytes from the start of the struct
-- @tfield ?integer bit_offset bits from there, of a bitfield: on a little-endian machine from
-- the lowest bit of that byte on, else from the highest
-- @tfield ?integer bits number of bits, of a bitfield
-- @usage for member in type:members() do print(member.name, member.offset) end

--- The members of a struct or union, in order.
-- Those of an anonymous member are members of its type. Raises if the type is another.
-- @treturn function():Member iterator
-- @usage for member in type:members() do print(member) end
function Type:members()
  part_kind(self, STRUCTURES, "members")
  local index = -1
  return function()
    index = index + 1
    local name, handle, offset, bit_offset, bits = core.type_part(self[1], index)
    return name and setmetatable({name = name, type = wrap(handle), offset = offset,
      bit_offset = bit_offset, bits = bits}, Member) or nil
  end
end

--- The enumerators of an enum, in order. Raises if the type is another.
-- @treturn function():string,integer iterator over name, value
-- @usage for name in dump:type("enum pid_type"):enumerators() do print(name) end
function Type:enumerators()
  part_kind(self, ENUMS, "enumerators")
  local index = -1
  return function()
    index = index + 1
    return core.type_part(self[1], index)
  end
end

local NAMES_MAX, PARTS_MAX, DEPTH_MAX = 4096, 1 << 16, 8

-- Adds the names of members, those within anonymous ones included. left: parts that may still be
-- looked at, since anonymous structs within others could multiply.
local function add_names(names, handle, depth, left)
  local index = 0
  local name, inner = core.type_part(handle, index)
  while inner and #names < NAMES_MAX and left > 0 do
    left = left - 1
    if name ~= "" then
      names[#names + 1] = name
    elseif depth < DEPTH_MAX and STRUCTURES[core.type_shape(inner)] then
      left = add_names(names, inner, depth + 1, left)
    end
    index = index + 1
    name, inner = core.type_part(handle, index)
  end
  return left
end

-- The names of the members of a struct or union; empty for another type.
function Type.names(handle)
  local names = {}
  if STRUCTURES[core.type_shape(handle)] then
    add_names(names, handle, 1, PARTS_MAX)
  end
  return names
end

-- The names of types that begin with a text, as Dump:type takes them, at most so many of each kind.
function Types.names(types, prefix, most)
  local names = {}
  for _, kind in ipairs {"struct", "union", "enum", "typedef", "int"} do
    local tag = (kind == "typedef" or kind == "int") and "" or kind .. " "
    local rest = prefix:sub(1, #tag) == tag and prefix:sub(#tag + 1) or nil
    for _, name in ipairs(rest and core.btf_names(types[1], rest, kind, most) or {}) do
      names[#names + 1] = tag .. name
    end
  end
  return names
end

-- Raises that a type, given as a handle, has no such member, and suggests the nearest. path: of
-- the dump in whose memory it was looked for, if any.
function Type.no_member(handle, name, path)
  local nearest = type(name) == "string" and line.nearest(name, Type.names(handle))[1]
  errors.raise(("%s%s has no member '%s'%s"):format(path and path .. ": " or "",
    declaration.of(handle), line.field(tostring(name)),
    nearest and (": is it '%s'?"):format(nearest) or ""), path and "malformed")
end

-- The offset of a member, or of one of a member's, within a type, given as a handle. path: as of
-- no_member.
function Type.offset_of(handle, member, path)
  local first, total = handle, 0
  for name in (member .. "."):gmatch("([^.]*)%.") do
    local inner, offset, bit_offset = core.type_member(handle, name)
    if not inner then
      Type.no_member(handle, name, path)
    elseif bit_offset and bit_offset > 0 then
      errors.raise(("'offset': %s of %s is a bitfield"):format(line.field(member),
        declaration.of(first)))
    end
    handle, total = inner, total + offset
  end
  return total
end

--- The offset of a member.
-- Raises if there is no such member, or if it is a bitfield within a byte.
-- @tparam string path `"comm"`, or `"se.sum_exec_runtime"` for a member of a member
-- @treturn integer bytes
-- @usage print(dump:type("struct task_struct"):offset "comm")
function Type:offset(path)
  check.string(path, 1, "offset")
  return Type.offset_of(self[1], path)
end

classes.publish(Types, "names")
classes.publish(Type, "new", "names", "no_member", "offset_of")

return {Types = Types, Type = Type}
