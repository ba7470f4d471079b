-- Writes the pages of qvm.help: plain text of 80 columns.

local types = require "types"

local pages = {}

local WIDTH = 80

-- Wraps words to lines of at most WIDTH. The first line begins with `first`, the others
-- with as many blanks.
local function wrap(first, text, indent)
  local lines, line = {}, first
  indent = indent or (" "):rep(#first)
  local empty = true
  for word in text:gmatch("%S+") do
    if not empty and #line + 1 + #word > WIDTH then
      lines[#lines + 1] = line
      line, empty = indent, true
    end
    line = line .. (empty and "" or " ") .. word
    empty = false
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- Adds a text with its paragraphs, code (indented by four) and lists.
local function paragraphs(text)
  local result, words = {}, nil
  local function flush()
    if words then
      local bullet = words:match("^%- ")
      result[#result + 1] = wrap(bullet or "", words:sub(bullet and 3 or 1))
      words = nil
    end
  end
  for line in (text .. "\n"):gmatch("(.-)\n") do
    if line == "" or line:find("^    ") then
      flush()
      result[#result + 1] = line
    elseif line:find("^%- ") then
      flush()
      words = line
    else
      words = words and words .. " " .. line or line
    end
  end
  flush()
  return table.concat(result, "\n")
end

local Page = {}
Page.__index = Page

function Page:add(format, ...)
  self[#self + 1] = select("#", ...) > 0 and format:format(...) or format
end

-- Adds a paragraph.
function Page:text(text)
  if text ~= "" then
    self:add("\n" .. paragraphs(text))
  end
end

-- Adds rows of two columns; `more` is a line below a row.
function Page:rows(title, rows)
  if not rows[1] then
    return
  end
  local width = 0
  for _, row in ipairs(rows) do
    width = math.max(width, #row[1])
  end
  self:add("\n" .. title)
  for _, row in ipairs(rows) do
    self:add(wrap(("  %-" .. width .. "s  "):format(row[1]), row[2]):gsub("%s+$", ""), nil)
    for _, line in ipairs(row.more or {}) do
      self:add("      " .. line, nil)
    end
  end
end

function Page:examples(usage)
  if usage[1] then
    self:add("\nExample")
    for _, line in ipairs(usage) do
      self:add("  " .. line, nil)
    end
  end
end

function Page:finish()
  return table.concat(self, "\n")
end

local function new(title)
  return setmetatable({title}, Page)
end

local function sentence(...)
  local text = table.concat({...}, "")
  return (text:gsub(": $", ""))
end

-- Describes a parameter: "integer, default 4: bytes of the shortest string".
local function describe(value)
  local left_out = value.default and ", default " .. value.default
    or value.optional and value.type.kind ~= "optional" and ", optional" or ""
  return sentence(types.text(value.type), left_out, ": ", value.text)
end

-- Writes a call: "find(bytes [, options])".
function pages.signature(entry)
  local text, closing = "", ""
  for i, parameter in ipairs(entry.parameters) do
    local comma = i > 1 and ", " or ""
    if parameter.optional then
      text = text .. (i > 1 and " [" or "[") .. comma .. parameter.name
      closing = closing .. "]"
    else
      text = text .. comma .. parameter.name
    end
  end
  return ("%s(%s%s)"):format(entry.name, text, closing)
end

local function parameter_rows(entry)
  local rows = {}
  for _, parameter in ipairs(entry.parameters) do
    rows[#rows + 1] = {parameter.name, describe(parameter)}
    for _, option in ipairs(parameter.options or {}) do
      rows[#rows + 1] = {"  " .. option.name, describe(option)}
    end
  end
  return rows
end

-- Describes a return value: "iterator over address, text (integer, string)", or
-- "Dump: the dump".
local function return_text(value)
  if value.type.kind == "function" then
    local kinds = {}
    for i, inner in ipairs(value.type.returns) do
      kinds[i] = types.text(inner)
    end
    return ("%s (%s)"):format(value.text, table.concat(kinds, ", "))
  end
  return sentence(types.text(value.type), ": ", value.text)
end

local function add_returns(page, entry)
  if not entry.returns[1] and not entry.failure then
    return
  end
  page:add("\nReturns")
  for i, value in ipairs(entry.returns) do
    page:add(wrap("  ", (i > 1 and "and " or "") .. return_text(value), "    "), nil)
  end
  if entry.failure then
    page:add(wrap("  ", "or nil, message, code: " .. entry.failure, "    "), nil)
  end
end

function pages.of_function(entry)
  local page = new(pages.signature(entry))
  page:text(entry.summary)
  page:text(entry.text)
  page:rows("Parameters", parameter_rows(entry))
  add_returns(page, entry)
  page:examples(entry.usage)
  return page:finish()
end

function pages.of_field(kind, field)
  local page = new(("%s.%s"):format(kind.name, field.name))
  page:text(describe(field))
  return page:finish()
end

local function function_rows(kind)
  local rows = {}
  for _, entry in ipairs(kind.functions) do
    local last = rows[#rows]
    local short = entry.name:match("[%w_]+$")
    if last and last.summary == entry.summary then -- @also
      last.also = (last.also or "also") .. " " .. short
      last.more[2] = last.also
    else
      rows[#rows + 1] = {short, entry.summary, summary = entry.summary, more = {entry.usage[1]}}
    end
  end
  return rows
end

local function field_rows(kind)
  local rows = {}
  for i, field in ipairs(kind.fields) do
    rows[i] = {field.name, describe(field)}
  end
  return rows
end

function pages.of_kind(kind, model)
  local page = new(wrap("", ("%s: %s"):format(kind.name, kind.summary), "  "))
  page:text(kind.text)
  page:examples(kind.usage)
  page:rows("Fields", field_rows(kind))
  page:rows(kind.is_module and "Functions" or "Methods", function_rows(kind))
  if kind.extends then
    page:rows("Methods of " .. kind.extends, function_rows(model.by_name[kind.extends]))
  end
  return page:finish()
end

function pages.overview(model)
  local page = new(("qvm: %s"):format(model.by_name.qvm.summary))
  local functions, modules, objects = {}, {}, {}
  for _, kind in ipairs(model.kinds) do
    if kind.is_module then
      for _, entry in ipairs(kind.functions) do
        functions[#functions + 1] = {entry.name, entry.summary}
      end
    end
    if kind.name ~= "qvm" then
      table.insert(kind.is_module and modules or objects, {kind.name, kind.summary})
    end
  end
  page:rows("Functions", functions)
  page:rows("Modules", modules)
  page:rows("Objects", objects)
  page:add('\nqvm.help "VM" or qvm.help(vm) is about one of them, and')
  page:add('qvm.help "VM:dump" or qvm.help(vm.dump) about a function.')
  return page:finish()
end

return pages
