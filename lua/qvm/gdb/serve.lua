-- The dialogue with a client, from its first byte to its last: reads packets, lets the session
-- answer them, acknowledges and repeats. While a request is worked on, it looks at the client
-- now and then: the client may leave, or interrupt the request.

local system = require "qvm.util.system"
local packet = require "qvm.gdb.packet"
local Session = require "qvm.gdb.session"

local EVERY = 100 -- milliseconds between two looks at the client

local STOP = {} -- the error that ends the work on a request

-- Calls f(send), and asks stopped() now and then whether to end it: "left", "interrupted" or
-- nil. A hook does that: it runs in work of every kind, and raises again if something catches
-- the error. Returns pcall's results, or false, STOP and the reason.
local function stoppable(f, send, stopped)
  local is_working, reason, due = true, nil, system.now() + EVERY
  local function stop(why)
    reason = why
    error(STOP, 0)
  end
  local function look()
    if is_working and not reason and system.now() >= due then
      reason, due = stopped(), system.now() + EVERY
    end
    if is_working and reason then
      stop(reason)
    end
  end
  local is_free = not debug.gethook() -- else a debugger or profiler uses the hook
  local ok, reply, is_over = pcall(function()
    if is_free then
      debug.sethook(look, "c")
    end
    return f(function(text) return send(text) or stop("left") end)
  end)
  is_working = false -- before anything else: the hook runs at every call
  if is_free then
    debug.sethook()
  end
  if reason then
    return false, STOP, reason
  end
  return ok, reply, is_over
end

-- Answers a request, as Session:answer does.
local function answer(session, text, send, stopped)
  local ok, reply, is_over = stoppable(function(send_part)
    return session:answer(text, send_part)
  end, send, stopped)
  if ok then
    return reply, is_over
  elseif reply ~= STOP then
    error(reply, 0)
  elseif is_over == "left" then
    return nil, true
  end
  return Session.interrupted(text, send)
end

local function never() end

-- Serves a client.
-- @tparam qvm.gdb.session session
-- @tparam function next_byte see packet.each
-- @tparam function write sends bytes to the client; false or nil when it is gone
-- @tparam ?function stopped returns `"left"` when the client is gone, `"interrupted"` when it
-- has sent Ctrl-C, else nil; called now and then while a request is worked on
-- @treturn boolean whether the client spoke the protocol
return function(session, next_byte, write, stopped)
  local acknowledged, last = true, ""
  local function send(text)
    last = packet.of(text)
    return write(last)
  end
  for kind, text in packet.each(next_byte) do
    if kind == "noise" then
      return false
    elseif acknowledged and kind ~= "again" and not write(kind == "damaged" and "-" or "+") then
      break
    end
    local reply, is_over
    if kind == "packet" then
      reply, is_over = answer(session, text, send, stopped or never)
    elseif kind == "long" then
      reply = "E.a packet is too long"
    elseif kind == "again" and acknowledged and not write(last) then
      break
    end
    if reply and not send(reply) or is_over then
      break
    end
    if text == "QStartNoAckMode" then
      acknowledged = false
    end
  end
  return true
end
