--- The guest in a dump.
-- @classmod qvm.guest

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local paging = require "qvm.paging.page_tables"
local running = require "qvm.guest.running_kernel"
local Space = require "qvm.paging.address_space"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"

local guest = {}

--- A description of the guest in a dump; unknown fields are nil.
-- @table Guest
-- @tfield integer vcpus number of vCPUs
-- @tfield string machine of the dump, or the guest's name for it
-- @tfield ?string os `"Linux"`
-- @tfield ?string release of the kernel
-- @tfield ?string build the kernel's version string
-- @tfield ?string node the guest's host name
-- @tfield ?integer page_size bytes
-- @tfield ?integer kaslr_offset bytes by which the kernel was moved
-- @tfield ?string last_message time of the last message, in seconds since boot: the minimum
-- uptime
-- @tfield {string,...} warnings of VMCOREINFO, and about the kernel log: that it is empty,
-- or how many of its records were skipped
-- @usage print(dump:guest().release)

local Guest = {__name = "Guest"}

Guest.__tostring = line.tostring("guest", function(about)
  return ("%s%s on %s, %s%s%s"):format(about.os or "guest",
    about.release and " " .. line.cut(about.release) or " of an unknown system", about.machine,
    line.count(about.vcpus, "vCPU"),
    about.last_message and (", last message at %s s"):format(about.last_message) or "",
    #about.warnings > 0 and ", " .. line.count(#about.warnings, "warning") or "")
end)

-- Everything that is derived from a dump's VMCOREINFO is in its field `_guest`:
--   info            the VMCOREINFO, or false
--   problem, code   why there is none; the code if the search failed
--   own             the symbols in the dump's memory, once they were read
--   path, file      the symbols of a file, which are then in use
--   types, context  the types in use, and what their Objects share; once they were read
--   own_types       those in the dump's memory
--   no_types        the message, once they were searched for in vain
-- Setting the VMCOREINFO drops what the one before led to, except for the path: the file is
-- read and verified again.
local function set_info(dump, info, problem, code)
  local before = dump._guest
  dump._guest = {info = info or false, problem = problem, code = code,
    path = before and before.path}
end

-- A dump's state, with its VMCOREINFO. A failed read is not remembered.
local function state_of(dump)
  if not dump._guest then
    local info, message, code = running.vmcoreinfo(dump)
    if code == "gone" or code == "io" then
      return nil, message, code
    end
    set_info(dump, info, message, code)
  end
  return dump._guest
end

local TEXT_MAX = 1 << 20 -- bytes of VMCOREINFO from the caller: kernels write less than 64 KiB

function guest.vmcoreinfo(dump, text)
  if text ~= nil then
    check.string(text, 1, "vmcoreinfo")
    if not text:find("^[0-9A-Za-z_()%.]+=") then
      check.bad(1, "vmcoreinfo", "lines of KEY=value expected")
    elseif #text > TEXT_MAX then
      return nil, ("%s: the VMCOREINFO given has %d bytes, more than %d"):format(dump.path,
        #text, TEXT_MAX), "too_large"
    end
    local info, message, code = running.with_warning(dump, vmcoreinfo.parse(text, "the caller"))
    if not info then
      return nil, message, code
    end
    set_info(dump, info)
  end
  local state, message, code = state_of(dump)
  if not state then
    return nil, message, code
  elseif state.info then
    return state.info
  elseif state.code then
    return nil, state.problem, state.code
  end
  return nil, dump.path .. ": no VMCOREINFO, neither as a note nor in memory"
    .. (state.problem and ": " .. state.problem or ""), "not_found"
end

function guest.kernel_space(dump)
  local info, message, code = guest.vmcoreinfo(dump)
  if not info then
    return nil, message, code
  end
  return running.space(dump, info)
end

-- The messages of the kernel's log and a LogCount; nil, message, code.
function guest.dmesg(dump)
  local space, message, code = guest.kernel_space(dump)
  if not space then
    return nil, message, code
  end
  local messages, log = require "qvm.guest.printk".messages(dump, space, dump._guest.info)
  if not messages then
    return nil, ("%s: no kernel log: %s"):format(dump.path, log), "unsupported"
  end
  return messages, log
end

local function own_symbols(dump, state)
  if state.own then
    return state.own
  end
  local space, message, code = guest.kernel_space(dump)
  if not space then
    return nil, message, code
  end
  local found, problem, kind = require "qvm.guest.kallsyms".read(space, state.info)
  if not found then
    return nil, ("%s: %s: pass a System.map or a vmlinux to dump:symbols"):format(dump.path,
      problem), kind
  end
  state.own = found
  return found
end

local function file_symbols(dump, state, path)
  local found, message, code = require "qvm.guest.symbol_file".read(path, state.info, dump.machine)
  if not found then
    return nil, message, code
  end
  state.file, state.path = found, path
  return found
end

-- Selects the symbols of a file, or without a path the dump's own.
function guest.symbols(dump, path)
  if path ~= nil then
    check.path(path, 1, "symbols")
  end
  local state, message, code = state_of(dump)
  if not state then
    return nil, message, code
  elseif path then
    return file_symbols(dump, state, path)
  end
  local found
  found, message, code = own_symbols(dump, state)
  if not found then
    return nil, message .. (state.path and "; those of " .. state.path .. " stay in use" or ""),
      code
  end
  state.file, state.path = nil, nil
  return found
end

-- The symbols in use.
function guest.symbols_in_use(dump)
  local state, message, code = state_of(dump)
  if not state then
    return nil, message, code
  elseif state.path then
    return state.file or file_symbols(dump, state, state.path)
  end
  return own_symbols(dump, state)
end

function guest.symbol(dump, address)
  local named, message, code = addresses.of({dump = dump}, address, 1, "symbol")
  if not named then
    return nil, message, code
  end
  address = named
  local found
  found, message, code = guest.symbols_in_use(dump)
  if not found then
    return nil, message, code
  end
  local name, offset, size = found:at(address)
  return name and ("%s+0x%x/0x%x"):format(name, offset, size) or nil
end

function guest.address(dump, name)
  check.string(name, 1, "address")
  local found, message, code = guest.symbols_in_use(dump)
  if not found then
    return nil, message, code
  end
  local address = found:address(name)
  if not address then
    return nil, ('%s: no symbol "%s" among the %s'):format(line.escape_controls(dump.path),
      line.field(name), tostring(found)), "not_found"
  end
  return address
end

-- Types and objects -------------------------------------------------------------------------

-- The state of a dump that is open: types that were read do not need it, but what is asked of a
-- closed dump fails alike every time.
local function state_of_open(dump)
  if not core.dump.is_open(dump) then
    return nil, dump.path .. ": the dump is closed", "gone"
  end
  return state_of(dump)
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
  local information = require "qvm.guest.type_information"
  local found
  found, message, code = information.at_symbols(dump, space)
  if not found and not message and state.no_types then
    return nil, state.no_types, "not_found"
  elseif not found and not message then
    found, message, code = information.search(dump, space)
    state.no_types = code == "not_found" and message or nil
  end
  state.own_types = found
  return found, message, code
end

-- Those of a module's file continue those of its kernel.
local function file_types(dump, state, path)
  local information = require "qvm.guest.type_information"
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
function guest.types(dump, path)
  if path ~= nil then
    check.path(path, 1, "types")
  end
  local state, message, code = state_of_open(dump)
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
    state.types, state.context = found, nil
  end
  return found
end

-- The types in use: those that were selected last, or the dump's own.
function guest.types_in_use(dump)
  local state, message, code = state_of_open(dump)
  if not state then
    return nil, message, code
  elseif state.types then
    return state.types
  end
  return guest.types(dump)
end

function guest.type(dump, name)
  check.string(name, 1, "type")
  local types, message, code = guest.types_in_use(dump)
  if not types then
    return nil, message, code
  end
  local handle
  handle, message, code = require "qvm.guest.type_information".find(types, name)
  if not handle then
    return nil, message, code
  end
  return require "qvm.guest.types".Type.new(handle)
end

-- What the Objects of a dump share.
local function context_of(dump)
  local types, message, code = guest.types_in_use(dump)
  if not types then
    return nil, message, code
  end
  local state = dump._guest
  if not state.context then
    local space
    space, message, code = guest.kernel_space(dump)
    if not space then
      return nil, message, code
    end
    state.context = require "qvm.guest.objects".context(dump, types, space)
  end
  return state.context
end

-- The handle of a type: of a Type, or of a name.
local function handle_of(dump, what, index, name)
  local Type = require "qvm.guest.types".Type
  if getmetatable(what) == Type then
    return what[1]
  elseif type(what) ~= "string" then
    check.expected(what, index, name, "Type or name of a type")
  end
  local found, message, code = guest.type(dump, what)
  if not found then
    return nil, message, code
  end
  return found[1]
end

-- index, name: of the argument that the type was, and of the function.
local function object_at(dump, handle, address, index, name)
  local context, message, code = context_of(dump)
  if not context then
    return nil, message, code
  end
  require "qvm.guest.objects".check_type(context, handle, index, name)
  return core.object(context, handle, address)
end

function guest.object(dump, what, address)
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

function guest.variable(dump, name, what)
  check.string(name, 1, "variable")
  local types, message, code = guest.types_in_use(dump)
  if not types then
    return nil, message, code
  end
  local handle
  if what ~= nil then
    handle, message, code = handle_of(dump, what, 2, "variable")
  else
    handle, message, code = require "qvm.guest.type_information".of_variable(types, name)
  end
  if not handle then
    return nil, message, code
  end
  local address
  address, message, code = guest.address(dump, name)
  if not address then
    return nil, message, code
  end
  return object_at(dump, handle, address, 2, "variable")
end

-- What the kernel's uname returns: system, node, release, version, ..., 65 bytes each.
local NAME_SIZE = 65

local function add_names(dump, info, about)
  local space, at = running.space(dump, info), info.symbols.init_uts_ns
  local bytes = space and at
    and space:read(at + (info.offsets["uts_namespace.name"] or 0), 6 * NAME_SIZE)
  for i, name in ipairs {"os", "node", "release", "build", "machine"} do
    about[name] = bytes
      and bytes:sub((i - 1) * NAME_SIZE + 1, i * NAME_SIZE):match("^[^%z]+") or about[name]
  end
end

-- Adds the time of the log's last message, and what is wrong with the log.
local function add_log(dump, about)
  local messages, log = guest.dmesg(dump)
  if not messages then
    table.insert(about.warnings, log)
    return
  end
  for last in messages do
    about.last_message = last.time
  end
  if log.given == 0 then
    table.insert(about.warnings, dump.path .. ": the kernel log is empty")
  end
  if log.skipped > 0 then
    table.insert(about.warnings, ("%s: %d records of the kernel log were skipped: %s"):format(
      dump.path, log.skipped, log.reason or "they are corrupt"))
  end
end

function guest.about(dump)
  local vcpus, message, code = core.dump.vcpu_count(dump)
  if not vcpus then
    return nil, message, code
  end
  local about = setmetatable({vcpus = vcpus, machine = dump.machine, warnings = {}}, Guest)
  local info
  info, message, code = guest.vmcoreinfo(dump)
  if code == "io" then
    return nil, message, code
  elseif not info then
    return about
  end
  about.os, about.release, about.page_size = "Linux", info.release, info.page_size
  local offset = info.values.KERNELOFFSET or ""
  about.kaslr_offset = offset:find("^%x+$") and tonumber(offset, 16) or nil
  add_names(dump, info, about)
  table.move(info.warnings, 1, #info.warnings, 1, about.warnings)
  add_log(dump, about)
  return about
end

local by_hand = {kind = "string", root = "integer", kernel_root = "integer",
  va_bits = "integer", granule = "integer", pa_bits = "integer", encryption_mask = "integer"}
local beside_vcpu = {kind = "string", va_bits = "integer", granule = "integer", pa_bits = "integer",
  encryption_mask = "integer"}

local kinds = {x86_64 = true, aarch64 = true, x86 = true, ["x86 PAE"] = true}
local granules = {[4096] = true, [16384] = true, [65536] = true}

local function check_form(options)
  if options.kind and not kinds[options.kind] then
    errors.raise(("option 'kind' of 'space' is %q, not \"x86_64\", \"aarch64\", \"x86\" or "
      .. "\"x86 PAE\""):format(options.kind))
  elseif options.granule and not granules[options.granule] then
    errors.raise "option 'granule' of 'space' is not 4096, 16384 or 65536"
  end
end

local function space_by_hand(dump, options)
  check.options(options, "space", by_hand, 1)
  check_form(options)
  if not options.root and not options.kernel_root then
    errors.raise "'space' needs a vCPU, or an option 'root' or 'kernel_root'"
  end
  local kind, lower, upper = paging.by_hand(dump.machine, options)
  if not kinds[kind] then
    return nil, ("%s: page tables of %s are not supported"):format(dump.path, kind),
      "unsupported"
  end
  return Space.new(dump, "the caller", kind, lower, upper)
end

local function is_vcpu(value)
  return type(value) == "table" and value.regs and value.extra and value.pgtbl
end

function guest.space(dump, what, options)
  check.table(what, 1, "space", "vCPU or table of options")
  if not is_vcpu(what) then
    return space_by_hand(dump, what)
  end
  check.options(options, "space", beside_vcpu, 2)
  options = options or {}
  check_form(options)
  local info, message, code
  local kind, lower, upper, from = paging.of_vcpu(dump.machine, what, function()
    info, message, code = guest.vmcoreinfo(dump)
    return info
  end, options)
  if not kind and (code == "io" or code == "gone") then
    return nil, message, code
  elseif not kind then
    return nil, ("%s: vCPU %d: %s"):format(dump.path, what.index, lower), "unsupported"
  end
  return Space.new(dump, ("%s (vCPU %d)"):format(from, what.index), kind, lower, upper)
end

return guest
