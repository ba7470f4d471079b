-- The index of a compressed dump: the file DUMP.index, with which the dump opens at once and
-- is read anywhere without unpacking all that is before. The core reads it, and makes its
-- bytes (dump/gzip_index.c); this module decides when it is made.

local core = require "qvm.core"

local index = {}

function index.path_of(path)
  return path .. ".index"
end

local function warn(dump, message)
  dump.warnings[#dump.warnings + 1] = "no index: " .. message
end

-- What is not an index of the library, or belongs to somebody else, is left alone.
local function may_replace(code)
  return code == "not_found" or code == "malformed"
end

-- Makes the index of a dump that was opened without one. message, code: why the core did not
-- use the file. A dump that cannot have an index can be read all the same, so what goes wrong
-- is a warning.
function index.complete(dump, message, code, progress)
  if not code then
    return
  elseif not may_replace(code) then
    return warn(dump, message)
  end
  local bytes, problem = core.dump.make_index(dump, progress)
  local saved = bytes
  if bytes then
    saved, problem = core.save(index.path_of(dump.path), bytes, true)
  end
  if not saved and problem then
    warn(dump, problem)
  end
end

return index
