--- Virtual machines of a QNX Hypervisor host, from Lua.
--
-- Each `qvm` process of a host serves one virtual machine and shows it as a
-- directory, `/dev/qvm/<system>/`. This module finds those directories, reads
-- the `env` documents in them, requests status text and guest dumps from the
-- processes, and reads such dumps.
--
--     local qvm = require "qvm"
--     for vm in qvm.vms() do
--       print(vm.name, vm:state())
--     end
--
-- Runtime failures (no such VM, malformed data, no answer) return `nil`, a message
-- and a code; programming errors raise. The codes are `not_found` `permission`
-- `not_qvm` `gone` `malformed` `truncated` `too_large` `unmapped` `timeout`
-- `unsupported` `io` `busy`.
--
-- Addresses and counters are 64-bit integers: print them with `hex`, and compare them with
-- `math.ult`. `qvm.conf` reads `.qvmconf` files, `qvm.errata` compares errata settings.
-- @module qvm

if _VERSION ~= "Lua 5.4" then
  error("qvm needs Lua 5.4, and this is " .. _VERSION .. ": run lua5.4", 0)
end

local check = require "qvm.util.arguments"
local core = require "qvm.core"
local Dump = require "qvm.dump"
local errors = require "qvm.util.errors"

--- Fields of the module, besides its functions.
-- @table qvm
-- @tfield string version of the library, as in CHANGELOG
-- @tfield qvm.c c functions on Objects of a guest's kernel
-- @tfield qvm.conf conf reads configurations
-- @tfield qvm.errata errata compares errata
-- @usage print(qvm.version)
local qvm = {version = "0.2.0"}

-- Parts of the library that most scripts do not need. They are loaded on first use.
local parts = {c = "qvm.guest.c", conf = "qvm.host.conf", errata = "qvm.host.errata"}

local chosen_root

--- The directory that is searched for VMs.
-- @tparam[opt] string path the directory to search from now on
-- @treturn string the path that was set, else `$QVM_ROOT`, else `/dev/qvm`
-- @usage print(qvm.root())
-- @usage qvm.root("/tmp/vms")
function qvm.root(path)
  if path ~= nil then
    check.path(path, 1, "root")
    chosen_root = path
  end
  local root = chosen_root or os.getenv("QVM_ROOT")
  return root and root ~= "" and root or "/dev/qvm"
end

--- The system names of the VMs that have an `env`, sorted.
-- Entries that disappear meanwhile are left out. One that this user may not search is in the
-- list, as it may have an `env`.
-- @treturn[1] {string,...} names
-- @return[2] nil, message, code: the root cannot be listed
-- (`not_found` `permission` `io`)
-- @usage print(table.concat(assert(qvm.names()), " "))
function qvm.names()
  local names, message, code = core.names(qvm.root())
  if not names then
    if code == "not_found" then
      message = message .. ": no VM runs on this host, or $QVM_ROOT should "
        .. "name another directory"
    end
    return nil, message, code
  end
  table.sort(names)
  return names
end

--- Each VM, in name order. A VM that disappears meanwhile is skipped.
-- A root that does not exist has no VMs. Raises if the root cannot be listed.
-- @treturn function():qvm.vm.VM iterator
-- @usage for vm in qvm.vms() do print(vm.name, vm:state()) end
function qvm.vms()
  local names, message, code = qvm.names()
  if not names then
    local there, _, kind = core.stat(qvm.root())
    if code ~= "not_found" or there and kind ~= "directory" then
      errors.raise(message)
    end
  end
  names = names or {}
  local VM = require "qvm.host.vm"
  local index = 0
  return function()
    while index < #names do
      index = index + 1
      local vm = VM.find(qvm.root(), names[index])
      if vm then
        return vm
      end
    end
  end
end

--- Asks all VMs at once. Each answer, in name order.
--
-- Without it, each VM that is stuck costs a time limit of its own. An `Answer` has the methods
-- of `VM`: `state`, `pid` and `env` return what the VM answered; the others ask it anew. A root
-- that does not exist has no VMs; raises if the root cannot be listed.
-- @tparam ?table options
-- @tparam[opt] {string,...} options.names asks only VMs with these names
-- @tparam[opt] function(integer,integer) options.progress called with the number of VMs that
-- have answered, or have not in time, and of all: often while this waits
-- @treturn function():Answer iterator
-- @usage for vm in qvm.survey() do print(vm.name, vm:state()) end
function qvm.survey(options)
  check.options(options, "survey", {names = "array of names", progress = "function"})
  local wanted = options and options.names and {}
  for _, name in ipairs(wanted and options.names or {}) do
    wanted[name] = true
  end
  local vms = {}
  for vm in qvm.vms() do
    vms[#vms + 1] = (not wanted or wanted[vm.name]) and vm or nil
  end
  return require "qvm.host.survey".of(vms, options and options.progress)
end

--- A VM as it answered `qvm.survey`.
-- @table Answer
-- @extends VM
-- @tfield string name the system name
-- @tfield string path its directory
-- @usage for vm in qvm.survey() do print(vm.name, (vm:pid())) end

--- Finds a VM by its system name.
-- @tparam string name raises if it is not a valid system name (empty, `.`, `..`, or
-- with a `/` or NUL)
-- @treturn[1] qvm.vm.VM the VM
-- @return[2] nil, message, code: `not_found` if it has no `env`: the VM does not
-- exist, or is rebooting; the message suggests the nearest name
-- @usage vm = assert(qvm.vm("linux1"))
function qvm.vm(name)
  check.string(name, 1, "vm")
  if not core.is_name(name) then
    check.bad(1, "vm", ("%q is not a system name"):format(name))
  end
  local vm, message, code = require "qvm.host.vm".find(qvm.root(), name)
  if vm then
    return vm
  end
  if code == "not_found" then
    local line = require "qvm.util.text"
    local nearest = line.nearest(name, core.names(qvm.root()) or {})[1]
    message = message .. (nearest and ("; is it '%s'?"):format(line.field(nearest)) or "")
  end
  return nil, message, code
end

--- Changes among the VMs, as they happen.
--
-- The first events are `appeared`, one for each VM. A VM that does not answer does not
-- delay the events of others. A root that does not exist has no VMs yet; raises if the
-- root cannot be listed.
-- @tparam ?table options
-- @tparam[opt=1] number options.interval seconds between two checks of the VMs
-- @tparam[opt] number options.timeout seconds after which the loop ends; without it the
-- loop does not end
-- @tparam[opt] {string,...} options.names watches only VMs with these names
-- @treturn function():Event iterator
-- @usage for event in qvm.watch {timeout = 1} do print(event.vm.name, event.kind) end
function qvm.watch(options)
  check.options(options, "watch", {interval = "number of seconds",
    timeout = "number of seconds", names = "array of names"})
  local events, message = require "qvm.host.watch".events(qvm.root(), options or {})
  return events or errors.raise(message)
end

--- An event of `qvm.watch`.
-- @table Event
-- @tfield qvm.vm.VM vm the VM
-- @tfield "appeared"|"disappeared"|"restarted"|"state" kind `restarted`: another process
-- serves it; `state`: its state has changed
-- @tfield ?integer pid id of its process, or of its last one if it has none now; nil if
-- unknown
-- @tfield string state as returned by `VM:state`; also `unknown` if its env cannot be read,
-- and until a VM that appeared has answered
-- @tfield ?string before its state before the event, nil if it appeared
-- @usage for event in qvm.watch {timeout = 1} do print(event.kind, event.before) end

--- Sleeps. Ctrl-C interrupts it.
-- @tparam number seconds
-- @usage qvm.sleep(0.1)
function qvm.sleep(seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds < 2^31) then
    check.expected(seconds, 1, "sleep", "number of seconds",
      type(seconds) == "number" and tostring(seconds) or nil)
  end
  require "qvm.host.watch".sleep(seconds)
end

-- Bound for qvm.decode.
local VALUES_MAX = 1 << 22

--- Decodes a JSON text, strictly by RFC 8259.
--
-- Up to 512 levels deep. Integers keep their 64 bits: those from 2^63 to 2^64-1 become
-- the same bit pattern, a negative Lua integer. All other numbers are floats. `null` is
-- `cjson.null`. If two members have the same name, the last one is used, with a
-- warning. A number that a float does not hold exactly also causes a warning.
-- @tparam string text
-- @treturn[1] any value
-- @treturn[1] {string,...} warnings ("line:column: text"), nil if there are none
-- @return[2] nil, message, code: `malformed`, or `too_large` (more than 4194304
-- values); the message begins with "line:column: "
-- @usage print(qvm.decode('{"ip": 18446603336490160692}').ip)
function qvm.decode(text)
  check.string(text, 1, "decode")
  local value, warnings, code = core.decode(text, VALUES_MAX)
  if value == nil then
    return nil, warnings, code
  end
  return value, warnings[1] and warnings or nil
end

--- Sets where the env of your hypervisor keeps things.
--
-- Overrides the rules that find them (see docs/vms.md, "The env document").
-- @tparam ?table schema `nil` restores the rules
-- @tparam[opt] string schema.vcpus path of the array or object that holds the vCPU
-- records
-- @tparam[opt] string schema.tid name of the member with the thread id
-- @tparam[opt] string schema.ip name of the member with the instruction pointer
-- @tparam[opt] string schema.errata path of the errata data
-- @usage qvm.schema {vcpus = "guest.cpus", tid = "thread"}
function qvm.schema(schema)
  require "qvm.host.env".schema(schema)
end

--- Opens a dump, gzip-compressed or not.
--
-- Reads only its headers, whatever its size. A compressed dump whose notes come last is
-- unpacked once.
-- @tparam string path
-- @tparam ?table options
-- @tparam[opt] boolean options.partial true also opens a dump with bytes missing after
-- its program headers: `complete` is then false, and reading what is missing is `truncated`.
-- A compressed dump is then unpacked once, and may be damaged: see `warnings`
-- @tparam[opt] boolean options.index true keeps the index of a compressed dump in the file
-- PATH.index: the first call unpacks the dump once and writes it, later ones need not unpack
-- what is before a value. Not with `partial`. If there can be none, `warnings` says why
-- @tparam[opt] function(integer) options.progress called with the number of bytes
-- unpacked so far, while a compressed dump is unpacked
-- @treturn[1] qvm.dump.Dump the dump
-- @return[2] nil, message, code: `truncated` if bytes are missing (the message
-- says how many), `not_found` `permission` `malformed` `unsupported` `io`
-- @usage dump = assert(qvm.open("linux1-20261122-101500.gcore"))
-- @usage dump = assert(qvm.open("cut.gcore", {partial = true}))
-- @usage dump = assert(qvm.open("linux1.gcore.gz", {index = true}))
function qvm.open(path, options)
  check.path(path, 1, "open")
  check.options(options, "open", {partial = "boolean", index = "boolean", progress = "function"})
  options = options or {}
  return Dump.open(path, options.partial, options.progress, nil, options.index)
end

--- Saves what a VM reports to a new directory.
--
-- For bug reports. The directory holds `env.json` (the env's bytes), `errata.json` (a
-- baseline), `vm.qvmconf` (the configuration, if given, without the files that it includes),
-- and `manifest.json`: the system name, the state, the names of the nodes, the name of this
-- host, the time (UTC) and the version of the library. Check it before you pass it on: an env
-- and a configuration name threads, devices and files of the host. It contains no guest memory.
-- Only this user can read the directory and its files (modes 0700 and 0600).
-- @tparam qvm.vm.VM vm
-- @tparam string directory must not exist
-- @tparam ?table options
-- @tparam[opt] string options.conf path of the VM's configuration
-- @treturn[1] boolean true
-- @return[2] nil, message, code: as `VM:env`; `busy` (the directory exists, or was
-- replaced meanwhile) `permission` `io`, `too_large` (a baseline of more than 16 MiB)
-- @usage assert(qvm.record(vm, "linux1.record", {conf = "linux1.qvmconf"}))
function qvm.record(vm, directory, options)
  check.method(vm, "env", "VM", 1, "record")
  check.path(directory, 2, "record")
  check.options(options, "record", {conf = "path"}, 3)
  return require "qvm.host.record".write(vm, directory, options and options.conf, qvm.version)
end

--- Opens a record: a VM with the methods of `VM`. `pid`, `wait`, `signal`, `status` and
-- `dump` fail with `unsupported`: it has no process.
-- @tparam string directory
-- @treturn[1] qvm.record.Replay the VM
-- @return[2] nil, message, code: `not_found` `malformed` `unsupported` (another
-- version) `permission`
-- @usage vm = assert(qvm.replay("linux1.record"))
function qvm.replay(directory)
  check.path(directory, 1, "replay")
  return require "qvm.host.record".read(directory)
end

--- QNX's system log: the messages of a VM, or of all.
--
-- For VMs whose `logger` option names `slog`, which is slogger2. QNX only; written from its
-- documentation, and not yet tried on QNX. The log can be the option `log` of `VM:status`:
-- called as a function, it returns the text of its messages so far, a line for each.
-- @tparam[opt] qvm.vm.VM vm only messages of the process that serves this VM now;
-- without it, messages of all processes
-- @tparam ?table options
-- @tparam[opt] integer options.vcpu only messages of the thread of the vCPU with this index
-- (from 0), by its thread id in the env
-- @tparam[opt] number options.since only messages since this time, in seconds since 1970;
-- messages with the time since boot are not excluded
-- @tparam[opt] integer|string options.level only messages of this level or more severe: 0 to
-- 7, or `shutdown`, `critical`, `error`, `warning`, `notice`, `info`, `debug1`, `debug2`
-- @treturn[1] qvm.system_log.SystemLog log
-- @return[2] nil, message, code: `unsupported` if there is no slogger2; `not_found`: no
-- such vCPU, or its thread id is unknown; `io` `too_large` (more than 16 MiB), or as
-- `VM:pid` and `VM:env`
-- @usage for l in qvm.slog2(vm, {level = "warning"}):lines() do print(l) end
-- @usage for l in qvm.slog2(vm, {vcpu = 0}):follow {timeout = 1} do print(l) end
-- @usage log = qvm.slog2(vm) or "/var/log/linux1.log" -- for vm:status {log = log}
function qvm.slog2(vm, options)
  if vm ~= nil then
    check.method(vm, "pid", "VM", 1, "slog2")
  end
  check.options(options, "slog2", {vcpu = "integer", since = "number",
    level = "integer or string"}, 2)
  return require "qvm.host.system_log".open(vm, options)
end

--- Shows any value as text of several lines, for the prompt.
--
-- An object's own line, its parts, and its fields in order. Addresses are in hexadecimal.
-- Deep and long values are cut, and a table is shown only once.
-- @tparam any value an object of this library, or anything
-- @treturn string lines
-- @usage print(qvm.show(dump:vcpu(0)))
function qvm.show(value)
  return require "qvm.prompt.show".text(value)
end

--- Shows bytes in hexadecimal and as text.
--
-- Each line has the address, 16 bytes, and the printable ones as text: at most 76 columns.
-- @tparam string|qvm.dump.Dump|qvm.space.Space source bytes, a dump, or an address space
-- @tparam[opt=0] integer|string address of the first byte; in memory also a symbol
-- @tparam[opt] integer n number of bytes; of memory 256 if not given
-- @treturn[1] string lines
-- @return[2] nil, message, code: as `Dump:read` and `Space:read`; `too_large`: more than 1 MiB
-- @usage print(qvm.hexdump(dump, 0x80000000, 64))
-- @usage print(qvm.hexdump("some bytes"))
function qvm.hexdump(source, address, n)
  return require "qvm.prompt.hexdump"(source, address, n)
end

--- Formats an address.
-- @tparam integer n the address
-- @treturn string "0x" and 16 digits
-- @usage print(qvm.hex(dump:u64(0x80000108)))
function qvm.hex(n)
  check.integer(n, 1, "hex")
  return ("0x%016x"):format(n)
end

--- Text made safe to print.
--
-- Names of VMs and values of an env are chosen by others. Whatever in them could control a
-- terminal or deceive a reader is replaced by `\xNN`: control characters, bytes that are not
-- UTF-8, invisible characters, and those that change the direction of writing. Everything else
-- stays as it is.
-- @tparam string text
-- @treturn string the text, of one line
-- @usage print(qvm.escape("linux1\27[2J"))
function qvm.escape(text)
  check.string(text, 1, "escape")
  return require "qvm.util.text".escape_controls(text)
end

--- Shows help at the prompt.
--
-- An overview, or the page of one function or kind of object. Case does not matter, and
-- `qvm.` may be left out. The text is that of the HTML reference.
-- @tparam[opt] any about an object, a function, or a name such as `"VM"`,
-- `"VM:dump"`, `"dump.find"`; without it, an overview
-- @treturn[1] string lines
-- @return[2] nil, message, code: `not_found`; the message suggests the nearest names
-- @usage print(qvm.help())
-- @usage print(qvm.help "VM:dump")
-- @usage print(qvm.help(qvm.open))
function qvm.help(about)
  return require "qvm.prompt.help".text(about)
end

return setmetatable(qvm, {
  __index = function(_, name)
    local part = parts[name] and require(parts[name])
    qvm[name] = part
    return part
  end,
  __tostring = function()
    return ("qvm %s, VMs below %s"):format(qvm.version, qvm.root())
  end,
})
