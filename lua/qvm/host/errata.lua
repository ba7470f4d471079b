--- Snapshots of a VM's errata settings, kept and compared.
--
-- Which errata a VM reports is up to the hypervisor and its configuration
-- variables (documented); how they are found in an env is in the guide, "The env
-- document". A baseline is a JSON file with one erratum a line, in an order that
-- does not change, so that two versions of it can be compared line by line.
-- @module qvm.errata

local baseline_text = require "qvm.host.baseline"
local check = require "qvm.util.arguments"
local core = require "qvm.core"
local iterators = require "qvm.util.iterators"
local json = require "qvm.util.json_writer"
local line = require "qvm.util.text"

local errata = {}

-- Order ----------------------------------------------------------------------

local function before(a, b)
  if a.id ~= b.id then
    return line.natural_before(a.id, b.id)
  elseif a.cpu ~= b.cpu then
    return (a.cpu or -1) < (b.cpu or -1)
  end
  return a.nth < b.nth
end

-- The table of a map for an entry's vCPU. Ids can be long: they are keys there as they are,
-- not parts of one.
local function of_cpu(map, entry)
  local cpu = entry.cpu or "all"
  map[cpu] = map[cpu] or {}
  return map[cpu]
end

-- The entries that next_entry gives, in order; of those with one id and vCPU the order is
-- kept.
local function sorted_of(next_entry)
  local list, seen = {}, {}
  for entry in next_entry do
    local counts = of_cpu(seen, entry)
    counts[entry.id] = (counts[entry.id] or 0) + 1
    list[#list + 1] = {id = entry.id, cpu = entry.cpu, value = entry.value,
      nth = counts[entry.id]}
  end
  table.sort(list, before)
  return list
end

local function sorted(entries)
  return sorted_of(iterators.values(entries))
end

local function check_snapshot(value, index, name)
  local ok = type(value) == "table"
  for _, entry in ipairs(ok and value or {}) do
    ok = ok and type(entry) == "table" and type(entry.id) == "string" and entry.value ~= nil
  end
  if not ok then
    check.expected(value, index, name, "snapshot", type(value) == "table" and "another table"
      or nil)
  end
end

local function plain(list)
  for _, entry in ipairs(list) do
    entry.nth = nil
  end
  return list
end

-- At the prompt each says what it is; they are plain tables all the same.

local function name_of(entry)
  return ("erratum %s, %s"):format(line.cut(entry.id),
    entry.cpu and ("vCPU %d"):format(entry.cpu) or "all vCPUs")
end

local Snapshot = {__tostring = line.tostring("Errata", function(list)
  return ("Errata snapshot: %d %s"):format(#list, #list == 1 and "erratum" or "errata")
end)}

local Entry = {__name = "Setting", __tostring = line.tostring("erratum", function(entry)
  return ("%s: %s"):format(name_of(entry), line.value(entry.value))
end)}

local Differences = {__tostring = line.tostring("Differences", function(list)
  return ("Errata differences: %s"):format(#list == 0 and "none" or #list)
end)}

local Difference = {__name = "Difference", __tostring = line.tostring("difference", function(entry)
  return ("%s: %s%s%s"):format(entry.kind, name_of(entry),
    entry.expected ~= nil and ", expected " .. line.value(entry.expected) or "",
    entry.actual ~= nil and ", is " .. line.value(entry.actual) or "")
end)}

local function speaking(list, of_list, of_entry)
  for _, entry in ipairs(list) do
    setmetatable(entry, of_entry)
  end
  return setmetatable(list, of_list)
end

-- Public ---------------------------------------------------------------------

--- A value of an erratum as JSON text.
--
-- All digits of a number, members in order, the same in every locale. Characters that
-- could drive a terminal are `\uXXXX`.
-- @tparam any value as an env has it: string, number, boolean, `cjson.null`, or a table
-- @treturn[1] string the text
-- @return[2] nil, message, code: `unsupported` where JSON cannot hold it (NaN, a function,
-- a string that is not UTF-8)
-- @usage print(qvm.errata.text(0x8000000000000000))
function errata.text(value)
  return json.encode(value)
end

--- What errata a VM reports now.
-- @tparam qvm.vm.VM|qvm.env.Env vm_or_env a VM's env is read anew
-- @treturn[1] {Setting,...} snapshot, sorted by id and vCPU
-- @return[2] nil, message, code: as `VM:env`
-- @usage snapshot = assert(qvm.errata.snapshot(vm))
function errata.snapshot(vm_or_env)
  local kind = type(vm_or_env)
  local env = vm_or_env
  if kind == "table" and vm_or_env.raw == nil and vm_or_env.env then
    local message, code
    env, message, code = vm_or_env:env()
    if not env then
      return nil, message, code
    end
  elseif kind ~= "table" or not vm_or_env.errata then
    check.expected(vm_or_env, 1, "snapshot", "VM or Env")
  end
  return speaking(plain(sorted_of(env:errata())), Snapshot, Entry)
end

--- Writes a snapshot to a baseline file.
--
-- What is written is what `load` reads back: otherwise nothing is changed, and the
-- message names the erratum. An existing file is replaced as a whole, and keeps its
-- mode and owner; if the owner cannot be kept, the file becomes this user's and nobody
-- gains access by it. To a FIFO, a character device and `/dev/stdout` the text is
-- written. A symbolic link is followed only where nobody else can change it.
-- @tparam string path
-- @tparam {Setting,...} snapshot
-- @treturn[1] boolean true
-- @return[2] nil, message, code: `permission` (also of another user's file, or a symbolic
-- link, in a directory that others can change) `not_found` `io`, `unsupported` (a
-- directory, a socket, a block device; a value that JSON cannot hold), `busy` (a FIFO that
-- nobody reads), `too_large` (more than 16 MiB)
-- @usage assert(qvm.errata.save("linux1.json", snapshot))
function errata.save(path, snapshot)
  check.path(path, 1, "save")
  check_snapshot(snapshot, 2, "save")
  local text, message, code = baseline_text.encode(sorted(snapshot))
  if not text then
    return nil, ("%s: not saved: %s"):format(line.escape_controls(path), message), code
  end
  return core.save(path, text)
end

--- Reads a baseline file.
-- @tparam string path
-- @treturn[1] {Setting,...} snapshot
-- @return[2] nil, message, code: `not_found` `permission` `malformed` (no
-- baseline), `unsupported` (of another version, or not a regular file)
-- @usage baseline = assert(qvm.errata.load("linux1.json"))
function errata.load(path)
  check.path(path, 1, "load")
  local text, message, code = core.read_file(path)
  if not text then
    return nil, message, code
  end
  local list
  list, message, code = baseline_text.decode(text, path)
  if not list then
    return nil, message, code
  end
  return speaking(plain(sorted(list)), Snapshot, Entry)
end

local function by_key(snapshot)
  local map, list = {}, sorted(snapshot)
  for _, entry in ipairs(list) do
    local ids = of_cpu(map, entry)
    ids[entry.id] = ids[entry.id] or {}
    ids[entry.id][entry.nth] = entry
  end
  return map, list
end

local function find(map, entry)
  local entries = of_cpu(map, entry)[entry.id]
  return entries and entries[entry.nth]
end

local function same(a, b)
  return type(a) == type(b)
    and (a == b or type(a) == "table" and json.encode(a) == json.encode(b))
end

--- What differs between two snapshots.
-- @tparam {Setting,...} baseline
-- @tparam {Setting,...} current
-- @treturn {Difference,...} differences, empty where there are none, in order of id
-- and vCPU
-- @usage differences = qvm.errata.diff(baseline, snapshot)
function errata.diff(baseline, current)
  check_snapshot(baseline, 1, "diff")
  check_snapshot(current, 2, "diff")
  local expected, known = by_key(baseline)
  local actual, list = by_key(current)
  local differences = {}
  local function add(kind, entry, was, is)
    differences[#differences + 1] = {kind = kind, id = entry.id, cpu = entry.cpu,
      nth = entry.nth, expected = was, actual = is}
  end
  for _, entry in ipairs(known) do
    local now = find(actual, entry)
    if not now then
      add("removed", entry, entry.value, nil)
    elseif not same(entry.value, now.value) then
      add("changed", entry, entry.value, now.value)
    end
  end
  for _, entry in ipairs(list) do
    if not find(expected, entry) then
      add("added", entry, nil, entry.value)
    end
  end
  table.sort(differences, before)
  return speaking(plain(differences), Differences, Difference)
end

--- One erratum of a snapshot, a plain table.
-- @table Setting
-- @tfield string id
-- @tfield ?integer cpu index of the vCPU, nil for all
-- @tfield any value as the env has it
-- @usage for _, setting in ipairs(snapshot) do print(setting.id, setting.value) end

--- What differs between two snapshots in one erratum, a plain table.
-- @table Difference
-- @tfield "added"|"removed"|"changed" kind
-- @tfield string id
-- @tfield ?integer cpu index of the vCPU, nil for all
-- @tfield any expected value in the baseline, nil where added
-- @tfield any actual value now, nil where removed
-- @usage for _, d in ipairs(differences) do print(d.kind, d.id, d.actual) end

return line.with_name("qvm.errata", errata)
