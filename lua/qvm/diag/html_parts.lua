-- Makes the parts of an HTML report: headings, tables, lists of facts, and texts.

local Markup = require "qvm.diag.markup"
local text = require "qvm.cli.text"

local element = Markup.element

local parts = {}

local ROWS_MAX = 4096 -- of a table
parts.ROWS_MAX = ROWS_MAX

function parts.heading(level, content)
  return element("h" .. level, nil, content)
end

function parts.code(content)
  return element("code", nil, content)
end

-- A table. columns: array of {title, class}; a row is an array of contents, of which the first
-- is the header of the row.
function parts.table_of(columns, rows)
  local head, body = {}, {}
  for i, column in ipairs(columns) do
    head[i] = element("th", {scope = "col", class = column[2]}, column[1])
  end
  for i, row in ipairs(rows) do
    local cells = {}
    for k, column in ipairs(columns) do
      local name = k == 1 and "th" or "td"
      cells[k] = element(name, {class = column[2], scope = k == 1 and "row" or nil}, row[k])
    end
    body[i] = element("tr", {class = row.class}, cells)
  end
  return element("div", {class = "wide"}, element("table", nil, {
    element("thead", nil, element("tr", nil, head)), element("tbody", nil, body)}))
end

-- A table with a row for each element of a list, made by row_of(element). Rows are limited: a
-- page with too many is useless and takes much memory.
function parts.list_table(columns, list, row_of)
  local rows = {}
  for i = 1, math.min(#list, ROWS_MAX) do
    rows[i] = row_of(list[i])
  end
  return {parts.table_of(columns, rows), #list > ROWS_MAX and element("p", {class = "note"},
    ("%d more rows are left out here: --json has all of them."):format(#list - ROWS_MAX)) or {}}
end

-- Names and values: an array of pairs.
function parts.facts_of(pairs_of)
  local list = {}
  for _, pair in ipairs(pairs_of) do
    list[#list + 1] = element("dt", nil, pair[1])
    list[#list + 1] = element("dd", nil, pair[2])
  end
  return element("dl", {class = "facts"}, list)
end

function parts.text_section(level, title, bytes)
  local lines = text.lines(bytes)
  return {parts.heading(level, ("%s (%s)"):format(title, text.count(#lines, "line"))),
    element("pre", nil, Markup.lines(lines))}
end

return parts
