-- Determines the state of a VM, by the process that serves its env and by the env.
--
-- A VM is asked by a query, which has a thread of its own (csrc/core/host/vm_query.c), so many
-- can be asked at once, and this thread waits as long as it likes.

local core = require "qvm.core"
local Env = require "qvm.host.env"

local state = {
  NAMES = {"running", "suspended", "unavailable", "gone", "stuck", "unknown"},
  ANSWER_MS = 2000, -- a qvm that takes longer to answer is stuck
  AT_ONCE = 64, -- questions at the same time: each has a thread
  SLICE_MS = 20, -- a wait in C is no longer: Ctrl-C takes effect between two of them
}

-- After its deadline a query ends by itself, but for a server that holds its client.
local GRACE_MS = 200

-- States, by the code of the failure to find the process or to read the env.
local BY_CODE = {not_found = "unavailable", gone = "gone", not_qvm = "unknown"}

-- Failures to examine the process after which only the env is used.
local UNVERIFIED = {permission = true, unsupported = true}

-- Asks the VM with an env, which has so many milliseconds to answer.
function state.ask(file, milliseconds)
  return {file = file, query = core.query(file, milliseconds),
    overdue = core.now() + milliseconds + GRACE_MS}
end

-- Waits for a question to be answered, at most until a time of core.now(). Returns whether it
-- is; one that is overdue counts as answered.
function state.is_answered(question, time)
  return question.query:wait(math.min(time, question.overdue))
    or core.now() >= question.overdue
end

-- The answer to a question: `pid` or `pid_message` and `pid_code`, and `env` or `env_message`
-- and `env_code`.
function state.answer(question)
  local query <close>, file, answer = question.query, question.file, {}
  if not query:wait(0) then
    local message = file .. ": no answer: its qvm process is stuck"
    return {pid_message = message, pid_code = "timeout", env_message = message,
      env_code = "timeout"}
  end
  answer.pid, answer.pid_message, answer.pid_code = query:pid()
  local text, message, code = query:env()
  if text then
    answer.env, message, code = Env.of_server(text, file)
  end
  answer.env_message, answer.env_code = message, code
  return answer
end

-- The state by an answer, and the reason unless it is running or suspended; nil, message, code
-- if it did not come in time or the env cannot be read. The process decides first, since an env
-- that nobody serves does not show a state.
function state.judge(answer)
  local code = answer.pid_code
  if not answer.pid and not UNVERIFIED[code] then
    return BY_CODE[code], answer.pid_message, code
  elseif answer.env then
    return answer.env:state()
  end
  code = answer.env_code
  return BY_CODE[code], answer.env_message, code
end

-- A judgement as users see it: one that did not come in time is `stuck`.
function state.reported(now, why, code)
  if not now and code == "timeout" then
    return "stuck", why
  elseif not now then
    return nil, why, code
  elseif why then
    return now, why
  end
  return now
end

-- Asks one VM, and waits for the answer.
function state.of(file, milliseconds)
  local question = state.ask(file, milliseconds or state.ANSWER_MS)
  while not state.is_answered(question, core.now() + state.SLICE_MS) do end
  return state.judge(state.answer(question))
end

return state
