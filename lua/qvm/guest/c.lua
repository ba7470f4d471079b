--- Functions on Objects, as C has them: members own the dot.
--
-- Those that walk a list or a tree are iterators. A damaged one raises in the loop, and none is
-- followed without end: each link is checked against the one before it.
-- @module qvm.c

local check = require "qvm.util.arguments"
local core = require "qvm.core"
local declaration = require "qvm.guest.declaration"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local lists = require "qvm.guest.lists"
local maple_tree = require "qvm.guest.maple_tree"
local objects = require "qvm.guest.objects"
local trees = require "qvm.guest.trees"
local Type = require "qvm.guest.types".Type

local make, shape, target_of = objects.make, objects.shape, objects.target_of

local c = {}

local function check_object(object, index, name)
  if not core.is_object(object) then
    check.expected(object, index, name, "Object")
  end
end

-- The handle of a type, given as a Type or by its name among the types of an Object's dump.
local function handle_of(object, what, index, name)
  if getmetatable(what) == Type then
    local own = core.types_of((core.object_about(object)))
    if core.types_of(what[1]) ~= own then
      require "qvm.guest.typed_memory".check(objects.dump(object), what[1], index, name)
    end
    return what[1]
  elseif type(what) ~= "string" then
    check.expected(what, index, name, "Type or name of a type")
  end
  local found, message, code = objects.dump(object):type(what)
  return found and found[1] or errors.raise(message, code)
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
  return handle, Type.offset_of(handle, member, objects.dump(object).path)
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

--- The string that an Object is, or points to.
-- @tparam qvm.object.Object|string object a `char *`, or an array; a string is itself
-- @tparam[opt=4096] integer max bytes to read if there is no NUL before
-- @treturn[1] string the bytes before the NUL
-- @return[2] nil, message, code: as `Space:cstring`
-- @usage print(qvm.c.string(dump:variable("saved_command_line")))
function c.string(object, max)
  if type(object) ~= "string" then
    check_object(object, 1, "string")
  end
  if max ~= nil then
    check.integer(max, 2, "string")
    if max < 0 then
      check.bad(2, "string", "a number of bytes is expected, not a negative one")
    end
  end
  if type(object) == "string" then
    return object:match("^[^%z]*"):sub(1, max or -1)
  end
  local space, message, code = objects.dump(object):kernel_space()
  if not space then
    return nil, message, code
  end
  return space:cstring(target_of(object, "string"), max or 4096)
end

local ARRAY_MAX = 1 << 20

--- Some elements of an array or a pointer, as a table.
-- @tparam qvm.object.Object object a pointer, or an array
-- @tparam integer n number of elements, up to 1048576
-- @treturn {any,...} values, as `object[i]` gives them; nil pointers leave holes
-- @usage words = qvm.c.array(qvm.c.cast(task, "unsigned long[]"), 2)
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

-- Lists and trees ---------------------------------------------------------------------------

-- Raises unless an Object is, or points to, a struct of a name, and the kernel's lists and trees
-- are of the types that they should be. Returns that name.
local function check_head(object, names, name)
  check_object(object, 1, name)
  local handle = core.object_about(object)
  local kind, target = shape(handle)
  local text = declaration.of(select(2, core.type_shape(kind == "pointer" and target or handle)))
  if not names[text] then
    check.expected(object, 1, name, names.text, text)
  end
  local ok, message, code = require "qvm.guest.kernel_types".check(objects.dump(object))
  return ok and text or errors.raise(message, code)
end

local function one(name)
  return {[name] = true, text = name}
end

local LIST, HLIST, LLIST = one "struct list_head", one "struct hlist_head", one "struct llist_head"
local XARRAY, IDR, MAPLE_TREE = one "struct xarray", one "struct idr", one "struct maple_tree"
local RBTREE = {["struct rb_root"] = true, ["struct rb_root_cached"] = true,
  text = "struct rb_root"}

--- The entries of a list.
--
-- They are linked by a `struct list_head`.
-- Raises in the loop where a link is NULL, cannot be read, or where an entry does not point
-- back to the one before it.
-- @tparam qvm.object.Object head the list's head, a `struct list_head` or a pointer to it
-- @tparam qvm.types.Type|string type of the entries
-- @tparam string member the member of an entry by which it is linked
-- @treturn function():qvm.object.Object iterator over the entries
-- @usage for t in qvm.c.list(task.tasks, task_type, "tasks") do print(t.comm) end
function c.list(head, type, member)
  check_head(head, LIST, "list")
  return lists.list(head, target_of(head, "list"), member_of(head, type, member, "list"))
end

--- The entries of a hash list.
--
-- They are linked by a `struct hlist_node`.
-- Raises as `list`.
-- @tparam qvm.object.Object head a `struct hlist_head`, or a pointer to it
-- @tparam qvm.types.Type|string type of the entries
-- @tparam string member the member of an entry by which it is linked
-- @treturn function():qvm.object.Object iterator over the entries
-- @usage for t in qvm.c.hlist(head, task_type, "node") do print(t.comm) end
function c.hlist(head, type, member)
  check_head(head, HLIST, "hlist")
  return lists.hlist(head, target_of(head, "hlist"), member_of(head, type, member, "hlist"))
end

--- The entries of a lock-free list.
--
-- The last one that was added comes first. The links go one way. Raises in the loop where one
-- cannot be read, or leads back to an entry
-- before it.
-- @tparam qvm.object.Object head a `struct llist_head`, or a pointer to it
-- @tparam qvm.types.Type|string type of the entries
-- @tparam string member the member of an entry by which it is linked: a `struct llist_node`
-- @treturn function():qvm.object.Object iterator over the entries
-- @usage for t in qvm.c.llist(wake_list, task_type, "wake") do print(t.comm) end
function c.llist(head, type, member)
  check_head(head, LLIST, "llist")
  return lists.llist(head, member_of(head, type, member, "llist"))
end

--- The entries of a red-black tree, in its order.
--
-- Raises in the loop where a node cannot be read or does not point back to its parent.
-- @tparam qvm.object.Object root a `struct rb_root` or `struct rb_root_cached`, or a pointer
-- to it
-- @tparam qvm.types.Type|string type of the entries
-- @tparam string member the member of an entry by which it is linked
-- @treturn function():qvm.object.Object iterator over the entries
-- @usage for a in qvm.c.rbtree(root, "struct vmap_area", "rb_node") do print(a) end
function c.rbtree(root, type, member)
  if check_head(root, RBTREE, "rbtree") == "struct rb_root_cached" then
    root = root.rb_root
  end
  return trees.rbtree(root, member_of(root, type, member, "rbtree"))
end

--- The entries of an XArray, in the order of their indices.
--
-- An entry that is an integer, not a pointer, is returned as that integer. Raises in the loop
-- where a node cannot be read or does not point back to its parent.
-- @tparam qvm.object.Object array a `struct xarray`, or a pointer to it
-- @tparam qvm.types.Type|string type of what the entries point to
-- @treturn function():integer,any iterator over index, Object or integer
-- @usage for index in qvm.c.xarray(array, task_type) do print(index) end
function c.xarray(array, type)
  check_head(array, XARRAY, "xarray")
  return trees.xarray(array, handle_of(array, type, 2, "xarray"), 0)
end

--- The entries of an IDR, in the order of their ids.
--
-- Raises as `xarray`. IDRs before Linux 4.20 are not supported.
-- @tparam qvm.object.Object idr a `struct idr`, or a pointer to it
-- @tparam qvm.types.Type|string type of what the entries point to
-- @treturn function():integer,any iterator over id, Object or integer
-- @usage for id in qvm.c.idr(idr, task_type) do print(id) end
function c.idr(idr, type)
  check_head(idr, IDR, "idr")
  local handle = handle_of(idr, type, 2, "idr")
  check_head(idr.idr_rt, XARRAY, "idr")
  return trees.xarray(idr.idr_rt, handle, idr.idr_base)
end

--- The entries of a maple tree, with their ranges.
--
-- They come in order.
-- An entry that is an integer, not a pointer, is returned as that integer. Ranges without an
-- entry are left out. Raises in the loop where a node cannot be read, does not point back to
-- its parent, or has ranges that do not ascend.
-- @tparam qvm.object.Object tree a `struct maple_tree`, or a pointer to it
-- @tparam qvm.types.Type|string type of what the entries point to
-- @treturn function():integer,integer,any iterator over first and last index, both inclusive,
-- and Object or integer
-- @usage for first, last in qvm.c.maple_tree(tree, task_type) do print(first) end
function c.maple_tree(tree, type)
  check_head(tree, MAPLE_TREE, "maple_tree")
  local handle = handle_of(tree, type, 2, "maple_tree")
  local function layout(name)
    return handle_of(tree, name, 2, "maple_tree")
  end
  return maple_tree.entries(tree, target_of(tree, "maple_tree"), handle, layout)
end

-- Per-CPU variables -------------------------------------------------------------------------

local CPUS_MAX = 1 << 16

--- A per-CPU variable as one CPU has it.
-- @tparam qvm.object.Object object a variable of `Dump:variable`, or a pointer that the kernel
-- marks `__percpu`
-- @tparam integer cpu number of the CPU, from 0
-- @treturn[1] any the variable's value: an Object if it is a struct
-- @return[2] nil, message, code: `not_found`: there is no such CPU, where its variables are is
-- not known, or the variable is known not to be per-CPU
-- @usage print(qvm.c.per_cpu(dump:variable("runqueues"), 0).nr_running)
function c.per_cpu(object, cpu)
  check_object(object, 1, "per_cpu")
  check.integer(cpu, 2, "per_cpu")
  if cpu < 0 or cpu >= CPUS_MAX then
    check.bad(2, "per_cpu", "number of a CPU expected")
  end
  local typed_memory = require "qvm.guest.typed_memory"
  local dump = objects.dump(object)
  local offset, message, code = typed_memory.per_cpu_offset(dump, cpu)
  if not offset then
    return nil, message, code
  end
  local handle, address, is_read = core.object_about(object)
  -- Where the section begins at 0 (x86_64 before 6.15), addresses in it are small.
  if address < 0 and require "qvm.guest".kernel_address(dump, "__per_cpu_start") == 0 then
    return nil, ("%s: %s: not a per-CPU variable"):format(dump.path, tostring(object)), "not_found"
  end
  local moved = make(object, handle, address + offset, is_read)
  if is_read then
    return moved
  end
  return core.object_value(moved)
end

return line.with_name("qvm.c", c)
