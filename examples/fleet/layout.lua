-- How the report on a fleet looks: within 80 columns, for one board or hundreds.

local oneline = require "qvm.util.text"
local qvm = require "qvm"

local layout = {}

local WIDTH = 80

-- What boards wrote must not drive the terminal.
layout.harmless = oneline.harmless

local harmless = layout.harmless

-- A value of an erratum; what is not there is "-". Text that could be taken for
-- something else is quoted.
function layout.value(value)
  if value == nil then
    return "-"
  elseif math.type(value) == "integer" and (value < 0 or value > 0xffffffff) then
    return qvm.hex(value)
  elseif type(value) == "string" and value:find("^[A-Za-z_][0-9A-Za-z_.-]*$")
    and value ~= "true" and value ~= "false" and value ~= "null" then
    return value
  end
  return harmless(oneline.cut(qvm.errata.text(value)))
end

-- board2 comes before board10.
layout.before = oneline.natural_before

-- "board007" to "board", "007" and what is behind the last number.
local function split(name)
  return name:match("^(.-)(%d+)(%D*)$")
end

local function follows(name, other)
  local before, number, behind = split(name)
  local other_before, other_number, other_behind = split(other)
  if not number or not other_number or #number > 15 then
    return false
  end
  return before == other_before and behind == other_behind
    and other_number == ("%0" .. #number .. "d"):format(tonumber(number) + 1)
end

-- Sorted names, with "a1 - a9" for runs of three or more.
local function runs(names)
  local parts, i = {}, 1
  while i <= #names do
    local last = i
    while names[last + 1] and follows(names[last], names[last + 1]) do
      last = last + 1
    end
    if last - i >= 2 then
      parts[#parts + 1] = harmless(names[i]) .. " - " .. harmless(names[last])
      i = last + 1
    else
      parts[#parts + 1] = harmless(names[i])
      i = i + 1
    end
  end
  return table.concat(parts, ", ")
end

local function put(line)
  io.stdout:write((line:gsub("%s+$", "")), "\n")
end

-- A text in as many lines as it takes; those but the first begin with blanks.
local function wrap(first, text, indent)
  local line, is_empty = first, false
  for word in text:gmatch("%S+") do
    local glued = (line:match("%s$") or is_empty) and word or " " .. word
    if utf8.len(line .. glued) <= WIDTH then
      line = line .. glued
    else
      put(line)
      line = indent .. word
    end
    while utf8.len(line) > WIDTH do
      local cut = utf8.offset(line, WIDTH + 1) - 1
      put(line:sub(1, cut))
      line = indent .. line:sub(cut + 1)
    end
  end
  put(line)
end

local function count(n, what)
  return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
end

-- The table of differences ------------------------------------------------------------

local LIMITS = {14, 14, 4, 18, 18}
local TITLES = {"VM", "erratum", "vCPU", "expected", "is"}

local function cells_of(row)
  return {harmless(row.vm), row.id and harmless(row.id) or "-",
    not row.is_erratum and "-" or row.cpu and ("%d"):format(row.cpu) or "all",
    row.expected, row.actual}
end

local function widths_of(rows)
  local widths = {}
  for column, title in ipairs(TITLES) do
    widths[column] = #title
    for _, row in ipairs(rows) do
      widths[column] = math.max(widths[column],
        math.min(LIMITS[column], utf8.len(cells_of(row)[column])))
    end
  end
  return widths
end

-- Cells beside each other; the whole of those that are too long, below.
local function put_row(cells, widths)
  local line, long = {}, {}
  for column, cell in ipairs(cells) do
    local length = utf8.len(cell)
    if length > widths[column] then
      long[#long + 1] = column
      cell, length = "...", 3
    end
    line[column] = cell .. (" "):rep(widths[column] - length)
  end
  put(table.concat(line, "  "))
  for _, column in ipairs(long) do
    wrap("    " .. TITLES[column] .. ": ", cells[column], "      ")
  end
end

local function put_rows(rows)
  local widths = widths_of(rows)
  put ""
  put_row(TITLES, widths)
  for _, row in ipairs(rows) do
    put_row(cells_of(row), widths)
    wrap(("    on %s: "):format(count(#row.boards, "board")), runs(row.boards), "      ")
  end
end

local function put_failures(fleet)
  put "\nfailed"
  for _, problem in ipairs(fleet.problems) do
    wrap("  baseline: ", harmless(problem), "      ")
  end
  for _, failure in ipairs(fleet.failures) do
    wrap("  " .. harmless(failure.board) .. ": ", harmless(failure.message), "      ")
  end
end

-- The order of VMs and errata, those on most boards first.
local function row_before(a, b)
  if #a.boards ~= #b.boards then
    return #a.boards > #b.boards
  end
  return a.nth < b.nth
end

function layout.print(fleet)
  put(("%s: %d equal, %d differ, %d failed"):format(count(fleet.total, "board"), #fleet.equal,
    #fleet.differ, #fleet.failed))
  if fleet.rows[1] then
    for i, row in ipairs(fleet.rows) do
      row.nth = i
    end
    table.sort(fleet.rows, row_before)
    put_rows(fleet.rows)
  end
  if fleet.problems[1] or fleet.failures[1] then
    put_failures(fleet)
  end
  if fleet.equal[1] then
    put ""
    wrap("equal: ", runs(fleet.equal), "  ")
  end
end

return layout
