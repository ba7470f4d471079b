-- The layout of the report on a fleet: within 80 columns, for one board or hundreds.
--
-- The table of differences has a row for each difference, followed by the boards that have
-- it. Boards with consecutive numbers are joined: "board3 - board7".

local qvm = require "qvm"

local layout = {}

local WIDTH = 80
local VALUE = 200 -- maximum number of bytes to show of a value

-- Names and values come from the boards: they must not control the terminal.
local escape = qvm.escape

-- Cuts a long text between two characters.
local function shorten(text)
  if #text <= VALUE then
    return text
  end
  local last = VALUE
  while text:find("^[\x80-\xbf]", last + 1) do
    last = last - 1
  end
  return ("%s... (%d bytes)"):format(text:sub(1, last), #text)
end

-- The value of an erratum; "-" if it is absent. Text that looks like a value of another
-- kind is quoted.
function layout.value(value)
  if value == nil then
    return "-"
  elseif math.type(value) == "integer" and (value < 0 or value > 0xffffffff) then
    return qvm.hex(value)
  elseif type(value) == "string" and value:find("^[A-Za-z_][0-9A-Za-z_.-]*$")
    and value ~= "true" and value ~= "false" and value ~= "null" then
    return value
  end
  local text, message = qvm.errata.text(value)
  return escape(shorten(text or ("(%s)"):format(message)))
end

-- A key by which names sort in natural order: board2 before board10.
local function sort_key(name)
  return (name:gsub("%d+", function(digits)
    local number = digits:gsub("^0+", "")
    return ("%05d%s"):format(#number, number)
  end))
end

-- Natural order, for table.sort.
function layout.before(a, b)
  local x, y = sort_key(a), sort_key(b)
  if x == y then
    return a < b
  end
  return x < y
end

-- Splits "board007b" into "board", "007" and "b", at its last number.
local function split(name)
  return name:match("^(.-)(%d+)(%D*)$")
end

-- Whether the second name has the next number after the first.
local function follows(name, other)
  local before, number, after = split(name)
  local other_before, other_number, other_after = split(other)
  if not number or not other_number or #number > 15 then
    return false
  end
  return before == other_before and after == other_after
    and other_number == ("%0" .. #number .. "d"):format(tonumber(number) + 1)
end

-- Joins sorted names; three or more in sequence become "a1 - a9".
local function runs(names)
  local parts, i = {}, 1
  while i <= #names do
    local last = i
    while names[last + 1] and follows(names[last], names[last + 1]) do
      last = last + 1
    end
    if last - i >= 2 then
      parts[#parts + 1] = escape(names[i]) .. " - " .. escape(names[last])
      i = last + 1
    else
      parts[#parts + 1] = escape(names[i])
      i = i + 1
    end
  end
  return table.concat(parts, ", ")
end

local function put(line)
  io.stdout:write((line:gsub("%s+$", "")), "\n")
end

-- Prints a text in as many lines as it needs. All but the first are indented.
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

-- The table of differences ----------------------------------------------------------------

local LIMITS = {14, 14, 4, 18, 18}
local TITLES = {"VM", "erratum", "vCPU", "expected", "is"}

local function cells_of(row)
  return {escape(row.vm), row.id and escape(row.id) or "-",
    not row.is_erratum and "-" or ("%s"):format(row.cpu or "all"),
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

-- Prints a row. A cell that is too long shows "..." and appears in full below the row.
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
    wrap("  baseline: ", escape(problem), "      ")
  end
  for _, failure in ipairs(fleet.failures) do
    wrap("  " .. escape(failure.board) .. ": ", escape(failure.message), "      ")
  end
end

-- Sorts by the number of boards, largest first, then by VM and erratum.
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
