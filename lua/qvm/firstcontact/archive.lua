-- The archive of a first contact: a record, as qvm.record makes it and qvm.replay opens it, with
-- more files. Each is written when its contents are known, so that an archive that was cut short
-- still holds what was seen. At the end it is packed by tar, if the host has it.

local host = require "qvm.firstcontact.host"
local qvm = require "qvm"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local archive = {}

local Archive = {}
Archive.__index = Archive

-- What the files of a record hold.
local RECORD = {
  {"env.json", "the bytes of env: thread ids, errata, whatever it names"},
  {"errata.json", "the errata found in env"},
  {"manifest.json", "system name, state, vdev nodes, name of the host, time"},
  {"vm.qvmconf", "the configuration: devices and files of the host"},
}

-- Makes the directory for a VM, or for a host without one. A VM that cannot be recorded, such as
-- one with an env that is no JSON, gets a directory without a record. Returns the archive and, if
-- it is without a record, why; nil and a message.
function archive.create(path, vm, conf)
  local self = setmetatable({path = path, packed = path .. ".tar.gz", files = {}}, Archive)
  if system.lstat(self.packed) then
    return nil, self.packed .. ": exists already"
  end
  local ok, message, code
  if vm then
    ok, message, code = qvm.record(vm, path, {conf = conf})
  end
  if ok then
    for _, file in ipairs(RECORD) do
      local size = system.stat(path .. "/" .. file[1])
      if size then
        self.files[#self.files + 1] = {name = file[1], size = size, about = file[2]}
      end
    end
    return self
  elseif code == "busy" then
    return nil, message
  end
  local made, why = system.make_directory(path, true)
  if not made then
    return nil, why
  end
  return self, message
end

-- Adds a file, readable by this user alone. `about` says what is in it. A failure is raised:
-- without its archive, a first contact is in vain.
function Archive:add(name, bytes, about)
  local ok, message = system.save(self.path .. "/" .. name, bytes, true)
  if not ok then
    error(message, 0)
  end
  self.files[#self.files + 1] = {name = name, size = #bytes, about = about}
end

local HEAD = [[
What qvm-firstcontact wrote. Read it before you give it away, and delete or edit
what must stay with you: qvm.replay needs manifest.json and env.json only.

]]

function Archive:add_contents()
  local lines = {}
  for i, file in ipairs(self.files) do
    lines[i] = ("%-13s %8d  %s\n"):format(file.name, file.size, file.about)
  end
  self:add("CONTENTS", HEAD .. table.concat(lines), "this list")
end

local PIECE = 1 << 16 -- bytes

-- Packs a directory into an open file. tar does not open that by its name, which may lead
-- elsewhere by now. Returns whether that worked.
local function write_packed(file, directory)
  local parent, name = directory:match("^(.*/)([^/]*)$")
  local tar = assert(io.popen(("exec tar -czf - -C %s -- %s 2>/dev/null"):format(
    host.quote(parent or "."), host.quote(name or directory))))
  local ok, piece = true, tar:read(PIECE)
  while ok and piece do
    ok, piece = file:write(piece), tar:read(PIECE)
  end
  return tar:close() and ok and file:flush()
end

-- Packs the directory and removes it. Returns the path of what there is now and, if that is the
-- directory, why.
function Archive:pack()
  if not host.has "tar" then
    return self.path, "this host has no tar"
  end
  local file <close>, message = system.create_file(self.packed)
  if not file then
    return self.path, message
  elseif not write_packed(file, self.path) then
    system.remove_file(self.packed, file)
    return self.path, "tar failed"
  end
  system.remove_directory(self.path)
  return self.packed
end

-- A name for the archive of a VM, in the current directory.
function archive.name_of(vm)
  local name = vm and vm.name:gsub("[^%w._-]", "_") or "host"
  return ("firstcontact-%s-%s"):format(text.cut(name, 60), os.date("!%Y%m%dT%H%M%SZ"))
end

return archive
