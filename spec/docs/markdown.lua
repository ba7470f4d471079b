-- Extracts the code blocks of a Markdown file, with their hidden comments.

local files = require "support.files"

local markdown = {}

local kinds = {["given"] = true, ["not run"] = true, ["output"] = true}

-- A comment for the specs: its kind and its text.
local function directive(comment, where)
  local kind, text = comment:match("^<!%-%-%s*(%a[%a ]-)%f[^%a ]%s*:?%s*(.-)%s*%-%->$")
  kind = kind and kind:gsub("%s+$", "")
  if not kinds[kind] then
    error(where .. ": a comment that is none of: given, not run, output", 0)
  end
  return kind, text
end

local function next_line(state)
  state.number = state.number + 1
  return state.lines[state.number]
end

-- A comment can span several lines.
local function read_comment(state, line, path)
  local first = state.number
  while not line:find("-->", 1, true) do
    line = line .. "\n" .. (next_line(state) or error(path .. ":" .. first .. ": not closed", 0))
  end
  return directive(line, path .. ":" .. first)
end

local function read_block(state, language, path)
  local block = {kind = "block", language = language, line = state.number, lines = {}}
  local line = next_line(state)
  while line ~= "```" do
    block.lines[#block.lines + 1] = line or error(path .. ":" .. block.line .. ": not closed", 0)
    line = next_line(state)
  end
  return block
end

local function lines_of(text)
  local lines = {}
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

-- Returns the chapters (`## ` headings, and the text before the first), each with `title`
-- and its blocks in order. A block has `line` (of its fence), `language`, `lines`, and
-- optionally `given` (hidden sessions before it), `reason` (why it is not run) and
-- `is_output`.
function markdown.chapters(path)
  local state = {lines = lines_of(files.read(path)), number = 0}
  local chapter = {title = "before the first chapter", blocks = {}}
  local chapters, pending = {chapter}, {given = {}}
  for line in next_line, state do
    local title, language = line:match("^## (.*)"), line:match("^```(.*)")
    if title then
      chapter = {title = title, blocks = {}}
      chapters[#chapters + 1] = chapter
    elseif language then
      local block = read_block(state, language, path)
      for name, value in pairs(pending) do
        block[name] = value
      end
      chapter.blocks[#chapter.blocks + 1] = block
      pending = {given = {}}
    elseif line:match("^<!%-%-") then
      local first = state.number
      local kind, text = read_comment(state, line, path)
      if kind == "given" then
        table.insert(pending.given, {line = first, lines = lines_of(text)})
      elseif kind == "not run" then
        pending.reason = text
      else
        pending.is_output = true
      end
    end
  end
  return chapters
end

return markdown
