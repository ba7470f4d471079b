-- Finds the vCPUs in an env document. Only the member name last_known_ip is known (see
-- env.lua), so the rules accept many forms. The guide describes them; change both together.

local nodes = require "qvm.host.env_nodes"
local Vcpu = require "qvm.host.env_vcpu"

local rules_of = {}

local is_object, member, members, place = nodes.is_object, nodes.member, nodes.members, nodes.place
local plain, set, to_integer = nodes.plain, nodes.set, nodes.to_integer

local TID = set("tid", "threadid", "thread")
local IP = set("lastknownip")

-- The one integer that `each` passes to its argument; nil if there is none, or several.
local function only(each)
  local found, others
  each(function(value)
    value = to_integer(value)
    others = others or value and found and found ~= value
    found = found or value
  end)
  return not others and found or nil, found ~= nil
end

-- The thread id in an object inside a record: {"host": {"thread_id": 11}}, or
-- {"thread": {"id": 11}}.
local function inner_tid(env, record)
  return (only(function(take)
    for key, inner in members(env, record) do
      local of_thread = is_object(env, inner) and TID[plain(key)]
      for name, value in members(env, is_object(env, inner) and inner or {}) do
        if type(value) ~= "table" and (TID[plain(name)] or of_thread and plain(name) == "id") then
          take(value)
        end
      end
    end
  end))
end

-- The thread id of a record; nil if there is none, or more than one.
local function thread_id(env, record, name)
  if name then
    return to_integer(record[name])
  end
  local tid, any = only(function(take)
    for key, value in members(env, record) do
      if type(value) ~= "table" and TID[plain(key)] then
        take(value)
      end
    end
  end)
  if any then
    return tid
  end
  return inner_tid(env, record)
end

-- Counts records of an array or object that may be vCPUs: those with an instruction pointer,
-- those with a thread id, and, in an array, those with a thread id one level deeper.
local function weigh(env, node, rules)
  local ips, tids, inner = 0, 0, 0
  for _, record in members(env, node) do
    if is_object(env, record) then
      if member(env, record, IP, rules.ip) ~= nil then
        ips = ips + 1
      elseif member(env, record, TID, rules.tid) ~= nil then
        tids = tids + 1
      elseif not rules.tid and not is_object(env, node) and inner_tid(env, record) then
        inner = inner + 1
      end
    end
  end
  return ips, tids, inner
end

local function mentions_cpus(key)
  return type(key) == "string" and key:find("[cC][pP][uU]") ~= nil
end

-- Finds all arrays and objects with records that may be vCPUs, in the order of the document. For
-- thread ids one level deeper, two records are required.
local function containers(env, rules)
  local found = {}
  local function visit(node, here, of_cpus)
    local ips, tids, inner = weigh(env, node, rules)
    if ips + tids > 0 or inner > 1 then
      found[#found + 1] = {node = node, place = here, ips = ips, of_cpus = of_cpus,
        inner = inner > 1}
    end
    for key, value in members(env, node) do
      if type(value) == "table" then
        visit(value, place(here, key), of_cpus or mentions_cpus(key))
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

-- Chooses all containers with instruction pointers; else the first whose path mentions CPUs;
-- else the first.
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

local function new_vcpu(env, record, here, index, rules)
  local vcpu = {index = index, raw = record, _place = here, _env = env}
  if is_object(env, record) then
    vcpu.tid = thread_id(env, record, rules.tid)
    vcpu.last_known_ip = to_integer(member(env, record, IP, rules.ip))
  else
    vcpu.tid = to_integer(record)
  end
  return setmetatable(vcpu, Vcpu)
end

-- Is a member of a chosen container a vCPU? If a schema names the container, every record in
-- it is one, and so is a bare thread id.
local function is_vcpu(env, record, rules, container)
  if rules.vcpus then
    return is_object(env, record) or math.type(record) == "integer"
  end
  return is_object(env, record)
    and (member(env, record, IP, rules.ip) ~= nil
      or member(env, record, TID, rules.tid) ~= nil
      or container.inner and inner_tid(env, record) ~= nil)
end

-- The records that are vCPUs, with their places. They are searched for once.
local function found_in(env, rules)
  local found = env._vcpus
  if found and found.rules == rules then
    return found
  end
  found = {rules = rules}
  for _, container in ipairs(chosen_containers(env, rules)) do
    for key, record in members(env, container.node) do
      if is_vcpu(env, record, rules, container) then
        found[#found + 1] = {record = record, place = place(container.place, key)}
      end
    end
  end
  env._vcpus = found
  return found
end

-- The vCPU with an index from 0; nil if there is none.
function rules_of.vcpu(env, rules, index)
  local found = found_in(env, rules)[index + 1]
  return found and new_vcpu(env, found.record, found.place, index, rules)
end

function rules_of.vcpus(env, rules)
  local vcpus = {}
  for i, found in ipairs(found_in(env, rules)) do
    vcpus[i] = new_vcpu(env, found.record, found.place, i - 1, rules)
  end
  return vcpus
end

return rules_of
