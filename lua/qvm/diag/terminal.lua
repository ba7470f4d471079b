-- What is a terminal, and colours for it.

local core = require "qvm.core"

local terminal = {}

-- descriptor: 1 for the output, 2 for the errors.
terminal.is_one = core.is_terminal

function terminal.is_dumb()
  local kind = os.getenv("TERM")
  return not kind or kind == "" or kind == "dumb"
end

-- Whether colours are wanted there (https://no-color.org).
function terminal.has_colours(descriptor)
  local refused = os.getenv("NO_COLOR")
  return not (refused and refused ~= "") and not terminal.is_dumb()
    and terminal.is_one(descriptor)
end

local CODES = {good = "32", bad = "31", odd = "33", changed = "7"}

-- A function that paints a text in one of these ways, or leaves it as it is.
function terminal.painter(descriptor)
  if not terminal.has_colours(descriptor) then
    return function(text)
      return text
    end
  end
  return function(text, way)
    return way and ("\27[%sm%s\27[0m"):format(CODES[way], text) or text
  end
end

return terminal
