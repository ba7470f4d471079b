-- A Linux guest on aarch64 whose memory alone is enough: it has the kernel's types, its symbols
-- (kallsyms), tasks with their mappings and files, and a module.
--
-- CPU 0 runs a process (pid 7), CPU 1 its idle task; four tasks sleep.

local linux_guest = require "support.linux_guest"
local writer = require "support.dumpwriter"

local example_guest = {
  USER = 0x400000,             -- the page of init, at this address in each process
  DATA = "/sbin/init\0--verbose\0\27[2J\0",
  OTHER = "worker's own page\0", -- what is there in pid 7
}

local MODULE = 0x180000 -- where its code is from the kernel's: after all of the kernel's symbols
local BL = string.pack("<I4", 0x94000000)
local KTHREAD = 0x00200000

-- The symbols as the kernel's own table, in a form without compression. VMCOREINFO says where.
local function add_kallsyms(guest)
  local names = {}
  for name in pairs(guest.symbols) do
    names[#names + 1] = name
  end
  table.sort(names)
  local encoded, offsets = {}, {}
  for i, name in ipairs(names) do
    local at = guest.symbols[name]
    encoded[i] = string.char(#name + 1) .. "T" .. name
    offsets[i] = string.pack("<i4", at < 0 and guest.base - at - 1 or at)
  end
  local tokens, index = "", ""
  for i = 0, 255 do
    index = index .. string.pack("<I2", #tokens)
    tokens = tokens .. string.char(i) .. "\0"
  end
  for name, bytes in pairs {num_syms = string.pack("<I4", #names), names = table.concat(encoded),
    relative_base = string.pack("<i8", guest.base), offsets = table.concat(offsets),
    token_table = tokens, token_index = index} do
    guest.info = guest.info .. ("SYMBOL(kallsyms_%s)=%x\n"):format(name, guest:place(bytes))
  end
  guest:reserve(0x1000, 0x1000) -- the library reads whole pages
end

-- The memory of a process: a page with some bytes at USER.
local function add_memory(guest, bytes, areas)
  return guest:memory_of({pgd = guest:user_tables {[example_guest.USER] = bytes},
    arg_start = example_guest.USER, arg_end = example_guest.USER + #bytes}, areas)
end

-- A task that sleeps in schedule, which wait_here has called, or `caller`, a return address; its
-- registers are made of its pid.
local function add_task(guest, about)
  local stack = guest:stack(about.mm and {sp = 0x7ffff0, pc = example_guest.USER + about.pid,
    regs = {about.pid << 8}})
  local frame = stack + 0x3e00
  guest:set(frame, guest:pack("i8i8", 0, about.caller or guest.symbols.wait_here + 0x20))
  local context = {fp = frame, sp = frame, pc = guest.symbols.schedule + 0x40}
  for i = 19, 28 do
    context["x" .. i] = about.pid << 8 | i
  end
  about.stack, about.thread = about.exit_state and 0 or stack, {cpu_context = context}
  return guest:task(about)
end

local function add_code(guest)
  guest:place(BL:rep(0x400), "_stext")
  local text = guest.symbols._stext
  guest.symbols.schedule, guest.symbols.wait_here = text + 0x100, text + 0x200
  guest.symbols.idle_here, guest.symbols._etext = text + 0x300, text + 0x1000
end

local function add_tasks(guest)
  local idle = guest:task {pid = 0, name = "swapper/1", flags = KTHREAD, on_cpu = 1, cpu = 1}
  table.remove(guest.leaders) -- idle tasks are not in the list
  local root = guest:dentry "/"
  local mm = add_memory(guest, example_guest.DATA, {{vm_start = example_guest.USER,
    vm_end = example_guest.USER + 0x1000, vm_flags = 5, vm_pgoff = 2,
    vm_file = guest:file(guest:mount(root), guest:dentry("init", guest:dentry("sbin", root)))}})
  local init = add_task(guest, {pid = 1, name = "init", state = 1, cpu = 1, mm = mm})
  add_task(guest, {pid = 2, name = "kthread\27[2J", state = 1, flags = KTHREAD,
    caller = guest.module_text + 0x120})
  mm = add_memory(guest, example_guest.OTHER)
  local worker = add_task(guest, {pid = 7, name = "worker", on_cpu = 1, parent = init, mm = mm})
  add_task(guest, {pid = 8, tgid = 7, name = "a<b>\"&", parent = init, leader = worker, state = 2,
    mm = mm})
  add_task(guest, {pid = 9, name = "defunct", exit_state = 32, parent = init})
  guest:run_queues {worker, idle}
end

-- The vCPUs' registers: x0 to x30 are made of the vCPU's number, from 1, and theirs.
local function note_of(guest)
  local cpus = {}
  for i, pc in ipairs {example_guest.USER, guest.symbols.idle_here} do
    local gpr = {[31] = guest.idle}
    for n = 0, 30 do
      gpr[n] = i << 8 | n
    end
    cpus[i] = {cpunum = i - 1, extra = {i << 8 | 0xee},
      registers = writer.aarch64 {gpr = gpr, elr = pc, pstate = 5}}
  end
  return writer.note {cpus = cpus, names = {"far_el1"}}
end

-- Makes the guest, still without symbols and types. module_text: where the code of its module is.
function example_guest.new()
  local guest = linux_guest.new {layout = "mem"}
  guest.module_text = guest.base + MODULE
  add_code(guest)
  add_tasks(guest)
  guest:module {name = "e1000\27", base = guest.module_text, size = 0x3000, more = 0x500,
    taints = 1 << 12, symbols = {{"e1000_open", guest.module_text + 0x100, 0x40},
      {"e1000_close", guest.module_text + 0x140, 0}}}
  guest:link()
  return guest
end

-- Writes the guest's dump, and returns its path. has_types: with type information.
function example_guest.write(guest, has_types)
  guest = guest or example_guest.new()
  if has_types ~= false then
    guest:add_btf(guest.types:btf())
  end
  guest.info = ("SYMBOL(_stext)=%x\n"):format(guest.symbols._stext)
  add_kallsyms(guest)
  guest:reserve(guest.module_text + 0x1000 - guest.next)
  guest:set(guest.module_text, BL:rep(0x400))
  guest.segments = {{type = 4, bytes = note_of(guest)}}
  return guest:write "tasks.gcore"
end

return example_guest
