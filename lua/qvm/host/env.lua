--- The env document of a VM.
--
-- QNX documents that it is JSON and holds vCPU thread ids and errata data, but not the
-- names or the nesting. An integrator's script uses a member `last_known_ip` for each
-- vCPU. Therefore the whole document is kept, and vCPUs and errata are found by rules
-- (see docs/vms.md, "The env document"), which `qvm.schema` overrides.
-- @classmod qvm.env

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local core = require "qvm.core"
local errata_of = require "qvm.host.env_errata"
local errors = require "qvm.util.errors"
local find = require "qvm.host.env_rules"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"
local path = require "qvm.host.env_path"

--- @type Env
local Env = {__name = "Env"}

--- Fields of an Env.
-- @table Env
-- @tfield any raw the decoded document, whole
-- @tfield string text the document's bytes
-- @tfield ?{string,...} warnings of the decoder, nil if there are none
-- @usage env = assert(vm:env())

local rules = {}

-- Makes an Env from a document's bytes; name: how messages call it.
function Env.decode(text, name)
  local raw, warnings, orders = core.decode(text)
  if raw == nil then
    local message, code = warnings, orders
    return nil, line.escape_controls(("%s:%s"):format(name, message)), code
  end
  return setmetatable({
    raw = raw,
    text = text,
    warnings = warnings[1] and warnings or nil,
    _orders = orders,
    _name = name,
  }, Env)
end

-- Reads an env; milliseconds: how long its server may take to answer, 2000 if not given.
function Env.read(file, milliseconds)
  local text, message, code = core.read_env(file, milliseconds)
  if not text then
    return nil, message, code
  end
  return Env.of_server(text, file)
end

-- The same for the bytes of the env of a VM that is served now.
function Env.of_server(text, file)
  local env, message, code = Env.decode(text, file)
  if not env then
    return nil, message, code
  end
  env._served = true
  return env
end

local function check_path(value, what)
  local keys, wrong
  if type(value) == "string" then
    keys, wrong = path.parse(value)
  else
    wrong = ("%s: string expected, got %s"):format(what, type(value))
  end
  return keys or errors.raise(wrong)
end

local function check_key(value, what)
  if type(value) ~= "string" then
    errors.raise(("%s: string expected, got %s"):format(what, type(value)))
  end
  return value
end

function Env.schema(schema)
  local chosen = {}
  if schema ~= nil then
    check.table(schema, 1, "schema")
  end
  local known = {vcpus = check_path, errata = check_path,
    tid = check_key, ip = check_key}
  for key, value in pairs(schema or {}) do
    if not known[key] then
      check.unknown("a schema has no", key, known)
    end
    known[key](value, key)
    chosen[key] = value
  end
  rules = chosen
end

--- Returns the value at a path.
-- @tparam string where such as `vcpus[1].tid` or `errata["a.b"]`; elements of arrays
-- count from 1, as in Lua. Raises if it is not a valid path.
-- @treturn any the value (`cjson.null` for null), nil if there is none
-- @usage print(env:get("vcpus[1].tid"))
function Env:get(where)
  check.string(where, 1, "get")
  local keys, wrong = path.parse(where)
  if not keys then
    errors.raise(wrong)
  end
  local value = self.raw
  for _, key in ipairs(keys) do
    if type(value) ~= "table" then
      return nil
    end
    value = value[key]
  end
  return value
end

--- The vCPUs, in the order of the document.
-- @treturn function():qvm.env_vcpu.EnvVcpu iterator
-- @usage for cpu in env:vcpus() do print(cpu.index, cpu.tid) end
function Env:vcpus()
  return iterators.values(find.vcpus(self, rules))
end

--- Returns one vCPU.
-- @tparam integer index from 0, in the order of the document
-- @treturn[1] qvm.env_vcpu.EnvVcpu the vCPU
-- @return[2] nil, message, code: `not_found`
-- @usage print(assert(env:vcpu(0)).tid)
function Env:vcpu(index)
  check.integer(index, 1, "vcpu")
  local vcpu = find.vcpu(self, rules, index)
  if vcpu then
    return vcpu
  end
  return nil, ("%s: no vCPU %d"):format(line.escape_controls(self._name), index), "not_found"
end

--- The errata, in the order of the document.
-- @treturn function():Erratum iterator
-- @usage for e in env:errata() do print(e.id, e.value, e.cpu or "all") end
function Env:errata()
  return iterators.values(errata_of(self, rules, find.vcpus(self, rules)))
end

--- The state of the guest, as far as the document shows it.
--
-- A guest counts as suspended if the last known instruction pointer of every vCPU except
-- the first is 0. This is the rule of an integrator's script that is used on real systems.
-- @treturn "running"|"suspended"|"unknown" `unknown` if there are no vCPUs or only one, or
-- if instruction pointers are missing
-- @treturn ?string why it is unknown
-- @usage print(env:state())
function Env:state()
  local vcpus = find.vcpus(self, rules)
  local missing
  for index = 2, #vcpus do
    local ip = vcpus[index].last_known_ip
    if ip and ip ~= 0 then
      return "running"
    end
    missing = missing or not ip and index - 1
  end
  if #vcpus > 1 and not missing then
    return "suspended"
  end
  local why = #vcpus == 0 and "no vCPUs found: see qvm.schema"
    or #vcpus == 1 and "with one vCPU the state cannot be determined"
    or ("vCPU %d has no last known instruction pointer"):format(missing)
  return "unknown", ("%s: %s"):format(line.escape_controls(self._name), why)
end

--- An erratum in an env.
-- @table Erratum
-- @tfield string id
-- @tfield any value as decoded; true if only the id is listed
-- @tfield ?integer|"unknown" cpu index of the vCPU, nil for all; `"unknown"` if the document
-- states it in a way that is not understood
-- @tfield string path of the record in the document, for `Env:get`
-- @usage for erratum in env:errata() do print(erratum.id, erratum.value) end

-- A document in which neither is found may still have them, under names that the rules do not
-- know.
Env.__tostring = line.tostring("Env", function(env)
  local vcpus = find.vcpus(env, rules)
  local errata, size = #errata_of(env, rules, vcpus), line.count(#env.text, "byte")
  if #vcpus == 0 and errata == 0 then
    return ("Env %s: no vCPUs or errata found (see qvm.schema), %s"):format(env._name, size)
  end
  return ("Env %s: %s, %s, %s"):format(env._name,
    #vcpus == 0 and "no vCPUs found (see qvm.schema)" or line.count(#vcpus, "vCPU"),
    line.count(errata, "erratum", "errata"), size)
end)

classes.publish(Env, "decode", "read", "of_server", "schema")

return Env
