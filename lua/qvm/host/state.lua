-- The state of a VM, by the process that serves its env and by what the env says.

local core = require "qvm.core"
local Env = require "qvm.host.env"

local state = {
  NAMES = {"running", "suspended", "unavailable", "gone", "stuck", "unknown"},
  ANSWER_MS = 2000, -- a qvm that takes longer is stuck
}

-- States by the code of why an env cannot be read, or has no process.
local BY_CODE = {not_found = "unavailable", gone = "gone", not_qvm = "unknown"}

-- Codes of processes that this one may not look at: then the env alone counts.
local UNVERIFIED = {permission = true, unsupported = true}

-- The state of the VM with this env, and why unless it is running or suspended; nil,
-- message, code where the env cannot be read. The last of four values is the id of the
-- process, if it is known. The process has so many milliseconds for each of two answers;
-- that it gives none is `timeout`. It is asked first: what an env says that nobody serves
-- is no state.
function state.of(file, milliseconds)
  local pid, message, code = core.pid(file, milliseconds)
  if not pid and not UNVERIFIED[code] then
    return BY_CODE[code], message, code
  end
  local env
  env, message, code = Env.read(file, milliseconds)
  if env then
    local now, why = env:state()
    return now, why, nil, pid
  end
  return BY_CODE[code], message, code, pid
end

return state
