#!/usr/bin/env lua5.4
-- Reports which boards of a fleet differ from the baselines, and how.
--
--     lua5.4 examples/fleet/report.lua GATHERED BASELINES
--
-- GATHERED   a directory with the output of `qvm-diag --list --json` of each board, as
--            BOARD.json; gather.yml makes one. A file `boards` in it, with one name per
--            line, says which boards are expected.
-- BASELINES  a directory of baselines (`qvm.errata.save`), as VM.json. Every board is
--            expected to have exactly these VMs.
--
-- Exit status:
--   0  all boards are equal to the baselines
--   1  something failed or could not be compared
--   2  an argument is wrong
--   3  all boards were compared, and some differ

-- Loads nothing from the current directory: see lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local need = assert(loadfile(here .. "/../../lua/qvm/start.lua"))("fleet", here .. "/..", 1)

local lfs = need "lfs"
local qvm = need "qvm"
local layout = dofile(here .. "/layout.lua")

local SIZE = 16 << 20 -- bytes of a file
local ENOENT = 2

-- The text of a regular file: a FIFO would block. nil, a message, and "not_found" if there is none.
local function read(path)
  local about, _, number = lfs.attributes(path)
  if about and about.mode ~= "file" then
    return nil, path .. ": not a regular file"
  elseif about and about.size > SIZE then
    return nil, path .. ": too large"
  end
  local file, message = io.open(path, "rb")
  if not file then
    return nil, message, number == ENOENT and "not_found" or nil
  end
  local text
  text, message = file:read("a")
  file:close()
  return text, message and path .. ": " .. message
end

-- Names of the .json files in a directory, without the suffix, in natural order.
local function names_in(directory)
  local names = {}
  local ok, next_name, state = pcall(lfs.dir, directory)
  if not ok then
    return nil, (tostring(next_name):gsub("^cannot open ", ""))
  end
  for name in next_name, state do
    names[#names + 1] = name:match("^([^.].*)%.json$")
  end
  table.sort(names, layout.before)
  return names
end

-- Gathered data ---------------------------------------------------------------------------

local function boards_of(directory)
  local listed, message, code = read(directory .. "/boards")
  if not listed and code == "not_found" then
    return names_in(directory)
  elseif not listed then
    return nil, message
  end
  local names = {}
  for name in listed:gmatch("[^\r\n]+") do
    names[#names + 1] = name
  end
  table.sort(names, layout.before)
  return names
end

-- The exact value of an erratum. Reports write integers of 2^53 or more as "0x" and 16
-- digits, with the exact value as JSON text in `exact`. Without `exact`, the type in the
-- baseline decides whether this is a string or an integer.
local function value_of(raw, expected)
  if type(raw.exact) == "string" then
    return (qvm.decode(raw.exact))
  elseif math.type(expected) == "integer" and type(raw.value) == "string"
    and raw.value:find("^0x" .. ("%x"):rep(16) .. "$") then
    return tonumber(raw.value)
  end
  return raw.value
end

local function is_cpu(value)
  return value == nil or value == "unknown" or math.type(value) == "integer" and value >= 0
end

-- A value that is nested too deep has no text, so the report could not show it.
local function has_text(value)
  return value ~= nil and qvm.errata.text(value) ~= nil
end

local function is_erratum(raw)
  return type(raw) == "table" and type(raw.id) == "string" and is_cpu(raw.cpu)
    and has_text(raw.value) and (raw.exact == nil or type(raw.exact) == "string"
      and has_text((qvm.decode(raw.exact))))
end

-- Is it an array of such values? An object is none, unless it is empty.
local function all(list, is_one)
  if type(list) ~= "table" or type(next(list)) == "string" then
    return false
  end
  for _, each in ipairs(list) do
    if not is_one(each) then
      return false
    end
  end
  return true
end

local NULL = qvm.decode "null"

-- Errata are null if they are unknown.
local function is_vm(raw)
  return type(raw) == "table" and type(raw.name) == "string"
    and (raw.errata == NULL or all(raw.errata, is_erratum))
end

local function is_text(value)
  return type(value) == "string"
end

-- Loads a board's report; nil and a message.
local function load_report(path)
  local text, message, code = read(path)
  if not text then
    return nil, code == "not_found" and "missing: " .. message or message
  end
  local report, problem = qvm.decode(text)
  if report == nil then
    return nil, ("%s:%s"):format(path, problem)
  elseif type(report) ~= "table" or not all(report.errors, is_text)
    or report.vms ~= nil and not all(report.vms, is_vm) then
    return nil, path .. ": not a report of `qvm-diag --list --json`"
  elseif not report.vms and not report.errors[1] then
    return nil, path .. ": neither VMs nor errors in it: not a report of --list"
  end
  return report
end

-- Comparing -------------------------------------------------------------------------------

-- Returns a function that looks up the expected value of an erratum. If an id occurs several
-- times on a vCPU, the first call finds the first value, the second call the second, and so on.
local function lookup(baseline)
  local values, counts = {}, {}
  local function key(entry, seen)
    local name = ("%s/%s"):format(entry.cpu, entry.id)
    seen[name] = (seen[name] or 0) + 1
    return name .. "/" .. seen[name]
  end
  for _, entry in ipairs(baseline) do
    values[key(entry, counts)] = entry.value
  end
  local seen = {}
  return function(entry)
    return values[key(entry, seen)]
  end
end

local function snapshot_of(vm, baseline)
  local expected, snapshot = lookup(baseline), {}
  for i, raw in ipairs(vm.errata) do
    snapshot[i] = {id = raw.id, cpu = raw.cpu, value = value_of(raw, expected(raw))}
  end
  return snapshot
end

local function by_name(vms)
  local map = {}
  for _, vm in ipairs(vms) do
    map[vm.name] = vm
  end
  return map
end

local ABSENT = {gone = true, stuck = true, unavailable = true}

-- The state of a VM whose errata are unknown; nil if they are known. If the board reported
-- errors, an empty list may be incomplete.
local function unknown_of(report, vm)
  if ABSENT[vm.state] then
    return vm.state
  elseif vm.errata == NULL or not vm.errata[1] and report.errors[1] then
    return "unknown"
  end
end

-- The differences on a board: an array of {vm, id, cpu, expected, actual}, the last two as
-- text.
local function differences_of(report, baselines)
  local found, list = by_name(report.vms), {}
  for _, name in ipairs(baselines.names) do
    local baseline, vm = baselines[name], found[name]
    if not vm then
      list[#list + 1] = {vm = name, expected = "a VM", actual = "missing"}
    elseif unknown_of(report, vm) then
      list[#list + 1] = {vm = name, expected = "a VM", actual = unknown_of(report, vm)}
    elseif baseline then
      for _, d in ipairs(qvm.errata.diff(baseline, snapshot_of(vm, baseline))) do
        list[#list + 1] = {vm = name, id = d.id, cpu = d.cpu, is_erratum = true,
          expected = layout.value(d.expected), actual = layout.value(d.actual)}
      end
    end
  end
  for _, vm in ipairs(report.vms) do
    if not baselines.known[vm.name] then
      list[#list + 1] = {vm = vm.name, expected = "no VM", actual = "a VM"}
    end
  end
  return list
end

local function load_baselines(directory)
  local names, message = names_in(directory)
  if not names then
    return nil, message
  elseif not names[1] then
    return nil, directory .. ": no baselines (VM.json)"
  end
  local baselines, problems = {names = names, known = {}}, {}
  for _, name in ipairs(names) do
    baselines.known[name] = true
    baselines[name], message = qvm.errata.load(directory .. "/" .. name .. ".json")
    problems[#problems + 1] = not baselines[name] and message or nil
  end
  return baselines, problems
end

-- Compares all boards. Returns the names of the boards that are equal, that differ, and
-- that failed; `rows`: the differences, each with its boards; `failures`: messages by
-- board.
local function compare(directory, boards, baselines)
  local fleet = {total = #boards, equal = {}, differ = {}, failed = {}, rows = {}, failures = {}}
  local row_of = {}
  local function add(board, d)
    local key = ("%q/%q/%s/%q/%q"):format(d.vm, d.id or "", d.cpu, d.expected, d.actual)
    if not row_of[key] then
      row_of[key] = d
      d.boards = {}
      fleet.rows[#fleet.rows + 1] = d
    end
    table.insert(row_of[key].boards, board)
  end
  for _, board in ipairs(boards) do
    local report, message = load_report(("%s/%s.json"):format(directory, board))
    local problems = report and report.errors or {message}
    local list = report and report.vms and differences_of(report, baselines) or {}
    for _, d in ipairs(list) do
      add(board, d)
    end
    for _, problem in ipairs(problems) do
      table.insert(fleet.failures, {board = board, message = problem})
    end
    table.insert(problems[1] and fleet.failed or list[1] and fleet.differ or fleet.equal, board)
  end
  return fleet
end

-- Main ------------------------------------------------------------------------------------

local function fail(status, message)
  io.stderr:write("fleet: ", qvm.escape(message), "\n")
  os.exit(status, true)
end

local function main(gathered, directory, more)
  if not directory or more or gathered:match("^%-") then
    fail(2, "usage: report.lua GATHERED BASELINES")
  end
  local baselines, problems = load_baselines(directory)
  if not baselines then
    fail(1, problems)
  end
  local boards, message = boards_of(gathered)
  if not boards then
    fail(1, message)
  elseif not boards[1] then
    fail(1, gathered .. ": no boards (BOARD.json)")
  end
  local fleet = compare(gathered, boards, baselines)
  fleet.problems = problems
  layout.print(fleet)
  local ok, why = io.stdout:flush()
  if not ok then
    fail(1, "output: " .. why)
  end
  return (problems[1] or fleet.failed[1]) and 1 or fleet.differ[1] and 3 or 0
end

os.exit(main(table.unpack(arg)), true)
