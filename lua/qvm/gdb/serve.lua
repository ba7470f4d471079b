-- Serves a client of a dump, from its first byte to its last.

local core = require "qvm.core"
local packet = require "qvm.gdb.packet"
local Session = require "qvm.gdb.session"

local EVERY = 100 -- milliseconds between two checks of the client during a request

local STOP = {} -- raised to end a request

-- Calls f(send), and regularly stopped(), which returns "left" or "interrupted" to end it, or
-- nil. A debug hook does this, which works for every kind of request; it raises again if the
-- error is caught on the way. Returns pcall's results, or false, STOP and the reason.
local function stoppable(f, send, stopped)
  local is_working, reason, due = true, nil, core.now() + EVERY
  local function stop(why)
    reason = why
    error(STOP, 0)
  end
  local function look()
    if is_working and not reason and core.now() >= due then
      reason, due = stopped(), core.now() + EVERY
    end
    if is_working and reason then
      stop(reason)
    end
  end
  local is_free = not debug.gethook() -- otherwise something measures what runs here
  local ok, reply, is_over = pcall(function()
    if is_free then
      debug.sethook(look, "c")
    end
    return f(function(text) return send(text) or stop("left") end)
  end)
  is_working = false -- first, since the hook runs at every call
  if is_free then
    debug.sethook()
  end
  if reason then
    return false, STOP, reason
  end
  return ok, reply, is_over
end

-- Answers a request; returns the same as Session:answer.
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

--- Serves a client.
-- @tparam qvm.gdb.session session
-- @tparam function next_byte as for packet.each
-- @tparam function write sends bytes to the client; returns false or nil if it has left
-- @tparam ?function stopped returns `"left"` if the client has left, `"interrupted"` if it
-- has sent Ctrl-C, else nil; called regularly during a request
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
    elseif acknowledged and kind ~= "resend" and not write(kind == "damaged" and "-" or "+") then
      break
    end
    local reply, is_over
    if kind == "packet" then
      reply, is_over = answer(session, text, send, stopped or never)
    elseif kind == "long" then
      reply = "E.a packet is too long"
    elseif kind == "resend" and acknowledged and not write(last) then
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
