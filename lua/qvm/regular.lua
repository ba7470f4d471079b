-- Files that a path leads to. Opening anything else might wait for ever, and reading it
-- have no end.

local core = require "qvm.core"
local failure = require "qvm.failure"

local regular = {}

-- The file, for reading; nil, message, code.
function regular.open(path)
  local size, message, kind = core.stat(path)
  if not size then
    return nil, message, kind
  elseif kind ~= "file" then
    return nil, path .. ": not a file", "unsupported"
  end
  local file, number
  file, message, number = io.open(path, "rb")
  if not file then
    return failure.of(message, number)
  end
  return file
end

return regular
