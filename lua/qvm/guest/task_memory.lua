-- The memory of a task: its address space, its mappings (VMAs), its command line.

local c = require "qvm.guest.c"
local file_path = require "qvm.guest.file_path"
local line = require "qvm.util.text"
local objects = require "qvm.guest.objects"
local paging = require "qvm.paging.page_tables"
local Space = require "qvm.paging.address_space"

local task_memory = {}

-- The `struct mm_struct` of a task; nil, message, code.
local function mm_of(task)
  local mm = task.object.mm
  if mm == nil or task.kernel then
    return nil, ("%s: %s has no memory of its own"):format(task._dump.path, tostring(task)),
      "not_found"
  end
  return mm
end

-- The space of a task: the kernel's form of page tables, with the root in mm_struct. On aarch64
-- that is the lower half; the upper one is the kernel's.
function task_memory.space(task)
  local dump = task._dump
  local mm, message, code = mm_of(task)
  if not mm then
    return nil, message, code
  end
  local kernel = assert(dump:kernel_space())
  local root
  root, message, code = kernel:translate(c.address(objects.linked(mm, "pgd")))
  if not root then
    return nil, message, code
  end
  local kind, lower, upper = paging.of_kernel(dump.machine, assert(dump:vmcoreinfo()))
  local half = {}
  for key, value in pairs(lower or upper) do
    half[key] = value
  end
  half.root = root
  return Space.new(dump, ("the tables of task %d"):format(task.pid), kind, half, upper)
end

-- Arguments ---------------------------------------------------------------------------------

local ARGUMENTS_MAX = 4 << 20 -- bytes; the kernel's own limit is 6 MiB, for all of a stack

-- The arguments of a task, an array of strings; nil, message, code.
function task_memory.arguments(task)
  local space, message, code = task_memory.space(task)
  if not space then
    return nil, message, code
  end
  local mm = task.object.mm
  local first, size = mm.arg_start, mm.arg_end - mm.arg_start
  if mm.arg_end == 0 then
    return nil, ("%s: task %d is about to run a program that has no arguments yet"):format(
      task._dump.path, task.pid), "not_found"
  elseif size < 0 or size > ARGUMENTS_MAX then
    return nil, ("%s: task %d: damaged, or too large: arguments of %d bytes"):format(
      task._dump.path, task.pid, size),
      "too_large"
  end
  local bytes
  bytes, message, code = space:read(first, size)
  if not bytes then
    return nil, message, code
  end
  local arguments = {}
  for argument in bytes:gmatch "([^\0]*)\0" do
    arguments[#arguments + 1] = argument
  end
  local rest = bytes:match "[^\0]+$"
  arguments[#arguments + 1] = rest
  return arguments
end

-- Mappings ----------------------------------------------------------------------------------

-- A mapping of a task.
local Mapping = {__name = "Mapping"}
task_memory.Mapping = Mapping

Mapping.__tostring = line.tostring("mapping", function(mapping)
  return ("%012x-%012x %s %8x %s"):format(mapping.start, mapping.start + mapping.size,
    mapping.flags, mapping.offset, mapping.path and line.cut(mapping.path) or "")
    :gsub(" +$", "")
end)

local READ, WRITE, EXECUTE, SHARED = 0x1, 0x2, 0x4, 0x80 -- VM_READ ... VM_MAYSHARE

local function flags_of(bits)
  return (bits & READ ~= 0 and "r" or "-") .. (bits & WRITE ~= 0 and "w" or "-")
    .. (bits & EXECUTE ~= 0 and "x" or "-") .. (bits & SHARED ~= 0 and "s" or "p")
end

-- The name of a mapping that the kernel itself made: "[vdso]". It is known by the function that
-- returns its name.
local function special_name(dump, area)
  local operations = area.vm_ops
  local name = operations ~= nil and operations.name
  local symbol = name and dump:symbol(c.address(name))
  if symbol and symbol:find "^special_mapping_name%+" then
    local special = c.cast(objects.linked(area, "vm_private_data"), "struct vm_special_mapping *")
    return c.string(objects.linked(special, "name"), 64)
  end
end

local function name_of(dump, area, mm, start, stop)
  local file = area.vm_file
  if file ~= nil then
    return file_path.of(dump, file.f_path)
  end
  local name = special_name(dump, area)
  if name then
    return name
  elseif math.ult(start, mm.brk) and math.ult(mm.start_brk, stop) then
    return "[heap]"
  elseif not math.ult(mm.start_stack, start) and not math.ult(stop, mm.start_stack) then
    return "[stack]"
  end
end

-- Iterates over the `struct vm_area_struct`s: of a maple tree (Linux 6.1 and later), or a list.
local function areas_of(mm)
  if objects.has(mm, "mm_mt") then
    local areas = c.maple_tree(mm.mm_mt, "struct vm_area_struct")
    return function()
      local first, _, area = areas()
      if first and not objects.is_object(area) then
        objects.damaged(mm, ("its maple tree has a number at 0x%x, not an area"):format(first))
      end
      return area
    end
  end
  local area = mm.mmap
  return function()
    local this = area
    area = this ~= nil and this.vm_next or nil
    return this
  end
end

-- Iterates over the mappings of a task, by address; nil, message, code.
function task_memory.mappings(task)
  local mm, message, code = mm_of(task)
  if not mm then
    return nil, message, code
  end
  local dump, page_size = task._dump, assert(task._dump:vmcoreinfo()).page_size or 4096
  local next_area, last = areas_of(mm), 0
  return function()
    local area = next_area()
    if not area then
      return nil
    end
    local start, stop = area.vm_start, area.vm_end
    if math.ult(start, last) or not math.ult(start, stop) then
      objects.damaged(area, ("from 0x%x to 0x%x, after one to 0x%x"):format(start, stop, last))
    end
    last = stop
    return setmetatable({start = start, size = stop - start, flags = flags_of(area.vm_flags),
      offset = area.vm_file ~= nil and area.vm_pgoff * page_size or 0,
      path = name_of(dump, area, mm, start, stop), object = area}, Mapping)
  end
end

return task_memory
