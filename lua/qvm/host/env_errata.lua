-- Finds the errata in an env document, by rules like those for vCPUs (see env_rules.lua).

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
    erratum.cpu and (" (vCPU %d)"):format(erratum.cpu) or "")
end)

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

-- {"id": "843419", "value": ..., "cpu": 0}. An object without an id is data about one CPU, or
-- a group.
local function read_record(env, list, record, cpu, here)
  local id = member(env, record, ID)
  cpu = to_integer(member(env, record, CPU)) or cpu
  if id == nil then
    return read_value(env, list, record, nil, cpu, here)
  end
  local value = member(env, record, VALUE)
  if value == nil then
    value = true
  end
  add(list, id, value, cpu, here)
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
  if type(value) ~= "table" then
    if not CPU[plain(name)] then
      add(list, name, value, cpu, here)
    end
  elseif cpu_of_name(name) then
    read_value(env, list, value, nil, cpu_of_name(name), here)
  elseif EVERY_CPU[plain(name)] then
    read_value(env, list, value, nil, nil, here)
  elseif is_object(env, value) and member(env, value, VALUE) ~= nil then
    add(list, name, member(env, value, VALUE),
      to_integer(member(env, value, CPU)) or cpu, here)
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
