-- Why a request to a VM had no effect, as far as the VM itself shows it.

local unanswered = {}

local STATES = {
  stuck = {"the VM's process does not answer (it is stuck)", "timeout"},
  gone = {"the VM's process has ended", "gone"},
  unavailable = {"the VM is rebooting or off: it has no env", "gone"},
}

-- A process that is stopped does not answer, but what it left in its env can be read (Linux).
local function is_stopped(vm)
  local env = vm:env()
  local vcpu = env and env:vcpu(0)
  local thread = vcpu and vcpu:thread()
  return thread and thread.state == "stopped"
end

-- Returns a cause and a code; nil if the VM seems to work. pid: that of the process that was
-- asked, nil if it is not known.
function unanswered.cause(vm, pid)
  local now = pid and vm:pid()
  if now and now ~= pid then
    return ("process %d, which was asked, has ended, and process %d serves the VM"):format(pid,
      now), "gone"
  end
  local by_state = STATES[vm:state()]
  if by_state then
    return by_state[1], by_state[2]
  elseif is_stopped(vm) then
    return "the VM's process is stopped (SIGSTOP)", "timeout"
  end
end

return unanswered
