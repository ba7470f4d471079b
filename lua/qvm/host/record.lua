--- A VM out of a record, as `qvm.replay` gives it.
--
-- It has the methods of a VM, and answers from the record. `pid`, `wait`, `signal`,
-- `status` and `dump` are `unsupported`: it has no process.
-- @classmod qvm.record

-- What a VM reports, kept in a directory, so that a bug report can carry a VM:
-- qvm.record writes it, qvm.replay answers from it.

local cjson = require "cjson"
local core = require "qvm.core"
local Env = require "qvm.host.env"
local errata = require "qvm.host.errata"
local line = require "qvm.util.text"

local record = {}

local KIND, VERSION = "qvm record", 1

-- One member a line, in the order given.
local function encode(members)
  local lines = {}
  for i, member in ipairs(members) do
    local value = member[2]
    local text
    if type(value) == "table" then
      local parts = {}
      for k, name in ipairs(value) do
        parts[k] = cjson.encode(name)
      end
      text = "[" .. table.concat(parts, ", ") .. "]"
    else
      text = math.type(value) == "integer" and ("%d"):format(value) or cjson.encode(value)
    end
    lines[i] = ("  %s: %s"):format(cjson.encode(member[1]), text)
  end
  return "{\n" .. table.concat(lines, ",\n") .. "\n}\n"
end

-- All that is to be written, read before anything is: an array of {name, bytes}.
local function gather(vm, conf)
  local env, message, code = vm:env()
  if not env then
    return nil, message, code
  end
  local files = {{"env.json", env.text}}
  if conf then
    local text
    text, message, code = core.read_file(conf)
    if not text then
      return nil, message, code
    end
    files[2] = {"vm.qvmconf", text}
  end
  local nodes = {}
  for name in vm:nodes() do
    nodes[#nodes + 1] = name
  end
  return files, env, nodes
end

-- Removes what there is of a record that is not whole.
local function undo(paths)
  for i = 1, paths.made and #paths or 0 do
    os.remove(paths[i])
  end
  paths.made = false
end

-- The paths of a record's files, the manifest's last, and the directory. Unless `made` is
-- false when this is closed, they are removed; where there is no memory even to call for
-- that, when it is collected.
local function undoing(directory, names)
  local paths = {made = false}
  for i, name in ipairs(names) do
    paths[i] = directory .. "/" .. name
  end
  paths[#paths + 1] = directory .. "/manifest.json"
  paths[#paths + 1] = directory
  return setmetatable(paths, {__close = undo, __gc = undo})
end

function record.write(vm, directory, conf, version)
  local files, env, nodes = gather(vm, conf)
  if not files then
    return nil, env, nodes -- a message and its code
  end
  local snapshot = errata.snapshot(env)
  local names = {"errata.json"}
  for i, file in ipairs(files) do
    names[i + 1] = file[1]
  end
  local manifest = encode {
    {"kind", KIND}, {"version", VERSION}, {"system", vm.name},
    {"state", vm:state() or "unknown"},
    {"nodes", nodes}, {"host", core.host_name()}, {"time", os.date("!%Y-%m-%dT%H:%M:%SZ")},
    {"library", version}, {"files", names}}
  local paths <close> = undoing(directory, names)
  local ok, message, code = core.make_directory(directory)
  paths.made = ok
  if ok then
    ok, message, code = errata.save(paths[1], snapshot)
  end
  for i, file in ipairs(files) do
    if ok then
      ok, message, code = core.save(paths[i + 1], file[2])
    end
  end
  if ok then -- last: a record without it is not whole
    ok, message, code = core.save(paths[#names + 1], manifest)
  end
  if not ok then
    return nil, message, code
  end
  paths.made = false
  return true
end

--- @type Replay
local Replay = {__name = "Replay"}
Replay.__index = Replay
record.Replay = Replay

--- What a recorded VM holds.
-- @table Replay
-- @extends VM
-- @tfield string name the system name
-- @tfield string path the record's directory
-- @tfield Manifest manifest when and where it was recorded
-- @usage vm = assert(qvm.replay("linux1.record"))

--- The manifest of a record.
-- @table Manifest
-- @tfield string kind `"qvm record"`
-- @tfield integer version of the format of records
-- @tfield string system the system name
-- @tfield string state the VM's state when it was recorded, as `VM:state` gives it
-- @tfield {string,...} nodes names of its vdev nodes
-- @tfield string host name of the host
-- @tfield string time when it was recorded, such as `2026-11-22T10:15:00Z`
-- @tfield string library version of the library that recorded it
-- @tfield {string,...} files names of the files in the record
-- @usage print(vm.manifest.time, vm.manifest.host)

function Replay:env()
  return Env.read(self.path .. "/env.json")
end

function Replay:state()
  local env, message, code = self:env()
  if not env then
    return nil, message, code
  elseif self.manifest.state == "gone" then
    return "gone", self.path .. ": no process served it when it was recorded"
  end
  return env:state()
end

function Replay:nodes()
  local index = 0
  return function()
    index = index + 1
    return self.manifest.nodes[index]
  end
end

-- Signals, and what needs them: there is no process.
for _, name in ipairs {"pid", "wait", "signal", "status", "dump"} do
  Replay[name] = function(self)
    return nil, ("%s: '%s': a recorded VM has no process"):format(self.path, name), "unsupported"
  end
end

Replay.__tostring = line.tostring("VM", function(vm)
  return ("VM %s (recorded %s on %s, %s)"):format(line.cut(vm.name),
    line.cut(vm.manifest.time), line.cut(vm.manifest.host), vm.path)
end)

local function is_manifest(raw)
  if type(raw) ~= "table" or raw.kind ~= KIND or type(raw.nodes) ~= "table" then
    return false
  end
  for _, name in ipairs(raw.nodes) do
    if type(name) ~= "string" then
      return false
    end
  end
  return type(raw.system) == "string" and type(raw.time) == "string"
    and type(raw.host) == "string"
end

function record.read(directory)
  local path = directory .. "/manifest.json"
  local text, message, code = core.read_file(path)
  if not text then
    return nil, message, code
  end
  local raw, why = core.decode(text)
  if raw == nil then
    return nil, path .. ":" .. why, "malformed"
  elseif not is_manifest(raw) then
    return nil, ("%s: not the manifest of a %s"):format(path, KIND), "malformed"
  elseif raw.version ~= VERSION then
    return nil, ("%s: a record of version %s: this library knows %d"):format(path,
      tostring(raw.version), VERSION), "unsupported"
  end
  return setmetatable({name = raw.system, path = directory, manifest = raw}, Replay)
end

return record
