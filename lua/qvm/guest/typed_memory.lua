-- The types of a guest's kernel as a dump's methods use them: those in use, objects and
-- variables. What is known of a dump is in its field `_guest`, see qvm.guest; here:
--   own_types       the types in the dump's memory, once they were read
--   no_types        why a search of the memory found none; no_types_code: the code of that
--   types           those in use: of the memory, or of a file
--   module_types    those that each module adds, an array, once they were read
--   types_left_out  why those of some modules are not among them
--   contexts        what Objects share, by their types
--   landmarks       addresses of variables that have no symbol; false if they were not found

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local core = require "qvm.core"
local errors = require "qvm.util.errors"
local guest = require "qvm.guest"
local information = require "qvm.guest.type_information"
local line = require "qvm.util.text"
local objects = require "qvm.guest.objects"

local typed_memory = {}

-- The state of a dump that is open: types that were read do not need it, but what is asked of a
-- closed dump fails alike every time.
local function state_of(dump)
  if not core.dump.is_open(dump) then
    return nil, dump.path .. ": the dump is closed", "gone"
  end
  return guest.state(dump)
end

-- The types in the dump's memory. A search that found none is not repeated.
local function own_types(dump, state)
  if state.own_types then
    return state.own_types
  end
  local space, message, code = guest.kernel_space(dump)
  if not space then
    return nil, message, code
  end
  local found
  found, message, code = information.at_symbols(dump, space)
  if not found and not message and state.no_types then
    return nil, state.no_types, state.no_types_code
  elseif not found and not message then
    found, message, code = information.search(dump, space)
    if code == "not_found" or code == "too_large" then
      state.no_types, state.no_types_code = message, code
    end
  end
  state.own_types = found
  return found, message, code
end

-- Those of a module's file continue those of its kernel.
local function file_types(dump, state, path)
  local found, message, code = information.of_file(path, dump)
  if not found and code == "malformed" then
    local base = own_types(dump, state)
    if base then
      return information.of_file(path, dump, base)
    end
  end
  return found, message, code
end

-- Selects the types of a file, or without a path the dump's own.
function typed_memory.types(dump, path)
  if path ~= nil then
    check.path(path, 1, "types")
  end
  local state, message, code = state_of(dump)
  if not state then
    return nil, message, code
  end
  local found
  if path then
    found, message, code = file_types(dump, state, path)
  else
    found, message, code = own_types(dump, state)
  end
  if not found then
    return nil, message, code
  elseif found ~= state.types then
    state.types, state.contexts = found, {}
  end
  return found
end

-- The types in use: those that were selected last, or the dump's own.
function typed_memory.types_in_use(dump)
  local state, message, code = state_of(dump)
  if not state then
    return nil, message, code
  elseif state.types then
    return state.types
  end
  return typed_memory.types(dump)
end

local MODULES_MAX = 1 << 14
local BYTES_MAX = 24 << 20 -- of the types of all modules, as of the kernel's (type_information)
local INDEX_SIZE = 1 << 13 -- bytes that even types of 0 bytes take

-- Adds the types of a module. A struct btf is read once, whatever points to it. budget: what is
-- left for all modules, and how many had more.
local function add_types(found, entry, dump, base, budget)
  local btf = entry.btf
  local at = require "qvm.guest.c".address(btf)
  if budget.seen[at] then
    return
  end
  budget.seen[at] = true
  local size = btf.data_size
  if size + INDEX_SIZE > budget.bytes then
    budget.left_out = budget.left_out + 1
    return
  end
  budget.bytes = budget.bytes - size - INDEX_SIZE
  found[#found + 1] = information.of_module(dump, entry.module.name, btf.data, size, base)
end

-- The types of each module that adds some, an array; how many were left out. The kernel keeps
-- their BTF in the list `btf_modules`; without that symbol, or without a list, there are none.
local function types_of_modules(dump, state)
  local found, budget = {}, {seen = {}, bytes = BYTES_MAX, left_out = 0}
  errors.try(function()
    local c = require "qvm.guest.c"
    assert(require "qvm.guest.kernel_types".check(dump))
    local head, count = assert(dump:variable("btf_modules", "struct list_head")), 0
    for entry in c.list(head, "struct btf_module", "list") do
      add_types(found, entry, dump, state.own_types, budget)
      count = count + 1
      if count == MODULES_MAX then
        break
      end
    end
  end)
  return found, budget.left_out
end

-- Reads the types of the modules. What is left out is a warning of the dump.
local function load_modules(dump, state)
  local left_out
  state.module_types = {} -- for what is looked up meanwhile
  state.module_types, left_out = types_of_modules(dump, state)
  if left_out > 0 then
    state.types_left_out = ("the types of %s were left out: together they have more than %d bytes")
      :format(line.count(left_out, "module"), BYTES_MAX)
    dump.warnings[#dump.warnings + 1] = dump.path .. ": " .. state.types_left_out
  end
end

-- A type that a module has; nil, why not all modules were searched.
local function find_in_modules(dump, name)
  local state = dump._guest
  if state.types ~= state.own_types then
    return nil
  elseif not state.module_types then
    load_modules(dump, state)
  end
  for _, types in ipairs(state.module_types) do
    local found = information.find(types, name)
    if found then
      return found
    end
  end
  return nil, state.types_left_out
end

function typed_memory.type(dump, name)
  check.string(name, 1, "type")
  local types, message, code = typed_memory.types_in_use(dump)
  if not types then
    return nil, message, code
  end
  local handle
  handle, message, code = information.find(types, name)
  if not handle and code == "not_found" then
    local left_out
    handle, left_out = find_in_modules(dump, name)
    message = left_out and message .. "; " .. left_out or message
  end
  if not handle then
    return nil, message, code
  end
  return require "qvm.guest.types".Type.new(handle)
end

-- What the Objects of a dump share whose types are those that a handle is one of.
function typed_memory.context(dump, handle)
  local types, message, code = typed_memory.types_in_use(dump)
  if not types then
    return nil, message, code
  end
  local contexts, own = dump._guest.contexts, core.types_of(handle)
  if not contexts[own] then
    local space
    space, message, code = guest.kernel_space(dump)
    if not space then
      return nil, message, code
    end
    contexts[own] = objects.context(dump, own, space)
  end
  return contexts[own]
end

-- The handle of a type: of a Type, or of a name.
local function handle_of(dump, what, index, name)
  local Type = require "qvm.guest.types".Type
  if getmetatable(what) == Type then
    return what[1]
  elseif type(what) ~= "string" then
    check.expected(what, index, name, "Type or name of a type")
  end
  local found, message, code = typed_memory.type(dump, what)
  if not found then
    return nil, message, code
  end
  return found[1]
end

-- Raises if the handle of a type belongs neither to the types in use nor to a module's: it is of
-- another dump, or of a file that was in use before. It is argument number `index` of `name`.
function typed_memory.check(dump, handle, index, name)
  local state, own = dump._guest, core.types_of(handle)
  local is_known = own == state.types[1]
  for _, types in ipairs(state.module_types or {}) do
    is_known = is_known or own == types[1]
  end
  if not is_known then
    check.bad(index, name, "a Type of other types than those in use")
  end
end

-- index, name: of the argument that the type was, and of the function.
local function object_at(dump, handle, address, index, name)
  local context, message, code = typed_memory.context(dump, handle)
  if not context then
    return nil, message, code
  end
  typed_memory.check(dump, handle, index, name)
  return core.object(context, handle, address)
end

function typed_memory.object(dump, what, address)
  local handle, message, code = handle_of(dump, what, 1, "object")
  if not handle then
    return nil, message, code
  end
  local at
  at, message, code = addresses.of({dump = dump}, address, 2, "object")
  if not at then
    return nil, message, code
  end
  return object_at(dump, handle, at, 1, "object")
end

-- By its symbol; or, if the symbols are those of code alone, as they lead to it: per-CPU
-- variables are then at their offsets among each other.
local function address_of_variable(dump, name)
  local address, message, code = guest.kernel_address(dump, name)
  if address or message then
    return address, message, code
  end
  local state = dump._guest
  state.landmarks = state.landmarks or {}
  local found = state.landmarks[name]
  if found == nil then
    found = require "qvm.guest.landmarks".address(dump, name)
      or not guest.kernel_address(dump, "__per_cpu_offset")
      and require "qvm.guest.cpus".offset_in_section(state.types, name) or false
    state.landmarks[name] = found
  end
  if found then
    return found
  end
  return guest.address(dump, name)
end

function typed_memory.variable(dump, name, what)
  check.string(name, 1, "variable")
  local types, message, code = typed_memory.types_in_use(dump)
  if not types then
    return nil, message, code
  end
  local handle
  if what ~= nil then
    handle, message, code = handle_of(dump, what, 2, "variable")
  else
    handle, message, code = information.of_variable(types, name)
  end
  if not handle then
    return nil, message, code
  end
  local address
  address, message, code = address_of_variable(dump, name)
  if not address then
    return nil, message, code
  end
  return object_at(dump, handle, address, 2, "variable")
end

function typed_memory.per_cpu_offset(dump, cpu)
  return require "qvm.guest.cpus".offset(dump, dump._guest, cpu)
end

return typed_memory
