-- Files and directories of one test, all below one directory that files.clean removes.

local lfs = require "lfs"

local files = {}

local base

-- The test's directory, made on first use.
function files.dir()
  if not base then
    base = os.tmpname()
    os.remove(base)
    base = base .. ".qvm-spec"
    assert(lfs.mkdir(base))
  end
  return base
end

function files.path(name)
  return files.dir() .. "/" .. name
end

function files.mkdir(name)
  assert(lfs.mkdir(files.path(name)))
  return files.path(name)
end

function files.exists(path)
  return lfs.symlinkattributes(path, "mode") ~= nil
end

-- Writes a file below the test's directory and returns its path.
function files.write(name, bytes)
  local path = name:sub(1, 1) == "/" and name or files.path(name)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
  return path
end

function files.append(path, bytes)
  local file = assert(io.open(path, "ab"))
  assert(file:write(bytes))
  assert(file:close())
end

function files.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("a")
  file:close()
  return bytes
end

function files.symlink(target, name)
  assert(lfs.link(target, files.path(name), true))
  return files.path(name)
end

-- The sorted names in a directory.
function files.list(path)
  local names = {}
  for name in lfs.dir(path) do
    if name ~= "." and name ~= ".." then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for _, name in ipairs(files.list(path)) do
      remove(path .. "/" .. name)
    end
  end
  assert(os.remove(path))
end

-- Removes the test's directory. Runs a command only if Lua cannot remove it: there are hundreds
-- of tests, and starting a command is slow under a sanitizer.
function files.clean()
  if base then
    if not pcall(remove, base) then
      os.execute(("chmod -R u+rwx '%s'; rm -rf '%s'"):format(base, base))
    end
    base = nil
  end
end

return files
