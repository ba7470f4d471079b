-- Where an env document keeps its vCPUs and errata. Nothing but last_known_ip
-- is known of its member names (see env.lua), so these are rules that accept
-- many shapes. The guide states them; change both together.

local cjson = require "cjson"
local core = require "qvm.core"
local line = require "qvm.util.text"
local path = require "qvm.host.env_path"

local find = {}

-- Where a value stands: the place it stands in, and its key there. Paths are
-- written only when they are asked for, since a document of a few hundred KB can
-- have paths of gigabytes in all.
local function place(parent, key)
  return {parent = parent, key = key}
end

local function write_path(here)
  local keys = {}
  while here.parent do
    table.insert(keys, here.key)
    here = here.parent
  end
  local text = here.path
  for index = #keys, 1, -1 do
    text = path.join(text, keys[index])
  end
  return text
end

-- The metatable of records with a path.
local function record_type(name, kind, to_text)
  return {
    __name = name,
    __index = function(record, key)
      if key == "path" then
        return write_path(record._place)
      end
    end,
    __tostring = line.tostring(kind, to_text),
  }
end

-- Members of an array or object, in the document's order.
local function members(env, node)
  local order = env._orders[node]
  local index = 0
  return function()
    index = index + 1
    local key = index
    if order then
      key = order[index]
    end
    if key ~= nil and node[key] ~= nil then
      return key, node[key]
    end
  end
end

local function is_object(env, value)
  return type(value) == "table" and env._orders[value] ~= nil
end

-- "Thread-ID" and "thread_id" are one name.
local function plain(name)
  return (line.lower(name):gsub("[^0-9a-z]", ""))
end

local function set(...)
  local names = {}
  for _, name in ipairs {...} do
    names[name] = true
  end
  return names
end

local TID = set("tid", "threadid", "thread")
local IP = set("lastknownip")

-- An integer, also where it is written as a string: "3", "0xffff800010081234".
local function to_integer(value)
  if type(value) == "string" and value:find("^0[xX]%x+$") and #value <= 18 then
    return tonumber(value)
  elseif type(value) == "string" and value:find("^%d+$") then
    value = core.decode(value)
  end
  return type(value) == "number" and math.tointeger(value) or nil
end

-- The member of a record that has one of the names, or just the given name.
local function member(env, record, names, name)
  if name then
    return record[name]
  end
  for key, value in members(env, record) do
    if names[plain(key)] and type(value) ~= "table" then
      return value
    end
  end
end

-- vCPU records of one array or object: how many have an instruction pointer,
-- how many a thread id.
local function weigh(env, node, rules)
  local ips, tids = 0, 0
  for _, record in members(env, node) do
    if is_object(env, record) then
      if member(env, record, IP, rules.ip) ~= nil then
        ips = ips + 1
      elseif member(env, record, TID, rules.tid) ~= nil then
        tids = tids + 1
      end
    end
  end
  return ips, tids
end

local function speaks_of_cpus(key)
  return type(key) == "string" and line.lower(key):find("cpu", 1, true) ~= nil
end

-- All arrays and objects with records that could be vCPUs, in document order.
local function containers(env, rules)
  local found = {}
  local function visit(node, here, of_cpus)
    local ips, tids = weigh(env, node, rules)
    if ips + tids > 0 then
      found[#found + 1] = {node = node, place = here, ips = ips, of_cpus = of_cpus}
    end
    for key, value in members(env, node) do
      if type(value) == "table" then
        visit(value, place(here, key), of_cpus or speaks_of_cpus(key))
      end
    end
  end
  if type(env.raw) == "table" then
    visit(env.raw, {path = ""}, false)
  end
  return found
end

local function filter(list, wanted)
  local kept = {}
  for _, item in ipairs(list) do
    if wanted(item) then
      kept[#kept + 1] = item
    end
  end
  return kept
end

-- Those with instruction pointers, all of them; else the first whose path
-- speaks of CPUs; else the first.
local function choose(found)
  local with_ip = filter(found, function(c) return c.ips > 0 end)
  if with_ip[1] then
    return with_ip
  end
  local of_cpus = filter(found, function(c) return c.of_cpus end)
  return {of_cpus[1] or found[1]}
end

local function chosen_containers(env, rules)
  if not rules.vcpus then
    return choose(containers(env, rules))
  end
  local node = env:get(rules.vcpus)
  return type(node) == "table" and {{node = node, place = {path = rules.vcpus}}} or {}
end

local Vcpu = record_type("EnvVcpu", "vCPU", function(vcpu)
  return ("vCPU %d: tid %s, last known ip %s"):format(vcpu.index,
    vcpu.tid and ("%d"):format(vcpu.tid) or "?",
    vcpu.last_known_ip and ("0x%016x"):format(vcpu.last_known_ip) or "?")
end)

local function new_vcpu(env, record, here, index, rules)
  local vcpu = {index = index, raw = record, _place = here}
  if is_object(env, record) then
    vcpu.tid = to_integer(member(env, record, TID, rules.tid))
    vcpu.last_known_ip = to_integer(member(env, record, IP, rules.ip))
  else
    vcpu.tid = to_integer(record)
  end
  return setmetatable(vcpu, Vcpu)
end

-- Is this member of a chosen container a vCPU? Where a schema names the
-- container, every record in it is one, and so is a bare thread id.
local function is_vcpu(env, record, rules)
  if rules.vcpus then
    return is_object(env, record) or math.type(record) == "integer"
  end
  return is_object(env, record)
    and (member(env, record, IP, rules.ip) ~= nil
      or member(env, record, TID, rules.tid) ~= nil)
end

function find.vcpus(env, rules)
  local vcpus = {}
  for _, container in ipairs(chosen_containers(env, rules)) do
    for key, record in members(env, container.node) do
      if is_vcpu(env, record, rules) then
        vcpus[#vcpus + 1] = new_vcpu(env, record,
          place(container.place, key), #vcpus, rules)
      end
    end
  end
  return vcpus
end

local ID = set("id", "erratum", "errata", "number", "name")
local VALUE = set("value", "enabled", "state", "status", "active", "applied",
  "present", "affected", "workaround", "setting", "mode")
local CPU = set("cpu", "vcpu", "cpunum", "cpuid", "cpuindex", "vcpuindex")
local EVERY_CPU = set("all", "common", "global", "system")

-- "cpu1", "vCPU-1": 1.
local function cpu_of_name(name)
  return math.tointeger(tonumber((line.lower(name):match("^v?cpu[ _%-]?([0-9]+)$"))))
end

-- Erratum numbers are long: 843419.
local function is_number_of_erratum(name)
  return name:find("%d%d%d%d%d") ~= nil
end

local Erratum = record_type("Erratum", "erratum", function(erratum)
  local value = erratum.value
  if math.type(value) == "integer" then
    -- From 2^63 on a document's numbers are negative here: their bits tell.
    value = (value < 0 and "0x%016x" or "%d"):format(value)
  elseif math.type(value) == "float" then
    value = line.float("%.14g", value)
  elseif type(value) == "table" then
    value = "{...}"
  elseif value == cjson.null then
    value = "null"
  end
  return ("erratum %s = %s%s"):format(line.cut(erratum.id), line.cut(tostring(value)),
    erratum.cpu and (" (vCPU %d)"):format(erratum.cpu) or "")
end)

local read_value

-- Strings and numbers are ids; nothing else is an erratum.
local function add(list, id, value, cpu, here)
  if type(id) == "number" then
    local integer = math.tointeger(id)
    id = integer and ("%d"):format(integer) or line.float("%.17g", id)
  end
  if type(id) == "string" then
    list[#list + 1] = setmetatable({id = id, value = value, cpu = cpu, _place = here}, Erratum)
  end
end

-- {"id": "843419", "value": ..., "cpu": 0}; without such a member it is data
-- about one CPU, or a group.
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

-- Anything that stands under a name with "errata" in it.
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

function find.errata(env, rules)
  local list = {}
  if rules.errata then
    local value = env:get(rules.errata)
    if value ~= nil then
      read_value(env, list, value, last_name(rules.errata), nil, {path = rules.errata})
    end
    return list
  end
  local cpu_of = {}
  for _, vcpu in ipairs(find.vcpus(env, rules)) do
    cpu_of[vcpu.raw] = vcpu.index
  end
  local function visit(node, cpu, here)
    for key, value in members(env, node) do
      local there = place(here, key)
      local is_name = type(key) == "string"
      if is_name and line.lower(key):find("errata", 1, true) then
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

return find
