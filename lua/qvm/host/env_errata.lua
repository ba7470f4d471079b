-- Finds the errata in an env document, by rules like those for vCPUs (see env_rules.lua).

local core = require "qvm.core"
local line = require "qvm.util.text"
local nodes = require "qvm.host.env_nodes"
local path = require "qvm.host.env_path"

local is_object, member, members, place = nodes.is_object, nodes.member, nodes.members, nodes.place
local plain, set, to_integer = nodes.plain, nodes.set, nodes.to_integer

local ID = set("id", "erratum", "errata", "number", "name")
local VALUE = set("value", "enabled", "state", "status", "active", "applied",
  "present", "affected", "workaround", "setting", "mode")
local CPU = set("cpu", "vcpu", "cpunum", "cpuid", "cpuindex", "vcpuindex")
local EVERY_CPU = set("all", "common", "global", "system")

-- The `cpu` of an erratum whose vCPU the document states in a way that is not understood. It
-- is not nil, which means all vCPUs.
local UNKNOWN = "unknown"

-- "cpu1", "vCPU-1": 1.
local function cpu_of_name(name)
  local number = #name <= 64 and line.lower(name):match("^v?cpu[ _%-]?([0-9]+)$")
  return number and math.tointeger(tonumber(number)) or nil
end

-- The numbers of errata are long: 843419.
local function is_number_of_erratum(name)
  return name:find("%d%d%d%d%d") ~= nil
end

local Erratum = nodes.record_type("Erratum", "erratum", function(erratum)
  return ("erratum %s = %s%s"):format(line.cut(erratum.id), line.cut(line.raw(erratum.value)),
    erratum.cpu and (" (vCPU %s)"):format(erratum.cpu) or "")
end)

-- The index that a value names: 1, "1", "cpu1"; nil if it names none.
local function index_of(value)
  local index = to_integer(value) or type(value) == "string" and cpu_of_name(value)
  return index and index >= 0 and index or nil
end

-- The vCPU that a member `cpu` names; outer: that of what contains its record.
local function cpu_of_value(value, outer)
  if value == nil or value == core.null then
    return outer
  elseif type(value) == "string" and EVERY_CPU[plain(value)] then
    return nil
  end
  return index_of(value) or UNKNOWN
end

-- Is it an array of indices, and not one of the numbers of errata?
local function is_indices(env, value)
  if type(value) ~= "table" or is_object(env, value) then
    return false
  end
  for _, element in ipairs(value) do
    if not index_of(element) or is_number_of_erratum(tostring(element)) then
      return false
    end
  end
  return value[1] ~= nil
end

-- The vCPU of the errata in an object. A copy of them for each of several vCPUs could be many
-- times as large as the document.
local function cpu_of_group(env, object, outer)
  local value, inner = member(env, object, CPU)
  if value == nil and is_indices(env, inner) then
    return inner[2] == nil and index_of(inner[1]) or UNKNOWN
  end
  return cpu_of_value(value, outer)
end

local read_value

-- Adds an erratum. Ids are strings or numbers; anything else is not an erratum.
local function add(list, id, value, cpu, here)
  if type(id) == "number" then
    local integer = math.tointeger(id)
    id = integer and ("%d"):format(integer) or line.float("%.17g", id)
  end
  if type(id) == "string" then
    list[#list + 1] = setmetatable({id = id, value = value, cpu = cpu, _place = here}, Erratum)
  end
end

local SHORT = 64 -- bytes of a value that may be repeated

-- Adds the erratum of a record, for each vCPU if it lists several. Long values are not repeated:
-- all of them could be many times as large as the document.
local function add_record(env, list, record, id, value, cpu, here)
  local named, inner = member(env, record, CPU)
  if named ~= nil or inner == nil then
    return add(list, id, value, cpu_of_value(named, cpu), here)
  elseif is_object(env, inner) or inner[1] == nil
    or inner[2] ~= nil and (type(value) == "table" or #tostring(value) > SHORT) then
    return add(list, id, value, UNKNOWN, here)
  end
  local seen = {}
  for _, element in members(env, inner) do
    local index = index_of(element) or UNKNOWN
    if not seen[index] then
      add(list, id, value, index, here)
    end
    seen[index] = true
  end
end

-- {"id": "843419", "value": ..., "cpu": 0}. An object without an id is data about one CPU, or
-- a group.
local function read_record(env, list, record, cpu, here)
  local id = member(env, record, ID)
  if id == nil then
    return read_value(env, list, record, nil, cpu, here)
  end
  local value, inner = member(env, record, VALUE)
  if value == nil then
    value = inner or true
  end
  add_record(env, list, record, id, value, cpu, here)
end

local function read_array(env, list, array, cpu, here)
  for index, element in members(env, array) do
    local there = place(here, index)
    if is_object(env, element) then
      read_record(env, list, element, cpu, there)
    elseif type(element) == "table" then
      read_array(env, list, element, cpu or index - 1, there) -- one for each CPU
    else
      add(list, element, true, cpu, there)
    end
  end
end

local function read_member(env, list, name, value, cpu, here)
  if CPU[plain(name)] and (type(value) ~= "table" or is_indices(env, value)) then
    return -- see cpu_of_group
  elseif type(value) ~= "table" then
    add(list, name, value, cpu, here)
  elseif cpu_of_name(name) then
    read_value(env, list, value, nil, cpu_of_name(name), here)
  elseif EVERY_CPU[plain(name)] then
    read_value(env, list, value, nil, nil, here)
  elseif is_object(env, value) and member(env, value, VALUE) ~= nil then
    add_record(env, list, value, name, (member(env, value, VALUE)), cpu, here)
  elseif is_object(env, value) and is_number_of_erratum(name) then
    add_record(env, list, value, name, value, cpu, here)
  elseif is_number_of_erratum(name) then
    add(list, name, value, cpu, here)
  else
    read_value(env, list, value, name, cpu, here) -- a group
  end
end

-- Reads any value under a name that contains "errata".
function read_value(env, list, value, name, cpu, here)
  if type(value) ~= "table" then
    add(list, name, value, cpu, here)
  elseif is_object(env, value) then
    cpu = cpu_of_group(env, value, cpu)
    for key, inner in members(env, value) do
      read_member(env, list, key, inner, cpu, place(here, key))
    end
  else
    read_array(env, list, value, cpu, here)
  end
end

local function last_name(where)
  local keys = path.parse(where)
  return keys and tostring(keys[#keys]) or where
end

-- Returns the errata of an env; vcpus: the records of its vCPUs.
return function(env, rules, vcpus)
  local list = {}
  if rules.errata then
    local value = env:get(rules.errata)
    if value ~= nil then
      read_value(env, list, value, last_name(rules.errata), nil, {path = rules.errata})
    end
    return list
  end
  local cpu_of = {}
  for _, vcpu in ipairs(vcpus) do
    cpu_of[vcpu.raw] = vcpu.index
  end
  local function visit(node, cpu, here)
    for key, value in members(env, node) do
      local there = place(here, key)
      local is_name = type(key) == "string"
      if is_name and key:find("[eE][rR][rR][aA][tT][aA]") then
        read_value(env, list, value, key, cpu, there)
      elseif type(value) == "table" then
        visit(value, cpu_of[value] or is_name and cpu_of_name(key) or cpu, there)
      end
    end
  end
  if type(env.raw) == "table" then
    visit(env.raw, nil, {path = ""})
  end
  return list
end
