--- A recorded VM, as `qvm.replay` returns it.
--
-- It has the methods of a VM, which return what was recorded. `pid`, `wait`, `signal`,
-- `status` and `dump` fail with `unsupported`: it has no process.
-- @classmod qvm.record

-- A record is a directory with what a VM reports, to be attached to a bug report. qvm.record
-- writes it, and qvm.replay reads it.

local baseline = require "qvm.host.baseline"
local classes = require "qvm.util.classes"
local core = require "qvm.core"
local Env = require "qvm.host.env"
local errata = require "qvm.host.errata"
local iterators = require "qvm.util.iterators"
local json = require "qvm.util.json_writer"
local line = require "qvm.util.text"
local states = require "qvm.host.state"

local record = {}

local KIND, VERSION = "qvm record", 1

-- Names of files and hosts can contain any bytes.
local STYLE = {comma = ", ", colon = ": ", lenient = true, arrays = {nodes = true, files = true}}

local IS_STATE = {}
for _, name in ipairs(states.NAMES) do
  IS_STATE[name] = true
end

local function manifest_of(vm, state, files, version)
  local names, nodes = {}, {}
  for i, file in ipairs(files) do
    names[i] = file[1]
  end
  for name in vm:nodes() do
    nodes[#nodes + 1] = name
  end
  local members = assert(json.members({
    {"kind", KIND}, {"version", VERSION}, {"system", vm.name}, {"state", state},
    {"nodes", nodes}, {"host", core.host_name()}, {"time", os.date("!%Y-%m-%dT%H:%M:%SZ")},
    {"library", version}, {"files", names}}, STYLE))
  return "{\n  " .. table.concat(members, ",\n  ") .. "\n}\n"
end

-- Everything that is to be written, read before anything is written: an array of {name,
-- bytes}. The manifest comes last: a record without one is incomplete.
local function gather(vm, conf, version)
  local state, message, code = vm:state()
  local env
  if state then -- without it, the state to record is unknown
    env, message, code = vm:env()
  end
  if not env then
    return nil, message, code
  end
  local text
  text, message, code = baseline.encode(errata.snapshot(env))
  if not text then
    return nil, line.escape_controls(vm.name) .. ": " .. message, code
  end
  local files = {{"errata.json", text}, {"env.json", env.text}}
  if conf then
    text, message, code = core.read_file(conf)
    if not text then
      return nil, message, code
    end
    files[3] = {"vm.qvmconf", text}
  end
  files[#files + 1] = {"manifest.json", manifest_of(vm, state, files, version)}
  return files
end

function record.write(vm, path, conf, version)
  local files, message, code = gather(vm, conf, version)
  if not files then
    return nil, message, code
  end
  local directory <close>, why, kind = core.new_directory(path)
  if not directory then
    return nil, why, kind
  end
  for _, file in ipairs(files) do
    local ok
    ok, message, code = directory:write(file[1], file[2])
    if not ok then
      return nil, message, code
    end
  end
  directory:keep()
  return true
end

--- @type Replay
local Replay = {__name = "Replay"}
record.Replay = Replay

local Manifest = {__name = "Manifest", __tostring = line.tostring("manifest", function(manifest)
  return ("record of VM %s, %s, %s"):format(line.cut(manifest.system), manifest.time,
    line.cut(manifest.host))
end)}

--- Fields of a recorded VM.
-- @table Replay
-- @extends VM
-- @tfield string name the system name
-- @tfield string path of the record's directory
-- @tfield Manifest manifest when and where it was recorded
-- @usage vm = assert(qvm.replay("linux1.record"))

--- The manifest of a record.
-- @table Manifest
-- @tfield string kind `"qvm record"`
-- @tfield integer version of the record format
-- @tfield string system the system name
-- @tfield string state of the VM when it was recorded, as returned by `VM:state`
-- @tfield {string,...} nodes names of its vdev nodes
-- @tfield string host name of the host
-- @tfield string time when it was recorded, such as `2026-11-22T10:15:00Z`
-- @tfield string library version of the library that wrote it
-- @tfield {string,...} files names of the files in the record
-- @usage print(vm.manifest.time, vm.manifest.host)

function Replay:env()
  local path = self.path .. "/env.json"
  local text, message, code = core.read_env(path)
  if not text then
    return nil, message, code
  end
  return Env.decode(text, path)
end

function Replay:state()
  local env, message, code = self:env()
  if not env then
    return nil, message, code
  end
  local recorded = self.manifest.state
  local now, why = env:state()
  if not IS_STATE[recorded] or recorded == now then
    return states.reported(now, why)
  elseif recorded == "running" or recorded == "suspended" then
    return recorded
  elseif recorded == "gone" then
    return "gone", line.escape_controls(self.path) .. ": no process served it when it was recorded"
  end
  return recorded, ("%s: it was %s when it was recorded"):format(
    line.escape_controls(self.path), recorded)
end

function Replay:nodes()
  return iterators.values(self.manifest.nodes)
end

-- These need a process.
for _, name in ipairs {"pid", "wait", "signal", "status", "dump"} do
  Replay[name] = function(self)
    return nil, ("%s: '%s': a recorded VM has no process"):format(
      line.escape_controls(self.path), name), "unsupported"
  end
end

Replay.__tostring = line.tostring("VM", function(vm)
  return ("VM %s (recorded %s on %s, %s)"):format(line.cut(vm.name),
    line.cut(vm.manifest.time), line.cut(vm.manifest.host), vm.path)
end)

local function is_manifest(raw)
  if type(raw) ~= "table" or raw.kind ~= KIND or type(raw.nodes) ~= "table"
    or type(next(raw.nodes)) == "string" then
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
  path = line.escape_controls(path)
  local raw, why, failed = core.decode(text)
  if raw == nil then
    return nil, path .. ":" .. line.escape_controls(why), failed
  elseif not is_manifest(raw) then
    return nil, ("%s: not the manifest of a %s"):format(path, KIND), "malformed"
  elseif raw.version ~= VERSION then
    return nil, ("%s: a record of version %s: this library supports %d"):format(path,
      line.value(raw.version), VERSION), "unsupported"
  end
  return setmetatable({name = raw.system, path = directory,
    manifest = setmetatable(raw, Manifest)}, Replay)
end

classes.publish(Replay)

return record
