--- What a dump tells of the guest in it.
-- @classmod qvm.guest

local check = require "qvm.util.arguments"
local core = require "qvm.core"
local line = require "qvm.util.text"
local paging = require "qvm.paging.page_tables"
local running = require "qvm.guest.running_kernel"
local Space = require "qvm.paging.address_space"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"

local guest = {}

--- What a dump tells of its guest; what is not known is nil.
-- @table Guest
-- @tfield integer vcpus how many
-- @tfield string machine of the dump, or as the guest calls it
-- @tfield ?string os `"Linux"`
-- @tfield ?string release of the kernel
-- @tfield ?string build what the kernel calls its version
-- @tfield ?string node the guest's own name for itself
-- @tfield ?integer page_size bytes
-- @tfield ?integer kaslr_offset bytes by which the kernel was moved
-- @tfield ?string last_message seconds since the boot: it was up for as long at least
-- @tfield {string,...} warnings what is doubtful about it: VMCOREINFO's warnings, an empty
-- kernel log, records of it that were skipped
-- @usage print(dump:guest().release)

local Guest = {__name = "Guest"}

Guest.__tostring = line.tostring("guest", function(about)
  return ("%s%s on %s, %d vCPU%s%s%s"):format(about.os or "guest",
    about.release and " " .. line.cut(about.release) or " of an unknown system", about.machine,
    about.vcpus, about.vcpus == 1 and "" or "s",
    about.last_message and (", last message at %s s"):format(about.last_message) or "",
    #about.warnings > 0 and (", %d warnings"):format(#about.warnings) or "")
end)

-- By the dump: its VMCOREINFO, once it was looked for; or false, and in `problems` why.
local infos, problems = setmetatable({}, {__mode = "k"}), setmetatable({}, {__mode = "k"})

-- By the dump: its symbols, once they were read.
local tables = setmetatable({}, {__mode = "k"})

-- Drops what was derived from a dump's VMCOREINFO; all else is read anew each time.
local function forget(dump)
  infos[dump], problems[dump], tables[dump] = nil, nil, nil
end

-- Looks for it. What could not be read is not remembered as missing.
local function find_info(dump)
  local info, message, code = running.vmcoreinfo(dump)
  if code then
    return nil, message, code
  end
  infos[dump], problems[dump] = info or false, message
  return info
end

function guest.vmcoreinfo(dump, text)
  if text ~= nil then
    check.string(text, 1, "vmcoreinfo")
    if not text:find("^[%w_()%.]+=") then
      error("bad argument #1 to 'vmcoreinfo' (lines of KEY=value expected)", 2)
    end
    forget(dump)
    infos[dump] = vmcoreinfo.parse(text, "the caller")
    local right, why = running.is_of(dump, infos[dump])
    infos[dump].warnings[1] = right == false and "VMCOREINFO from the caller: " .. why or nil
  end
  local info, message, code = infos[dump], nil, nil
  if info == nil then
    info, message, code = find_info(dump)
  end
  if info then
    return info
  end
  local problem = problems[dump]
  return nil, message or dump.path .. ": no VMCOREINFO, neither as a note nor in memory"
    .. (problem and ": " .. problem or ""), code or "not_found"
end

function guest.kernel_space(dump)
  local info, message, code = guest.vmcoreinfo(dump)
  if not info then
    return nil, message, code
  end
  return running.space(dump, info)
end

-- The messages of the kernel's log, and a table that counts what was skipped.
function guest.dmesg(dump)
  local space, message, code = guest.kernel_space(dump)
  if not space then
    return nil, message, code
  end
  local messages, log = require "qvm.guest.printk".messages(dump, space, infos[dump])
  if not messages then
    return nil, ("%s: no kernel log: %s"):format(dump.path, log), "unsupported"
  end
  return messages, log
end

local function symbols_in_memory(dump)
  local space, message, code = guest.kernel_space(dump)
  if not space then
    return nil, message, code
  end
  local found, problem = require "qvm.guest.symbols".from_memory(space, infos[dump])
  if not found then
    return nil, ("%s: %s: give dump:symbols(file) a System.map or a vmlinux"):format(dump.path,
      problem), "not_found"
  end
  return found
end

-- Without a path: those there are, or else those of the kernel's own table.
function guest.symbols(dump, path)
  local found, message, code = not path and tables[dump], nil, nil
  if path ~= nil then
    check.path(path, 1, "symbols")
    found, message, code = require "qvm.guest.symbols".from_file(path, (guest.vmcoreinfo(dump)))
  elseif not found then
    found, message, code = symbols_in_memory(dump)
  end
  if not found then
    return nil, message, code
  end
  tables[dump] = found
  return found
end

function guest.symbol(dump, address)
  check.integer(address, 1, "symbol")
  local found, message, code = guest.symbols(dump)
  if not found then
    return nil, message, code
  end
  local name, offset, size = found:at(address)
  return name and ("%s+0x%x/0x%x"):format(name, offset, size) or nil
end

function guest.address(dump, name)
  check.string(name, 1, "address")
  local found, message, code = guest.symbols(dump)
  if not found then
    return nil, message, code
  end
  local address = found:address(name)
  if not address then
    return nil, ("%s: no symbol %q among the %s"):format(dump.path, name, tostring(found)),
      "not_found"
  end
  return address
end

-- The kernel's names for itself, 65 bytes each: system, node, release, version, ...
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

-- The time of the log's last message, and what is wrong with the log.
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
  local open, message, code = dump:vcpus()
  if not open then
    return nil, message, code
  end
  local about = setmetatable({vcpus = core.dump.vcpu_count(dump), machine = dump.machine,
    warnings = {}}, Guest)
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
  va_bits = "integer", granule = "integer", wide = "boolean", encryption_mask = "integer"}
local beside_vcpu = {kind = "string", va_bits = "integer", granule = "integer", wide = "boolean",
  encryption_mask = "integer"}

local kinds = {x86_64 = true, aarch64 = true, x86 = true, ["x86 PAE"] = true}
local granules = {[4096] = true, [16384] = true, [65536] = true}

local function check_form(options)
  if options.kind and not kinds[options.kind] then
    error(("option 'kind' of 'space' is %q, not \"x86_64\", \"aarch64\", \"x86\" or "
      .. "\"x86 PAE\""):format(options.kind), 3)
  elseif options.granule and not granules[options.granule] then
    error("option 'granule' of 'space' is not 4096, 16384 or 65536", 3)
  end
end

local function space_by_hand(dump, options)
  check.options(options, "space", by_hand, 1)
  check_form(options)
  if not options.root and not options.kernel_root then
    error("'space' needs a vCPU, or an option 'root' or 'kernel_root'", 2)
  end
  local kind, lower, upper = paging.by_hand(dump.machine, options)
  if not kinds[kind] then
    return nil, ("%s: no page tables of %s are known here"):format(dump.path, kind),
      "unsupported"
  end
  return Space.new(dump, "the caller", kind, lower, upper)
end

local function is_vcpu(value)
  return type(value) == "table" and value.regs and value.extra and value.pgtbl
end

function guest.space(dump, what, options)
  if type(what) ~= "table" then
    error(("bad argument #1 to 'space' (vCPU or table of options expected, got %s)")
      :format(what == nil and "no value" or type(what)), 2)
  elseif not is_vcpu(what) then
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
  if not kind and code == "io" then
    return nil, message, code
  elseif not kind then
    return nil, ("%s: vCPU %d: %s"):format(dump.path, what.index, lower), "unsupported"
  end
  return Space.new(dump, ("%s (vCPU %d)"):format(from, what.index), kind, lower, upper)
end

return guest
