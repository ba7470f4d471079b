-- Serves a dump on standard input and output, to the one client that has started this.

local core = require "qvm.core"
local input = require "qvm.gdb.input"
local serve = require "qvm.gdb.serve"

local FOREVER = -1

-- Appends what there is to read within some milliseconds. False at the end of the input.
local function receive(waiting, milliseconds)
  local bytes = core.read_input(milliseconds)
  waiting:add(bytes or "")
  return bytes ~= ""
end

return function(session)
  local waiting, is_open = input.new(), true
  io.stdout:setvbuf("full")
  serve(session, function()
    while is_open and waiting:is_empty() do
      is_open = receive(waiting, FOREVER)
    end
    return waiting:next()
  end, function(bytes)
    return io.write(bytes) and io.flush()
  end, function()
    if core.is_output_closed() then
      return "left"
    elseif is_open and not waiting:is_full() then -- a file may have been given as the input
      is_open = receive(waiting, 0)
    end
    return waiting:take_interrupt() and "interrupted" or nil
  end)
end
