-- Structures of a Linux kernel, as include/linux has them, and a few of each kind in memory: what
-- specs of types and objects read.

local ctypes = require "support.ctypes"

local kernel_objects = {}

-- Defines the kernel's types.
function kernel_objects.types(order)
  local t = ctypes.new(order)
  t:typedef("pid_t", "int")
  t:struct("list_head", {{"next", "struct list_head *"}, {"prev", "struct list_head *"}})
  t:struct("hlist_node", {{"next", "struct hlist_node *"}, {"pprev", "struct hlist_node * *"}})
  t:struct("hlist_head", {{"first", "struct hlist_node *"}})
  t:struct("llist_node", {{"next", "struct llist_node *"}})
  t:struct("llist_head", {{"first", "struct llist_node *"}})
  t:struct("rb_node", {{"__rb_parent_color", "long unsigned int"},
    {"rb_right", "struct rb_node *"}, {"rb_left", "struct rb_node *"}})
  t:struct("rb_root", {{"rb_node", "struct rb_node *"}})
  t:struct("rb_root_cached", {{"rb_root", "struct rb_root"}, {"rb_leftmost", "struct rb_node *"}})
  t:struct("xarray", {{"xa_lock", "int"}, {"xa_flags", "unsigned int"}, {"xa_head", "void *"}})
  t:struct("xa_node", {{"shift", "unsigned char"}, {"offset", "unsigned char"},
    {"count", "unsigned char"}, {"nr_values", "unsigned char"}, {"parent", "struct xa_node *"},
    {"array", "struct xarray *"}, {"private_list", "struct list_head"}, {"slots", "void *[64]"},
    {"tags", "long unsigned int[3]"}})
  t:struct("idr", {{"idr_rt", "struct xarray"}, {"idr_base", "unsigned int"},
    {"idr_next", "unsigned int"}})
  t:struct("maple_tree", {{"ma_lock", "int"}, {"ma_flags", "unsigned int"}, {"ma_root", "void *"}})
  t:struct("maple_range_64", {{"parent", "void *"}, {"pivot", "long unsigned int[15]"},
    {"slot", "void *[16]"}})
  t:struct("maple_arange_64", {{"parent", "void *"}, {"pivot", "long unsigned int[9]"},
    {"slot", "void *[10]"}, {"gap", "long unsigned int[10]"}, {"meta", "short unsigned int"}})
  t:struct(".dense", {{"parent", "void *"}, {"slot", "void *[31]"}})
  t:union(".maple_node", {{"", "struct .dense"}, {"mr64", "struct maple_range_64"},
    {"ma64", "struct maple_arange_64"}})
  t:struct("maple_node", {{"", "union .maple_node"}})
  t:enum("pid_type", {{"PIDTYPE_PID", 0}, {"PIDTYPE_TGID", 1}, {"PIDTYPE_MAX", 2}})
  t:struct("mm_struct", {{"pgd", "void *"}, {"mm_mt", "struct maple_tree"},
    {"start_code", "long unsigned int"}})
  t:struct("task_struct", {{"__state", "unsigned int"}, {"pid", "pid_t"}, {"comm", "char[16]"},
    {"tasks", "struct list_head"}, {"mm", "struct mm_struct *"},
    {"parent", "struct task_struct *"}, {"kind", "enum pid_type"}, {"node", "struct hlist_node"},
    {"wake", "struct llist_node"}})
  t:struct("vmap_area", {{"va_start", "long unsigned int"}, {"va_end", "long unsigned int"},
    {"rb_node", "struct rb_node"}})
  t:struct("rq", {{"nr_running", "unsigned int"}, {"curr", "struct task_struct *"}})
  t:other("struct irq_flags", 4, 4, function(writer)
    local int = t:id "unsigned int"
    writer:struct("irq_flags", 4, {{"level", int, 0, 3}, {"masked", int, 3, 1}})
  end)
  t:variable("runqueues", "struct rq")
  return t
end

-- Links entries by a struct list_head at an offset: prev and next of each, and of the head.
function kernel_objects.link_list(kernel, head, entries, offset)
  local nodes = {head}
  for _, entry in ipairs(entries) do
    nodes[#nodes + 1] = entry + offset
  end
  for i, node in ipairs(nodes) do
    kernel:set(node, kernel:pack("i8i8", nodes[i % #nodes + 1], nodes[(i - 2) % #nodes + 1]))
  end
end

local LEAF_64, ARANGE_64 = 1, 3 -- enum maple_type

-- A pointer to a maple node, as the kernel marks it; the root's parent has bit 0 set.
function kernel_objects.maple_entry(node, kind, is_root)
  return node | kind << 3 | (is_root and 2 or 4)
end

-- Puts objects into a kernel's memory. Returns their addresses by name, each also a symbol.
function kernel_objects.fill(kernel, t)
  local at = {}
  local function place(name, type, value)
    at[name] = kernel:place(t:pack(type, value), name)
    return at[name]
  end
  place("init_mm", "struct mm_struct", {start_code = 0xffffff8000001000})
  place("init_task", "struct task_struct", {comm = "swapper/0", mm = at.init_mm})
  place("first_task", "struct task_struct", {pid = 1, comm = "init", mm = 0,
    parent = at.init_task, kind = 1, ["__state"] = 1})
  place("second_task", "struct task_struct", {pid = 2, comm = "kthreadd", parent = at.init_task})
  kernel_objects.link_list(kernel, at.init_task + t:offset("struct task_struct", "tasks"),
    {at.first_task, at.second_task}, t:offset("struct task_struct", "tasks"))
  local node = at.first_task + t:offset("struct task_struct", "node")
  place("task_hash", "struct hlist_head", {first = node})
  kernel:set(node, kernel:pack("i8i8", 0, at.task_hash))
  place("wake_list", "struct llist_head", {
    first = at.second_task + t:offset("struct task_struct", "wake")})
  local inner = t:offset("struct vmap_area", "rb_node")
  place("vmap_area_root", "struct rb_root", {})
  place("area", "struct vmap_area", {va_start = 0x1000, va_end = 0x3000})
  kernel:set(at.vmap_area_root, at.area + inner)
  place("page_array", "struct xarray", {})
  place("page_node", "struct xa_node", {slots = {[3] = at.first_task, [5] = 7 << 1 | 1}})
  kernel:set(at.page_array + t:offset("struct xarray", "xa_head"), at.page_node | 2)
  place("task_idr", "struct idr", {idr_base = 1, idr_rt = {xa_head = at.page_node | 2}})
  place("task_ids", "struct maple_tree", {})
  at.maple_node = kernel:reserve(256, 256)
  kernel:set(at.maple_node, t:pack("struct maple_node", {mr64 = {
    parent = at.task_ids | 1, pivot = {9, 0x1fff}, slot = {0, at.first_task, 0}}}))
  kernel:set(at.task_ids + t:offset("struct maple_tree", "ma_root"),
    kernel_objects.maple_entry(at.maple_node, LEAF_64, true))
  place("jiffies", "long unsigned int", 0xffffffff)
  at.text = kernel:place("console=ttyAMA0\0")
  place("saved_command_line", "char *", at.text)
  place("runqueues", "struct rq", {})
  at.rq = kernel:place(t:pack("struct rq", {nr_running = 3, curr = at.first_task}))
  kernel.symbols.runqueues = 0x100
  place("__per_cpu_offset", "long unsigned int[2]", {at.rq - 0x100, 0})
  place("nr_cpu_ids", "unsigned int", 1)
  return at
end

kernel_objects.LEAF_64, kernel_objects.ARANGE_64 = LEAF_64, ARANGE_64

return kernel_objects
