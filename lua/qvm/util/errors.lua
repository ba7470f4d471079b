-- Failures of Lua's own functions, as this library fails.

local failure = {}

-- POSIX leaves the numbers open; these are what they are everywhere.
local ENOENT, ENOMEM, EACCES = 2, 12, 13

-- nil, message, code of a message and the error number that came with it. Lack of memory
-- raises.
function failure.of(message, number)
  if number == ENOMEM then
    error((message:gsub(":[^:]*$", ": not enough memory")), 0)
  end
  return nil, message,
    number == ENOENT and "not_found" or number == EACCES and "permission" or "io"
end

-- What pcall gives, where lack of memory is not to be taken for the function's fault: it is
-- raised again.
function failure.but_memory(ok, message, ...)
  if not ok and type(message) == "string" and message:find("not enough memory", 1, true) then
    error(message, 0)
  end
  return ok, message, ...
end

return failure
