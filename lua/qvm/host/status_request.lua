-- Requests the status text, and waits until it has been added to the log.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local log_file = require "qvm.host.log_file"
local unanswered = require "qvm.host.unanswered"

local POLL_MS = 20 -- between two checks of the log

-- A log is polled: look() returns a mark that changes whenever the log has changed; false while
-- nothing was added; nil if it cannot be read any more. Then text() says why.

-- For each position of a text, the length of its longest proper prefix that ends there (Knuth,
-- Morris, Pratt).
local function borders(text, size)
  local border = {0}
  local length = 0
  for at = 2, size do
    while length > 0 and text:byte(at) ~= text:byte(length + 1) do
      length = border[length]
    end
    if text:byte(at) == text:byte(length + 1) then
      length = length + 1
    end
    border[at] = length
  end
  return border
end

-- The length of the longest suffix of `before` that is a prefix of `now`: a ring of messages
-- loses the oldest ones while new ones are added.
local function overlap(before, now)
  local size = math.min(#before, #now)
  if now:sub(1, #before) == before then
    return #before
  end
  local border = borders(now, size)
  local length = 0
  for at = #before - size + 1, #before do
    while length > 0 and (length == size or before:byte(at) ~= now:byte(length + 1)) do
      length = border[length]
    end
    if before:byte(at) == now:byte(length + 1) then
      length = length + 1
    end
  end
  return length
end

-- A log whose whole text a function returns.
local function function_log(read)
  local log = setmetatable({name = "the log"}, {__close = function() end})

  local function text_so_far()
    local text, message, code = read()
    if type(text) ~= "string" and not (text == nil and type(message) == "string") then
      errors.raise(("option 'log' of 'status': the function returned a %s, not a string")
        :format(type(text)))
    end
    return text, message, code
  end

  local before, message, code = text_so_far()
  if not before then
    return nil, message, code
  end
  log.now = before

  function log.look()
    local now, why, what = text_so_far()
    if not now then
      log.failure = {why, what}
      return nil
    elseif now ~= log.now then
      log.now, log.mark = now, (log.mark or 0) + 1
    end
    return log.mark or false
  end

  function log.text()
    if log.failure then
      return nil, table.unpack(log.failure, 1, 2)
    end
    local kept = overlap(before, log.now)
    return log.now:sub(kept + 1), kept == 0 and before ~= ""
      and "the log dropped everything from before the request, so the beginning of the text may "
      .. "be lost: `set slog-buffer SIZE` makes slogger2's buffer larger" or nil
  end

  function log.why_nothing(_, timeout)
    return log_file.nothing_gained(timeout) .. log_file.LOGGER, "timeout"
  end

  return log
end

-- Waits at most `timeout` for the log to grow, and then at most as long again for it to be
-- quiet. A log that never becomes quiet still gives its text.
local function settled(log, timeout, settle)
  local mark, since = false, core.now()
  local deadline = since + timeout
  repeat
    local began = core.now()
    local now = log:look()
    if now == nil then
      return true
    elseif now ~= mark then
      if not mark then
        deadline = core.now() + math.max(timeout, settle)
      end
      mark, since = now, core.now()
    elseif mark and core.now() - since >= settle then
      return true
    end
    -- Reading a slow log takes at most a fifth of the time.
    local pause = math.max(POLL_MS, 4 * (core.now() - began))
    core.sleep(math.max(0, math.min(pause, deadline - core.now())))
  until began >= deadline
  return mark ~= false
end

local status = {}

function status.await(vm, options)
  local timeout = options.timeout or 5
  local open_log = type(options.log) == "string" and log_file.open or function_log
  local log <close>, message, code = open_log(options.log)
  if not log then
    return nil, message, code
  end
  local sent, pid, kind = vm:signal("status")
  if not sent then
    return nil, pid, kind -- a message and its code
  end
  if not settled(log, timeout * 1000, (options.settle or 0.3) * 1000) then
    local seconds = line.float("%g", timeout)
    local why, what = unanswered.cause(vm, pid)
    if why then
      why = log_file.nothing_gained(seconds) .. ": " .. why
    else
      why, what = log:why_nothing(seconds)
    end
    return nil, line.escape_controls(("%s: %s %s"):format(vm.name, log.name, why)), what
  end
  return log:text()
end

return status
