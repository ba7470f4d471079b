--- Functions on Objects, as C has them: members own the dot.
--
-- Those that walk a list or a tree are iterators. Links of a damaged list raise, and no list
-- is followed without end: each link is checked against the one before it.
-- @module qvm.c

local check = require "qvm.util.arguments"
local core = require "qvm.core"
local declaration = require "qvm.guest.declaration"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local objects = require "qvm.guest.objects"
local Type = require "qvm.guest.types".Type

local c = {}

local function check_object(object, index, name)
  if not core.is_object(object) then
    check.expected(object, index, name, "Object")
  end
end

-- The handle of a type, given as a Type or by its name among the types of an Object's dump.
local function handle_of(object, what, index, name)
  if getmetatable(what) == Type then
    return what[1]
  elseif type(what) ~= "string" then
    check.expected(what, index, name, "Type or name of a type")
  end
  local found, message = objects.dump(object):type(what)
  return found and found[1] or errors.raise(message)
end

-- An Object in the same dump as another. Its type may be a module's, unlike that of the other.
local function make(object, handle, address, is_pointer)
  local own, _, _, context = core.object_about(object)
  if core.types_of(handle) ~= core.types_of(own) then
    context = assert(require "qvm.guest.typed_memory".context(objects.dump(object), handle))
  end
  return core.object(context, handle, address, is_pointer)
end

-- The kind of a type, typedefs aside, and what it points to or is an array of.
local function shape(handle)
  local kind, inner = core.type_shape(handle)
  return kind, select(5, core.type_about(inner))
end

-- Where an Object is; of a pointer, what it points to: its value, or the one in memory.
local function target_of(object, name)
  local handle, address, is_read = core.object_about(object)
  if shape(handle) == "pointer" and not is_read then
    object = core.object_value(object)
    if object == nil then
      errors.raise(("'%s': a NULL pointer"):format(name))
    end
    return select(2, core.object_about(object))
  end
  return address
end

--- The type of an Object.
-- @tparam qvm.object.Object object
-- @treturn qvm.types.Type type
-- @usage print(qvm.c.typeof(task).name)
function c.typeof(object)
  check_object(object, 1, "typeof")
  return Type.new((core.object_about(object)))
end

--- The address of an Object: C's `&object`.
--
-- Of a pointer that was read, the address that it points to.
-- @tparam qvm.object.Object object
-- @treturn integer virtual address
-- @usage print(qvm.hex(qvm.c.address(task)))
function c.address(object)
  check_object(object, 1, "address")
  return (select(2, core.object_about(object)))
end

--- The value of an Object, as a member of its type would be.
--
-- For an Object of `d:object` or `d:variable` whose type is a number, an enum, a pointer or a
-- string. That of a struct is the Object.
-- @tparam qvm.object.Object object
-- @treturn any value; nil for a NULL pointer
-- @usage print(qvm.c.value(dump:variable("jiffies")))
function c.value(object)
  check_object(object, 1, "value")
  return core.object_value(object)
end

--- The bytes of an Object or of a Type.
-- @tparam qvm.object.Object|qvm.types.Type what of a pointer: of the pointer itself
-- @treturn ?integer bytes; nil if its type has no size
-- @usage print(qvm.c.sizeof(task))
function c.sizeof(what)
  if getmetatable(what) == Type then
    return what.size
  end
  check_object(what, 1, "sizeof")
  return (select(3, core.type_about((core.object_about(what)))))
end

--- The offset of a member, as `Type:offset`.
-- @tparam qvm.object.Object|qvm.types.Type what
-- @tparam string path `"se.sum_exec_runtime"`
-- @treturn integer bytes
-- @usage print(qvm.c.offsetof(task, "tasks"))
function c.offsetof(what, path)
  check.string(path, 2, "offsetof")
  if getmetatable(what) == Type then
    return what:offset(path)
  end
  check_object(what, 1, "offsetof")
  local handle = core.object_about(what)
  local kind, target = shape(handle)
  return Type.new(kind == "pointer" and target or handle):offset(path)
end

--- An Object as another type.
--
-- To a pointer type: a pointer to where the Object is, or points to. To another type: what is
-- at that place.
-- @tparam qvm.object.Object object
-- @tparam qvm.types.Type|string type a Type, or its name
-- @treturn qvm.object.Object object
-- @usage list = qvm.c.cast(dump:variable("init_task").tasks, "struct list_head *")
function c.cast(object, type)
  check_object(object, 1, "cast")
  local handle = handle_of(object, type, 2, "cast")
  return make(object, handle, target_of(object, "cast"), shape(handle) == "pointer")
end

-- The offset of a member within a type given by the caller, and the type's handle.
local function member_of(object, type, member, name)
  local handle = handle_of(object, type, 2, name)
  check.string(member, 3, name)
  return handle, Type.new(handle):offset(member)
end

--- The struct that an Object is a member of.
-- @tparam qvm.object.Object object a member, or a pointer to it
-- @tparam qvm.types.Type|string type of the struct
-- @tparam string member the member's name, or its path
-- @treturn qvm.object.Object the struct
-- @usage first = qvm.c.container_of(task.tasks.next, "struct task_struct", "tasks")
function c.container_of(object, type, member)
  check_object(object, 1, "container_of")
  local handle, offset = member_of(object, type, member, "container_of")
  return make(object, handle, target_of(object, "container_of") - offset)
end

--- The string that an Object is, or points to, up to its NUL.
-- @tparam qvm.object.Object|string object a `char *`, or an array; a string is itself
-- @tparam[opt=4096] integer max bytes to read if there is no NUL before
-- @treturn[1] string the bytes before the NUL
-- @return[2] nil, message, code: as `Space:cstring`
-- @usage print(qvm.c.string(dump:variable("saved_command_line")))
function c.string(object, max)
  if max ~= nil then
    check.integer(max, 2, "string")
  end
  if type(object) == "string" then
    return object:match("^[^%z]*"):sub(1, max or -1)
  end
  check_object(object, 1, "string")
  local space, message, code = objects.dump(object):kernel_space()
  if not space then
    return nil, message, code
  end
  return space:cstring(target_of(object, "string"), max or 4096)
end

local ARRAY_MAX = 1 << 20

--- Some elements of an array, or from a pointer on, as a Lua array.
-- @tparam qvm.object.Object object a pointer, or an array
-- @tparam integer n number of elements, up to 1048576
-- @treturn {any,...} values, as `object[i]` gives them; nil pointers leave holes
-- @usage words = qvm.c.array(dump:variable("__per_cpu_offset", "unsigned long[]"), 2)
function c.array(object, n)
  check_object(object, 1, "array")
  check.integer(n, 2, "array")
  if n < 0 or n > ARRAY_MAX then
    check.bad(2, "array", ("0 to %d elements expected"):format(ARRAY_MAX))
  end
  local values = {}
  for i = 1, n do
    values[i] = object[i]
  end
  return values
end

-- Lists -------------------------------------------------------------------------------------

local ENTRIES_MAX = 1 << 22 -- of one list, and nodes of one tree

local function damaged(object, what)
  errors.raise(("%s: damaged: %s"):format(tostring(object), what))
end

local function same(pointer, address)
  return pointer ~= nil and c.address(pointer) == address
end

-- Raises unless an Object is, or points to, a struct of a name.
local function check_head(object, names, name)
  check_object(object, 1, name)
  local handle = core.object_about(object)
  local kind, target = shape(handle)
  local text = declaration.of(select(2, core.type_shape(kind == "pointer" and target or handle)))
  if not names[text] then
    check.expected(object, 1, name, names.text, text)
  end
  return text
end

local LIST = {["struct list_head"] = true, text = "struct list_head"}

--- The entries of a list: what is linked by a `struct list_head`.
--
-- Raises in the loop where a link is NULL, cannot be read, or where an entry does not point
-- back to the one before it.
-- @tparam qvm.object.Object head the list's head, a `struct list_head` or a pointer to it
-- @tparam qvm.types.Type|string type of the entries
-- @tparam string member the member of an entry by which it is linked
-- @treturn function():qvm.object.Object iterator over the entries
-- @usage for one in qvm.c.list(task.tasks, "struct task_struct", "tasks") do print(one.comm) end
function c.list(head, type, member)
  check_head(head, LIST, "list")
  local handle, offset = member_of(head, type, member, "list")
  local start = target_of(head, "list")
  local node, at, count = head, start, 0
  return function()
    if not node then
      return nil
    end
    local next_node = node.next
    if next_node == nil then
      damaged(node, "its next is NULL")
    elseif not same(next_node.prev, at) then
      damaged(next_node, ("its prev is not 0x%016x, from which it was reached"):format(at))
    end
    at, count = c.address(next_node), count + 1
    node = at ~= start and next_node or nil
    if count > ENTRIES_MAX then
      damaged(head, ("more than %d entries"):format(ENTRIES_MAX))
    end
    return node and make(head, handle, at - offset) or nil
  end
end

local HLIST = {["struct hlist_head"] = true, text = "struct hlist_head"}

--- The entries of a hash list: what is linked by a `struct hlist_node`. Raises as `list`.
-- @tparam qvm.object.Object head a `struct hlist_head`, or a pointer to it
-- @tparam qvm.types.Type|string type of the entries
-- @tparam string member the member of an entry by which it is linked
-- @treturn function():qvm.object.Object iterator over the entries
-- @usage for one in qvm.c.hlist(head, "struct task_struct", "node") do print(one.comm) end
function c.hlist(head, type, member)
  check_head(head, HLIST, "hlist")
  local handle, offset = member_of(head, type, member, "hlist")
  local link, at, count = head, target_of(head, "hlist"), 0
  return function()
    local node
    if link then
      node = count == 0 and link.first or count > 0 and link.next
    end
    link = node or nil
    if not node then
      return nil
    elseif not same(node.pprev, at) then
      damaged(node, ("its pprev is not 0x%016x, from which it was reached"):format(at))
    end
    at, count = c.address(node), count + 1
    if count > ENTRIES_MAX then
      damaged(head, ("more than %d entries"):format(ENTRIES_MAX))
    end
    return make(head, handle, at - offset)
  end
end

-- Trees -------------------------------------------------------------------------------------

local HEIGHT_MAX = 128 -- of a red-black tree of 2^64 nodes

local RBTREE = {["struct rb_root"] = true, ["struct rb_root_cached"] = true,
  text = "struct rb_root"}

-- A child, which must point back to its parent; the lowest two bits of that are the colour.
local function child(node, side, parent)
  local found = node[side]
  if found == nil then
    return nil
  elseif found.__rb_parent_color & ~3 ~= parent then
    damaged(found, ("its parent is not 0x%016x, from which it was reached"):format(parent))
  end
  return found
end

-- Puts a node and all that is left of it on the path.
local function descend(path, node)
  while node do
    if #path == HEIGHT_MAX then
      damaged(node, ("more than %d levels"):format(HEIGHT_MAX))
    end
    path[#path + 1] = node
    local left, right = node.rb_left, node.rb_right
    if left ~= nil and left == right then
      damaged(node, "both its children are one")
    end
    node = child(node, "rb_left", c.address(node))
  end
end

--- The entries of a red-black tree, in its order.
--
-- Raises in the loop where a node cannot be read or does not point back to its parent.
-- @tparam qvm.object.Object root a `struct rb_root` or `struct rb_root_cached`, or a pointer
-- to it
-- @tparam qvm.types.Type|string type of the entries
-- @tparam string member the member of an entry by which it is linked
-- @treturn function():qvm.object.Object iterator over the entries
-- @usage for area in qvm.c.rbtree(root, "struct vmap_area", "rb_node") do print(area.va_start) end
function c.rbtree(root, type, member)
  if check_head(root, RBTREE, "rbtree") == "struct rb_root_cached" then
    root = root.rb_root
  end
  local handle, offset = member_of(root, type, member, "rbtree")
  local path, count = {}, 0
  descend(path, child(root, "rb_node", 0))
  return function()
    local node = table.remove(path)
    if not node then
      return nil
    end
    count = count + 1
    if count > ENTRIES_MAX then
      damaged(root, ("more than %d nodes"):format(ENTRIES_MAX))
    end
    descend(path, child(node, "rb_right", c.address(node)))
    return make(root, handle, c.address(node) - offset)
  end
end

-- XArray ------------------------------------------------------------------------------------

-- Bits of an entry (include/linux/xarray.h): 1 a value, 2 internal; an internal one above 4096
-- is a node, with `shift` and 64 slots (16 on small machines).
local function is_node(entry)
  return entry & 3 == 2 and math.ult(4096, entry)
end

local function word(object)
  return object == nil and 0 or c.address(object)
end

local XARRAY = {["struct xarray"] = true, text = "struct xarray"}

-- Calls visit(index, entry) for all entries below a node.
local function walk_node(head, handle, entry, base, above, visit)
  local node = make(head, handle, entry & ~3)
  local shift, slots = node.shift, node.slots
  if shift >= above or shift > 60 then
    damaged(node, ("its shift is %d, below one of %d"):format(shift, above))
  end
  for i = 1, #slots do
    local slot = word(slots[i])
    local index = base + (i - 1 << shift)
    if is_node(slot) and shift > 0 then
      walk_node(head, handle, slot, index, shift, visit)
    elseif slot ~= 0 and slot & 3 ~= 2 then
      visit(index, slot)
    end
  end
end

--- The entries of an XArray, in the order of their indices.
--
-- An entry that is an integer, not a pointer, is returned as that integer. Raises in the loop
-- where a node is damaged.
-- @tparam qvm.object.Object array a `struct xarray`, or a pointer to it
-- @tparam qvm.types.Type|string type of what the entries point to
-- @treturn function():integer,any iterator over index, Object or integer
-- @usage for index in qvm.c.xarray(array, "struct task_struct") do print(index) end
function c.xarray(array, type)
  check_head(array, XARRAY, "xarray")
  local handle = handle_of(array, type, 2, "xarray")
  local node = handle_of(array, "struct xa_node", 2, "xarray")
  local function visit(index, entry)
    coroutine.yield(index, entry & 1 == 1 and entry >> 1 or make(array, handle, entry & ~3))
  end
  return coroutine.wrap(function()
    local head = word(array.xa_head)
    if is_node(head) then
      walk_node(array, node, head, 0, 64, visit)
    elseif head ~= 0 and head & 3 ~= 2 then
      visit(0, head)
    end
  end)
end

-- Per-CPU variables -------------------------------------------------------------------------

local CPUS_MAX = 1 << 16

--- A per-CPU variable as one CPU has it.
-- @tparam qvm.object.Object object a variable of `Dump:variable`, or a pointer that the kernel
-- marks `__percpu`
-- @tparam integer cpu number of the CPU, from 0
-- @treturn[1] any the variable's value: an Object if it is a struct
-- @return[2] nil, message, code: `not_found`: where they are is not known
-- @usage print(qvm.c.per_cpu(dump:variable("runqueues"), 0).nr_running)
function c.per_cpu(object, cpu)
  check_object(object, 1, "per_cpu")
  check.integer(cpu, 2, "per_cpu")
  if cpu < 0 or cpu >= CPUS_MAX then
    check.bad(2, "per_cpu", "number of a CPU expected")
  end
  local offset, message, code = require "qvm.guest.typed_memory".per_cpu_offset(objects.dump(object), cpu)
  if not offset then
    return nil, message, code
  end
  local handle, address, is_read = core.object_about(object)
  local moved = make(object, handle, address + offset, is_read)
  if is_read then
    return moved
  end
  return core.object_value(moved)
end

return line.with_name("qvm.c", c)
