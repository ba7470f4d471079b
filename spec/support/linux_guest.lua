-- A small Linux guest on aarch64: its kernel's type information, symbols (kallsyms), tasks, with
-- their mappings and files, and a module are in its memory, so that the dump alone is enough.
--
-- CPU 0 runs a process (pid 7), CPU 1 its idle task; four tasks sleep.

local ctypes = require "support.ctypes"
local files = require "support.files"
local kernel = require "support.kernel"
local link_list = require "support.kernel_objects".link_list
local pagetables = require "support.pagetables"
local writer = require "support.dumpwriter"

local linux_guest = {
  USER = 0x400000,             -- the page of init, at this address in each process
  DATA = "/sbin/init\0--verbose\0\27[2J\0",
  OTHER = "worker's own page\0", -- what is there in pid 7
}

local MEMORY, TABLES = 0x80000000, 0x41000
local MODULE = 0x100000 -- where its code is from the kernel's: after all of the kernel's symbols
local BL = string.pack("<I4", 0x94000000)
local KTHREAD = 0x00200000

local function types()
  local t = ctypes.new()
  t:struct("list_head", {{"next", "struct list_head *"}, {"prev", "struct list_head *"}})
  local context = {}
  for i = 19, 28 do
    context[#context + 1] = {"x" .. i, "long unsigned int"}
  end
  for _, name in ipairs {"fp", "sp", "pc"} do
    context[#context + 1] = {name, "long unsigned int"}
  end
  t:struct("cpu_context", context)
  t:struct("thread_struct", {{"cpu_context", "struct cpu_context"}})
  t:struct("signal_struct", {{"thread_head", "struct list_head"}})
  t:struct("qstr", {{"len", "unsigned int"}, {"name", "unsigned char *"}})
  t:struct("hlist_bl_node", {{"next", "void *"}, {"pprev", "void *"}})
  t:struct("dentry_operations", {{"d_dname", "void *"}})
  t:struct("dentry", {{"d_hash", "struct hlist_bl_node"}, {"d_parent", "struct dentry *"},
    {"d_name", "struct qstr"}, {"d_op", "struct dentry_operations *"}})
  t:struct("vfsmount", {{"mnt_root", "struct dentry *"}})
  t:struct("mount", {{"mnt_parent", "struct mount *"}, {"mnt_mountpoint", "struct dentry *"},
    {"mnt", "struct vfsmount"}})
  t:struct("path", {{"mnt", "struct vfsmount *"}, {"dentry", "struct dentry *"}})
  t:struct("file", {{"f_path", "struct path"}})
  t:struct("vm_special_mapping", {{"name", "char *"}})
  t:struct("vm_operations_struct", {{"name", "void *"}})
  t:struct("vm_area_struct", {{"vm_start", "long unsigned int"}, {"vm_end", "long unsigned int"},
    {"vm_next", "struct vm_area_struct *"}, {"vm_flags", "long unsigned int"},
    {"vm_pgoff", "long unsigned int"}, {"vm_file", "struct file *"},
    {"vm_ops", "struct vm_operations_struct *"}, {"vm_private_data", "void *"}})
  t:struct("mm_struct", {{"pgd", "void *"}, {"arg_start", "long unsigned int"},
    {"arg_end", "long unsigned int"}, {"start_brk", "long unsigned int"},
    {"brk", "long unsigned int"}, {"start_stack", "long unsigned int"},
    {"mmap", "struct vm_area_struct *"}})
  t:struct("task_struct", {{"__state", "unsigned int"}, {"exit_state", "int"},
    {"flags", "unsigned int"}, {"cpu", "unsigned int"}, {"on_cpu", "int"}, {"pid", "int"},
    {"tgid", "int"}, {"stack", "void *"}, {"mm", "struct mm_struct *"},
    {"real_parent", "struct task_struct *"}, {"group_leader", "struct task_struct *"},
    {"signal", "struct signal_struct *"}, {"tasks", "struct list_head"},
    {"thread_node", "struct list_head"}, {"comm", "char[16]"},
    {"thread", "struct thread_struct"}})
  t:struct("module_memory", {{"base", "void *"}, {"size", "unsigned int"}})
  t:struct("mod_kallsyms", {{"symtab", "void *"}, {"num_symtab", "unsigned int"},
    {"strtab", "char *"}})
  t:struct("module", {{"state", "unsigned int"}, {"list", "struct list_head"},
    {"name", "char[56]"}, {"taints", "long unsigned int"}, {"mem", "struct module_memory[2]"},
    {"kallsyms", "struct mod_kallsyms *"}})
  t:struct("pt_regs", {{"regs", "long unsigned int[31]"}, {"sp", "long unsigned int"},
    {"pc", "long unsigned int"}, {"pstate", "long unsigned int"}})
  t:struct("rq", {{"curr", "struct task_struct *"}})
  t:variable("runqueues", "struct rq")
  return t
end

-- The symbols as the kernel's own table, in a form without compression. Returns lines of
-- VMCOREINFO.
local function add_kallsyms(k)
  local names = {}
  for name in pairs(k.symbols) do
    names[#names + 1] = name
  end
  table.sort(names)
  local encoded, offsets = {}, {}
  for i, name in ipairs(names) do
    local at = k.symbols[name]
    encoded[i] = string.char(#name + 1) .. "T" .. name
    offsets[i] = string.pack("<i4", at < 0 and k.base - at - 1 or at)
  end
  local tokens, index = "", ""
  for i = 0, 255 do
    index = index .. string.pack("<I2", #tokens)
    tokens = tokens .. string.char(i) .. "\0"
  end
  local lines = ""
  for name, bytes in pairs {num_syms = string.pack("<I4", #names), names = table.concat(encoded),
    relative_base = string.pack("<i8", k.base), offsets = table.concat(offsets),
    token_table = tokens, token_index = index} do
    lines = lines .. ("SYMBOL(kallsyms_%s)=%x\n"):format(name, k:place(bytes))
  end
  k:reserve(0x1000, 0x1000) -- the library reads whole pages
  return lines
end

local Guest = {}
Guest.__index = Guest

local function physical(k, address)
  return MEMORY + (address - k.base)
end

-- A dentry; without a parent it is a root. is_deleted: it is in no directory any more.
function Guest:add_dentry(name, parent, is_deleted)
  local k, t = self.kernel, self.types
  local at = k:place(t:pack("struct dentry", {d_name = {len = #name, name = k:place(name .. "\0")},
    d_hash = {pprev = is_deleted and 0 or k.base}}))
  k:set(at + t:offset("struct dentry", "d_parent"), parent or at)
  return at
end

-- Mounts a file system on a dentry of another mount; without them it is the root.
function Guest:add_mount(root, parent, mountpoint)
  local k, t = self.kernel, self.types
  local at = k:place(t:pack("struct mount", {mnt_mountpoint = mountpoint or root,
    mnt = {mnt_root = root}}))
  k:set(at, parent or at)
  return at
end

-- An open file.
function Guest:add_file(dentry, mount)
  local t = self.types
  return self.kernel:place(t:pack("struct file", {f_path = {dentry = dentry,
    mnt = mount + t:offset("struct mount", "mnt")}}))
end

-- Gives the mm_struct at an address mappings: an array of members of vm_area_struct.
function Guest:add_areas(mm, areas)
  local k, t = self.kernel, self.types
  local next_area = 0
  for i = #areas, 1, -1 do
    areas[i].vm_next = next_area
    next_area = k:place(t:pack("struct vm_area_struct", areas[i]))
  end
  k:set(mm + t:offset("struct mm_struct", "mmap"), next_area)
end

-- The memory of a process: a page with some bytes at USER. Returns its mm_struct's address.
function Guest:add_mm(bytes)
  local k, t = self.kernel, self.types
  local page = k:reserve(0x1000, 0x1000)
  k:set(page, bytes)
  local first = k:reserve(0x3000, 0x1000)
  local tables = pagetables.aarch64(physical(k, first), 12, 39)
  tables:map(linux_guest.USER, physical(k, page), 0, 0)
  for _, segment in ipairs(tables:segments()) do
    k:set(k.base + (segment.paddr - MEMORY), segment.bytes)
  end
  return k:place(t:pack("struct mm_struct", {pgd = k.base + (tables.root - MEMORY),
    arg_start = linux_guest.USER, arg_end = linux_guest.USER + #bytes}))
end

-- A task that sleeps in schedule, which wait_here has called, or `caller`, a return address; its
-- registers are made of its pid.
function Guest:add_task(about)
  local k, t = self.kernel, self.types
  local stack = k:reserve(0x4000, 0x4000)
  local frame = stack + 0x3e00
  if about.mm then -- its registers at the entry, in user mode
    k:set(stack + 0x4000 - t:size "struct pt_regs", t:pack("struct pt_regs", {sp = 0x7ffff0,
      pc = linux_guest.USER + about.pid, regs = {about.pid << 8}}))
  end
  k:set(frame, k:pack("i8i8", 0, about.caller or k.symbols.wait_here + 0x20))
  about.caller = nil
  local context = {fp = frame, sp = frame, pc = k.symbols.schedule + 0x40}
  for i = 19, 28 do
    context["x" .. i] = about.pid << 8 | i
  end
  about.stack, about.thread = stack, {cpu_context = context}
  about.tgid = about.tgid or about.pid
  about.comm, about.real_parent = about.name, about.parent or self.init_task or 0
  about.name, about.parent = nil, nil
  local at = k:place(t:pack("struct task_struct", about))
  local leader = about.group_leader or at
  k:set(at + t:offset("struct task_struct", "group_leader"), leader)
  return at
end

-- Links a process's threads, its first one first.
function Guest:add_process(threads)
  local k, t = self.kernel, self.types
  local signal = k:place(t:pack("struct signal_struct", {}))
  link_list(k, signal + t:offset("struct signal_struct", "thread_head"), threads,
    t:offset("struct task_struct", "thread_node"))
  for _, task in ipairs(threads) do
    k:set(task + t:offset("struct task_struct", "signal"), signal)
  end
  self.leaders[#self.leaders + 1] = threads[1]
end

local function add_code(k)
  k:place(BL:rep(0x400), "_stext")
  k.symbols.schedule, k.symbols.wait_here = k.symbols._stext + 0x100, k.symbols._stext + 0x200
  k.symbols.idle_here, k.symbols._etext = k.symbols._stext + 0x300, k.symbols._stext + 0x1000
end

local function add_tasks(guest)
  local k, t = guest.kernel, guest.types
  guest.init_task = guest:add_task {pid = 0, name = "swapper/0", flags = KTHREAD, on_cpu = 0}
  k.symbols.init_task = guest.init_task
  local idle = guest:add_task {pid = 0, name = "swapper/1", flags = KTHREAD, on_cpu = 1, cpu = 1}
  local mm_of_init = guest:add_mm(linux_guest.DATA)
  local root = guest:add_dentry "/"
  guest:add_areas(mm_of_init, {{vm_start = linux_guest.USER, vm_end = linux_guest.USER + 0x1000,
    vm_flags = 5, vm_pgoff = 2, vm_file = guest:add_file(guest:add_dentry("init",
      guest:add_dentry("sbin", root)), guest:add_mount(root))}})
  local init = guest:add_task {pid = 1, name = "init", ["__state"] = 1, cpu = 1, mm = mm_of_init}
  guest:add_process {init}
  guest.module_text = k.base + MODULE
  guest:add_process {guest:add_task {pid = 2, name = "kthread\27[2J", ["__state"] = 1,
    flags = KTHREAD, caller = guest.module_text + 0x120}}
  local mm = guest:add_mm(linux_guest.OTHER)
  local worker = guest:add_task {pid = 7, name = "worker", on_cpu = 1, parent = init, mm = mm}
  guest:add_process {worker, guest:add_task {pid = 8, tgid = 7, name = "a<b>\"&", parent = init,
    group_leader = worker, ["__state"] = 2, mm = mm}}
  guest:add_process {guest:add_task {pid = 9, name = "defunct", exit_state = 32, parent = init}}
  link_list(k, guest.init_task + t:offset("struct task_struct", "tasks"), guest.leaders,
    t:offset("struct task_struct", "tasks"))
  guest.zombie = guest.leaders[#guest.leaders]
  k:set(guest.zombie + t:offset("struct task_struct", "stack"), 0)
  local queues = {}
  for i, task in ipairs {worker, idle} do
    queues[i] = k:place(t:pack("struct rq", {curr = task})) - 0x100
  end
  k.symbols.runqueues = 0x100
  k:place(k:pack("i8i8", table.unpack(queues)), "__per_cpu_offset")
end

-- A symbol of a module, as an ELF file has it: in section 1, a function.
local function elf_symbol(k, name, address, size)
  return k:pack("I4BBI2i8i8", name, 0x12, 0, 1, address, size)
end

-- A module with two symbols, in code that was placed before.
local function add_module(guest)
  local k, t = guest.kernel, guest.types
  local text, names = guest.module_text, "\0e1000_open\0e1000_close\0"
  local symbols = elf_symbol(k, 0, 0, 0) .. elf_symbol(k, 1, text + 0x100, 0x40)
    .. elf_symbol(k, 12, text + 0x140, 0)
  local module = k:place(t:pack("struct module", {name = "e1000\27", taints = 1 << 12,
    mem = {{base = text, size = 0x3000}, {base = k.base + 0x8000, size = 0x500}},
    kallsyms = k:place(t:pack("struct mod_kallsyms", {symtab = k:place(symbols), num_symtab = 3,
      strtab = k:place(names .. ("\0"):rep(600))}))}))
  k:place(("\0"):rep(16), "modules")
  link_list(k, k.symbols.modules, {module}, t:offset("struct module", "list"))
  guest.module = module
end

-- Makes the guest, still without symbols: `kernel`, its `types`, and the addresses of its tasks
-- (`init_task`, and the `leaders` of its processes).
function linux_guest.guest()
  local guest = setmetatable({kernel = kernel.new(), types = types(), leaders = {}}, Guest)
  add_code(guest.kernel)
  add_tasks(guest)
  add_module(guest)
  return guest
end

-- The vCPUs' registers: x0 to x30 are made of the vCPU's number, from 1, and theirs.
local function note_of(k)
  local cpus = {}
  for i, pc in ipairs {linux_guest.USER, k.symbols.idle_here} do
    local gpr = {[31] = k.symbols.init_task}
    for n = 0, 30 do
      gpr[n] = i << 8 | n
    end
    cpus[i] = {cpunum = i - 1, extra = {i << 8 | 0xee},
      registers = writer.aarch64 {gpr = gpr, elr = pc, pstate = 5}}
  end
  return writer.note {cpus = cpus, names = {"far_el1"}}
end

-- Writes the guest's dump, and returns its path. has_types: with type information.
function linux_guest.write(guest, has_types)
  guest = guest or linux_guest.guest()
  local k = guest.kernel
  if has_types ~= false then
    k:add_btf(guest.types:btf())
  end
  k:reserve(guest.module_text + 0x1000 - k.next)
  k:set(guest.module_text, BL:rep(0x400))
  local info = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nNUMBER(VA_BITS)=39\n"
    .. ("SYMBOL(swapper_pg_dir)=%x\nSYMBOL(_stext)=%x\n"):format(k.symbols.swapper_pg_dir,
      k.symbols._stext) .. "NUMBER(kimage_voffset)=0xffffff8000000000\n" .. add_kallsyms(k)
  local tables = pagetables.aarch64(TABLES, 12, 39)
  tables:map(k.base, MEMORY, 1, 0)
  local segments = tables:segments()
  segments[#segments + 1] = {paddr = MEMORY, bytes = k:memory()}
  segments[#segments + 1] = {type = 4, bytes = note_of(k)}
  segments[#segments + 1] = {type = 4, align = 4,
    bytes = writer.elf_note("VMCOREINFO\0", 0, info)}
  return files.write("tasks.gcore", writer.file {machine = "aarch64", segments = segments})
end

return linux_guest
