-- Checks a configuration against what a VM reports: qvm.conf.check.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"
local with_tostring = require "qvm.host.conf_text"
local variables = require "qvm.host.conf_variables"

local conf_check = {}

-- Limits: findings, errata compared with all variables, and bytes of a variable's name that
-- are searched for ids of errata.
local FINDINGS_MAX, ERRATA_MAX, NAME_MAX = 65536, 1 << 20, 256

local function fail_too_many(configuration)
  errors.fail(("%s: more than %d findings"):format(configuration.path, FINDINGS_MAX),
    "too_large")
end

local function is_erratum_name(name)
  return line.lower(name):find("errat", 1, true) ~= nil
end

-- The parts of a variable's name that may be an erratum's id: the whole name, what follows each
-- punctuation mark, and each word and number.
local function parts_of(name)
  local parts = {name}
  for at in name:sub(1, NAME_MAX):gmatch("()[0-9A-Za-z]+") do
    parts[#parts + 1] = at > 1 and name:sub(at) or nil
  end
  for _, pattern in ipairs {"[0-9A-Za-z]+", "[0-9]+"} do
    for word in name:sub(1, NAME_MAX):gmatch(pattern) do
      parts[#parts + 1] = #word > 3 and word or nil
    end
  end
  return parts
end

-- The errata that a variable's name refers to: arrays of errata with the same id. by_id maps
-- ids to such arrays.
local function related(name, by_id)
  local groups, seen = {}, {}
  for _, id in ipairs(parts_of(name)) do
    if by_id[id] and not seen[id] and (id == name or #id > 3) then
      seen[id] = true
      groups[#groups + 1] = by_id[id]
    end
  end
  return groups
end

local switches = {on = true, yes = true, ["true"] = true, ["1"] = true, off = false, no = false,
  ["false"] = false, ["0"] = false}

-- A setting as one value, whichever way it is written.
local function switch(value)
  local text = tostring(value)
  text = #text <= NAME_MAX and line.lower(text) or text
  if switches[text] ~= nil then
    return switches[text]
  end
  return text
end

local function check_erratum(add, set, erratum)
  if set.context == "cpu" and math.type(erratum.cpu) and erratum.cpu ~= set.index then
    return
  end
  local what = "erratum " .. line.cut(erratum.id)
    .. (erratum.cpu and " on vCPU " .. erratum.cpu or "")
  local is_unknown = set.value == "auto" or set.context == "cpu" and erratum.cpu == "unknown"
  add(set, what, set.value, line.raw(erratum.value), is_unknown and "cannot tell"
    or switch(set.value) == switch(erratum.value) and "ok" or "differs")
end

-- The errata of an env: arrays of errata with the same id, by it.
local function errata_by_id(env)
  local by_id = {}
  for erratum in env:errata() do
    by_id[erratum.id] = by_id[erratum.id] or {}
    table.insert(by_id[erratum.id], erratum)
  end
  return by_id
end

-- The `set` options that count: of those of one variable in one context, the last.
local function sets_that_count(configuration)
  local last, list = {}, {}
  for i = #configuration.set, 1, -1 do
    local set = configuration.set[i]
    local names = last[set.context .. (set.index or "")] or {}
    last[set.context .. (set.index or "")] = names
    if not names[set.name] then
      names[set.name] = true
      list[#list + 1] = set
    end
  end
  local sets = {}
  for i = #list, 1, -1 do
    sets[#sets + 1] = list[i]
  end
  return sets
end

local function check_errata(add, configuration, sets, by_id)
  local looked = 0
  for _, set in ipairs(sets) do
    local found = related(set.name, by_id)
    for _, group in ipairs(found) do
      looked = looked + #group
      if looked > ERRATA_MAX then
        fail_too_many(configuration)
      end
      for _, erratum in ipairs(group) do
        check_erratum(add, set, erratum)
      end
    end
    if #found == 0 and is_erratum_name(set.name) then
      add(set, "variable " .. set.name, set.value, nil, "cannot tell")
    end
  end
end

-- Does a node exist? The path is absolute. Its directory is listed, since asking about a node
-- could have side effects. nil if the directory cannot be listed.
local function is_there(path)
  local directory, base = path:match("^(.*/)([^/]+)$")
  local names, _, code = core.entries(directory or "/")
  for _, name in ipairs(names or {}) do
    if name == base then
      return true
    end
  end
  if names or code == "not_found" then
    return false
  end
end

local function check_node(add, vdev, there)
  if there == nil then
    add(vdev, "node " .. vdev.name, "there", nil, "cannot tell")
  else
    add(vdev, "node " .. vdev.name, "there", there and "there" or "not there",
      there and "ok" or "differs")
  end
end

local function check_nodes(add, configuration, vm)
  local nodes, named = {}, {}
  for name in vm:nodes() do
    nodes[name] = true
  end
  for _, vdev in ipairs(configuration.vdevs) do
    local name = vdev.name
    if name and name:sub(1, #vm.path + 1) == vm.path .. "/" then
      name = name:sub(#vm.path + 2)
    end
    if name and name:sub(1, 1) == "/" then
      check_node(add, vdev, is_there(name))
    elseif name then
      named[name] = true
      check_node(add, vdev, nodes[name] or false)
    end
  end
  local names = {}
  for name in pairs(nodes) do
    names[#names + 1] = not named[name] and name or nil
  end
  table.sort(names)
  for _, name in ipairs(names) do
    add(nil, "node " .. name, "no vdev of that name", "there", "differs")
  end
end

local function check_dump(add, dump)
  if not dump then
    add(nil, "dump", "none", nil, "cannot tell")
  elseif dump.command then
    add(dump, "dump", "|" .. dump.command, nil, "cannot tell")
  elseif dump.directory:sub(1, 1) ~= "/" then
    -- It is relative to the directory where the qvm was started.
    add(dump, "dump", dump.directory, nil, "cannot tell")
  else
    local _, _, kind = core.stat(dump.directory)
    add(dump, "dump", dump.directory, kind == "directory" and "a directory" or "no directory",
      kind == "directory" and "ok" or "differs")
  end
end

-- An env without vCPUs does not show their number. A configuration without `cpu` has one.
local function check_vcpus(add, configuration, env)
  local cpus, vcpus = configuration.cpus, iterators.count(env:vcpus())
  local expected = math.max(#cpus, 1)
  add(cpus[1], "vCPUs", tostring(expected),
    vcpus > 0 and tostring(vcpus) or nil,
    vcpus == 0 and "cannot tell" or expected == vcpus and "ok" or "differs")
end

-- Reports the errata that a variable controls, as its name says, if the configuration does not
-- set it: the value is then qvm's default, which the text does not have.
local function check_default(add, variable, by_id)
  for _, group in ipairs(related(variable.name, by_id)) do
    for _, erratum in ipairs(group) do
      add(nil, "erratum " .. line.cut(erratum.id)
        .. (erratum.cpu and " on vCPU " .. erratum.cpu or ""),
        ("%s is not set"):format(variable.name), line.raw(erratum.value), "cannot tell")
    end
  end
end

-- Checks each `set` against the variables of a qvm, and relates those that are not set to the
-- errata of the env.
local function check_variables(add, sets, by_id, text)
  local is_set = {}
  for _, set in ipairs(sets) do
    is_set[set.name] = true
  end
  local list, known = variables.select(text, function(name)
    return is_set[name] or related(name, by_id)[1] ~= nil
  end)
  for _, set in ipairs(sets) do
    local variable = known[set.name]
    add(set, "set " .. set.name, ("%s (%s)"):format(set.value, set.context),
      variable and ("%s, %s"):format(variable.type, variable.context)
        or "not a variable of this qvm", variables.verdict(set, variable))
  end
  for _, variable in ipairs(list) do
    if not is_set[variable.name] then
      check_default(add, variable, by_id)
    end
  end
end

-- Returns the findings as an array; fails if there are too many. What no option asks for is
-- reported at the `system` option, or at the beginning of the configuration.
local function findings_of(configuration, vm, env, text)
  local findings = {}
  local start = {file = configuration.system_file or configuration.path,
    line = configuration.system_line or 1}
  local function add(option, what, expected, actual, verdict)
    if #findings == FINDINGS_MAX then
      fail_too_many(configuration)
    end
    option = option or start
    findings[#findings + 1] = with_tostring("finding", {what = what, expected = expected,
      actual = actual, verdict = verdict, file = option.file, line = option.line})
  end
  local system = configuration.system
  add(nil, "system", system or "none", vm.name, not system and "cannot tell"
    or system == vm.name and "ok" or "differs")
  check_vcpus(add, configuration, env)
  check_nodes(add, configuration, vm)
  check_dump(add, configuration.dump)
  local by_id, sets = errata_by_id(env), sets_that_count(configuration)
  check_errata(add, configuration, sets, by_id)
  if text then
    check_variables(add, sets, by_id, text)
  end
  return findings
end

-- Returns the findings as an array; nil, message, code.
function conf_check.findings(configuration, vm, env, text)
  return errors.catch(findings_of, configuration, vm, env, text)
end

return conf_check
