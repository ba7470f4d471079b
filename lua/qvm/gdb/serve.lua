-- A client of a dump, from its first byte to its last.

local packet = require "qvm.gdb.packet"

--- Serves a client.
-- @tparam qvm.gdb.session session
-- @tparam function next_byte gives the next byte of the client, nil when it is gone
-- @tparam function write sends bytes to it; false or nil when it is gone
return function(session, next_byte, write)
  local acknowledged, last = true, ""
  local function send(text)
    last = packet.of(text)
    return write(last)
  end
  for kind, text in packet.each(next_byte) do
    if acknowledged and kind ~= "again" and not write(kind == "damaged" and "-" or "+") then
      return
    end
    local reply, is_over
    if kind == "packet" then
      reply, is_over = session:answer(text, send)
    elseif kind == "long" then
      reply = "E.a packet is too long"
    elseif kind == "again" and acknowledged and not write(last) then
      return
    end
    if reply and not send(reply) or is_over then
      return
    end
    if text == "QStartNoAckMode" then
      acknowledged = false
    end
  end
end
