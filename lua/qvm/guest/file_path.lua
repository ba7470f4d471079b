-- The path of an open file: names of dentries up to the root of their mount, and from there on
-- where that is mounted (fs/d_path.c).

local c = require "qvm.guest.c"
local objects = require "qvm.guest.objects"

local file_path = {}

local NAMES_MAX = 256  -- names of one path
local NAME_MAX = 255   -- bytes of a name
local PATH_MAX = 4096  -- bytes

local function same(pointer, object)
  return pointer ~= nil and c.address(pointer) == c.address(object)
end

local function name_of(dentry)
  local length = dentry.d_name.len
  if length > NAME_MAX then
    objects.damaged(dentry, ("a name of %d bytes"):format(length))
  end
  return c.string(objects.linked(dentry.d_name, "name"), length) or "?"
end

-- Files that are not in a directory have functions that write their path.
local writers = {
  simple_dname = function(name) return ("/%s (deleted)"):format(name) end, -- memfd:, dev/zero
  anon_inodefs_dname = function(name) return "anon_inode:" .. name end,
}

local function without_directory(dump, dentry)
  local operations = dentry.d_op
  local dname = operations ~= nil and operations.d_dname
  if not dname then
    return nil
  end
  local symbol = dump:symbol(c.address(dname))
  local write = writers[symbol and symbol:match "^[^+]*"]
  local name = name_of(dentry)
  return write and write(name) or name
end

-- The names from a dentry up to the root of all mounts, the last first.
local function names_of(dentry, mount)
  local names, bytes = {}, 0
  for _ = 1, NAMES_MAX do
    if same(mount.mnt.mnt_root, dentry) then
      if same(mount.mnt_parent, mount) then
        return names
      end
      dentry, mount = objects.linked(mount, "mnt_mountpoint"), objects.linked(mount, "mnt_parent")
    elseif same(dentry.d_parent, dentry) then
      return names -- unmounted
    else
      names[#names + 1] = name_of(dentry)
      bytes = bytes + #names[#names] + 1
      dentry = objects.linked(dentry, "d_parent")
    end
    if bytes > PATH_MAX then
      break
    end
  end
  objects.damaged(dentry, "a path without an end")
end

-- The path of a `struct path`, as the kernel shows it; raises if it is damaged.
function file_path.of(dump, path)
  local dentry = objects.linked(path, "dentry")
  local name = without_directory(dump, dentry)
  if name then
    return name
  end
  local names = names_of(dentry, c.container_of(objects.linked(path, "mnt"), "struct mount", "mnt"))
  local parts = {}
  for i = #names, 1, -1 do
    parts[#parts + 1] = names[i]
  end
  local is_deleted = dentry.d_hash.pprev == nil and not same(dentry.d_parent, dentry)
  return "/" .. table.concat(parts, "/") .. (is_deleted and " (deleted)" or "")
end

return file_path
