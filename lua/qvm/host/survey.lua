-- Asks many VMs at once, so that those that do not answer cost one time limit together.

local classes = require "qvm.util.classes"
local core = require "qvm.core"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"
local state = require "qvm.host.state"
local VM = require "qvm.host.vm"

local survey = {}

local Answer = {__name = "Answer"}

-- What is not in the answer is asked of the VM.
for name, method in next, VM do
  if not name:find("^__") then
    Answer[name] = method
  end
end

function Answer:pid()
  local answer = self._answer
  if answer.pid then
    return answer.pid
  end
  return nil, answer.pid_message, answer.pid_code
end

function Answer:env()
  local answer = self._answer
  if answer.env then
    return answer.env
  end
  return nil, answer.env_message, answer.env_code
end

function Answer:state()
  return state.reported(state.judge(self._answer))
end

Answer.__tostring = line.tostring("VM", function(vm)
  return ("VM %s (%s), as it answered"):format(vm.name, vm.path)
end)

classes.publish(Answer, "find")

-- Takes the answers that are there from the questions that are open. Returns how many.
local function take(open, answers)
  local count = 0
  for i = #open, 1, -1 do
    local vm, question = open[i].vm, open[i].question
    if state.is_answered(question, 0) then
      table.remove(open, i)
      answers[vm.name] = setmetatable({name = vm.name, path = vm.path,
        _answer = state.answer(question)}, Answer)
      count = count + 1
    end
  end
  return count
end

-- The answers of an array of VMs, by their names.
local function answers_of(vms, progress)
  local answers, open, asked, done = {}, {}, 0, 0
  while done < #vms do
    while asked < #vms and #open < state.AT_ONCE do
      asked = asked + 1
      open[#open + 1] = {vm = vms[asked],
        question = state.ask(vms[asked].path .. "/env", state.ANSWER_MS)}
    end
    state.is_answered(open[1].question, core.now() + state.SLICE_MS)
    done = done + take(open, answers)
    if progress then
      progress(done, #vms)
    end
  end
  return answers
end

-- Iterates over the answers of an array of VMs, in its order. One that has gone since it was
-- found is left out.
function survey.of(vms, progress)
  local answers, list = answers_of(vms, progress), {}
  for _, vm in ipairs(vms) do
    local answer = answers[vm.name]
    if answer:state() ~= "unavailable" then
      list[#list + 1] = answer
    end
  end
  return iterators.values(list)
end

return survey
