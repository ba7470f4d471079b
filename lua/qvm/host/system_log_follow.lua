-- Follows a system log: reads it in intervals.
--
-- libslog2parse has a live mode, but it returns only when a message comes: a loop could neither
-- be interrupted nor end in time.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local losses = require "qvm.host.system_log_losses"
local watch = require "qvm.host.watch"

local follow = {}

local ALIVE_MS = 1000 -- between two checks of the VM's process

-- Does another process serve the VM by now, or none? Only a definite answer counts.
local function has_ended(self, state)
  if not self.vm or core.now() < state.check then
    return false
  end
  state.check = core.now() + ALIVE_MS
  local pid, _, code = self.vm:pid()
  return pid ~= nil and pid ~= self.pid or code == "not_found" or code == "gone"
end

-- Returns an iterator over the lines that come; nil, message, code. lines_of(self, log, known):
-- iterates over the lines of a log that are not known yet.
function follow.lines(self, options, lines_of)
  local interval = math.ceil((options.interval or 0.2) * 1000)
  -- One more, as core.now() has whole milliseconds: a time limit is never cut short.
  local limit = options.timeout and math.ceil(options.timeout * 1000) + 1 or math.huge
  local state = {check = core.now() + ALIVE_MS, known = losses.new(),
    deadline = core.now() + limit}
  local log, message, code = core.slog2(self.pid or 0)
  if not log then
    return nil, message, code
  end
  local lines = lines_of(self, log, state.known)
  if not self._since then
    for _ in lines do end -- everything up to now is known
  end
  local is_last = false
  return function()
    while true do
      local found = lines()
      if found then
        return found
      elseif is_last or core.now() >= state.deadline then
        return nil
      end
      watch.sleep(math.max(0, math.min(interval, state.deadline - core.now())) / 1000)
      is_last = has_ended(self, state) -- its last lines are read first
      log, message = core.slog2(self.pid or 0)
      lines = log and lines_of(self, log, state.known) or errors.raise(message)
    end
  end
end

return follow
