-- Finds the type information of a guest's kernel: in the dump's memory, or in a file.

local core = require "qvm.core"
local declaration = require "qvm.guest.declaration"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local Types = require "qvm.guest.types".Types

local information = {}

local SIZE_MAX = 24 << 20 -- bytes, as BTF_SIZE_MAX of csrc/core/guest/btf.h
local CANDIDATES = 4096   -- places with the magic number that are looked at
local SIZE_MIN = 1 << 16  -- bytes of a kernel's BTF, if it is searched for
local HEADER_SIZE = 24    -- bytes

local function pointer_size(dump)
  return dump.bits // 8
end

local function new(handle, count, from)
  return setmetatable({handle, from = from, count = count}, Types)
end

-- Memory ------------------------------------------------------------------------------------

local function at(dump, space, address, most)
  local handle, count, code = core.btf_of_memory(space, address, most, dump.path,
    pointer_size(dump))
  if not handle then
    return nil, count, code
  end
  local types = new(handle, count, "the kernel's memory")
  types._path = dump.path
  return types
end

-- The header of BTF: magic, version, flags, header length, then where types and strings are.
local function magic(dump)
  return string.pack(dump.byteorder == "big" and ">I2BBI4I4" or "<I2BBI4I4", 0xeb9f, 1, 0, 24, 0)
end

-- Is it the kernel's, and not a module's? The search meets both.
local function is_kernels(types)
  return core.btf_find(types[1], "task_struct", "struct") ~= nil
end

-- What it means that none was found: if the dump lacks memory, the kernel may have it there.
local function none_found(dump, space)
  if not dump.complete then
    return "the kernel has no type information (BTF) in what this file, which was cut, has of its "
      .. "memory"
  end
  local symbols = assert(dump:vmcoreinfo()).symbols
  for _, name in ipairs {"kallsyms_names", "_stext"} do
    if symbols[name] and not space:read(symbols[name], 1) then
      return "the dump has neither the type information (BTF) of the kernel nor its symbols, which "
        .. "would say whether it has any"
    end
  end
  return "the kernel has no type information (BTF) in its memory"
end

-- The bytes of the BTF whose header is at an address; nil if it cannot be the kernel's, whose
-- strings begin and end with a NUL; nil, message, code if it cannot be read. Reads little of it.
local function plausible_size(dump, space, address)
  local header, problem, number = space:read(address + 12, 12)
  if not header then
    return nil, problem, number
  end
  local types_size, strings_at, strings_size = string.unpack(dump.byteorder == "big" and ">I4I4I4"
    or "<I4I4I4", header)
  if strings_at < types_size or types_size + strings_size < SIZE_MIN then
    return nil
  end
  local strings = address + HEADER_SIZE + strings_at
  for _, place in ipairs {strings, strings + strings_size - 1} do
    local byte, message, code = space:read(place, 1)
    if byte ~= "\0" then
      return nil, message, code
    end
  end
  return HEADER_SIZE + strings_at + strings_size
end

-- Searches the kernel's memory for the magic number: the types; nil, why one place has none, code;
-- with true as a fourth value, why the search failed.
-- All places together may have SIZE_MAX bytes: those that would exceed it are skipped.
local function search(dump, space)
  local looked, left, skipped, last, code = 0, SIZE_MAX, false, nil, nil
  local matches, problem, kind, _ <close> = core.space_methods.matches(space, 0, -1, nil, nil,
    magic(dump), 1)
  if not matches then
    return nil, problem, kind, true
  end
  while looked < CANDIDATES do
    local address
    address, problem, kind = matches()
    if problem then
      return nil, problem, kind, true
    elseif not address then
      break
    end
    looked = looked + 1
    local size, found, message, what
    size, message, what = plausible_size(dump, space, address)
    if size and size > left then
      skipped = true
    elseif size then
      left = left - size
      found, message, what = at(dump, space, address, size)
      if found and is_kernels(found) then
        return found
      end
    end
    last, code = message or last, what or code
  end
  if skipped and code ~= "gone" and code ~= "io" then
    return nil, nil, "too_large"
  end
  return nil, last, code
end

-- The types that are found by their magic number; nil, message, code.
function information.search(dump, space)
  local found, message, code, failed = search(dump, space)
  if found then
    return found
  elseif failed or code == "gone" or code == "io" then
    return nil, message, code
  end
  if code == "too_large" then
    return nil, ("%s: what looks like type information (BTF) in its memory has more than %d bytes: "
      .. "pass a file with it to dump:types"):format(dump.path, SIZE_MAX), code
  end
  return nil, ("%s: %s: pass a file with it to dump:types"):format(dump.path,
    none_found(dump, space)), "not_found"
end

-- The types that a kernel keeps in its memory, between two symbols; nil if it has no such symbols.
function information.at_symbols(dump, space)
  local kernel_address = require "qvm.guest".kernel_address
  local first = kernel_address(dump, "__start_BTF")
  local last = first and kernel_address(dump, "__stop_BTF")
  if first and last and last > first then
    return at(dump, space, first, last - first)
  end
end

-- The types of a module, which continue those of its kernel, at an address of its memory.
function information.of_module(dump, name, pointer, size, base)
  if size > SIZE_MAX then
    return nil, ("%s: types of the module %s: %d bytes"):format(dump.path, name, size), "too_large"
  end
  local address = require "qvm.guest.c".address(pointer)
  local bytes, message, code = assert(dump:kernel_space()):read(address, size)
  if not bytes then
    return nil, message, code
  end
  local handle, count, what = core.btf_of_bytes(bytes, dump.path, pointer_size(dump), base[1])
  if not handle then
    return nil, count, what
  end
  return new(handle, count, "the module " .. name)
end

-- Files -------------------------------------------------------------------------------------

-- The bytes of a file, as far as SIZE_MAX goes.
local function read_file(path)
  local file <close>, message, code = core.open_file(path)
  if not file then
    return nil, message, code
  end
  local head, problem, number = file:read(4)
  if problem then
    return errors.of_system(path .. ": " .. problem, number)
  elseif head == "\127ELF" then
    return core.btf_of_file(path)
  end
  file:seek("set", 0)
  local bytes
  bytes, problem, number = file:read(SIZE_MAX + 1)
  if problem then
    return errors.of_system(path .. ": " .. problem, number)
  end
  return bytes or ""
end

-- The types of a file. A module's continue those of its kernel, `base` (or nil).
function information.of_file(path, dump, base)
  local bytes, message, code = read_file(path)
  if not bytes then
    return nil, message, code
  end
  local handle, count, what = core.btf_of_bytes(bytes, path, pointer_size(dump))
  if not handle and what == "malformed" and base then
    local split, number = core.btf_of_bytes(bytes, path, pointer_size(dump), base[1])
    if split then
      return new(split, number, path)
    end
  end
  if not handle then
    return nil, count, what
  end
  return new(handle, count, path)
end

-- Names -------------------------------------------------------------------------------------

-- The handle of a type of a name; nil, message, code.
function information.find(types, name)
  local handle, missing, hint = declaration.find(types[1], name)
  if not handle then
    return nil, ("%sno type '%s' among the %s%s"):format(types._path and types._path .. ": " or "",
      missing, tostring(types), hint), "not_found"
  end
  return handle
end

-- BTF has the types of per-CPU variables, and of others only in new kernels. These are what
-- scripts begin at.
local WELL_KNOWN = {
  init_task = "struct task_struct", init_mm = "struct mm_struct", modules = "struct list_head",
  init_pid_ns = "struct pid_namespace", init_net = "struct net", init_cred = "struct cred",
  init_uts_ns = "struct uts_namespace", init_user_ns = "struct user_namespace",
  init_nsproxy = "struct nsproxy", init_css_set = "struct css_set",
  init_files = "struct files_struct", init_fs = "struct fs_struct",
  net_namespace_list = "struct list_head", root_task_group = "struct task_group",
  super_blocks = "struct list_head", slab_caches = "struct list_head",
  vmap_area_list = "struct list_head", vmap_area_root = "struct rb_root",
  task_groups = "struct list_head", cgroup_roots = "struct list_head",
  file_systems = "struct file_system_type *", iomem_resource = "struct resource",
  ioport_resource = "struct resource", jiffies = "unsigned long", jiffies_64 = "u64",
  nr_cpu_ids = "unsigned int", nr_threads = "int", total_forks = "unsigned long",
  saved_command_line = "char *", linux_banner = "char[512]", panic_on_oops = "int",
  panic_timeout = "int", oops_in_progress = "int", tainted_mask = "unsigned long",
  system_state = "enum system_states", __cpu_online_mask = "struct cpumask",
  __cpu_possible_mask = "struct cpumask", __cpu_present_mask = "struct cpumask",
  _totalram_pages = "atomic_long_t", high_memory = "void *", mem_map = "struct page *",
  max_pfn = "unsigned long", vm_stat = "atomic_long_t[]", sysctl_panic_on_stackoverflow = "int",
  crashing_cpu = "int", panic_cpu = "atomic_t", prb = "struct printk_ringbuffer *",
}

-- The handle of a variable's type; nil, message, code.
function information.of_variable(types, name)
  local variable = core.btf_find(types[1], name, "variable")
  if variable then
    return (select(5, core.type_about(variable)))
  elseif WELL_KNOWN[name] then
    return information.find(types, WELL_KNOWN[name])
  end
  return nil, ("the type of the variable '%s' is not known: pass it"):format(line.field(name)),
    "not_found"
end

return information
