--- A virtual machine of this host.
--
-- A VM is a name. Nothing is remembered of the process that serves it: every
-- call asks anew, because VMs reboot and process ids are given away again.
-- @classmod qvm.vm

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local core = require "qvm.core"
local Env = require "qvm.host.env"
local errors = require "qvm.util.errors"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"
local state = require "qvm.host.state"

--- @type VM
local VM = {__name = "VM"}

--- What a VM holds.
-- @table VM
-- @tfield string name the system name, from the `system` option of its
-- configuration
-- @tfield string path its directory
-- @usage vm = assert(qvm.vm("linux1"))

-- The VM of that name below a root, or nil, message, "not_found".
function VM.find(root, name)
  local path = root:gsub("/+$", "") .. "/" .. name
  local size, message, code = core.stat(path .. "/env")
  if not size and code == "not_found" then
    return nil, line.escape_controls(('%s: no VM "%s": it does not exist, or is rebooting')
      :format(root, name)), code
  elseif not size then
    return nil, message, code
  end
  return setmetatable({name = name, path = path}, VM)
end

--- The id of the qvm process that serves this VM now.
--
-- On QNX it is asked of the open `env` itself (`ConnectServerInfo`); on Linux
-- of the record lock that a simulated VM holds on it. The executable must be
-- called `qvm`.
-- @treturn[1] integer process id
-- @return[2] nil, message, code: `not_found` (no env), `gone` (nobody serves
-- it), `not_qvm`, `permission`
-- @usage print(vm:pid())
function VM:pid()
  return core.pid(self.path .. "/env")
end

--- The VM's env, read anew at every call.
-- @treturn[1] qvm.env.Env the document
-- @return[2] nil, message, code: `not_found` `malformed` `too_large` (more than
-- 16 MiB, or than 65536 values) `timeout` (no answer within 2 s) `permission` `io`
-- @usage env = assert(vm:env())
function VM:env()
  return Env.read(self.path .. "/env")
end

--- Whether the guest runs.
--
-- `unavailable`: it has no env (it reboots, or has ended). `gone`: no process serves
-- its env, which a simulated VM leaves when it is killed (Linux). `stuck`: its qvm does
-- not answer within 2 s. `unknown`: as in `Env:state`, or the env is not served by a
-- qvm. Where this user may not look at the process, the env alone counts.
-- @treturn[1] "running"|"suspended"|"unavailable"|"gone"|"stuck"|"unknown" state
-- @treturn[1] ?string why, unless it is running or suspended
-- @return[2] nil, message, code: the env could not be read for another reason
-- (`malformed` `too_large` `permission` `unsupported` `io`)
-- @usage print(vm:state())
function VM:state()
  local now, why, code = state.of(self.path .. "/env")
  if not now and code == "timeout" then
    return "stuck", why
  elseif not now then
    return nil, why, code
  elseif why then
    return now, why
  end
  return now
end

--- Waits until the VM is in a state.
-- @tparam string|{string,...} wanted a state as `VM:state` gives it, or several
-- @tparam ?table options
-- @tparam[opt=60] number options.timeout seconds
-- @tparam[opt=0.2] number options.interval seconds between two looks
-- @treturn[1] boolean true
-- @return[2] nil, message, code: `timeout`; the message has the state it is in
-- @usage assert(vm:wait("running", {timeout = 120}))
-- @usage assert(vm:wait {"running", "suspended"})
function VM:wait(wanted, options)
  return require "qvm.host.watch".wait(self, wanted, options)
end

--- Names of the vdev nodes beside env, sorted. They are never opened.
-- A VM that is gone has none; a directory that cannot be listed raises.
-- @treturn function():string iterator
-- @usage for name in vm:nodes() do print(name) end
function VM:nodes()
  local names, message, code = core.entries(self.path)
  if not names and code ~= "not_found" then
    errors.raise(message)
  end
  names = names or {}
  table.sort(names)
  return iterators.values(names)
end

--- Asks the VM's process for something.
--
-- Both signals end a process that does not expect them, so the signal is sent
-- only after this process was seen to serve the VM, to be a qvm and (on Linux)
-- to catch the signal; the guide says what remains on QNX.
-- @tparam "status"|"dump" kind SIGUSR1: status text to the log, or SIGUSR2: a guest
-- dump; everything else raises
-- @treturn[1] boolean true: it was sent
-- @return[2] nil, message, code: nothing was sent (`gone` `not_qvm` `not_found`
-- `permission` `unsupported`)
-- @usage assert(vm:signal("status"))
function VM:signal(kind)
  if kind ~= "status" and kind ~= "dump" then
    check.expected(kind, 1, "signal", '"status" or "dump"',
      type(kind) == "string" and line.quoted(kind) or nil)
  end
  return core.request(self.path .. "/env", kind)
end

--- Triggers the status text and returns what the log gained by it.
--
-- On QNX, `qvm.slog2` gives the system log as a function.
-- @tparam table options
-- @tparam string|function():string options.log path of the file that the VM's
-- `logger` writes to, or a function that returns the log's text so far, or nil, a
-- message and a code
-- @tparam[opt=5] number options.timeout seconds until the text must begin to come;
-- if the log is not quiet within as many seconds more, the text so far is returned
-- @tparam[opt=0.3] number options.settle how long the log must be quiet for the
-- text to be complete, in seconds
-- @treturn[1] string the text
-- @return[2] nil, message, code: `timeout`, `too_large` (more than 16 MiB), or as
-- `signal` and the function; of a file also `not_found` (no such file came; its
-- directory does not exist), `permission`, `unsupported` (no file), `io`. Nothing is
-- sent where the file cannot be read or its directory does not exist
-- @usage print(assert(vm:status {log = "/var/log/linux1.log"}))
function VM:status(options)
  check.options(options, "status",
    {log = "path or function", timeout = "number of seconds",
      settle = "number of seconds"})
  if not options or not options.log then
    errors.raise "'status' needs the option 'log': where the status text goes"
  end
  return require "qvm.host.status_request".await(self, options)
end

--- Triggers a dump, waits for it and opens it.
--
-- The dump is that of this request (this VM's name, new in the directory, not
-- older than the request), and is whole: its writer has closed it and every
-- segment is inside the file. Where the system does not tell of a closing, the
-- file must have kept its size for a second.
-- @tparam ?table options
-- @tparam[opt=$QVM_DUMP_DIR] string options.dir the directory of the VM's `dump`
-- option
-- @tparam[opt=60] number options.timeout seconds
-- @tparam[opt] function(integer,integer|nil) options.progress called with the bytes
-- written so far and how many there will be (nil until that is known)
-- @treturn[1] qvm.dump.Dump the dump
-- @return[2] nil, message, code: `timeout`, `gone` (the VM ended meanwhile), `io`
-- (the dump was removed by its writer), or as `signal`
-- @usage dump = assert(vm:dump {dir = "/dumps", timeout = 300})
function VM:dump(options)
  check.options(options, "dump",
    {dir = "path", timeout = "number of seconds", progress = "function"})
  local directory = options and options.dir or os.getenv("QVM_DUMP_DIR")
  if not directory then
    errors.raise("'dump' needs the option 'dir' or $QVM_DUMP_DIR: "
      .. "the directory of the VM's `dump` option")
  end
  return require "qvm.host.dump_request".await(self, directory, options or {})
end

VM.__tostring = line.tostring("VM", function(vm)
  return ("VM %s (%s)"):format(vm.name, vm.path)
end)

classes.publish(VM, "find")

return VM
