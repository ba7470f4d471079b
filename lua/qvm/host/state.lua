-- Determines the state of a VM, by the process that serves its env and by the env.

local core = require "qvm.core"
local Env = require "qvm.host.env"

local state = {
  NAMES = {"running", "suspended", "unavailable", "gone", "stuck", "unknown"},
  ANSWER_MS = 2000, -- a qvm that takes longer to answer is stuck
}

-- States, by the code of the failure to find the process or to read the env.
local BY_CODE = {not_found = "unavailable", gone = "gone", not_qvm = "unknown"}

-- Failures to examine the process after which only the env is used.
local UNVERIFIED = {permission = true, unsupported = true}

-- The state of the VM with an env, and the reason unless it is running or suspended; nil,
-- message, code if the env cannot be read. The fourth value is the process id, if known. The
-- process has so many milliseconds for each of two answers, and is `timeout` if it takes
-- longer. It is looked up first, since an env that nobody serves does not show a state.
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
