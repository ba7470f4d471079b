-- Holding a configuration against what a VM reports: qvm.conf.check.

local core = require "qvm.core"
local line = require "qvm.util.text"
local part = require "qvm.host.conf_text"

local conf_check = {}

local function is_erratum_name(name)
  return line.lower(name):find("errat", 1, true) ~= nil
end

-- The errata that a variable's name speaks of.
local function related(name, errata)
  local list = {}
  for _, erratum in ipairs(errata) do
    local id = erratum.id
    if name == id or #id > 3 and name:find(id, 1, true) then
      list[#list + 1] = erratum
    end
  end
  return list
end

local switches = {on = true, yes = true, ["true"] = true, ["1"] = true, off = false, no = false,
  ["false"] = false, ["0"] = false}

-- As one value, however it is written.
local function switch(value)
  local text = line.lower(tostring(value))
  if switches[text] ~= nil then
    return switches[text]
  end
  return text
end

local function check_errata(add, configuration, env)
  local errata = {}
  for erratum in env:errata() do
    errata[#errata + 1] = erratum
  end
  for _, set in ipairs(configuration.set) do
    local found = related(set.name, errata)
    for _, erratum in ipairs(found) do
      local of_this = set.context ~= "cpu" or erratum.cpu == nil or erratum.cpu == set.index
      if of_this then
        local verdict = set.value == "auto" and "cannot tell"
          or switch(set.value) == switch(erratum.value) and "ok" or "differs"
        add(set, "erratum " .. erratum.id .. (erratum.cpu and " on vCPU " .. erratum.cpu or ""),
          set.value, tostring(erratum.value), verdict)
      end
    end
    if #found == 0 and is_erratum_name(set.name) then
      add(set, "variable " .. set.name, set.value, nil, "cannot tell")
    end
  end
end

local function check_nodes(add, configuration, vm)
  local there, named = {}, {}
  for name in vm:nodes() do
    there[name] = true
  end
  for _, vdev in ipairs(configuration.vdevs) do
    if vdev.name then
      named[vdev.name] = true
      add(vdev, "node " .. vdev.name, "there", there[vdev.name] and "there" or "not there",
        there[vdev.name] and "ok" or "differs")
    end
  end
  local names = {}
  for name in pairs(there) do
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
    -- It counts from where the qvm was started.
    add(dump, "dump", dump.directory, nil, "cannot tell")
  else
    local _, _, kind = core.stat(dump.directory)
    add(dump, "dump", dump.directory, kind == "directory" and "a directory" or "no directory",
      kind == "directory" and "ok" or "differs")
  end
end

function conf_check.findings(configuration, vm, env)
  local findings = {}
  local function add(option, what, expected, actual, verdict)
    findings[#findings + 1] = part("finding", {what = what, expected = expected, actual = actual,
      verdict = verdict, file = option and option.file, line = option and option.line})
  end
  local vcpus = 0
  for _ in env:vcpus() do
    vcpus = vcpus + 1
  end
  local system, cpus = configuration.system, configuration.cpus
  add({file = configuration.path, line = configuration.system_line}, "system", system or "none",
    vm.name, not system and "cannot tell" or system == vm.name and "ok" or "differs")
  add(cpus[1], "vCPUs", tostring(#cpus), tostring(vcpus), #cpus == vcpus and "ok" or "differs")
  check_nodes(add, configuration, vm)
  check_dump(add, configuration.dump)
  check_errata(add, configuration, env)
  return findings
end

return conf_check
