-- The directory of the watchdog's captures: their names, and which are kept.
--
-- A capture is a directory called <vm>-<YYYYMMDD>-<hhmmss>-<reason>. While it is being filled
-- it has ".partial" after its name.

local system = require "qvm.util.system"

local captures = {}

captures.EVENT = "event.json" -- in each complete capture

local PARTIAL = ".partial"

function captures.partial(path)
  return path .. PARTIAL
end

-- The parts of a capture's name: VM, time; nil if it is another name.
local function parts_of(name)
  return name:match("^(.+)%-(%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d)%-%l+$")
end

-- The seconds since something in a directory changed.
local function age_of(path)
  local newest = select(4, system.stat(path)) or 0
  for _, name in ipairs(system.entries(path) or {}) do
    newest = math.max(newest, select(4, system.stat(path .. "/" .. name)) or 0)
  end
  return os.time() - newest
end

local function remove(path)
  for _, name in ipairs(system.entries(path) or {}) do
    os.remove(path .. "/" .. name)
  end
  os.remove(path)
end

-- The unfinished capture of a VM; nil if there is none. One in which nothing has changed for so
-- many seconds was interrupted, and is removed.
local function unfinished(directory, vm, patience)
  for _, name in ipairs(system.entries(directory) or {}) do
    local complete = name:sub(-#PARTIAL) == PARTIAL and name:sub(1, -#PARTIAL - 1)
    local path = directory .. "/" .. name
    if complete and parts_of(complete) == vm then
      if age_of(path) <= patience then
        return path
      end
      remove(path)
    end
  end
end

-- Makes the directory of a new capture. Returns its path when it will be complete, or nil and
-- a message. patience: seconds for which a capture that goes on may change nothing.
function captures.begin(directory, vm, reason, patience)
  local other = unfinished(directory, vm, patience)
  if other then
    return nil, ("another capture of %s is not finished: %s"):format(vm, other)
  end
  local path = ("%s/%s-%s-%s"):format(directory, vm, os.date("%Y%m%d-%H%M%S"), reason)
  if system.stat(path) then
    return nil, path .. " exists"
  end
  local made, message = system.make_directory(path .. PARTIAL, true)
  if not made then
    return nil, message
  end
  return path
end

function captures.size(path)
  local size = 0
  for _, name in ipairs(system.entries(path) or {}) do
    size = size + (system.stat(path .. "/" .. name) or 0)
  end
  return size
end

-- The captures of a directory, the oldest first.
local function list_of(directory)
  local list = {}
  for _, name in ipairs(system.entries(directory) or {}) do
    local vm, time = parts_of(name)
    local path = directory .. "/" .. name
    if vm and system.stat(path .. "/" .. captures.EVENT) then
      list[#list + 1] = {path = path, vm = vm, time = time, size = captures.size(path)}
    end
  end
  table.sort(list, function(a, b)
    if a.time ~= b.time then
      return a.time < b.time
    end
    return a.path < b.path
  end)
  return list
end

-- Removes a capture. The event goes first: what is left is not a capture any more, if this is
-- interrupted.
local function remove_complete(path)
  os.remove(path .. "/" .. captures.EVENT)
  remove(path)
end

-- Removes old captures, until each VM has `keep` at most and all together are not larger than
-- so many bytes. The newest is kept.
function captures.prune(directory, keep, max_size)
  local list, count, total = list_of(directory), {}, 0
  for i = #list, 1, -1 do
    local one = list[i]
    count[one.vm] = (count[one.vm] or 0) + 1
    total = total + one.size
    if i < #list and (count[one.vm] > keep or total > max_size) then
      total = total - one.size
      remove_complete(one.path)
    end
  end
end

return captures
