-- Waits for the states of VMs, and reports changes among them.
--
-- In each round, every VM is asked that has no question open (state.ask). Those that answered
-- the last time have READ_MS before the round ends; the others are heard whenever they answer.
-- So a VM that is stuck does not delay the events of others.

local check = require "qvm.util.arguments"
local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local state = require "qvm.host.state"
local VM = require "qvm.host.vm"

local watch = {}

local READ_MS = 250
local SHORT_MS = 10 -- the least that `wait` gives a VM

-- Sleeps until a time of core.now(). A signal interrupts core.sleep; Ctrl-C then raises here.
local function sleep_until(time)
  local left = time - core.now()
  while left > 0 do
    core.sleep(left)
    left = time - core.now()
  end
end

function watch.sleep(seconds)
  sleep_until(core.now() + math.ceil(seconds * 1000))
end

-- Waiting for one VM ---------------------------------------------------------------

local function states_of(wanted)
  local known, chosen = {}, {}
  for _, name in ipairs(state.NAMES) do
    known[name] = true
  end
  local names = type(wanted) == "table" and wanted or {wanted}
  for _, name in ipairs(names) do
    if not known[name] then
      check.bad(1, "wait", ("%s is not a state: %s"):format(
        type(name) == "string" and line.quoted(name) or type(name),
        table.concat(state.NAMES, " ")))
    end
    chosen[name] = true
  end
  if not next(chosen) then
    check.bad(1, "wait", "state expected")
  end
  return chosen, table.concat(names, " or ")
end

-- Like VM:state, but waits at most `milliseconds` for an answer. A VM is only stuck if it had
-- as long as VM:state gives it, or already was.
local function look(vm, milliseconds, before)
  local now, why, code = state.of(vm.path .. "/env", math.min(milliseconds, state.ANSWER_MS))
  if not now and code == "timeout"
    and (milliseconds >= state.ANSWER_MS or before == "stuck") then
    return "stuck", why
  end
  return now, why
end

function watch.wait(vm, wanted, options)
  local chosen, words = states_of(wanted)
  check.options(options, "wait",
    {timeout = "number of seconds", interval = "number of seconds"}, 2)
  local timeout = options and options.timeout or 60
  local interval = math.ceil((options and options.interval or 0.2) * 1000)
  local deadline = core.now() + math.ceil(timeout * 1000)
  local now, why
  while true do
    local left = math.max(SHORT_MS, deadline - core.now())
    now, why = look(vm, left, now)
    if chosen[now] then
      return true
    elseif core.now() >= deadline then
      return nil, line.escape_controls(("%s: not %s within %s s, but %s%s"):format(vm.name, words,
        line.float("%g", timeout), now or "unknown", why and ": " .. why or "")), "timeout"
    end
    sleep_until(math.min(core.now() + interval, deadline))
  end
end

-- Watching all ---------------------------------------------------------------------

local Event = {__name = "Event"}

Event.__tostring = line.tostring("Event", function(event)
  return ("Event %s %s: %s%s"):format(event.vm.name, event.kind,
    event.before and event.before .. " to " or "", event.state)
end)

local Watch = {}
Watch.__index = Watch

function Watch:put(seen, kind, before)
  table.insert(self.events, setmetatable({vm = seen.vm, kind = kind, pid = seen.pid,
    state = seen.state, before = before}, Event))
end

-- Records the state of a VM, and adds an event if it has changed.
function Watch:update(seen, now, pid)
  local before, process = seen.state, seen.pid
  seen.state, seen.pid = now, pid or process
  if not before then
    self:put(seen, "appeared")
  elseif now == "unavailable" then
    self.seen[seen.vm.name] = nil
    self:put(seen, "disappeared", before)
  elseif pid and process and pid ~= process then
    self:put(seen, "restarted", before)
  elseif now ~= before then
    self:put(seen, "state", before)
  end
end

-- The names that have an env now, and those seen before, sorted; nil, message if the root
-- cannot be listed. A root that does not exist has none.
function Watch:names()
  local names, message, code = core.names(self.root)
  local there, _, kind = core.stat(self.root)
  if not names and (code ~= "not_found" or there and kind ~= "directory") then
    return nil, message
  end
  local list, is_listed = {}, {}
  for _, name in ipairs(names or {}) do
    is_listed[name] = not self.wanted or self.wanted[name]
  end
  for name in pairs(self.seen) do
    is_listed[name] = true
  end
  for name, listed in pairs(is_listed) do
    list[#list + 1] = listed and name or nil
  end
  table.sort(list)
  return list
end

-- Handles the answer of a VM, if it is there. One that is new and has disappeared again causes
-- no event.
function Watch:hear(seen)
  if not seen.question or not state.is_answered(seen.question, 0) then
    return
  end
  local answer = state.answer(seen.question)
  local now, _, code = state.judge(answer)
  seen.question = nil
  seen.is_slow = code == "timeout"
  if not seen.state and now == "unavailable" then
    self.seen[seen.vm.name] = nil
  else
    self:update(seen, now or seen.is_slow and "stuck" or "unknown", answer.pid)
  end
end

-- Asks a VM, if it has no question open.
function Watch:ask(name)
  if not self.seen[name] then
    local vm = VM.find(self.root, name)
    self.seen[name] = vm and {vm = vm}
  end
  local seen = self.seen[name]
  if seen and not seen.question then
    seen.question = state.ask(seen.vm.path .. "/env", state.ANSWER_MS)
  end
  return seen
end

-- Asks some VMs, by their names, and waits for those that are not slow. A new VM that does not
-- answer in that time is `unknown`.
function Watch:ask_some(names)
  local deadline, asked = core.now() + READ_MS, {}
  for _, name in ipairs(names) do
    asked[#asked + 1] = self:ask(name)
  end
  for _, seen in ipairs(asked) do
    while not seen.is_slow and core.now() < deadline
      and not state.is_answered(seen.question, core.now() + state.SLICE_MS) do end
    self:hear(seen)
    if seen.question then
      seen.is_slow = true
      if not seen.state then
        self:update(seen, "unknown")
      end
    end
  end
end

-- Asks each VM: true; nil, message if the root cannot be listed.
function Watch:round()
  self.due = core.now() + self.interval
  local names, message = self:names()
  for first = 1, #(names or {}), state.AT_ONCE do
    self:ask_some(table.move(names, first, first + state.AT_ONCE - 1, 1, {}))
  end
  return names and true, message
end

-- Hears the VMs that were slow. Returns a question that is still open, if there is one.
function Watch:hear_slow()
  local open
  for _, seen in pairs(self.seen) do
    self:hear(seen)
    open = open or seen.question
  end
  return open
end

-- The next event; nil when the time is up.
function Watch:next()
  while not self.events[1] do
    local now = core.now()
    local open = self:hear_slow()
    if self.events[1] then
      break
    elseif now >= self.deadline then
      return nil
    elseif now >= self.due then
      local ok, message = self:round()
      if not ok then
        errors.raise(message)
      end
    elseif open then
      state.is_answered(open, math.min(now + state.SLICE_MS, self.due, self.deadline))
    else
      sleep_until(math.min(self.due, self.deadline))
    end
  end
  return table.remove(self.events, 1)
end

-- Iterates over events; nil, message if the root cannot be listed.
function watch.events(root, options)
  local wanted = options.names and {}
  for _, name in ipairs(options.names or {}) do
    wanted[name] = true
  end
  local self = setmetatable({root = root, wanted = wanted, seen = {}, events = {},
    interval = math.ceil((options.interval or 1) * 1000),
    deadline = options.timeout and core.now() + math.ceil(options.timeout * 1000) or math.huge},
    Watch)
  local ok, message = self:round()
  if not ok then
    return nil, message
  end
  return function()
    return self:next()
  end
end

return watch
