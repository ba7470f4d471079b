-- The directory of the watchdog's captures: their names, and which are kept.
--
-- A capture is a directory called <vm>-<YYYYMMDD>-<hhmmss>-<reason>. While it is being filled
-- it has ".partial" after its name.
--
-- Captures are found, and removed, by their names. Therefore only root and this user may be able
-- to write to the directory. A symbolic link is no capture, and none is followed.

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

-- Makes the directory of captures if it does not exist. Returns true; nil and a message, as where
-- other users can write to it.
function captures.open(directory)
  local made, message, code = system.make_directory(directory, true)
  if not made and code ~= "busy" then
    return nil, message
  end
  return system.check_safe_directory(directory)
end

-- The time of the last change, if a path is a directory itself; nil if it is not.
local function changed(path)
  local _, _, kind, time = system.lstat(path)
  return kind == "directory" and time or nil
end

-- The seconds since something in a directory changed; nil if there is no such directory.
local function age_of(path)
  local newest = changed(path)
  for _, name in ipairs(newest and system.entries(path) or {}) do
    newest = math.max(newest, select(4, system.lstat(path .. "/" .. name)) or 0)
  end
  return newest and os.time() - newest
end

-- Removes a capture. The event goes first: what is left is not a capture any more, if this is
-- interrupted. Returns true; nil and a message.
local function remove(path)
  local removed, message = system.remove_directory(path, captures.EVENT)
  return removed, message and "not removed: " .. message
end

-- Removes a capture that cannot be finished.
function captures.discard(path)
  return remove(captures.partial(path))
end

-- The unfinished capture of a VM; nil if there is none. One in which nothing has changed for so
-- many seconds was interrupted, and is removed.
local function unfinished(directory, vm, patience)
  for _, name in ipairs(system.entries(directory) or {}) do
    local complete = name:sub(-#PARTIAL) == PARTIAL and name:sub(1, -#PARTIAL - 1)
    local path = directory .. "/" .. name
    local age = complete and parts_of(complete) == vm and age_of(path)
    if age and age <= patience then
      return path
    elseif age then
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
  if system.lstat(path) then
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
    size = size + (system.lstat(path .. "/" .. name) or 0)
  end
  return size
end

-- The captures of a directory, the oldest first.
local function list_of(directory)
  local list = {}
  for _, name in ipairs(system.entries(directory) or {}) do
    local vm, time = parts_of(name)
    local path = directory .. "/" .. name
    if vm and changed(path) and system.lstat(path .. "/" .. captures.EVENT) then
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

-- Removes old captures, until each VM has `keep` at most and all together are not larger than
-- so many bytes. The newest is kept. Returns messages about those that cannot be removed.
function captures.prune(directory, keep, max_size)
  local list, count, total, problems = list_of(directory), {}, 0, {}
  for i = #list, 1, -1 do
    local one = list[i]
    count[one.vm] = (count[one.vm] or 0) + 1
    total = total + one.size
    if i < #list and (count[one.vm] > keep or total > max_size) then
      total = total - one.size
      problems[#problems + 1] = select(2, remove(one.path))
    end
  end
  return problems
end

return captures
