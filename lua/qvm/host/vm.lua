--- A virtual machine of this host.
--
-- A VM is a name. The process that serves it is looked up at every call, because VMs
-- reboot and process ids are reused.
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

--- Fields of a VM.
-- @table VM
-- @tfield string name the system name, from the `system` option of its
-- configuration
-- @tfield string path its directory
-- @usage vm = assert(qvm.vm("linux1"))

-- Finds the VM of a name below a root; nil, message, code.
function VM.find(root, name)
  local path = root:gsub("/+$", "") .. "/" .. name
  local size, message, code = core.stat(path .. "/env")
  if not size and code == "not_found" then
    return nil, line.escape_controls(('%s: no VM "%s": it does not exist, or is rebooting')
      :format(root, name)), code
  elseif not size and code ~= "gone" and code ~= "permission" then
    return nil, message, code
  end
  return setmetatable({name = name, path = path}, VM)
end

--- The id of the qvm process that serves this VM now.
--
-- On QNX it is obtained from the open `env` (`ConnectServerInfo`), on Linux from the
-- record lock that a simulated VM holds on it. The executable must be called `qvm`.
-- @treturn[1] integer process id
-- @return[2] nil, message, code: `not_found` (no env), `gone` (no process serves it),
-- `not_qvm`, `permission`, `timeout` (no answer within 2 s)
-- @usage print(vm:pid())
function VM:pid()
  return core.pid(self.path .. "/env")
end

--- Reads the VM's env. Each call reads it again. The vCPUs are the env's:
-- `vm:env():vcpu(1)`.
-- @treturn[1] qvm.env.Env the document
-- @return[2] nil, message, code: `not_found` `malformed` `too_large` (more than
-- 16 MiB, or than 65536 values) `timeout` (no answer within 2 s) `gone` (the process
-- that served it has died) `permission` `io`
-- @usage env = assert(vm:env())
function VM:env()
  return Env.read(self.path .. "/env")
end

--- The state of the guest.
--
-- `unavailable`: it has no env (it is rebooting, or has ended). `gone`: no process serves
-- its env, which a killed simulated VM leaves behind (Linux). `stuck`: its qvm does not
-- answer within 2 s. `unknown`: as for `Env:state`, or the process that serves the env is
-- not a qvm. If this user may not examine the process, only the env is used.
-- @treturn[1] "running"|"suspended"|"unavailable"|"gone"|"stuck"|"unknown" state
-- @treturn[1] ?string reason, unless it is running or suspended
-- @return[2] nil, message, code: the env cannot be read for another reason
-- (`malformed` `too_large` `permission` `unsupported` `io`)
-- @usage print(vm:state())
function VM:state()
  return state.reported(state.of(self.path .. "/env"))
end

--- Waits until the VM is in a given state.
-- @tparam string|{string,...} wanted a state that `VM:state` returns, or several
-- @tparam ?table options
-- @tparam[opt=60] number options.timeout seconds
-- @tparam[opt=0.2] number options.interval seconds between two checks
-- @treturn[1] boolean true
-- @return[2] nil, message, code: `timeout`; the message has the current state
-- @usage assert(vm:wait("running", {timeout = 120}))
-- @usage assert(vm:wait {"running", "suspended"})
function VM:wait(wanted, options)
  return require "qvm.host.watch".wait(self, wanted, options)
end

--- Names of the vdev nodes beside env, sorted. The nodes are never opened.
-- A VM that is gone has none. Raises if the directory cannot be listed.
-- @treturn function():string iterator
-- @usage for name in vm:nodes() do print(name) end
function VM:nodes()
  local names, message, code = core.entries(self.path)
  if not names and code ~= "not_found" and code ~= "gone" then
    errors.raise(message)
  end
  names = names or {}
  table.sort(names)
  return iterators.values(names)
end

--- Sends the VM's process a request.
--
-- Both signals terminate a process that does not expect them. Therefore the signal is
-- sent only after the process was verified to serve the VM, to be a qvm and (on Linux)
-- to catch the signal. The guide says which risk remains on QNX.
-- @tparam "status"|"dump" kind SIGUSR1 (status text to the log) or SIGUSR2 (a guest
-- dump); any other value raises
-- @treturn[1] boolean true if the signal was sent
-- @treturn[1] integer pid of the process that it was sent to
-- @return[2] nil, message, code: nothing was sent (`gone` `not_qvm` `not_found`
-- `permission` `unsupported` `timeout`), and nothing will be later
-- @usage assert(vm:signal("status"))
function VM:signal(kind)
  if kind ~= "status" and kind ~= "dump" then
    check.expected(kind, 1, "signal", '"status" or "dump"',
      type(kind) == "string" and line.quoted(kind) or nil)
  end
  return core.request(self.path .. "/env", kind)
end

--- Requests the status text and returns what was added to the log.
--
-- On QNX, `qvm.slog2` returns the system log as such a function.
-- @tparam table options
-- @tparam string|function():string options.log path of the file that the VM's `logger`
-- writes to, or a function that returns the text of the log so far, or nil, a message
-- and a code
-- @tparam[opt=5] number options.timeout seconds to wait for the text to begin; if the log
-- is still growing after the same time again, the text so far is returned
-- @tparam[opt=0.3] number options.settle seconds without new text after which the text
-- is complete
-- @treturn[1] string text
-- @treturn[1] ?string warning with a function: its log kept nothing from before the request,
-- so the beginning of the text may be lost
-- @return[2] nil, message, code: `timeout`, `gone` (the VM ended meanwhile), `too_large`
-- (more than 16 MiB), or as `signal` and the function; for a file also `not_found` (the file
-- did not appear, or its directory does not exist), `permission`, `unsupported` (not a file),
-- `io`. Nothing is sent if the file cannot be read or its directory does not exist
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

--- Requests a dump, waits until it is complete and opens it.
--
-- The dump belongs to this request: it has this VM's name, is new in the directory, and is
-- not older than the request. It is complete: its writer has closed it, and every segment
-- is inside the file. If the system does not report the closing, the file must have kept
-- its size for a second.
--
-- With `conf`, nothing is sent if the configuration has no `dump` option, or one that
-- names a command or another directory. In each case nothing is sent if the disk is full.
-- @tparam ?table options
-- @tparam[opt=$QVM_DUMP_DIR] string options.dir the directory that the VM's `dump` option
-- names
-- @tparam[opt] string|qvm.conf.Conf options.conf the VM's configuration, loaded or its path;
-- `dir` is then needed only if the directory in it is relative
-- @tparam[opt=60] number options.timeout seconds
-- @tparam[opt] integer options.keep number of this VM's dumps to keep in the directory: when
-- the new one is complete, older ones are deleted. Only regular files are deleted that have
-- the name of a dump of this VM, are complete dumps in QNX's format, not compressed, and are
-- not among the newest by the time in their names or by their last change; also those that a
-- watchdog vdev caused
-- @tparam[opt] function(integer,integer|nil,string|nil) options.progress called with the
-- bytes written so far and the bytes in total (nil until they are known), first with 0 when
-- the request was sent. A third value is a note for people, such as what to check if no dump
-- appeared within 5 s, or that the disk is too small
-- @treturn[1] qvm.dump.Dump dump
-- @treturn[1] ?{string,...} deleted paths that `keep` deleted; nil without `keep`
-- @treturn[1] ?{string,...} problems messages about files that `keep` could not delete
-- @return[2] nil, message, code: `timeout`, `gone` (the VM ended meanwhile), `io`
-- (the writer removed the dump, or the disk is full), `unsupported` (by `conf` there is no
-- dump file), `not_found` (by `conf` it is in another directory, or `conf` is not of this
-- VM), or as `signal` and `qvm.conf.load`
-- @usage dump = assert(vm:dump {dir = "/dumps", timeout = 300})
-- @usage dump, deleted = assert(vm:dump {dir = "/dumps", keep = 3})
function VM:dump(options)
  check.options(options, "dump",
    {dir = "path", conf = "path or Conf", timeout = "number of seconds",
      keep = "positive integer", progress = "function"})
  local directory = options and options.dir or os.getenv("QVM_DUMP_DIR")
  if not directory and not (options and options.conf) then
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
