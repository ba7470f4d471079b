-- The checks of a first contact: rows of what the documents say, what was done and what was
-- seen, and every call that was made for them, with its result and its time.

local command = require "qvm.cli.command"
local errors = require "qvm.util.errors"
local json = require "qvm.util.json_writer"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local checklist = {
  -- The standing of what is expected, as in docs/guide.md.
  DOCUMENTED = "documented", SEEN = "seen", OURS = "our reading",
}

local VALUE_MAX = 2000 -- bytes of a value in a row

local Checklist = {}
Checklist.__index = Checklist

-- report(row), if given, is called with each row.
function checklist.new(report)
  return setmetatable({rows = {}, calls = {}, report = report or function() end}, Checklist)
end

-- Calls f(...), which fails with nil, message, code or raises, and notes the call by `what`.
-- Returns its results; nil, message, code, also for what it raised.
function Checklist:call(what, f, ...)
  local before = system.now()
  local results = table.pack(errors.try(f, ...))
  local ok, value, message, code = table.unpack(results, 1, 4)
  self.milliseconds = system.now() - before
  local note = {call = what, milliseconds = self.milliseconds}
  if not ok then
    value, message, code = nil, text.without_place(value), "raised"
  end
  if value == nil and message then
    note.message, note.code = message, code
  else
    note.result = value == nil and "nil" or text.cut(tostring(value))
  end
  self.calls[#self.calls + 1] = note
  if not ok then
    return nil, message, code
  end
  return table.unpack(results, 2, results.n)
end

-- Runs a part of the checks. If it fails on the way, a row says so, and the other parts go on.
-- Returns what f returns.
function Checklist:part(name, f, ...)
  local results = table.pack(errors.try(f, self, ...))
  if not results[1] then
    self:add {name, checklist.OURS, "these checks run to their end", did = "ran them",
      saw = text.without_place(results[2]), as_expected = false}
    return nil
  end
  return table.unpack(results, 2, results.n)
end

-- Adds a row. Its fields: [1] name, [2] standing, [3] what is expected, did, saw, and as_expected:
-- true, false, or nil if it cannot be told; then `why` has the reason.
function Checklist:add(row)
  local verdict = "unknown"
  if row.as_expected ~= nil then
    verdict = row.as_expected and "as expected" or "different"
  end
  row = {name = text.cut(row[1]), standing = row[2], expected = text.cut(row[3], VALUE_MAX),
    did = row.did or "nothing", saw = text.cut(row.saw or "nothing", VALUE_MAX),
    why = row.why and text.cut(row.why, VALUE_MAX), verdict = verdict}
  self.rows[#self.rows + 1] = row
  self.report(row)
end

-- The number of rows with a verdict, and their names.
function Checklist:count(verdict)
  local names = {}
  for _, row in ipairs(self.rows) do
    if row.verdict == verdict then
      names[#names + 1] = row.name
    end
  end
  return #names, names
end

-- Text ------------------------------------------------------------------------------------

local INDENT = 14 -- columns of a label
local HANGING = 6 -- columns by which text.wrap indents

local function put_field(lines, label, value)
  local prefix = ("  %-12s"):format(label)
  text.wrap(text.escape_controls(value), command.WIDTH - INDENT, function(part)
    lines[#lines + 1] = prefix .. part
    prefix = (" "):rep(INDENT - HANGING)
  end)
end

-- A row as lines of at most 80 columns.
function checklist.lines(row)
  local lines = {("%-66s %11s"):format(text.escape_controls(row.name), row.verdict)}
  put_field(lines, row.standing == checklist.OURS and "we read" or row.standing, row.expected)
  put_field(lines, "did", row.did)
  put_field(lines, "saw", row.saw)
  if row.why then
    put_field(lines, "because", row.why)
  end
  return table.concat(lines, "\n")
end

-- The numbers of verdicts, and the names of the checks that differ.
function Checklist:summary()
  local different, names = self:count "different"
  local lines = {("%s: %d as expected, %d different, %d unknown"):format(
    text.count(#self.rows, "check"), (self:count "as expected"), different,
    (self:count "unknown"))}
  for _, name in ipairs(names) do
    lines[#lines + 1] = "  different: " .. text.escape_controls(name)
  end
  return table.concat(lines, "\n")
end

function Checklist:text()
  local parts = {}
  for i, row in ipairs(self.rows) do
    parts[i] = checklist.lines(row)
  end
  parts[#parts + 1] = self:summary()
  return table.concat(parts, "\n\n") .. "\n"
end

-- JSON ------------------------------------------------------------------------------------

local STYLE = {comma = ", ", colon = ": ", lenient = true}

-- An array of tables as JSON, an element on each line.
local function encode(list)
  local lines = {}
  for i, element in ipairs(list) do
    lines[i] = assert(json.encode(element, STYLE))
  end
  return "[\n" .. table.concat(lines, ",\n") .. "\n]\n"
end

function Checklist:rows_as_json()
  return encode(self.rows)
end

function Checklist:calls_as_json()
  return encode(self.calls)
end

return checklist
