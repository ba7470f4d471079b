--- A vCPU in an env.
-- @classmod qvm.env_vcpu

local check = require "qvm.util.arguments"
local core = require "qvm.core"
local line = require "qvm.util.text"
local nodes = require "qvm.host.env_nodes"

--- @type EnvVcpu
local EnvVcpu = nodes.record_type("EnvVcpu", "vCPU", function(vcpu)
  return ("vCPU %d: tid %s, last known ip %s"):format(vcpu.index,
    vcpu.tid and ("%d"):format(vcpu.tid) or "?",
    vcpu.last_known_ip and ("0x%016x"):format(vcpu.last_known_ip) or "?")
end)

--- Fields of a vCPU in an env.
-- @table EnvVcpu
-- @tfield integer index from 0, in the order of the document
-- @tfield ?integer tid thread id, nil if the document has none
-- @tfield ?integer last_known_ip instruction pointer, nil if the document has none
-- @tfield any raw the whole record
-- @tfield string path of the record in the document, for `Env:get`
-- @usage for cpu in env:vcpus() do print(cpu.index, cpu.path) end

local Thread = {__name = "EnvThread"}

Thread.__tostring = line.tostring("thread", function(thread)
  return ("thread %s: %s, priority %d, %d.%09d s on a processor"):format(
    line.cut(thread.name or "without a name"), thread.state, thread.priority,
    thread.cpu_time // 1000000000, thread.cpu_time % 1000000000)
end)

--- The thread of the host that runs this vCPU now.
--
-- It is the thread with this vCPU's `tid` in the process that serves the VM now, which is
-- verified as for `VM:signal`. On QNX it is read from `/proc/PID/ctl`
-- (`DCMD_PROC_TIDSTATUS`), written from its documentation and not yet tried on QNX; on Linux
-- from `/proc/PID/task`.
-- @treturn[1] EnvThread the thread
-- @return[2] nil, message, code: `not_found` (the env has no thread id, or the process no such
-- thread), `unsupported` (the env is that of a record), or as `VM:pid`
-- @usage thread = assert(env:vcpu(0):thread())
function EnvVcpu:thread()
  check.object(self, EnvVcpu, 1, "thread")
  local env = self._env
  local what = line.escape_controls(("%s: vCPU %d"):format(env._name, self.index))
  if not env._served then
    return nil, what .. ": a recorded VM has no process", "unsupported"
  elseif not self.tid then
    return nil, what .. " has no thread id", "not_found"
  end
  local thread, message, code = core.thread(env._name, self.tid)
  if not thread then
    return nil, message, code
  end
  return setmetatable(thread, Thread)
end

--- A thread of the host.
-- @table EnvThread
-- @tfield integer cpu_time nanoseconds that it ran on a processor. While it is ready, this
-- grows unless other threads keep it from running
-- @tfield integer priority the current one: on QNX from 1 to 255, where a larger number is
-- more urgent; on Linux as in `/proc/PID/stat`, where a smaller one is
-- @tfield ?string name nil if it has none
-- @tfield string state on QNX as `pidin` names it, such as `running` `ready` `receive`
-- `condvar`; on Linux `running` (or ready: Linux does not distinguish them) `sleeping`
-- `uninterruptible` `stopped` `traced` `dead` `idle` `parked`
-- @usage print(assert(env:vcpu(0):thread()).cpu_time // 1000000 .. " ms")

EnvVcpu.methods = {thread = EnvVcpu.thread}

return EnvVcpu
