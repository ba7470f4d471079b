-- A Linux guest of either machine and of several kernels: tasks, their memory and open files,
-- modules and run queues, and the types that describe them. The structures have the members
-- that tools read.

local kernel = require "support.kernel"
local kernel_objects = require "support.kernel_objects"
local pagetables = require "support.pagetables"
local writer = require "support.dumpwriter"

local Guest = setmetatable({}, {__index = getmetatable(kernel.new()).__index})
Guest.__index = Guest

local linux_guest = {}

-- Registers that the kernel saves, by machine: on entry, and when it switches to another task.
local X86_ENTRY = {"r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx",
  "dx", "si", "di", "orig_ax", "ip", "cs", "flags", "sp", "ss"}

local function words(names)
  local members = {}
  for i, name in ipairs(names) do
    members[i] = {name, "long unsigned int"}
  end
  return members
end

local function define_registers(t, machine)
  if machine == "x86_64" then
    t:struct("pt_regs", words(X86_ENTRY))
    t:struct("thread_struct", words {"sp"})
    return
  end
  t:struct("pt_regs", {{"regs", "long unsigned int[31]"}, {"sp", "long unsigned int"},
    {"pc", "long unsigned int"}, {"pstate", "long unsigned int"}})
  t:struct("cpu_context", words {"x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "fp", "sp", "pc"})
  t:struct("thread_struct", {{"cpu_context", "struct cpu_context"}})
end

local function define_files(t)
  t:struct("qstr", {{"hash", "unsigned int"}, {"len", "unsigned int"},
    {"name", "const unsigned char *"}})
  t:struct("hlist_bl_node", {{"next", "void *"}, {"pprev", "void *"}})
  t:struct("dentry_operations", {{"d_dname", "void *"}})
  t:struct("dentry", {{"d_hash", "struct hlist_bl_node"}, {"d_parent", "struct dentry *"},
    {"d_name", "struct qstr"}, {"d_op", "const struct dentry_operations *"}})
  t:struct("vfsmount", {{"mnt_root", "struct dentry *"}})
  t:struct("mount", {{"mnt_parent", "struct mount *"}, {"mnt_mountpoint", "struct dentry *"},
    {"mnt", "struct vfsmount"}})
  t:struct("path", {{"mnt", "struct vfsmount *"}, {"dentry", "struct dentry *"}})
  t:struct("file", {{"f_path", "struct path"}})
end

-- Kernels since 6.1 have the mappings in a maple tree, others in a list.
local function define_memory(t, form)
  t:struct("vm_operations_struct", {{"name", "void *"}})
  t:struct("vm_special_mapping", {{"name", "const char *"}})
  t:struct("vm_area_struct", {{"vm_start", "long unsigned int"}, {"vm_end", "long unsigned int"},
    {"vm_next", "struct vm_area_struct *"}, {"vm_flags", "long unsigned int"},
    {"vm_pgoff", "long unsigned int"}, {"vm_file", "struct file *"},
    {"vm_ops", "const struct vm_operations_struct *"}, {"vm_private_data", "void *"}})
  local members = words {"start_brk", "brk", "start_stack", "arg_start", "arg_end"}
  members[#members + 1] = {"pgd", "void *"}
  members[#members + 1] = form.areas == "tree" and {"mm_mt", "struct maple_tree"}
    or {"mmap", "struct vm_area_struct *"}
  t:struct("mm_struct", members)
  t:struct("vm_struct", {{"nr_pages", "unsigned int"}})
end

-- Kernels differ in where a task has its state and its CPU.
local function define_tasks(t, form)
  t:struct("rq", {{"cpu", "int"}, {"curr", "struct task_struct *"}})
  t:struct("cfs_rq", {{"rq", "struct rq *"}})
  t:struct("sched_entity", {{"cfs_rq", "struct cfs_rq *"}})
  t:struct("signal_struct", {{"thread_head", "struct list_head"}})
  local info = {{"flags", "long unsigned int"}}
  info[2] = form.cpu == "thread_info" and {"cpu", "unsigned int"} or nil
  t:struct("thread_info", info)
  local members = {{"thread_info", "struct thread_info"},
    form.state == "state" and {"state", "volatile long int"} or {"__state", "unsigned int"},
    {"stack", "void *"}, {"stack_vm_area", "struct vm_struct *"}, {"flags", "unsigned int"},
    {form.one_cpu and "unused" or "on_cpu", "int"}, {"se", "struct sched_entity"},
    {"tasks", "struct list_head"},
    {"mm", "struct mm_struct *"}, {"exit_state", "int"}, {"pid", "pid_t"}, {"tgid", "pid_t"},
    {"real_parent", "struct task_struct *"}, {"group_leader", "struct task_struct *"},
    {"thread_node", "struct list_head"}, {"comm", "char[16]"},
    {"signal", "struct signal_struct *"}, {"thread", "struct thread_struct"}}
  if form.cpu ~= "thread_info" then
    members[#members + 1] = {"cpu", "unsigned int"}
  end
  t:struct("task_struct", members)
end

-- Kernels since 6.4 have a module's memory in seven parts.
local function define_modules(t, form)
  t:enum("module_state", {{"MODULE_STATE_LIVE", 0}, {"MODULE_STATE_COMING", 1},
    {"MODULE_STATE_GOING", 2}, {"MODULE_STATE_UNFORMED", 3}})
  t:struct("mod_kallsyms", {{"symtab", "void *"}, {"num_symtab", "unsigned int"},
    {"strtab", "char *"}})
  t:struct("module_kobject", {{"mod", "struct module *"}})
  t:struct("module_memory", {{"base", "void *"}, {"size", "unsigned int"}})
  local members = {{"state", "enum module_state"}, {"list", "struct list_head"},
    {"name", "char[56]"}, {"mkobj", "struct module_kobject"}}
  if form.layout == "mem" then
    members[#members + 1] = {"mem", "struct module_memory[7]"}
  else
    t:struct("module_layout", {{"base", "void *"}, {"size", "unsigned int"}})
    members[#members + 1] = {"core_layout", "struct module_layout"}
    members[#members + 1] = {"init_layout", "struct module_layout"}
  end
  members[#members + 1] = {"taints", "long unsigned int"}
  members[#members + 1] = {"kallsyms", "struct mod_kallsyms *"}
  t:struct("module", members)
end

-- The offset of the run queue among the per-CPU variables.
local RUN_QUEUE = 0x40

local function define_section(t)
  t:variable("runqueues", "struct rq")
  t:other("section .data..percpu", nil, 1, function(types)
    types:section(".data..percpu", 0x1000, {{t:id "var runqueues", RUN_QUEUE, t:size "struct rq"}})
  end)
end

-- form: order; machine; state: "state" or "__state"; cpu: "task" or "thread_info"; layout of
-- modules: "core_layout" or "mem"; areas: "list" or "tree"; one_cpu: the kernel was built for one,
-- and has no on_cpu.
function linux_guest.new(form)
  form = form or {}
  local self = setmetatable(kernel.new(form.order, nil, form.machine), Guest)
  local t = kernel_objects.types(form.order)
  define_registers(t, self.machine)
  define_files(t)
  define_memory(t, form)
  define_tasks(t, form)
  define_modules(t, form)
  define_section(t)
  self.types, self.form, self.leaders, self.threads, self.loaded = t, form, {}, {}, {}
  self.symbols._stext = self:reserve(0x100)
  self.symbols._etext = self.symbols._stext + 0x100
  self.idle = self:task {pid = 0, name = "swapper/0", flags = 0x00200002}
  self.symbols.init_task = self.idle
  self.module_list = self:reserve(16)
  self.symbols.modules = self.module_list
  return self
end

function Guest:object(type, value, name)
  return self:place(self.types:pack(type, value), name)
end

-- Writes a member of an object that exists.
function Guest:write_member(address, type, member, value)
  local inner, offset = self.types:member(type, member)
  self:set(address + offset, self.types:pack(inner, value))
end

-- Adds a task, and returns the address of its task_struct. The members that are not those of the
-- structure: name; parent; leader, of a thread; cpu.
function Guest:task(task)
  local value = {pid = task.pid, tgid = task.tgid or task.pid, comm = task.name,
    exit_state = task.exit_state or 0, flags = task.flags or 0,
    [self.form.one_cpu and "unused" or "on_cpu"] = task.on_cpu or 0,
    mm = task.mm or 0, stack = task.stack or 0, thread = task.thread,
    stack_vm_area = task.stack_vm_area or 0, se = task.se}
  value[self.form.state == "state" and "state" or "__state"] = task.state or 0
  if self.form.cpu == "thread_info" then
    value.thread_info = {cpu = task.cpu or 0}
  else
    value.cpu = task.cpu or 0
  end
  local at = self:reserve(self.types:size "struct task_struct")
  value.real_parent, value.group_leader = task.parent or self.idle or at, task.leader or at
  if task.leader then
    table.insert(self.threads[task.leader], at)
    value.signal = self.threads[task.leader].signal
  elseif task.signal ~= 0 then
    value.signal = self:reserve(16)
    self.threads[at] = {at, signal = value.signal}
  end
  if not task.leader and at ~= self.idle and self.idle then
    self.leaders[#self.leaders + 1] = at
  end
  self:set(at, self.types:pack("struct task_struct", value))
  return at
end

-- Writes what the processor pushes and the kernel saves on entry at the top of a stack, and
-- returns the stack's address. gap: bytes that are left free above.
function Guest:stack(registers, gap)
  local at, size = self:reserve(16384, 16384), self.types:size "struct pt_regs"
  if registers then
    self:set(at + 16384 - (gap or 0) - size, self.types:pack("struct pt_regs", registers))
  end
  return at
end

-- User memory: page tables that map pages, given as bytes by their virtual addresses. Returns
-- the address of the top table.
function Guest:user_tables(pages)
  local function physical(address)
    return address - self.base + kernel.MEMORY
  end
  local first = self:reserve(16 << 12, 4096)
  local tables = self.machine == "x86_64" and pagetables.x86_64(physical(first))
    or pagetables.aarch64(physical(first), 12, 39)
  for address, bytes in pairs(pages) do
    local page = self:reserve(4096, 4096)
    self:set(page, bytes)
    tables:map(address, physical(page), 0, 0)
  end
  assert(#tables.tables <= 16)
  for _, one in ipairs(tables:segments(self.order)) do
    self:set(one.paddr - kernel.MEMORY + self.base, one.bytes)
  end
  return first
end

-- A maple tree of one node with areas, whose slots are those and the gaps between them. It is a
-- member of an mm_struct at an address.
function Guest:area_tree(mm, areas)
  local node, first = self:reserve(256, 256), 0
  local tree = mm + self.types:offset("struct mm_struct", "mm_mt")
  local pivot, slot = {}, {}
  for _, area in ipairs(areas) do
    if area.vm_start ~= first then
      pivot[#pivot + 1], slot[#slot + 1] = area.vm_start - 1, 0
    end
    pivot[#pivot + 1] = area.vm_end - 1
    slot[#slot + 1] = self:object("struct vm_area_struct", area)
    first = area.vm_end
  end
  assert(#slot <= 15)
  self:set(node, self.types:pack("struct maple_node", {mr64 = {parent = tree | 1, pivot = pivot,
    slot = slot}}))
  return {ma_root = kernel_objects.maple_entry(node, kernel_objects.LEAF_64, true)}
end

-- An mm_struct. areas: members of vm_area_structs, in order.
function Guest:memory_of(mm, areas)
  local at = self:reserve(self.types:size "struct mm_struct")
  if self.form.areas == "tree" then
    mm.mm_mt = self:area_tree(at, areas or {})
  else
    mm.mmap = mm.mmap or 0
    for i = #(areas or {}), 1, -1 do
      areas[i].vm_next = mm.mmap
      mm.mmap = self:object("struct vm_area_struct", areas[i])
    end
  end
  self:set(at, self.types:pack("struct mm_struct", mm))
  return at
end

-- A dentry; that of a root is its own parent.
function Guest:dentry(name, parent, more)
  local at = self:reserve(self.types:size "struct dentry")
  local value = {d_hash = {pprev = 1 << 63}, d_parent = parent or at,
    d_name = {len = #name, name = self:place(name .. "\0")}}
  for key, one in pairs(more or {}) do
    value[key] = one
  end
  self:set(at, self.types:pack("struct dentry", value))
  return at
end

-- A mount of a root dentry; the first one is its own parent.
function Guest:mount(root, parent, mountpoint)
  local at = self:reserve(self.types:size "struct mount")
  self:set(at, self.types:pack("struct mount", {mnt_parent = parent or at,
    mnt_mountpoint = mountpoint or root, mnt = {mnt_root = root}}))
  return at
end

function Guest:file(mount, dentry)
  return self:object("struct file", {f_path = {dentry = dentry,
    mnt = mount + self.types:offset("struct mount", "mnt")}})
end

-- A table of a module's symbols: {name, address, size} each.
function Guest:symbol_table(symbols)
  local entries, names = {("\0"):rep(24)}, "\0"
  for i, symbol in ipairs(symbols) do
    entries[i + 1] = self:pack("I4BBI2i8I8", #names, 0x12, 0, symbol[4] or 1, symbol[2], symbol[3])
    names = names .. symbol[1] .. "\0"
  end
  return self:object("struct mod_kallsyms", {symtab = self:place(table.concat(entries)),
    num_symtab = #entries, strtab = self:place(names)})
end

-- A module: name, base, size, more (size of its data), state, taints, symbols.
function Guest:module(module)
  local code, data = {base = module.base, size = module.size},
    {base = module.base + 0x100000, size = module.more or 0}
  local value = {name = module.name, state = module.state or 0, taints = module.taints or 0,
    kallsyms = module.kallsyms or module.symbols and self:symbol_table(module.symbols) or 0}
  if self.form.layout == "mem" then
    value.mem = {code, data}
  else
    value.core_layout, value.init_layout = code, data
  end
  local at = self:object("struct module", value)
  self:write_member(at, "struct module", "mkobj.mod", at)
  self.loaded[#self.loaded + 1] = at
  return at
end

-- Run queues: the addresses of the tasks that the CPUs run. The per-CPU variables of a CPU begin
-- at its offset. Returns the offsets.
function Guest:run_queues(running)
  local offsets = {}
  for i, task in ipairs(running) do
    local at = self:object("struct rq", {cpu = i - 1, curr = task})
    offsets[i] = at - RUN_QUEUE
  end
  self.symbols.runqueues = RUN_QUEUE
  local array = ("long unsigned int[%d]"):format(#running)
  self:object(array, offsets, "__per_cpu_offset")
  self:object("unsigned int", #running, "nr_cpu_ids")
  return offsets
end

-- Adds vCPUs as QEMU writes them: pc, sp; on x86_64 also gs, the one in use, kernel_gs and cr3; on
-- aarch64 also fp.
function Guest:add_vcpus(vcpus)
  for i, cpu in ipairs(vcpus) do
    local values = {}
    for j = 1, 34 do
      values[j] = 0
    end
    if self.machine == "x86_64" then
      -- r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss
      -- fs_base gs_base
      values[17], values[20], values[23] = cpu.pc, cpu.sp or 0, cpu.gs or 0
      self:add_note("CORE\0", 1, writer.prstatus(i - 1, table.move(values, 1, 27, 1, {}), 336))
    else
      values[30], values[32], values[33] = cpu.fp or 0, cpu.sp or 0, cpu.pc
      self:add_note("CORE\0", 1, writer.prstatus(i - 1, values, 392))
      self:add_note("CORE\0", 2, ("\0"):rep(528))
    end
  end
  for _, cpu in ipairs(self.machine == "x86_64" and vcpus or {}) do
    self:add_note("QEMU\0", 0, writer.qemu_state({[136] = {cpu.pc}, [392] = {1 << 31 | 1},
      [416] = {cpu.cr3 or 0x41000}, [424] = {1 << 5}, [432] = {cpu.kernel_gs or 0}}, 440))
  end
end

-- The registers of a program at the top of its stack, and where the kernel switched away from it.
local function switched(self)
  local switch = self.symbols._stext + 16
  if self.machine == "x86_64" then
    local stack = self:stack {ip = 0x10010, sp = 0x10f00, cs = 0x33, ss = 0x2b}
    self:set(stack + 0x3030, switch)
    return stack, {sp = stack + 0x3000}
  end
  local stack = self:stack {pc = 0x10010, sp = 0x10f00, pstate = 0}
  self:set(stack + 0x3000, self:pack("i8i8", stack + 0x3100, switch))
  return stack, {cpu_context = {pc = switch, sp = stack + 0x3000, fp = stack + 0x3000}}
end

-- A guest with one of everything: a process with a mapping and two threads, one of which a vCPU
-- runs; a thread of the kernel, and a module.
function linux_guest.small(form)
  local self = linux_guest.new(form)
  local root = self:dentry "/"
  local file = self:file(self:mount(root), self:dentry("init", root))
  local mm = self:memory_of({pgd = self:user_tables {[0x10000] = "init\0-x\0"},
    arg_start = 0x10000, arg_end = 0x10008}, {{vm_start = 0x10000, vm_end = 0x11000,
    vm_flags = 5, vm_file = file}, {vm_start = 0x20000, vm_end = 0x30000, vm_flags = 3}})
  local stack, thread = switched(self)
  local task = self:task {pid = 1, name = "init", mm = mm, stack = stack, thread = thread,
    on_cpu = 1}
  stack, thread = switched(self)
  self:task {pid = 2, tgid = 1, name = "thread", mm = mm, stack = stack, thread = thread,
    leader = task, state = 1}
  stack, thread = switched(self)
  self:task {pid = 3, name = "kthread", flags = 0x00200000, stack = stack, thread = thread,
    state = 2}
  local offsets = self:run_queues {task}
  self:add_vcpus {{pc = self.symbols._stext + 32, sp = stack + 0x3000, gs = offsets[1]}}
  local base = self.base + (64 << 20)
  self:module {name = "ext4", base = base, size = 0x1000, symbols = {{"ext4_init", base + 16, 32}}}
  return self:finish()
end

-- Links the lists; again after tasks or modules were added.
function Guest:link()
  local function link(head, entries, type, member)
    kernel_objects.link_list(self, head, entries, self.types:offset(type, member))
  end
  link(self.idle + self.types:offset("struct task_struct", "tasks"), self.leaders,
    "struct task_struct", "tasks")
  for _, threads in pairs(self.threads) do
    link(threads.signal, threads, "struct task_struct", "thread_node")
  end
  link(self.module_list, self.loaded, "struct module", "list")
end

-- Links the lists, and adds the types.
function Guest:finish()
  self:link()
  self:add_btf(self.types:btf())
  return self
end

return linux_guest
