-- Finds the kernel's variables that everything else starts from, in kernels whose symbols are
-- those of code alone (built without CONFIG_KALLSYMS_ALL, as Debian's for aarch64). A variable
-- is recognised by its type and by the links that lead back to it.

local c = require "qvm.guest.c"
local errors = require "qvm.util.errors"
local kernel_types = require "qvm.guest.kernel_types"

local landmarks = {}

local IMAGE = 128 << 20 -- bytes of a kernel's image, at most
local PAGE = 4096       -- bytes that are read at a time
local NAMES = 4096      -- places with the name of init_task that are looked at
local HEADS = 1 << 20   -- pairs of words that may be the head of a list, and are looked at

local function same(pointer, object)
  return pointer ~= nil and c.address(pointer) == c.address(object)
end

-- Does the object look like the task that every other one descends from?
local function is_init_task(task)
  return task.pid == 0 and task.tgid == 0 and same(task.real_parent, task)
    and same(task.group_leader, task) and same(task.tasks.next.prev, task.tasks)
    and same(task.tasks.prev.next, task.tasks)
end

-- The address of init_task, the idle task of the first CPU: it has a known name. nil if there is
-- none. `first` is where the kernel's image begins.
local function init_task(dump, space, first)
  local offset, count = assert(dump:type "struct task_struct"):offset "comm", 0
  for at in space:find("swapper", {from = first, to = first + IMAGE}) do
    local task = assert(dump:object("struct task_struct", at - offset))
    local ok, found = errors.try(is_init_task, task)
    if ok and found then
      return at - offset
    end
    count = count + 1
    if count == NAMES then
      return nil
    end
  end
end

-- Is there a module whose list entry is at an address?
local function is_module(dump, entry, offset)
  local module = assert(dump:object("struct module", entry - offset))
  local ok, found = errors.try(function()
    return same(module.mkobj.mod, module) and module.name:find "^[%w_]+$" ~= nil
  end)
  return ok and found
end

-- The head of the list of modules between two addresses: two words that point to entries which
-- point back, the first of them within a module.
local function modules_between(dump, space, offset, from, to)
  local left = HEADS
  for page = from & -PAGE, to, PAGE do
    local words = space:array(page, "u64", PAGE // 8) or {}
    words[#words + 1] = space:u64(page + PAGE)
    for i = 1, #words - 1 do
      local next_entry, last_entry, at = words[i], words[i + 1], page + 8 * (i - 1)
      if next_entry < 0 and last_entry < 0 and next_entry ~= at and next_entry & 7 == 0 then
        if space:u64(next_entry + 8) == at and space:u64(last_entry) == at
            and is_module(dump, next_entry, offset) then
          return at
        end
        left = left - 1
        if left == 0 then
          return nil
        end
      end
    end
  end
end

-- The address of `modules`. It is in the kernel's data, as init_task, and most often after it.
-- nil if it is not found, as in a kernel without modules.
local function modules(dump, space, first)
  local offset = assert(dump:type "struct module"):offset "list"
  local task = dump:variable "init_task"
  local data = task and c.address(task) or first
  return modules_between(dump, space, offset, data, first + IMAGE - PAGE)
    or modules_between(dump, space, offset, first, data)
end

local finders = {init_task = init_task, modules = modules}

-- The address of a variable that has no symbol; nil if it is not found, or not one of these. A
-- kernel without modules has no type of them either.
function landmarks.address(dump, name)
  local first = finders[name] and require "qvm.guest".kernel_address(dump, "_stext")
  local space = first and dump:kernel_space()
  if not space or not kernel_types.check(dump) then
    return nil
  end
  local ok, found = errors.try(finders[name], dump, space, first)
  return ok and found or nil
end

return landmarks
