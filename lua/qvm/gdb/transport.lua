-- How the bytes of a client arrive and leave: over standard input and output, or over a port
-- of the loopback interface.
--
-- A pipe has one client, the gdb at its other end. A port has one client at a time, and a
-- clock keeps it from blocking others: within PATIENCE it must complete its first packet and
-- each packet that it begins, and take each reply. Others that connect meanwhile are turned
-- away at once: if gdb had to wait, it would get out of step with the protocol.

local packet = require "qvm.gdb.packet"
local serve = require "qvm.gdb.serve"
local system = require "qvm.util.system"

local transport = {}

-- Input -----------------------------------------------------------------------------------

-- What a client has sent and nobody has read yet.
local Input = {}
Input.__index = Input

local FULL = 1 << 16 -- bytes; gdb sends one packet, and waits for the reply

local function new_input()
  return setmetatable({bytes = "", at = 1}, Input)
end

function Input:add(bytes)
  self.bytes, self.at = self.bytes:sub(self.at) .. bytes, 1
end

function Input:is_empty()
  return self.at > #self.bytes
end

function Input:is_full()
  return #self.bytes - self.at >= FULL
end

-- The next byte; nil if there is none.
function Input:next()
  if not self:is_empty() then
    self.at = self.at + 1
    return self.bytes:sub(self.at - 1, self.at - 1)
  end
end

-- Removes Ctrl-C if it comes next, acknowledgements aside. Returns whether it did.
function Input:take_interrupt()
  local last = self.bytes:match("^[+-]*" .. packet.INTERRUPT .. "()", self.at)
  self.at = last or self.at
  return last ~= nil
end

-- A pipe ----------------------------------------------------------------------------------

local FOREVER = -1

-- Reads standard input within some milliseconds. False at its end.
local function receive(input, milliseconds)
  local bytes = system.read_input(milliseconds)
  input:add(bytes or "")
  return bytes ~= ""
end

-- Serves a session over standard input and output, until the client leaves.
function transport.serve_pipe(session)
  local input, is_open = new_input(), true
  io.stdout:setvbuf("full")
  serve(session, function()
    while is_open and input:is_empty() do
      is_open = receive(input, FOREVER)
    end
    return input:next()
  end, function(bytes)
    return io.write(bytes) and io.flush()
  end, function()
    if system.is_output_closed() then
      return "left"
    elseif is_open and not input:is_full() then -- standard input may be a file
      is_open = receive(input, 0)
    end
    return input:take_interrupt() and "interrupted" or nil
  end)
end

-- A port ----------------------------------------------------------------------------------

local PATIENCE = 3000 -- milliseconds
local TICK = 500      -- milliseconds between two looks for Ctrl-C
local GRACE = 200     -- milliseconds that another client may wait before it is turned away
local CHUNK = 8192    -- bytes that are received at once

local Client = {}
Client.__index = Client

function Client:turn_away()
  local other = self.server:accept()
  if other then
    self.say "one client at a time: another one was turned away"
    other:close()
  end
end

-- Waits some milliseconds until the client's socket can be read or written; returns whether it
-- can. Another client that connects is turned away only if this one does nothing meanwhile, or
-- after GRACE: this one may be about to leave.
function Client:is_ready(is_sending, milliseconds)
  local readers = {self.server, not is_sending and self.connection or nil}
  local can_read, can_write = self.select(readers, {is_sending and self.connection or nil},
    math.max(0, milliseconds) / 1000)
  local is_ready = (can_read[self.connection] or can_write[self.connection]) ~= nil
  self.asked_at = can_read[self.server] and (self.asked_at or system.now()) or nil
  if self.asked_at and (not is_ready or system.now() - self.asked_at > GRACE) then
    self:turn_away()
  end
  return is_ready
end

-- The same until a deadline, or for ever. False after the deadline.
function Client:wait(is_sending, deadline)
  local left = deadline and deadline - system.now() or TICK
  while left > 0 do
    if self:is_ready(is_sending, math.min(left, TICK)) then
      return true
    end
    left = deadline and deadline - system.now() or TICK
  end
  return false
end

-- Appends what the client has sent. False if the client is gone.
function Client:receive()
  local bytes, problem, part = self.connection:receive(CHUNK)
  self.input:add(bytes or part)
  return problem ~= "closed"
end

function Client:next_byte(is_inside)
  if is_inside and not self.deadline then
    self.deadline = system.now() + PATIENCE
  elseif not is_inside and self.was_inside then
    self.deadline = nil
  end
  self.was_inside = is_inside
  local is_open = true
  while self.input:is_empty() and is_open do
    if not self:wait(false, self.deadline) then
      self.say "the client did not complete a packet in time"
      return nil
    end
    is_open = self:receive()
  end
  return self.input:next()
end

function Client:write(bytes)
  local deadline, sent = system.now() + PATIENCE, 0
  while true do
    local last, problem, part = self.connection:send(bytes, sent + 1)
    if last or problem ~= "timeout" then
      return last ~= nil
    end
    sent = part
    if not self:wait(true, deadline) then
      self.say "the client did not take a reply in time"
      return false
    end
  end
end

-- The parameter `stopped` of qvm.gdb.serve. A client that sends much more than it may counts as
-- gone.
function Client:stopped()
  if self:is_ready(false, 0) and not self:receive() or self.input:is_full() then
    return "left"
  end
  return self.input:take_interrupt() and "interrupted" or nil
end

local function serve_client(new_session, client)
  client.connection:settimeout(0)
  client.connection:setoption("tcp-nodelay", true)
  client.connection:setoption("keepalive", true)
  local session, message = new_session()
  if not session then -- the file was truncated meanwhile
    return client.say("%s", message)
  end
  local is_gdb = serve(session, function(is_inside) return client:next_byte(is_inside) end,
    function(bytes) return client:write(bytes) end, function() return client:stopped() end)
  if not is_gdb then
    client.say "the client does not speak gdb's protocol and was turned away"
  end
end

-- Serves clients at a port until Ctrl-C, which raises.
-- @tparam function new_session returns a session for a client, or nil and a message
-- @tparam integer number port number; 0: any free port
-- @tparam function say takes a format and values: a message for the user
-- @return nil, message: it cannot listen
function transport.serve_port(new_session, number, say)
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
      serve_client(new_session, setmetatable({server = server, connection = connection, say = say,
        select = socket.select, input = new_input(), deadline = system.now() + PATIENCE}, Client))
      connection:close()
      say "the client left; waiting for the next one"
    end
  end
end

return transport
