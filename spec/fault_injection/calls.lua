-- Calls of every public function and method, one for each path through the C core. A call
-- has a name (the name in api.names, optionally followed by more words) and a function of
-- the objects. That function must return the same value each time.

local api = require "support.api"
local assert = require "luassert"
local btf = require "support.btf"
local files = require "support.files"
local kernel_log = require "support.kernel_log"
local kernel_objects = require "support.kernel_objects"
local example_guest = require "support.example_guest"
local orc = require "support.orc"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local calls = {}

-- Fixtures -------------------------------------------------------------------

-- Pseudo-random bytes that gzip can hardly compress; the same in each run.
local function noise(size)
  local parts, state = {}, 88172645463325252
  for i = 1, size // 8 do
    state = state ~ state << 13
    state = state ~ state >> 7
    state = state ~ state << 17
    parts[i] = string.pack("<i8", state)
  end
  return table.concat(parts)
end

local function gzip(path)
  assert(process.run {"gzip", "-kf", path} == 0)
  return path .. ".gz"
end

-- A dump with the notes that QEMU writes, which identify it.
local function qemu_bytes(notes)
  local state = ("\0"):rep(432)
  local function cpu(number)
    return writer.elf_note("CORE\0", 1, ("\0"):rep(32) .. string.pack("<I4", number)
      .. ("\0"):rep(336 - 36))
  end
  local bytes = {}
  for i = 1, notes do
    bytes[i] = cpu(i)
  end
  for i = 1, notes do
    bytes[notes + i] = writer.elf_note("QEMU\0", 0, state)
  end
  return writer.file {machine = "x86_64", segments = {
    {type = 4, align = 4, bytes = table.concat(bytes)},
    {paddr = 0, bytes = "memory of QEMU's guest\0" .. ("\0"):rep(4000)}}}
end

local conf_text = [[
system linux1
ram 0x80000000,256M
cpu runmask 0,1 sched 10 name first
  set sim-erratum-1286807 off
vdev pl011 name console
dump "|gzip >dump.gz"
]]

-- The same dump, but its VMCOREINFO must be searched for in memory: the last note's segment
-- becomes a memory segment at an address of its own.
local function without_note(bytes)
  local at, last = 65, nil
  for _ = 1, (string.unpack("<I2", bytes, 57)) do
    last = string.unpack("<I4", bytes, at) == writer.PT_NOTE and at or last
    at = at + 56
  end
  local size = bytes:sub(last + 32, last + 39)
  return bytes:sub(1, last - 1) .. string.pack("<I4", writer.PT_LOAD)
    .. bytes:sub(last + 4, last + 23) .. string.pack("<i8", 0xc0000000) .. size .. size
    .. bytes:sub(last + 48)
end

-- An ELF file with symbols of that dump's kernel and a build ID.
local function elf_bytes()
  local names, note = "\0swapper_pg_dir\0schedule\0", writer.elf_note("GNU\0", 3, "id")
  local list = string.pack("<I4BBI2i8i8I4BBI2i8i8", 1, 1, 0, 1, 0xffffff8000040000, 0, 16, 2, 0,
    1, 0xffffff8000041000, 64)
  local at = 64 + #names
  return writer.header {machine = 183, phnum = 0, type = 2, shnum = 4,
    shoff = at + #list + #note} .. names .. list .. note .. writer.section_header {}
    .. writer.section_header {type = 3, offset = 64, size = #names}
    .. writer.section_header {type = 2, offset = at, size = #list, link = 1}
    .. writer.section_header {type = 7, offset = at + #list, size = #note}
end

-- Types of a module: they continue those of the kernel, and cannot stand alone.
local function module_bytes()
  local types = btf.new("<", kernel_objects.types():writer())
  types:struct("of_module", 8, {{"one_of_a_module", 1, 0}})
  return types:bytes()
end

-- An ELF file with a section .BTF.
local function vmlinux_bytes()
  local bytes, names = kernel_objects.types():btf(), "\0.BTF\0"
  return writer.header {machine = 183, phnum = 0, type = 2, shnum = 3, shstrndx = 1,
    shoff = 64 + #names + #bytes} .. names .. bytes .. writer.section_header {}
    .. writer.section_header {type = 3, offset = 64, size = #names}
    .. writer.section_header {type = 1, name = 1, offset = 64 + #names, size = #bytes}
end

-- A dump of a vCPU in a kernel with ORC tables, and its symbols.
local function make_orc(o)
  local call = {sp = "sp", sp_offset = 16, type = "call"}
  local bytes, map = orc.image {by_name = {inner = call, outer = {type = "end"}},
    words = {[orc.TASK + 0x1008] = orc.into "outer"},
    registers = {rip = orc.at.inner, rsp = orc.TASK + 0x1000}}
  o.orc, o.orc_map = files.write("orc.gcore", bytes), files.write("orc.map", map)
end

-- The files that the calls open, by content.
local function make_files(o)
  make_orc(o)
  local large = writer.small {memory = {{paddr = 0x80000000,
    bytes = noise(600000) .. ("\0"):rep(300000) .. "the last words of the guest\0"}}}
  o.plain = files.write("plain.gcore", api.dump_bytes("first"))
  o.other = files.write("other.gcore", api.dump_bytes("second"))
  o.crashed = kernel_log.dump(api.crash_messages).path
  o.linux = example_guest.write()
  o.informed = files.write("informed.gcore", without_note(files.read(o.plain)))
  o.large = files.write("large.gcore", large)
  o.packed = gzip(o.large)
  o.cut = files.write("cut.gcore", large:sub(1, 500000))
  o.cut_packed = files.write("cut.gcore.gz", files.read(o.packed):sub(1, 300000))
  o.qemu = files.write("qemu.elf", qemu_bytes(20))
  o.dump_conf = files.write("dump.qvmconf", "system linux1\ndump " .. files.dir() .. "\n")
  o.empty = files.write("empty.gcore", "")
  o.broken = files.write("broken.gcore", large:sub(1, 40) .. ("\xff"):rep(100))
  o.xz = files.write("dump.xz", "\xfd7zXZ\0" .. ("\0"):rep(100))
  o.elf = files.write("kernel.sym", elf_bytes())
  o.map = files.write("System.map", api.map)
  o.vmlinux = files.write("vmlinux", vmlinux_bytes())
  o.btf = files.write("kernel.btf", kernel_objects.types():btf())
  o.module = files.write("module.btf", module_bytes())
  o.conf = files.write("linux1.qvmconf", conf_text)
  o.conf2 = files.write("more.conf", "vdev x loc 'a\nb'\nreserve loc 1,2\n")
  o.text = '{"a": [1, 2.5, -3, "x\\u0041", true, null], "b": {"a": 1, "a": 2},'
    .. ' "n": 1' .. ("0"):rep(200) .. "}"
end

-- A VM that dumps and logs, and the objects made from it.
function calls.objects()
  local o = {kinds = api.objects()}
  for kind, instances in pairs(o.kinds) do
    o[kind] = instances[1]
  end
  o.log = files.path("linux1.log")
  make_files(o)
  o.snapshot = assert(qvm.errata.snapshot(o.VM))
  o.baseline = files.path("baseline.json")
  assert(qvm.errata.save(o.baseline, o.snapshot))
  o.record = files.path("linux1.record")
  o.first, o.second = assert(qvm.open(o.plain)), assert(qvm.open(o.other))
  return o
end

-- Ways to call ---------------------------------------------------------------

-- Collects all results of an iterator; returns failures unchanged.
local function all(iterator, message, code)
  if not iterator then
    return nil, message, code
  end
  local list = {}
  for a, b, c, d in iterator do
    list[#list + 1] = {a, b, c, d}
  end
  return list
end

-- Opens a dump, calls f with it and closes it.
local function opened(path, f, options)
  local dump, message, code = qvm.open(path, options)
  if not dump then
    return nil, message, code
  end
  local a, b, c = f(dump)
  dump:close()
  return a, b, c
end

-- Methods of a dump. Each is called on an open dump, on one opened for the call and on a
-- compressed one. The addresses are valid in all of them.
local dump_calls = {
  read = function(d) return d:read(0x80000000, 64) end,
  cstring = function(d) return d:cstring(0x80000000, 20) end,
  array = function(d) return d:array(0x80000000, "u16", 8) end,
  find = function(d) return all(d:find("O", {align = 2})) end,
  strings = function(d) return all(d:strings(6)) end,
  log = function(d) return d:log() end,
  ranges = function(d) return all(d:ranges()) end,
  segments = function(d) return all(d:segments()) end,
  sections = function(d) return all(d:sections()) end,
  notes = function(d) return all(d:notes()) end,
  vcpus = function(d) return all(d:vcpus()) end,
  vcpu = function(d) return d:vcpu(0) end,
  guest = function(d) return d:guest() end,
}
for _, name in ipairs {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"} do
  dump_calls[name] = function(d) return d[name](d, 0x80000010) end
end

local space_calls = {
  read = function(s) return s:read(0x1000, 64) end,
  cstring = function(s) return s:cstring(0x1000, 20) end,
  array = function(s) return s:array(0x1000, "u32", 8) end,
  find = function(s) return all(s:find("Oops")) end,
  strings = function(s) return all(s:strings(6)) end,
  mappings = function(s) return all(s:mappings()) end,
  translate = function(s) return s:translate(0x1000) end,
  walk = function(s) return s:walk(0x1000) end,
}
for _, name in ipairs {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"} do
  space_calls[name] = function(s) return s[name](s, 0x1010) end
end

local function add_dumps(list, o)
  local function add(name, run, more)
    local call = more or {}
    call.name, call.run = name, run
    list[#list + 1] = call
  end
  for name, f in pairs(dump_calls) do
    add("Dump:" .. name, function() return f(o.first) end)
    add("Dump:" .. name .. " of a file", function() return opened(o.plain, f) end)
  end
  for _, name in ipairs {"read", "u64", "find", "strings", "vcpus", "sections", "ranges"} do
    add("Dump:" .. name .. " of gzip", function()
      return opened(o.packed, dump_calls[name])
    end, {slow = true})
  end
  for _, name in ipairs {"notes", "vcpus", "read"} do
    add("Dump:" .. name .. " of QEMU", function()
      return opened(o.qemu, name == "read" and function(d) return d:read(0, 20) end
        or dump_calls[name])
    end)
  end
  for name, f in pairs(space_calls) do
    add("Space:" .. name, function() return f(o.Space) end)
    add("Space:" .. name .. " of a file", function()
      return opened(o.plain, function(d) return f(assert(d:space(o.SpaceByHand))) end)
    end)
  end
  add("Dump:read back and forth in gzip", function()
    return opened(o.packed, function(d)
      local late, message, code = d:read(0x80000000 + 900000, 20)
      if not late then
        return nil, message, code
      end
      local early, why, what = d:read(0x80000000 + 100, 20)
      if not early then
        return nil, why, what
      end
      return late .. early
    end)
  end)
  -- Adds a call on a dump that stays open and was not read before.
  local function add_kept(name, path, run)
    local dump
    add(name, function() return run(dump) end, {kept = true, prepare = function()
      if dump then
        dump:close()
      end
      dump = assert(qvm.open(path))
    end})
  end
  add_kept("Dump:read of an open gzip", o.packed, function(d)
    return d:read(0x80000000 + 590000, 20)
  end)
  add_kept("Dump:array of an open gzip", o.packed, function(d)
    local bytes, message, code = d:read(0x80000000 + 590000, 20)
    if not bytes then
      return nil, message, code
    end
    return d:array(0x80000000, "u64", 3)
  end)
  for _, name in ipairs {"u64", "vcpus", "guest", "find", "strings", "sections"} do
    add_kept("Dump:" .. name .. " of an open file", o.plain, dump_calls[name])
  end
  add_kept("Dump:vmcoreinfo of an open file", o.plain, function(d) return d:vmcoreinfo() end)
  add_kept("Dump:vmcoreinfo in memory of an open file", o.informed, function(d)
    return d:vmcoreinfo()
  end)
  add("Dump:diff", function() return all(o.first:diff(o.second)) end)
  add("Dump:diff of files", function()
    return opened(o.large, function(d)
      return opened(o.plain, function(other) return all(d:diff(other, {granularity = 4096})) end)
    end)
  end)
  add("Dump:diff_registers", function() return all(o.first:diff_registers(o.second)) end)
  add("Dump:space", function() return o.first:space(o.SpaceByHand) end)
  add("Dump:space of a vCPU", function() return opened(o.plain, function(d)
    local cpu, message, code = d:vcpu(0)
    if not cpu then
      return nil, message, code
    end
    return d:space(cpu)
  end) end)
  for _, name in ipairs {"kernel_space", "vmcoreinfo"} do
    add("Dump:" .. name, function() return o.first[name](o.first) end)
    add("Dump:" .. name .. " of a file", function()
      return opened(o.plain, function(d) return d[name](d) end)
    end)
  end
  add("Dump:vmcoreinfo in memory", function() return opened(o.large, function(d)
    return d:vmcoreinfo()
  end) end)
  add("Dump:dmesg", function() return opened(o.plain, function(d) return all(d:dmesg()) end) end)
  add("Dump:dmesg with options", function()
    return opened(o.plain, function(d) return all(d:dmesg {last = 1, level = "err"}) end)
  end)
  add("Dump:crash", function()
    return opened(o.crashed, function(d) return d:crash() end)
  end)
  add("Dump:tasks", function()
    return opened(o.linux, function(d) return all(d:tasks()) end)
  end)
  add("Dump:modules", function()
    return opened(o.linux, function(d) return all(d:modules()) end)
  end)
  add("Dump:task", function()
    return opened(o.linux, function(d)
      local task, message, code = d:task(1)
      return task and tostring(task), message, code
    end)
  end)
  for _, name in ipairs {"space", "arguments"} do
    add("Task:" .. name, function()
      return opened(o.linux, function(d)
        local task, message, code = d:task(1)
        if not task then
          return nil, message, code
        end
        return task[name](task)
      end)
    end)
  end
  for _, name in ipairs {"mappings", "registers", "kernel_registers", "backtrace"} do
    add("Task:" .. name, function()
      return opened(o.linux, function(d)
        local task, message, code = d:task(1)
        if not task then
          return nil, message, code
        end
        return all(task[name](task))
      end)
    end)
  end
  for _, name in ipairs {"task", "space"} do
    add("Vcpu:" .. name, function()
      return opened(o.linux, function(d)
        local cpu, message, code = d:vcpu(0)
        if not cpu then
          return nil, message, code
        end
        local found, why, what = cpu[name](cpu)
        return found and tostring(found), why, what
      end)
    end)
  end
  add("Symbols:all", function()
    return opened(o.linux, function(d)
      local symbols, message, code = d:symbols()
      if not symbols then
        return nil, message, code
      end
      return all(symbols:all "^e1000")
    end)
  end)
  add("Symbols:save", function()
    return opened(o.linux, function(d)
      local symbols, message, code = d:symbols()
      if not symbols then
        return nil, message, code
      end
      return symbols:save(files.path("saved.sym"))
    end)
  end)
  add("Dump:symbols", function()
    return opened(o.plain, function(d) return d:symbols(o.map) end)
  end)
  add("Dump:symbols of an ELF file", function()
    return opened(o.plain, function(d) return d:symbols(o.elf) end)
  end)
  add("Dump:u64 of a symbol", function() return o.Dump:u64("schedule+0x8") end)
  add("Dump:symbols in memory", function() return o.second:symbols() end)
  add("Dump:symbol", function() return o.Dump:symbol(0xffffff8000042004 | -1 << 63) end)
  add("Dump:address", function() return o.Dump:address("schedule") end)
  add("Dump:close", function() return opened(o.plain, function() return true end) end)
  add("Section:read", function() return o.Section:read() end)
  add("Note:read", function() return o.Note:read() end)
  add("Vcpu:registers", function() return all(o.Vcpu:registers()) end)
  add("Vcpu:extra_registers", function() return all(o.Vcpu:extra_registers()) end)
  add("Vcpu:backtrace", function() return all(o.Vcpu:backtrace()) end)
  add("Vcpu:backtrace by ORC tables", function()
    return opened(o.orc, function(d)
      local symbols, message, code = d:symbols(o.orc_map)
      if not symbols then
        return nil, message, code
      end
      return all(assert(d:vcpu(0)):backtrace())
    end)
  end)
  add("Symbols:at", function() return o.Symbols:at(0x1004) end)
  add("Symbols:address", function() return o.Symbols:address("schedule") end)
end

-- What an Object is, as a text: it reads nothing.
local function text_of(object, message, code)
  if object == nil then
    return nil, message, code
  end
  return tostring(object)
end

-- The same for each thing that an iterator returns.
local function texts_of(iterator)
  local list = {}
  for a, b in iterator do
    list[#list + 1] = tostring(a) .. " " .. tostring(b)
  end
  return list
end

-- Types and objects of the dump's kernel. Its symbols and types stay loaded.
local function add_types(list, o)
  local function add(name, run, more)
    local call = more or {}
    call.name, call.run = name, run
    list[#list + 1] = call
  end
  local dump, c = o.Dump, qvm.c
  local function variable(name, type)
    return assert(dump:variable(name, type))
  end
  add("Dump:types", function() return text_of(dump:types()) end)
  for _, kind in ipairs {"btf", "vmlinux", "broken"} do
    add("Dump:types of " .. kind, function()
      return opened(o.plain, function(d) return text_of(d:types(o[kind])) end)
    end)
  end
  add("Dump:types in memory", function()
    return opened(o.plain, function(d) return text_of(d:types()) end)
  end)
  add("Dump:types of a module", function()
    return opened(o.plain, function(d)
      local symbols, message, code = d:symbols(o.map)
      if not symbols then
        return nil, message, code
      end
      return text_of(d:types(o.module))
    end)
  end)
  add("Dump:type", function() return text_of(dump:type "struct list_head * [4]") end)
  add("Dump:object", function() return text_of(dump:object("int", "jiffies")) end)
  add("Dump:variable", function() return text_of(dump:variable "init_task") end)
  local init, task_type = variable "init_task", assert(dump:type "struct task_struct")
  local enum = assert(dump:type "enum pid_type")
  add("Type:members", function() return texts_of(task_type:members()) end)
  add("Type:enumerators", function() return texts_of(enum:enumerators()) end)
  add("Type:offset", function() return task_type:offset "tasks.prev" end)
  add("qvm.show Type", function() return qvm.show(task_type) end)
  add("qvm.show Object", function() return qvm.show(init) end)
  add("qvm.c.typeof", function() return text_of(c.typeof(init)) end)
  add("qvm.c.address", function() return c.address(init) end)
  add("qvm.c.value", function() return c.value(variable "jiffies") end)
  add("qvm.c.sizeof", function() return c.sizeof(init) end)
  add("qvm.c.offsetof", function() return c.offsetof(init, "mm") end)
  add("qvm.c.cast", function() return text_of(c.cast(init.mm, "struct rq *")) end)
  add("qvm.c.container_of", function()
    return text_of(c.container_of(init.tasks.next, "struct task_struct", "tasks"))
  end)
  add("qvm.c.string", function() return c.string(variable "saved_command_line") end)
  add("qvm.c.array", function() return c.array(init.tasks.next, 0) end)
  add("qvm.c.list", function() return texts_of(c.list(init.tasks, task_type, "tasks")) end)
  add("qvm.c.hlist", function()
    return texts_of(c.hlist(variable("task_hash", "struct hlist_head"), task_type, "node"))
  end)
  add("qvm.c.llist", function()
    return texts_of(c.llist(variable("wake_list", "struct llist_head"), task_type, "wake"))
  end)
  add("qvm.c.idr", function()
    return texts_of(c.idr(variable("task_idr", "struct idr"), task_type))
  end)
  add("qvm.c.maple_tree", function()
    return texts_of(c.maple_tree(variable("task_ids", "struct maple_tree"), task_type))
  end)
  add("qvm.c.rbtree", function()
    return texts_of(c.rbtree(variable "vmap_area_root", "struct vmap_area", "rb_node"))
  end)
  add("qvm.c.xarray", function()
    return texts_of(c.xarray(variable("page_array", "struct xarray"), task_type))
  end)
  add("qvm.c.per_cpu", function() return text_of(c.per_cpu(variable "runqueues", 0)) end)
end

local function add_opens(list, o)
  for _, kind in ipairs {"plain", "large", "packed", "qemu", "cut", "cut_packed", "empty",
    "broken", "xz"} do
    list[#list + 1] = {name = "qvm.open " .. kind, run = function()
      return opened(o[kind], tostring)
    end}
    list[#list + 1] = {name = "qvm.open partial " .. kind, run = function()
      return opened(o[kind], tostring, {partial = true})
    end}
  end
  list[#list + 1] = {name = "qvm.open index, made", run = function()
    os.remove(o.packed .. ".index")
    return opened(o.packed, tostring, {index = true})
  end}
  list[#list + 1] = {name = "qvm.open index, used", run = function()
    return opened(o.packed, tostring, {index = true})
  end}
  list[#list + 1] = {name = "qvm.open nothing", run = function()
    return qvm.open(files.path("nowhere"))
  end}
end

-- Removes the VM's dumps: their names contain the time, and there are only ten per second.
local function remove_dumps()
  for _, name in ipairs(files.list(files.dir())) do
    if name:find("^linux1%-.*%.gcore$") then
      os.remove(files.path(name))
    end
  end
end

local function add_vms(list, o)
  local function add(name, run, more)
    local call = more or {}
    call.name, call.run = name, run
    list[#list + 1] = call
  end
  for _, kind in ipairs {"VM", "Answer", "Replay"} do
    add(kind .. ":env", function() return o[kind]:env() end)
    add(kind .. ":state", function() return o[kind]:state() end)
    add(kind .. ":wait", function()
      return o[kind]:wait("running", {timeout = 0.5, interval = 0.01})
    end, {ignore = {"fgets"}}) -- an unknown answer is requested again
    add(kind .. ":nodes", function() return all(o[kind]:nodes()) end)
    add(kind .. ":pid", function() return o[kind]:pid() end)
    add(kind .. ":signal", function() return o[kind]:signal("status") end)
    add(kind .. ":status", function()
      local text, message, code = o[kind]:status {log = o.log, settle = 0.03, timeout = 1}
      return text and text:find("simulated VM") and "status text", message, code
    end, {slow = true})
    add(kind .. ":dump", function()
      local dump, message, code = o[kind]:dump {dir = files.dir(), timeout = 3}
      if not dump then
        return nil, message, code
      end
      local name = ("%s %s"):format(dump.format, dump.complete)
      dump:close()
      return name
    end, {slow = true, alone = kind ~= "Replay", prepare = remove_dumps})
  end
  -- If an older dump cannot be examined or deleted, it is left.
  add("VM:dump keeping one", function()
    local dump, message, code = o.VM:dump {conf = o.dump_conf, keep = 1, timeout = 3}
    if not dump then
      return nil, message, code
    end
    local name = ("%s %s"):format(dump.format, dump.complete)
    dump:close()
    return name
  end, {slow = true, alone = true, prepare = function()
    remove_dumps()
    files.write("linux1-20201122-101500.gcore", api.dump_bytes("old"))
  end})
  add("qvm.root", function() return qvm.root(qvm.root()) end)
  -- Entries that cannot be read are omitted.
  add("qvm.names", function() return qvm.names() end, {ignore = {"fstatat"}})
  add("qvm.vms", function() return all(qvm.vms()) end, {ignore = {"fstatat", "stat"}})
  -- A VM that cannot be asked is left out, or has failures for its methods to return.
  add("qvm.survey", function()
    local vm = qvm.survey()()
    if not vm then
      return 0
    end
    local pid, message, code = vm:pid()
    return pid and 1, message, code
  end, {ignore = {"fstatat", "stat", "fgets"}})
  -- A VM without any known state is listed nevertheless.
  add("qvm.watch", function()
    local event = qvm.watch {timeout = 1}()
    return event and event.vm.name .. " " .. event.kind
  end, {ignore = {"fstatat", "stat", "fgets"}})
  add("qvm.sleep", function() return qvm.sleep(0.001) end)
  add("qvm.vm", function() return qvm.vm("linux1") end)
  add("qvm.vm of nobody", function() return qvm.vm("nobody") end)
  -- The system log of spec/support/slog2.lua: this host has none.
  local log = o.SystemLog
  add("qvm.slog2", function() return text_of(qvm.slog2(o.VM, {vcpu = 0, level = "info"})) end)
  add("SystemLog:lines", function() return all(log:lines()) end)
  add("SystemLog:follow", function()
    return all(log:follow {interval = 0.001, timeout = 0.002})
  end)
  add("qvm.record", function(id)
    local ok, message, code = qvm.record(o.VM, files.path("record." .. id), {conf = o.conf})
    return ok, message, code
  end, {
    slow = true,
    failed = function(id)
      -- A record must be complete if only the memory for the result was lacking.
      local path = files.path("record." .. id)
      if files.exists(path) and not files.exists(path .. "/manifest.json") then
        return "a partial record was left"
      end
      os.execute("rm -rf " .. path)
    end,
    prepare = function(id) os.execute("rm -rf " .. files.path("record." .. id)) end})
  add("qvm.replay", function() return qvm.replay(o.record) end)
  add("Env:get", function() return o.Env:get("vcpus[1].tid") end)
  add("Env:state", function() return o.Env:state() end)
  add("Env:vcpu", function() return o.Env:vcpu(0) end)
  add("Env:vcpus", function() return all(o.Env:vcpus()) end)
  add("EnvVcpu:thread", function()
    local thread, message, code = o.EnvVcpu:thread()
    return thread and thread.name, message, code
  end)
  add("Env:errata", function() return all(o.Env:errata()) end)
end

local function add_rest(list, o)
  local function add(name, run, more)
    local call = more or {}
    call.name, call.run = name, run
    list[#list + 1] = call
  end
  add("qvm.decode", function() return qvm.decode(o.text) end)
  add("qvm.decode malformed", function() return qvm.decode('{"a": [1, tru]}') end)
  add("qvm.schema", function() return qvm.schema {vcpus = "a.b[1]", tid = "c"} end,
    {repeated = function() qvm.schema(nil) end})
  add("qvm.errata.snapshot", function() return qvm.errata.snapshot(o.VM) end)
  add("qvm.errata.text", function() return qvm.errata.text {b = {1, 2}, a = 0.5} end)
  add("qvm.errata.save", function(id)
    return qvm.errata.save(files.path("saved." .. id), o.snapshot)
  end, {
    prepare = function(id) files.write("saved." .. id, "old") end,
    failed = function(id)
      local now = files.read(files.path("saved." .. id))
      if now ~= "old" and now ~= files.read(o.baseline) then
        return "the file has neither the old nor the new content"
      end
      for _, name in ipairs(files.list(files.dir())) do
        if name:find("saved." .. id .. ".", 1, true) then
          return name .. " was left"
        end
      end
    end})
  add("qvm.errata.load", function() return qvm.errata.load(o.baseline) end)
  add("qvm.errata.diff", function() return qvm.errata.diff(o.snapshot, {}) end)
  add("qvm.conf.load", function() return qvm.conf.load(o.conf) end)
  add("qvm.conf.load of several", function()
    return qvm.conf.load({o.conf, o.conf2}, {options = {"set", "debug", "off"}})
  end)
  add("qvm.conf.variables", function()
    return qvm.conf.variables("  sim-erratum-1286807 (boolean, cpu)\n")
  end)
  add("qvm.conf.check of variables", function()
    return qvm.conf.check(o.Conf, o.VM, {variables = "  sim-erratum-1286807 (boolean, cpu)\n"})
  end)
  add("qvm.conf.check", function() return qvm.conf.check(o.Conf, o.VM) end)
  add("qvm.escape", function() return qvm.escape("a\27[2Jb") end)
  add("qvm.hex", function() return qvm.hex(-1) end)
  add("qvm.hexdump", function() return qvm.hexdump(o.first, 0x80000000, 64) end)
  for _, kind in ipairs {"Env", "VM", "Dump", "Vcpu"} do
    -- What cannot be listed or read is reported in its place.
    add("qvm.show " .. kind, function() return qvm.show(o[kind]) end,
      {ignore = {"opendir", "readdir", "pread"}})
  end
  add("qvm.show table", function() return qvm.show(o.snapshot) end)
  add("qvm.help", function() return qvm.help("vm:dump") end, {slow = true})
  add("assert.vm_running", function() return assert.vm_running(o.VM) ~= nil end)
  add("assert.vm_served", function() return assert.vm_served(o.VM) ~= nil end)
  add("assert.same_errata", function() return assert.same_errata(o.baseline, o.VM) ~= nil end)
  add("assert.has_erratum", function()
    return assert.has_erratum(o.VM, "843419", "on") ~= nil
  end)
end

-- The calls, in a fixed order.
function calls.list(o)
  local list = {}
  add_opens(list, o)
  add_dumps(list, o)
  add_types(list, o)
  add_vms(list, o)
  add_rest(list, o)
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

calls.clean = sim.clean

return calls
