--- Virtual machines of a QNX Hypervisor host, from Lua.
--
-- Each `qvm` process of a host serves one virtual machine and shows it as a
-- directory, `/dev/qvm/<system>/`. This module finds those directories, reads
-- the `env` documents in them, asks the processes for their status text or for
-- a guest dump, and reads such dumps.
--
--     local qvm = require "qvm"
--     for vm in qvm.vms() do
--       print(vm.name, vm:state())
--     end
--
-- Failures of the world (no such VM, malformed data, no answer) return `nil`, a
-- message and a code; mistakes of the caller raise. The codes are `not_found`
-- `permission` `not_qvm` `gone` `malformed` `truncated` `too_large` `unmapped`
-- `timeout` `unsupported` `io` `busy`.
--
-- Addresses and counters are integers with all of their 64 bits: print them
-- with `hex`, compare them with `math.ult`.
-- `qvm.conf` reads `.qvmconf` files, and `qvm.errata` keeps and compares errata
-- settings.
-- @module qvm

if _VERSION ~= "Lua 5.4" then
  error("qvm needs Lua 5.4, and this is " .. _VERSION .. ": run lua5.4", 0)
end

local core = require "qvm.core"
local check = require "qvm.util.arguments"
local Dump = require "qvm.dump"

--- What the module holds besides its functions.
-- @table qvm
-- @tfield string version of the library, as in CHANGELOG
-- @tfield qvm.conf conf reads configurations
-- @tfield qvm.errata errata compares errata
-- @usage print(qvm.version)
local qvm = {version = "0.1.0"}

-- Parts of the library that most scripts do not need, loaded when they are
-- asked for.
local parts = {conf = "qvm.host.conf", errata = "qvm.host.errata"}

local chosen_root

--- The directory that is searched for VMs.
-- @tparam[opt] string path search here from now on
-- @treturn string the path once set, else `$QVM_ROOT`, else `/dev/qvm`
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
-- Entries that vanish meanwhile or cannot be read are left out.
-- @treturn[1] {string,...} names
-- @return[2] nil, message, code: the root itself cannot be listed
-- (`not_found` `permission` `io`)
-- @usage print(table.concat(assert(qvm.names()), " "))
function qvm.names()
  local root = qvm.root()
  local names, message, code = core.names(root)
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

--- Each VM, in name order. One that disappears meanwhile is skipped.
-- A root that does not exist has no VMs; one that cannot be listed raises, as
-- `io.lines` does.
-- @treturn function():qvm.vm.VM iterator
-- @usage for vm in qvm.vms() do print(vm.name, vm:state()) end
function qvm.vms()
  local names, message, code = qvm.names()
  if not names then
    local there, _, kind = core.stat(qvm.root())
    if code ~= "not_found" or there and kind ~= "directory" then
      error(message, 2)
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

--- A VM by its system name.
-- @tparam string name raises where no system can have that name (empty, `.`,
-- `..`, or with a `/` or NUL)
-- @treturn[1] qvm.vm.VM the VM
-- @return[2] nil, message, code: `not_found` where it has no `env`: the VM does
-- not exist, or is rebooting
-- @usage vm = assert(qvm.vm("linux1"))
function qvm.vm(name)
  check.string(name, 1, "vm")
  if not core.is_name(name) then
    error(("bad argument #1 to 'vm' (%q is no system name)"):format(name), 2)
  end
  return require "qvm.host.vm".find(qvm.root(), name)
end

--- What changes among the VMs, as it happens.
--
-- Begins with an event `appeared` for each VM that is there. A VM that does not answer
-- does not delay the events of others. The iterator raises if the root cannot be listed;
-- one that does not exist has no VMs yet.
-- @tparam ?table options
-- @tparam[opt=1] number options.interval seconds between two looks at the VMs
-- @tparam[opt] number options.timeout seconds after which the loop ends; it goes on
-- for ever if not given
-- @tparam[opt] {string,...} options.names only VMs with these names
-- @treturn function():Event iterator
-- @usage for event in qvm.watch {timeout = 1} do print(event.vm.name, event.kind) end
function qvm.watch(options)
  check.options(options, "watch", {interval = "number of seconds",
    timeout = "number of seconds", names = "array of names"})
  local events, message = require "qvm.host.watch".events(qvm.root(), options or {})
  return events or error(message, 2)
end

--- What `qvm.watch` gives.
-- @table Event
-- @tfield qvm.vm.VM vm the VM
-- @tfield "appeared"|"disappeared"|"restarted"|"state" kind `restarted`: another process
-- serves it; `state`: its state is another
-- @tfield ?integer pid id of its process, of a VM without one that of its last one; nil
-- where it is not known
-- @tfield string state as `VM:state` gives it; `unknown` too where its env cannot be read,
-- or until a VM that appears has answered
-- @tfield ?string before the state until then, nil if it appeared
-- @usage for event in qvm.watch {timeout = 1} do print(event.kind, event.before) end

--- Sleeps. Ctrl-C ends it, as it ends a script.
-- @tparam number seconds
-- @usage qvm.sleep(0.1)
function qvm.sleep(seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds < 2^31) then
    error(("bad argument #1 to 'sleep' (number of seconds expected, got %s)"):format(
      type(seconds) == "number" and tostring(seconds) or type(seconds)), 2)
  end
  require "qvm.host.watch".sleep(seconds)
end

-- Values that qvm.decode makes of a text.
local VALUES_MAX = 1 << 22

--- Decodes a JSON text, strictly by RFC 8259.
--
-- To a depth of 512. Integers keep their 64 bits: those from 2^63 to 2^64-1 come
-- as the same bit pattern, a negative Lua integer. Every other number is a float.
-- `null` is `cjson.null`. Of two members with one name the last wins, and there is
-- a warning; so there is for a number that a float does not hold exactly.
-- @tparam string text
-- @treturn[1] any value
-- @treturn[1] {string,...} warnings ("line:column: what"), nil without any
-- @return[2] nil, message, code: `malformed`, or `too_large` (more than 4194304
-- values); the message is "line:column: what is wrong"
-- @usage print(qvm.decode('{"ip": 18446603336490160692}').ip)
function qvm.decode(text)
  check.string(text, 1, "decode")
  local value, warnings, code = core.decode(text, VALUES_MAX)
  if value == nil then
    return nil, warnings, code
  end
  return value, warnings[1] and warnings or nil
end

--- Tells where the env of your hypervisor keeps things.
--
-- In place of the rules that find them (see the guide, "The env document").
-- @tparam ?table schema `nil` restores the rules
-- @tparam[opt] string schema.vcpus path of the array or object that holds the vCPU
-- records
-- @tparam[opt] string schema.tid name of the member that is the thread id
-- @tparam[opt] string schema.ip name of the member that is the instruction pointer
-- @tparam[opt] string schema.errata path of the errata data
-- @usage qvm.schema {vcpus = "guest.cpus", tid = "thread"}
function qvm.schema(schema)
  require "qvm.host.env".schema(schema)
end

--- Opens a dump, compressed by gzip or not. Reads its headers only, whatever
-- its size; a compressed one of which the notes come last is unpacked once.
-- @tparam string path
-- @tparam ?table options
-- @tparam[opt] boolean options.partial true opens a dump of which bytes are
-- missing, anywhere after its program headers: `complete` is false then, and what is
-- missing is `truncated`. A compressed one is unpacked once, and may be damaged:
-- see `warnings`
-- @tparam[opt] function(integer) options.progress called with the bytes unpacked so
-- far while a compressed dump is unpacked
-- @treturn[1] qvm.dump.Dump the dump
-- @return[2] nil, message, code: `truncated` where bytes are missing (the message
-- says how many), `not_found` `permission` `malformed` `unsupported` `io`
-- @usage dump = assert(qvm.open("linux1-20261122-101500.gcore"))
-- @usage dump = assert(qvm.open("cut.gcore", {partial = true}))
function qvm.open(path, options)
  check.path(path, 1, "open")
  check.options(options, "open", {partial = "boolean", progress = "function"})
  options = options or {}
  return Dump.open(path, options.partial, options.progress)
end

--- Keeps what a VM reports in a new directory.
--
-- So that a bug report can carry it. The directory holds `env.json` (the env's
-- bytes), `errata.json` (a baseline), `vm.qvmconf` (the configuration, if given;
-- not what it includes), and `manifest.json`: the system name, state and node
-- names, this host's name, the time (UTC) and the library's version. Look at it
-- before you give it away: an env and a configuration name threads, devices and
-- files of the host. No memory of the guest is in it. The directory and its files are
-- for this user alone (modes 0700 and 0600).
-- @tparam qvm.vm.VM vm
-- @tparam string directory raises nothing where it exists: that is `busy`
-- @tparam ?table options
-- @tparam[opt] string options.conf path of the VM's configuration
-- @treturn[1] boolean true
-- @return[2] nil, message, code: as `VM:env`; `busy` (it exists, or was exchanged
-- meanwhile) `permission` `io`, `too_large` (a baseline of more than 16 MiB)
-- @usage assert(qvm.record(vm, "linux1.record", {conf = "linux1.qvmconf"}))
function qvm.record(vm, directory, options)
  if type(vm) ~= "table" or not vm.env then
    error(("bad argument #1 to 'record' (VM expected, got %s)"):format(type(vm)), 2)
  end
  check.path(directory, 2, "record")
  check.options(options, "record", {conf = "path"}, 3)
  return require "qvm.host.record".write(vm, directory, options and options.conf, qvm.version)
end

--- A VM out of a record, with the methods of a VM. `pid`, `signal`, `status` and
-- `dump` are `unsupported`: it has no process.
-- @tparam string directory
-- @treturn[1] qvm.record.Replay the VM
-- @return[2] nil, message, code: `not_found` `malformed` `unsupported` (of another
-- version) `permission`
-- @usage vm = assert(qvm.replay("linux1.record"))
function qvm.replay(directory)
  check.path(directory, 1, "replay")
  return require "qvm.host.record".read(directory)
end

--- QNX's system log, for the option `log` of `VM:status`.
--
-- For VMs of which the `logger` option names `slog`. On QNX only; written from
-- its documentation, and not tried there.
-- @tparam[opt] qvm.vm.VM vm only what the process logs that serves this VM now;
-- none: what all processes log
-- @treturn[1] function():string log returns the text that slogger2 holds, a line
-- for each message, without times; when called later it may fail as `slog2` does
-- @return[2] nil, message, code: `unsupported` where there is no slogger2; `io`
-- `too_large` (more than 16 MiB), or as `VM:pid`
-- @usage print(assert(vm:status {log = qvm.slog2(vm) or "/var/log/linux1.log"}))
function qvm.slog2(vm)
  if vm ~= nil and (type(vm) ~= "table" or type(vm.pid) ~= "function") then
    error(("bad argument #1 to 'slog2' (VM expected, got %s)"):format(type(vm)), 2)
  end
  local pid, message, code = 0
  if vm then
    pid, message, code = vm:pid()
  end
  if not pid then
    return nil, message, code
  end
  local function log()
    return core.slog2(pid)
  end
  local text, why, what = log()
  if not text then
    return nil, why, what
  end
  return log
end

--- Any value as text of several lines, for the prompt.
--
-- What an object says of itself, its parts, its fields in order. Addresses are in
-- hexadecimal; what is deep or long is cut, and what was shown already is not
-- shown again.
-- @tparam any value an object of this library, or anything
-- @treturn string lines
-- @usage print(qvm.show(dump:vcpu(0)))
function qvm.show(value)
  return require "qvm.prompt.show".text(value)
end

--- Bytes in the classic layout.
--
-- Address, 16 bytes in hexadecimal, what of them is printable.
-- @tparam string|qvm.dump.Dump|qvm.space.Space source bytes, a dump, or an address space
-- @tparam[opt=0] integer|string address of the first byte; of memory, where to read: also
-- a symbol
-- @tparam[opt] integer n bytes to show; of memory 256 if not given
-- @treturn[1] string lines
-- @return[2] nil, message, code: as `Dump:read` and `Space:read`; `too_large`: more than 1 MiB
-- @usage print(qvm.hexdump(dump, 0x80000000, 64))
-- @usage print(qvm.hexdump("some bytes"))
function qvm.hexdump(source, address, n)
  local meta = type(source) == "table" and getmetatable(source)
  local is_memory = meta and (meta == Dump or meta == package.loaded["qvm.paging.address_space"])
  if address ~= nil and not is_memory then
    check.integer(address, 2, "hexdump")
  end
  if n ~= nil then
    check.integer(n, 3, "hexdump")
  end
  local view = require "qvm.prompt.show"
  if not is_memory then
    check.string(source, 1, "hexdump")
    n = math.max(0, math.min(n or #source, #source))
  end
  if (n or 0) > view.HEXDUMP_MAX then
    return nil, ("hexdump: %d bytes, more than %d at once"):format(n, view.HEXDUMP_MAX), "too_large"
  elseif not is_memory then
    return view.hexdump(source:sub(1, n), address or 0)
  end
  local start, message, code = require "qvm.util.address".of(source, address, 2, "hexdump")
  local bytes
  if start then
    bytes, message, code = source:read(start, n or 256)
  end
  if not bytes then
    return nil, message, code
  end
  return view.hexdump(bytes, start)
end

--- An address as text.
-- @tparam integer n
-- @treturn string "0x" and 16 digits
-- @usage print(qvm.hex(dump:u64(0x80000108)))
function qvm.hex(n)
  if math.type(n) ~= "integer" then
    error(("bad argument #1 to 'hex' (integer expected, got %s)")
      :format(math.type(n) or type(n)), 2)
  end
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
  return require "qvm.util.text".harmless(text)
end

--- Help for the prompt.
--
-- What there is, or what is to know of one part of it. Case does not matter, and
-- `qvm.` may be left out. The text is that of the comments beside the functions,
-- as in the HTML reference.
-- @tparam[opt] any about an object, a function, or a name such as `"VM"`,
-- `"VM:dump"`, `"dump.find"`; none: an overview
-- @treturn[1] string lines
-- @return[2] nil, message, code: `not_found`; the message has the nearest names
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
