-- The index of a compressed dump: the file DUMP.index, with which the dump opens at once and
-- is read anywhere without unpacking all that is before. The core reads it, and makes its
-- bytes (dump/gzip_index.c); this module decides when it is made.

local core = require "qvm.core"

local index = {}

function index.path_of(path)
  return path .. ".index"
end

local function save(path, bytes, code)
  if code == "malformed" then
    os.remove(path) -- to overwrite it would keep its permissions; this one is private
  end
  return core.save(path, bytes, true)
end

-- Makes the index of a dump that was opened without one. message, code: why the core did not
-- use the file, or nil. An index that is damaged or of another file is replaced. What is not an
-- index of this version, or could be the work of somebody else, is left alone. That there is no
-- index is a warning: the dump was opened, and reading it shows what is wrong with it. If
-- progress raises, so does this, and the dump is closed.
function index.complete(dump, message, code, progress)
  if code == "not_found" or code == "malformed" then
    local ok, bytes, problem = pcall(core.dump.make_index, dump, progress)
    if not ok then
      core.dump.close(dump)
      error(bytes, 0)
    end
    message = problem
    if bytes then
      local saved, why = save(index.path_of(dump.path), bytes, code)
      message = not saved and why or nil
    end
  end
  if message then
    dump.warnings[#dump.warnings + 1] = "no index: " .. message
  end
end

return index
