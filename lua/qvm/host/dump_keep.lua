-- Keeps the newest dumps of a VM in a directory, and deletes older ones.
--
-- A file is deleted only if all of this holds:
-- - its name is that of a dump of this VM;
-- - it is a regular file itself, not a link to one;
-- - it is a complete dump in QNX's format, and not compressed: examining it takes no time;
-- - it is older than the dump that was just made, and not among the newest ones. Both must be
--   true by the time in its name and by the time of its last change: clocks are set, time zones
--   change, and files are copied.
-- A file that is none of these is neither deleted nor counted.

local core = require "qvm.core"
local Dump = require "qvm.dump"
local dump_name = require "qvm.util.dump_name"

local dump_keep = {}

-- Opens a file that is a complete dump; nil if it is not. Only regular files are opened.
local function open_complete(path)
  local file = core.open_file(path, true)
  local dump = file and file:read(4) == "\127ELF" and Dump.open(path, false, nil, file)
  local is_dump = dump and dump.complete and dump.format == "qnx"
  if dump then
    dump:close()
  end
  if file and not is_dump then
    file:close()
  end
  return is_dump and file or nil
end

-- Where a dump stands in the order of dumps; nil if the name is not that of a dump of the VM.
local function about(directory, name, system, file)
  local stamp, number = dump_name.stamp_of(name, system)
  local size, id, _, changed = core.stat(file)
  return stamp and size and {path = directory .. "/" .. name, id = id, stamp = stamp,
    number = number, changed = changed}
end

local function is_named_later(a, b)
  if a.stamp ~= b.stamp then
    return a.stamp > b.stamp
  end
  return a.number > b.number
end

local function is_changed_later(a, b)
  if a.changed ~= b.changed then
    return a.changed > b.changed
  end
  return is_named_later(a, b)
end

-- The complete dumps of a VM that are older than the new one; nil, message, code.
local function older_dumps(directory, system, new)
  local names, message, code = core.entries(directory)
  if not names then
    return nil, message, code
  end
  local dumps = {}
  for _, name in ipairs(names) do
    local file = dump_name.stamp_of(name, system) and open_complete(directory .. "/" .. name)
    local dump = file and about(directory, name, system, file)
    if dump and dump.id ~= new.id and is_named_later(new, dump) and new.changed >= dump.changed then
      dumps[#dumps + 1] = dump
    end
    if file then
      file:close()
    end
  end
  return dumps
end

-- Marks the newest `count` dumps by an order as kept.
local function mark_newest(dumps, is_later, count)
  table.sort(dumps, is_later)
  for i = 1, math.min(count, #dumps) do
    dumps[i].is_kept = true
  end
end

-- Deletes a dump if its name still refers to the file that was examined.
local function delete(dump)
  local file <close>, message, code = core.open_file(dump.path, true)
  if not file then
    return nil, message, code
  elseif select(2, core.stat(file)) ~= dump.id then
    return nil, dump.path .. ": is another file by now", "busy"
  end
  return core.remove_file(dump.path, file)
end

-- Keeps `keep` dumps of a system in the directory: the new one, which is open as `file`, and
-- the newest older ones. Returns the paths of the files that were deleted, and the messages
-- about those that could not be, nil if there are none.
function dump_keep.prune(directory, system, name, file, keep)
  local new = about(directory, name, system, file)
  local dumps, message
  if new then
    dumps, message = older_dumps(directory, system, new)
  end
  if not dumps then
    return {}, {message or directory .. ": no older dump was deleted"}
  end
  mark_newest(dumps, is_changed_later, keep - 1)
  mark_newest(dumps, is_named_later, keep - 1)
  local deleted, problems = {}, {}
  for i = #dumps, 1, -1 do -- the oldest first
    local dump = dumps[i]
    local ok, problem
    if not dump.is_kept then
      ok, problem = delete(dump)
      table.insert(ok and deleted or problems, ok and dump.path or problem)
    end
  end
  return deleted, problems[1] and problems or nil
end

return dump_keep
