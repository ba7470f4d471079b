-- Makes a manual page, in the macros of man(7), of a parser. The notes at the end of its help
-- become sections: examples, exit statuses, and the rest of the description.
--
-- argparse has no functions that return its options, so its fields are read: those of an element
-- are _description and what makes its label.

local qvm = require "qvm"

local manual = {}

local ESCAPES = {["\\"] = "\\e", ["-"] = "\\-", ["'"] = "\\(aq", ["`"] = "\\(ga", ["^"] = "\\(ha",
  ["~"] = "\\(ti", ['"'] = "\\(dq"}

local WIDTH = 78 -- bytes of a line of the source

-- Text whose characters are all printed.
local function escaped(text)
  return (text:gsub("[\\%-'`^~\"]", ESCAPES))
end

-- Breaks a text into lines. None begins with a control character of troff.
local function filled(text)
  local lines, row = {}, nil
  for word in text:gmatch("%S+") do
    if row and #row + 1 + #word <= WIDTH then
      row = row .. " " .. word
    else
      lines[#lines + 1] = row
      row = word:gsub("^%.", "\\&.")
    end
  end
  lines[#lines + 1] = row
  return table.concat(lines, "\n")
end

-- Prose: what is in backquotes is bold.
local function prose(text)
  local parts, at = {}, 1
  for from, code, to in text:gmatch("()`([^`\n]+)`()") do
    parts[#parts + 1] = escaped(text:sub(at, from - 1))
    parts[#parts + 1] = "\\fB" .. escaped(code) .. "\\fR"
    at = to
  end
  parts[#parts + 1] = escaped(text:sub(at))
  return filled(table.concat(parts))
end

-- A label or a usage: options are bold, what the user replaces is italic.
local function syntax(text)
  local parts, at = {}, 1
  for from, word, to in text:gmatch("()([%w<>%-]+)()") do
    parts[#parts + 1] = escaped(text:sub(at, from - 1))
    local name = word:match("^<(.*)>$") or word:find("^%u+$") and word
    parts[#parts + 1] = name and "\\fI" .. escaped(name) .. "\\fR"
      or word:find("^%-") and "\\fB" .. escaped(word) .. "\\fR" or escaped(word)
    at = to
  end
  parts[#parts + 1] = escaped(text:sub(at))
  return table.concat(parts)
end

local function add_elements(lines, elements)
  for _, element in ipairs(elements) do
    local label = table.concat(element:_get_label_lines(), " "):gsub("^ +", ""):gsub("  +", " ")
    lines[#lines + 1] = ".TP"
    lines[#lines + 1] = element._aliases and syntax(label) or syntax("<" .. label .. ">")
    lines[#lines + 1] = prose(element._description or "")
  end
end

-- Arguments and options in the groups and in the order of --help.
local function add_options(lines, parser)
  local grouped = {}
  for _, group in ipairs(parser._groups) do
    lines[#lines + 1] = (".SS %s"):format(escaped(group.name))
    add_elements(lines, group)
    for _, element in ipairs(group) do
      grouped[element] = true
    end
  end
  local rest = {}
  for _, list in ipairs {parser._arguments, parser._options} do
    for _, element in ipairs(list) do
      rest[#rest + 1] = not grouped[element] and element or nil
    end
  end
  if parser._groups[1] then
    lines[#lines + 1] = ".SS Other options"
  end
  add_elements(lines, rest)
end

-- Lines as they are.
local function add_example(lines, text)
  lines[#lines + 1] = ".RS 3\n.nf"
  for row in text:gmatch("[^\n]+") do
    lines[#lines + 1] = escaped(row:gsub("^   ", "")):gsub("^%.", "\\&.")
  end
  lines[#lines + 1] = ".fi\n.RE"
end

-- A paragraph of the notes, in which indented lines are examples.
local function add_paragraph(lines, text)
  lines[#lines + 1] = ".PP"
  for row in text:gmatch("[^\n]+") do
    if row:find("^   ") then
      add_example(lines, row)
    else
      lines[#lines + 1] = prose(row)
    end
  end
end

-- The rows "   0  text", whose text may go on in the next line.
local function add_statuses(lines, text)
  for row in text:gmatch("[^\n]+") do
    local status, meaning = row:match("^   (%d+) +(.*)$")
    if status then
      lines[#lines + 1] = ".TP"
      lines[#lines + 1] = status
    end
    lines[#lines + 1] = prose(meaning or row:match("^ *(.*)$"))
  end
end

-- Splits the notes: paragraphs of the description, and the texts of the two headings.
local function sections_of(notes)
  local paragraphs, sections = {}, {}
  for text in (notes .. "\n\n"):gmatch("(.-)\n\n+") do
    local heading, rest = text:match("^(%u[%a ]+):\n(.*)$")
    if heading == "Examples" or heading == "Exit status" then
      sections[heading] = rest
    else
      paragraphs[#paragraphs + 1] = text
    end
  end
  return paragraphs, sections
end

-- The other commands.
local function see_also(command, names)
  local list = {}
  for _, name in ipairs(names) do
    if "qvm-" .. name ~= command then
      list[#list + 1] = (".BR %s (1)"):format(escaped("qvm-" .. name))
    end
  end
  return table.concat(list, " ,\n")
end

-- The day of the page, which a packager can fix: https://reproducible-builds.org/specs/
local function today()
  return os.date("!%Y-%m-%d", math.tointeger(tonumber(os.getenv("SOURCE_DATE_EPOCH"))))
end

-- Returns the page of a command as text; names: those of all commands, without "qvm-".
function manual.page(command, parser, names)
  local usage = parser._usage:match("^Usage: %S+ (.*)$")
  local paragraphs, sections = sections_of(parser._epilog)
  local lines = {
    '.\\" Generated by docs/commands.lua.',
    ('.TH %s 1 %s "qvm %s" "User Commands"'):format(escaped(command:upper()), today(),
      qvm.version),
    ".SH NAME",
    filled(("%s \\- %s"):format(escaped(command), escaped((parser._description:gsub("%.$", ""))))),
    ".SH SYNOPSIS", (".B %s"):format(escaped(command)), filled(syntax(usage)),
    ".SH DESCRIPTION", prose(parser._description),
  }
  for _, paragraph in ipairs(paragraphs) do
    add_paragraph(lines, paragraph)
  end
  lines[#lines + 1] = ".SH OPTIONS"
  add_options(lines, parser)
  lines[#lines + 1] = ".SH EXIT STATUS"
  add_statuses(lines, sections["Exit status"])
  if sections.Examples then
    lines[#lines + 1] = ".SH EXAMPLES"
    add_example(lines, sections.Examples)
  end
  lines[#lines + 1] = ".SH SEE ALSO"
  lines[#lines + 1] = see_also(command, names)
  return table.concat(lines, "\n") .. "\n"
end

return manual
