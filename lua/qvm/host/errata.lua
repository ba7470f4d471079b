--- Saves and compares snapshots of a VM's errata settings.
--
-- Which errata a VM reports depends on the hypervisor and its configuration variables
-- (documented). How they are found in an env is described in docs/vms.md, "The env
-- document". A baseline is a JSON file with one erratum per line, in a fixed order, so
-- that two versions of it can be compared line by line.
-- @module qvm.errata

local baseline_text = require "qvm.host.baseline"
local check = require "qvm.util.arguments"
local core = require "qvm.core"
local iterators = require "qvm.util.iterators"
local json = require "qvm.util.json_writer"
local line = require "qvm.util.text"

local errata = {}

-- Order ----------------------------------------------------------------------

-- Errata of all vCPUs come first, and those of an unknown one last.
local function rank(cpu)
  return cpu == "unknown" and math.maxinteger or cpu or -1
end

local function before(a, b)
  if a.id ~= b.id then
    return line.natural_before(a.id, b.id)
  elseif a.cpu ~= b.cpu then
    return rank(a.cpu) < rank(b.cpu)
  end
  return a.nth < b.nth
end

-- The table for an entry's vCPU in a map. Ids can be long, so they are not joined to other
-- text to make keys.
local function of_cpu(map, entry)
  local cpu = entry.cpu or "all"
  map[cpu] = map[cpu] or {}
  return map[cpu]
end

-- The entries of an iterator, in order. Entries with the same id and vCPU keep their order.
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
      and (entry.cpu == nil or baseline_text.is_cpu(entry.cpu))
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

-- What the prompt shows of plain tables.

local function name_of(entry)
  return ("erratum %s, %s"):format(line.cut(entry.id),
    entry.cpu and ("vCPU %s"):format(entry.cpu) or "all vCPUs")
end

local Snapshot = {__tostring = line.tostring("Errata", function(list)
  return "Errata snapshot: " .. line.count(#list, "erratum", "errata")
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

local function with_tostring(list, of_list, of_entry)
  for _, entry in ipairs(list) do
    setmetatable(entry, of_entry)
  end
  return setmetatable(list, of_list)
end

-- Public ---------------------------------------------------------------------

--- Formats a value of an erratum as JSON.
--
-- With all digits of a number, members in order, the same in every locale. Characters that
-- could drive a terminal are written as `\uXXXX`.
-- @tparam any value of an env: string, number, boolean, `cjson.null`, or a table
-- @treturn[1] string the text
-- @return[2] nil, message, code: `unsupported` if JSON cannot hold it (NaN, a function,
-- a string that is not UTF-8)
-- @usage print(qvm.errata.text(0x8000000000000000))
function errata.text(value)
  return json.encode(value)
end

--- Takes a snapshot of the errata that a VM reports now.
-- @tparam qvm.vm.VM|qvm.env.Env vm_or_env the env of a VM is read again
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
  return with_tostring(plain(sorted_of(env:errata())), Snapshot, Entry)
end

--- Saves a snapshot as a baseline file.
--
-- A snapshot that `load` could not read back is not saved, and the message names the
-- erratum. An existing file is replaced as a whole and keeps its mode and owner; if the
-- owner cannot be kept, the file becomes this user's, and nobody gains access by it. The
-- text can also be written to a FIFO, a character device and `/dev/stdout`. A symbolic link
-- is followed only if no other user can change it.
-- @tparam string path
-- @tparam {Setting,...} snapshot
-- @treturn[1] boolean true
-- @return[2] nil, message, code: `permission` (also for another user's file, or a symbolic
-- link, in a directory that others can change) `not_found` `io`, `unsupported` (a
-- directory, a socket, a block device; a value that JSON cannot hold), `busy` (a FIFO
-- without a reader), `too_large` (more than 16 MiB)
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

--- Loads a baseline file.
-- @tparam string path
-- @treturn[1] {Setting,...} snapshot
-- @return[2] nil, message, code: `not_found` `permission` `malformed` (not a
-- baseline), `unsupported` (another version, or not a regular file)
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
  return with_tostring(plain(sorted(list)), Snapshot, Entry)
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

-- Compares values, also those that JSON cannot hold. `seen` maps each table to the set of those
-- with which its comparison has begun, which ends one of tables that contain themselves.
local function same(a, b, seen)
  if type(a) ~= "table" or type(b) ~= "table" then
    return type(a) == type(b) and a == b
  elseif a == b or seen[a] and seen[a][b] then
    return true
  end
  seen[a] = seen[a] or {}
  seen[a][b] = true
  for key, value in next, a do
    if not same(value, b[key], seen) then
      return false
    end
  end
  for key in next, b do
    if a[key] == nil then
      return false
    end
  end
  return true
end

--- Compares two snapshots.
-- @tparam {Setting,...} baseline
-- @tparam {Setting,...} current
-- @treturn {Difference,...} differences, sorted by id and vCPU; empty if there are none
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
    elseif not same(entry.value, now.value, {}) then
      add("changed", entry, entry.value, now.value)
    end
  end
  for _, entry in ipairs(list) do
    if not find(expected, entry) then
      add("added", entry, nil, entry.value)
    end
  end
  table.sort(differences, before)
  return with_tostring(plain(differences), Differences, Difference)
end

--- An erratum in a snapshot, a plain table.
-- @table Setting
-- @tfield string id
-- @tfield ?integer|"unknown" cpu index of the vCPU, nil for all
-- @tfield any value in the env
-- @usage for _, setting in ipairs(snapshot) do print(setting.id, setting.value) end

--- A difference between two snapshots, a plain table.
-- @table Difference
-- @tfield "added"|"removed"|"changed" kind
-- @tfield string id
-- @tfield ?integer|"unknown" cpu index of the vCPU, nil for all
-- @tfield any expected value in the baseline, nil if added
-- @tfield any actual current value, nil if removed
-- @usage for _, d in ipairs(differences) do print(d.kind, d.id, d.actual) end

return line.with_name("qvm.errata", errata)
