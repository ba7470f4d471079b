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
-- @tfield ?integer vcpus number of vCPUs; nil if the dump has no records of vCPUs, which would
-- say it
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
    about.vcpus and line.count(about.vcpus, "vCPU") or "number of vCPUs unknown",
    about.last_message and (", last message at %s s"):format(about.last_message) or "",
    #about.warnings > 0 and ", " .. line.count(#about.warnings, "warning") or "")
end)

-- Everything that is derived from a dump's VMCOREINFO is in its field `_guest`:
--   info            the VMCOREINFO, or false
--   problem, code   why there is none; the code if the search failed
--   own             the symbols in the dump's memory, once they were read
--   path, file      the symbols of a file, which are then in use
--   orc, orc_symbols  the kernel's ORC tables, and the symbols by which they were found
-- Types add more: see qvm.guest.typed_memory.
-- Setting the VMCOREINFO drops what the one before led to, except for the path: the file is
-- read and verified again.
local function set_info(dump, info, problem, code)
  local before = dump._guest
  dump._guest = {info = info or false, problem = problem, code = code,
    path = before and before.path}
end

-- A dump's state, with its VMCOREINFO. A failed read is not remembered.
function guest.state(dump)
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
  local state, message, code = guest.state(dump)
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
function guest.dmesg(dump, options)
  options = require "qvm.guest.printk_options".checked(options)
  local space, message, code = guest.kernel_space(dump)
  if not space then
    return nil, message, code
  end
  local messages, log
  messages, log, code = require "qvm.guest.printk".messages(dump, space, dump._guest.info, options)
  if not messages then
    return nil, ("%s: no kernel log: %s"):format(dump.path, log), code or "unsupported"
  end
  return messages, log
end

-- A function that returns the symbols of the modules, or nil. They are found on first use, with
-- the symbols of the kernel itself.
local function modules_of(dump, state)
  return function()
    if state.module_symbols == nil then
      state.module_symbols = false
      state.module_symbols = require "qvm.guest.module_symbols"(dump)
    end
    return state.module_symbols or nil
  end
end

local function own_symbols(dump, state)
  if state.own then
    return state.own
  end
  local space, message, code = guest.kernel_space(dump)
  if not space then
    return nil, message, code
  end
  local found, problem, kind = require "qvm.guest.kallsyms".read(dump, space, state.info)
  if not found then
    return nil, ("%s: %s: pass a System.map or a vmlinux to dump:symbols"):format(dump.path,
      problem), kind
  end
  require "qvm.guest.symbols".attach(found, dump, modules_of(dump, state))
  state.own = found
  return found
end

local function file_symbols(dump, state, path)
  local found, message, code = require "qvm.guest.symbol_file".read(path, state.info, dump.machine)
  if not found then
    return nil, message, code
  end
  require "qvm.guest.symbols".attach(found, dump, modules_of(dump, state))
  state.file, state.path = found, path
  return found
end

-- Selects the symbols of a file, or without a path the dump's own.
function guest.symbols(dump, path)
  if path ~= nil then
    check.path(path, 1, "symbols")
  end
  local state, message, code = guest.state(dump)
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
  local state, message, code = guest.state(dump)
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
  return line.symbol(found:at(address))
end

-- The address of a symbol of the kernel itself; nil; nil, message, code.
function guest.kernel_address(dump, name)
  local found, message, code = guest.symbols_in_use(dump)
  if not found then
    return nil, message, code
  end
  return require "qvm.guest.symbols".in_kernel(found, name)
end

function guest.address(dump, name)
  check.string(name, 1, "address")
  local found, message, code = guest.symbols_in_use(dump)
  if not found then
    return nil, message, code
  end
  local address = found:address(name)
  if not address then
    local has_data = require "qvm.guest.symbols".in_kernel(found, "_stext") == nil
      or found:address "init_task" ~= nil
    local missing = (dump._guest.module_symbols or {}).missing
    return nil, ('%s: no symbol "%s" among the %s%s%s'):format(line.escape_controls(dump.path),
      line.field(name), tostring(found), has_data and ""
      or ", which are those of functions: dump:symbols(path) loads a System.map",
      missing and "; " .. missing or ""), "not_found"
  end
  return address
end

-- The ORC tables of the kernel whose symbols these are, for the unwinder; nil if it has none;
-- nil, message, code. space: see qvm.guest.orc. What was found is kept; tables that one space
-- does not map may be mapped by another.
function guest.orc_tables(dump, space, symbols)
  local state = dump._guest
  if state.orc_symbols == symbols then
    return state.orc
  end
  local found, message, code = require "qvm.guest.orc".find(dump, space, symbols,
    require "qvm.guest.modules".orc_tables(dump))
  if not found and code and code ~= "unsupported" then
    return nil, message, code
  end
  state.orc, state.orc_symbols = found, symbols
  return found
end

function guest.crash(dump)
  return require "qvm.guest.crash".of_dump(dump, guest)
end

-- What the kernel's uname returns: system, node, release, version, ..., 65 bytes each.
local NAME_SIZE = 65

-- Where the names are in struct uts_namespace: VMCOREINFO of Linux 5.11 and later says it. Before
-- they were first, or after a counter of references.
local function names_of(dump, info)
  local space, at = running.space(dump, info), info.symbols.init_uts_ns
  local offset = info.offsets["uts_namespace.name"]
  for _, candidate in ipairs(offset and {offset} or {0, 4}) do
    local bytes = space and at and space:read(at + candidate, 6 * NAME_SIZE)
    if bytes and (offset or bytes:find("^Linux%z")) then
      return bytes
    end
  end
end

local function add_names(dump, info, about)
  local bytes = names_of(dump, info)
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
  local _, problem = errors.returned(function()
    for last in messages do
      about.last_message = last.time
    end
  end)
  if problem then
    table.insert(about.warnings, problem)
  end
  if log.given == 0 and not problem then
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
  local about = setmetatable({vcpus = vcpus > 0 and vcpus or nil,
    machine = dump.machine, warnings = {}}, Guest)
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
  if what._dump and what._dump ~= dump then
    check.bad(1, "space", "a vCPU of another dump")
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
