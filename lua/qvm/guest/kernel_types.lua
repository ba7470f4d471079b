-- What the library expects of the kernel's own structures. Type information is the guest's, and may
-- say anything: it is checked once, before the library reads members by their names.

local core = require "qvm.core"
local declaration = require "qvm.guest.declaration"
local information = require "qvm.guest.type_information"
local line = require "qvm.util.text"
local typed_memory = require "qvm.guest.typed_memory"

local kernel_types = {}

-- The members that are read, by struct: "integer", "pointer" (to anything), or a declaration, where
-- [] stands for an array of any length. Kernels differ in which of them they have.
local MEMBERS = {
  ["struct list_head"] = {next = "struct list_head *", prev = "struct list_head *"},
  ["struct hlist_head"] = {first = "struct hlist_node *"},
  ["struct hlist_node"] = {next = "struct hlist_node *", pprev = "pointer"},
  ["struct llist_head"] = {first = "struct llist_node *"},
  ["struct llist_node"] = {next = "struct llist_node *"},
  ["struct rb_root_cached"] = {rb_root = "struct rb_root"},
  ["struct rb_root"] = {rb_node = "struct rb_node *"},
  ["struct rb_node"] = {__rb_parent_color = "integer", rb_left = "struct rb_node *",
    rb_right = "struct rb_node *"},
  ["struct xarray"] = {xa_head = "pointer"},
  ["struct xa_node"] = {shift = "integer", offset = "integer", parent = "struct xa_node *",
    slots = "void *[]"},
  ["struct idr"] = {idr_rt = "struct xarray", idr_base = "integer"},
  ["struct maple_tree"] = {ma_root = "pointer"},
  ["struct maple_range_64"] = {pivot = "integers", slot = "void *[]"},
  ["struct maple_arange_64"] = {pivot = "integers", slot = "void *[]"},
  ["struct task_struct"] = {pid = "integer", tgid = "integer", comm = "char[]", flags = "integer",
    state = "integer", __state = "integer", exit_state = "integer", cpu = "integer",
    on_cpu = "integer", thread_info = "struct thread_info", se = "struct sched_entity",
    tasks = "struct list_head", thread_node = "struct list_head",
    real_parent = "struct task_struct *", group_leader = "struct task_struct *",
    signal = "struct signal_struct *", mm = "struct mm_struct *", stack = "pointer",
    stack_vm_area = "struct vm_struct *", thread = "struct thread_struct"},
  ["struct thread_info"] = {cpu = "integer"},
  ["struct sched_entity"] = {cfs_rq = "struct cfs_rq *"},
  ["struct cfs_rq"] = {rq = "struct rq *"},
  ["struct rq"] = {cpu = "integer", curr = "struct task_struct *"},
  ["struct pcpu_hot"] = {current_task = "struct task_struct *"},
  ["struct signal_struct"] = {thread_head = "struct list_head"},
  ["struct vm_struct"] = {nr_pages = "integer"},
  ["struct mm_struct"] = {pgd = "pointer", mm_mt = "struct maple_tree",
    mmap = "struct vm_area_struct *", arg_start = "integer", arg_end = "integer",
    start_brk = "integer", brk = "integer", start_stack = "integer"},
  ["struct vm_area_struct"] = {vm_start = "integer", vm_end = "integer", vm_flags = "integer",
    vm_pgoff = "integer", vm_next = "struct vm_area_struct *", vm_file = "struct file *",
    vm_ops = "struct vm_operations_struct *", vm_private_data = "pointer"},
  ["struct vm_operations_struct"] = {name = "pointer"},
  ["struct vm_special_mapping"] = {name = "char *"},
  ["struct file"] = {f_path = "struct path"},
  ["struct path"] = {dentry = "struct dentry *", mnt = "struct vfsmount *"},
  ["struct dentry"] = {d_name = "struct qstr", d_parent = "struct dentry *",
    d_hash = "struct hlist_bl_node", d_op = "struct dentry_operations *"},
  ["struct dentry_operations"] = {d_dname = "pointer"},
  ["struct hlist_bl_node"] = {pprev = "pointer"},
  ["struct qstr"] = {len = "integer", name = "unsigned char *"},
  ["struct vfsmount"] = {mnt_root = "struct dentry *"},
  ["struct mount"] = {mnt = "struct vfsmount", mnt_parent = "struct mount *",
    mnt_mountpoint = "struct dentry *"},
  ["struct thread_struct"] = {sp = "integer", cpu_context = "struct cpu_context"},
  ["struct cpu_context"] = {pc = "integer", sp = "integer", fp = "integer"},
  ["struct pt_regs"] = {regs = "integers", pstate = "integer", pc = "integer"},
  ["struct module"] = {state = "integer", list = "struct list_head", name = "char[]",
    taints = "integer", mkobj = "struct module_kobject", kallsyms = "struct mod_kallsyms *",
    arch = "struct mod_arch_specific", core_layout = "struct module_layout",
    init_layout = "struct module_layout", mem = "struct module_memory[]"},
  ["struct module_kobject"] = {mod = "struct module *"},
  ["struct module_memory"] = {base = "pointer", size = "integer"},
  ["struct module_layout"] = {base = "pointer", size = "integer"},
  ["struct mod_kallsyms"] = {num_symtab = "integer", symtab = "pointer", strtab = "pointer"},
  ["struct mod_arch_specific"] = {num_orcs = "integer", orc_unwind_ip = "pointer",
    orc_unwind = "pointer"},
  ["struct btf_module"] = {list = "struct list_head", btf = "struct btf *",
    module = "struct module *"},
  ["struct btf"] = {data = "pointer", data_size = "integer"},
}

for i = 19, 28 do
  MEMBERS["struct cpu_context"]["x" .. i] = "integer"
end
for name in ("r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss")
  :gmatch "%S+" do
  MEMBERS["struct pt_regs"][name] = "integer"
end

local INTEGERS = {int = true, enum = true}

-- Is a type what it should be? Modifiers do not count.
local function matches(handle, expected)
  local kind, inner = core.type_shape(handle)
  if expected == "integer" then
    local plain, _, size = core.type_about(inner) -- bool is a kind of its own here
    return INTEGERS[plain] == true and size ~= nil and size >= 1 and size <= 8
  elseif expected == "integers" then
    return kind == "array" and matches(select(5, core.type_about(inner)), "integer")
  elseif expected == "pointer" then
    return kind == "pointer"
  end
  local name = declaration.of(inner):gsub("%f[%w]const ", ""):gsub("%f[%w]volatile ", "")
  return name:gsub("%[%d+%]$", "[]") == expected
end

-- The first member that is not what it should be, as text; nil.
local function problem_of(types)
  for name, members in pairs(MEMBERS) do
    local handle = information.find(types, name)
    for member, expected in pairs(handle and members or {}) do
      local inner = core.type_member(handle, member)
      if inner and not matches(inner, expected) then
        return ("%s of %s is `%s`"):format(member, name, line.cut(declaration.of(inner)))
      end
    end
  end
end

-- True if the types in use are a Linux kernel's as the library knows it; nil, message, code.
function kernel_types.check(dump)
  local types, message, code = typed_memory.types_in_use(dump)
  if not types then
    return nil, message, code
  end
  if types._problem == nil then
    types._problem = problem_of(types) or false
  end
  if types._problem then
    return nil, ("%s: not the type information of a Linux kernel: %s"):format(dump.path,
      types._problem), "malformed"
  end
  return true
end

return kernel_types
