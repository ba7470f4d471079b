-- Serves a dump on a port of the loopback interface, one client at a time. The clock keeps a
-- client from blocking others: it must complete its first packet, and each one it begins, and
-- take each reply, within PATIENCE. Whoever connects meanwhile is turned away at once: left to
-- wait, gdb would go out of step.

local core = require "qvm.core"
local input = require "qvm.gdb.input"
local serve = require "qvm.gdb.serve"
local Session = require "qvm.gdb.session"

local port = {}

local PATIENCE = 3000 -- milliseconds
local TICK = 500      -- milliseconds until Ctrl-C of this program is looked for
local GRACE = 200     -- milliseconds that another client may wait for this one's next step
local AT_ONCE = 8192  -- bytes that are received at once

local Client = {}
Client.__index = Client

function Client:turn_away()
  local other = self.server:accept()
  if other then
    other:close()
    self.say "one client at a time: another one was turned away"
  end
end

-- Whether the client's socket can be read, or written, within some milliseconds. What the
-- client does comes first, for it may be leaving; but not for long.
function Client:is_ready(is_sending, milliseconds)
  local readers = {self.server, not is_sending and self.connection or nil}
  local can_read, can_write = self.select(readers, {is_sending and self.connection or nil},
    math.max(0, milliseconds) / 1000)
  local is_ready = (can_read[self.connection] or can_write[self.connection]) ~= nil
  self.asked_at = can_read[self.server] and (self.asked_at or core.now()) or nil
  if self.asked_at and (not is_ready or core.now() - self.asked_at > GRACE) then
    self:turn_away()
  end
  return is_ready
end

-- Waits for that; false after the deadline, if there is one.
function Client:wait(is_sending, deadline)
  local left = deadline and deadline - core.now() or TICK
  while left > 0 do
    if self:is_ready(is_sending, math.min(left, TICK)) then
      return true
    end
    left = deadline and deadline - core.now() or TICK
  end
  return false
end

-- Appends what the client has sent. False when it is gone.
function Client:receive()
  local bytes, problem, part = self.connection:receive(AT_ONCE)
  self.input:add(bytes or part)
  return problem ~= "closed"
end

function Client:next_byte(is_inside)
  if is_inside and not self.deadline then
    self.deadline = core.now() + PATIENCE
  elseif not is_inside and self.was_inside then
    self.deadline = nil
  end
  self.was_inside = is_inside
  local is_open = true
  while self.input:is_empty() and is_open do
    if not self:wait(false, self.deadline) then
      self.say "a client has not completed a packet in time"
      return nil
    end
    is_open = self:receive()
  end
  return self.input:next()
end

function Client:write(bytes)
  local deadline, sent = core.now() + PATIENCE, 0
  while true do
    local last, problem, part = self.connection:send(bytes, sent + 1)
    if last or problem ~= "timeout" then
      return last ~= nil
    end
    sent = part
    if not self:wait(true, deadline) then
      self.say "a client has not taken a reply in time"
      return false
    end
  end
end

-- As qvm.gdb.serve wants it. A client that sends much more than it may is gone, too.
function Client:stopped()
  if self:is_ready(false, 0) and not self:receive() or self.input:is_full() then
    return "left"
  end
  return self.input:take_interrupt() and "interrupted" or nil
end

local function serve_client(dump, client)
  client.connection:settimeout(0)
  client.connection:setoption("tcp-nodelay", true)
  client.connection:setoption("keepalive", true)
  local session, message = Session.of(dump)
  if not session then -- the file was cut meanwhile
    return client.say("%s", message)
  end
  local is_gdb = serve(session, function(is_inside) return client:next_byte(is_inside) end,
    function(bytes) return client:write(bytes) end, function() return client:stopped() end)
  if not is_gdb then
    client.say "a client does not speak gdb's protocol, and was turned away"
  end
end

--- Serves a dump's clients until Ctrl-C.
-- @tparam Dump dump
-- @tparam integer number of the port; 0: any
-- @tparam function say given a format and values, tells the user
-- @return nil, message: it cannot begin
function port.serve(dump, number, say)
  local socket = require "socket"
  local server, message = socket.bind("127.0.0.1", number)
  if not server then
    return nil, ("port %d: %s"):format(number, message)
  end
  local _, bound = server:getsockname()
  server:settimeout(0)
  say("target remote localhost:%d (Ctrl-C ends this)", bound)
  while true do
    socket.select({server}, nil, TICK / 1000)
    local connection = server:accept()
    if connection then
      serve_client(dump, setmetatable({server = server, connection = connection, say = say,
        select = socket.select, input = input.new(), deadline = core.now() + PATIENCE}, Client))
      connection:close()
      say "the client has left; waiting for the next one"
    end
  end
end

return port
