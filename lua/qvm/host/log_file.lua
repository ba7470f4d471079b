-- Reads what is added to a log file, also when it is rotated.
--
-- The file is kept open and read from where it ended. If another file takes its name, both are
-- read, the new one from its beginning: the writer may continue with either. A truncated file
-- is read from its beginning. A writer that does not append continues at its old offset in a
-- truncated file, after a hole that reads as NULs: holes are skipped, and NULs are dropped.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

local GAIN_MAX = 16 << 20
local CHUNK = 64 << 10
local CHUNKS_MAX = 1024 -- read from a file at a time
local FILES_MAX = 8     -- open at a time: the last ones that had the name
local TAIL = 64         -- bytes that show whether a file was truncated and filled again

local log_file = {
  -- The likely cause if the VM works. By their documentation vdevs write status text on SIGUSR1
  -- on hosts of 8.0, and on SIGUSR2 alone on hosts of 7.0 and 7.1.
  LOGGER = ": does the VM's logger write the info level there? "
    .. "(vdevs of a 7.x host may log nothing on this signal, and add their text to a dump)",
}

-- That a log gained nothing within so many seconds (a text).
function log_file.nothing_gained(timeout)
  return ("gained nothing within %s s"):format(timeout)
end

local Part = {}
Part.__index = Part

-- Makes a part for a file, to be read from its end, or from its beginning.
local function new_part(file, at_end)
  file:setvbuf("no") -- buffered data may be outdated
  local part = setmetatable({file = file, at = 0, tail = ""}, Part)
  local size, id = core.stat(file)
  part.id = id
  part.at = at_end and size or 0
  part:keep_tail()
  return part
end

function Part:read(from, size)
  self.file:seek("set", from)
  return self.file:read(size)
end

function Part:keep_tail()
  local from = math.max(0, self.at - TAIL)
  self.tail = self:read(from, self.at - from) or ""
end

-- Was the file truncated below what was read?
function Part:was_cut(size)
  return size < self.at
    or self.tail ~= "" and self:read(self.at - #self.tail, #self.tail) ~= self.tail
end

-- Calls put for each chunk of new text; nil, message, error number if the file cannot be read.
-- Text beyond CHUNKS_MAX is left for the next call.
function Part:read_on(put)
  local size, problem = core.stat(self.file)
  if not size then
    return nil, problem
  elseif self:was_cut(size) then
    self.at, self.is_cut = 0, true
  end
  local bytes, message, number
  for _ = 1, CHUNKS_MAX do
    self.at = core.find_data(self.file, self.at) or self.at
    bytes, message, number = self:read(self.at, CHUNK)
    if not bytes then
      break
    end
    self.at = self.at + #bytes
    put((bytes:gsub("%z+", "")))
  end
  self:keep_tail()
  return not message, message, number
end

local Log = {}
Log.__index = Log

function Log:__close()
  for _, part in ipairs(self.parts) do
    part.file:close()
  end
  self.parts = {}
end

-- Opens the file that has the name now, unless it is open already. It may be missing for now.
function Log:open_current(at_end)
  local _, id, code = core.stat(self.name)
  local last = self.parts[#self.parts]
  self.is_missing = code == "not_found"
  if last and last.id == id then
    return true
  end
  local file, message, kind = core.open_file(self.name)
  if not file then
    self.is_missing = kind == "not_found"
    return self.is_missing or nil, message, kind
  end
  self.parts[#self.parts + 1] = new_part(file, at_end)
  if #self.parts > FILES_MAX then
    table.remove(self.parts, 1).file:close()
  end
  return true
end

function Log:fail(message, code)
  self.failure = {message, code}
end

function Log:gain(text)
  self.gained = self.gained + #text
  if self.gained > GAIN_MAX then
    self.text_parts = {}
    self:fail(("%s: gained more than %d MiB"):format(line.escape_controls(self.name),
      GAIN_MAX >> 20), "too_large")
  elseif text ~= "" then
    self.text_parts[#self.text_parts + 1] = text
  end
end

-- Returns a mark that changes whenever the log grows; false if it has not grown yet; nil if it
-- cannot be read any more.
function Log:look()
  local ok, message, code = self:open_current(false)
  if not ok then
    self:fail(message, code)
  end
  for _, part in ipairs(self.parts) do
    local is_read, why, number = part:read_on(function(text) self:gain(text) end)
    if not is_read then
      self:fail(select(2, errors.of_system(line.escape_controls(self.name) .. ": " .. why, number)))
    end
    self.is_cut = self.is_cut or part.is_cut
  end
  if self.failure then
    return nil
  end
  return self.gained > 0 and self.gained
end

-- Returns the text that was added; nil, message, code if the log cannot be read.
function Log:text()
  if self.failure then
    return nil, table.unpack(self.failure, 1, 2)
  end
  return table.concat(self.text_parts)
end

-- Says why nothing was added within so many seconds (a text); and a code.
function Log:why_nothing(timeout)
  if self.is_missing and not self.parts[1] then
    return "does not exist: does the VM's logger write to another file?", "not_found"
  elseif self.is_missing then
    return "was removed or renamed, and no other file has replaced it", "not_found"
  elseif self.is_cut then
    return ("was truncated, and %s: the text may be lost"):format(log_file.nothing_gained(timeout)),
      "timeout"
  end
  return log_file.nothing_gained(timeout) .. log_file.LOGGER, "timeout"
end

-- Opens the log in a file, to be closed by `<close>`; nil, message, code if it is not a regular
-- file, or if its directory does not exist.
function log_file.open(path)
  local log = setmetatable({name = path, parts = {}, text_parts = {}, gained = 0}, Log)
  local ok, message, code = log:open_current(true)
  if ok and log.is_missing then
    ok, message, code = core.stat(path:match("^(.*/)[^/]*$") or ".")
  end
  if not ok then
    return nil, message, code
  end
  return log
end

return log_file
