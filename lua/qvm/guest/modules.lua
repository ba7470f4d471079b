--- Modules of a Linux guest's kernel.
-- @classmod qvm.module

local c = require "qvm.guest.c"
local classes = require "qvm.util.classes"
local errors = require "qvm.util.errors"
local kernel_types = require "qvm.guest.kernel_types"
local line = require "qvm.util.text"
local objects = require "qvm.guest.objects"

local modules = {}

--- @type Module
local Module = {__name = "Module"}

--- Fields of a module, as in `/proc/modules`.
-- @table Module
-- @tfield string name
-- @tfield integer base virtual address of its code
-- @tfield integer size bytes of its code and data
-- @tfield string taints a letter for each reason to taint the kernel: `O` built out of its tree,
-- `E` not signed, `P` proprietary and others; empty: none
-- @tfield qvm.object.Object object its `struct module`
-- @usage for m in dump:modules() do print(m.name, qvm.hex(m.base)) end

Module.__tostring = line.tostring("module", function(module)
  return ("module %s: %s at 0x%016x%s"):format(line.field(module.name),
    line.count(module.size, "byte"), module.base,
    module.taints ~= "" and ", taints the kernel: " .. module.taints or "")
end)

-- Bits of `taints` by their letters (kernel/panic.c); bit 0 is the only one that has a letter
-- for its absence too.
local TAINTS = "PFSRMBUDAWCIOELKXTN"

local function taints_of(bits)
  local letters = {}
  for i = 1, #TAINTS do
    if bits >> (i - 1) & 1 == 1 then
      letters[#letters + 1] = TAINTS:sub(i, i)
    end
  end
  return table.concat(letters)
end

local UNFORMED = 3        -- MODULE_STATE_UNFORMED
local MODULES_MAX = 1 << 14

local PARTS_MAX = 64      -- of a module's memory: there are 7 kinds

-- The parts of a module's memory, code first: {base, size}. Linux 6.4 and later have one for each
-- kind of memory; before, there were two, each with all kinds.
local function parts_of(object)
  local parts = {}
  if objects.has(object, "mem") then
    local memories = object.mem
    for i = 1, math.min(#memories, PARTS_MAX) do
      local memory = memories[i]
      parts[#parts + 1] = {memory.base ~= nil and c.address(memory.base) or 0, memory.size}
    end
  else
    for _, layout in ipairs {object.core_layout, object.init_layout} do
      parts[#parts + 1] = {layout.base ~= nil and c.address(layout.base) or 0, layout.size}
    end
  end
  return parts
end

-- Raises if it cannot be read.
local function new(dump, object)
  local parts, size = parts_of(object), 0
  for _, part in ipairs(parts) do
    size = size + part[2]
  end
  return setmetatable({_dump = dump, _parts = parts, object = object, name = object.name,
    base = parts[1][1], size = size, taints = taints_of(object.taints)}, Module)
end

-- Iterates over the modules, the last loaded first; nil, message, code.
function modules.all(dump)
  local head
  local ok, message, code = kernel_types.check(dump)
  if ok then
    head, message, code = dump:variable "modules"
  end
  if not head then
    return nil, message, code
  end
  local next_object, count = c.list(head, "struct module", "list"), 0
  return function()
    local object = next_object()
    while object and object.state == UNFORMED do
      object = next_object()
    end
    count = count + 1
    if count > MODULES_MAX then
      errors.raise(("%s: damaged: more than %d modules"):format(dump.path, MODULES_MAX),
        "malformed")
    end
    return object and new(dump, object)
  end
end

-- The ORC tables of the modules, as qvm.guest.orc takes them. Those that cannot be read are left
-- out.
function modules.orc_tables(dump)
  local tables = {}
  errors.try(function()
    for module in assert(modules.all(dump)) do
      local arch, text = module.object.arch, module._parts[1]
      if objects.has(arch, "num_orcs") and arch.num_orcs > 0 then
        tables[#tables + 1] = {first = text[1], last = text[1] + text[2] - 1,
          ips = c.address(arch.orc_unwind_ip), entries = c.address(arch.orc_unwind),
          count = arch.num_orcs}
      end
    end
  end)
  return tables
end

-- Does a part of the module contain an address?
function modules.contains(module, address)
  for _, part in ipairs(module._parts) do
    if math.ult(address - part[1], part[2]) then
      return true
    end
  end
  return false
end

classes.publish(Module)
modules.Module = Module

return modules
