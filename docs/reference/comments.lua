-- Reads the LDoc comments of a Lua file: summary, text and tags of each, unparsed.

local comments = {}

local function trim(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

-- Splits a tag such as "@tparam[opt=4] integer min bytes" into name, modifier and rest.
local function parse_tag(line)
  local name, rest = line:match("^@(%a+)(.*)$")
  if not name then
    return nil
  end
  local modifier = rest:match("^%b[]")
  if modifier then
    rest = rest:sub(#modifier + 1)
    modifier = modifier:sub(2, -2)
  end
  return {name = name, modifier = modifier, value = trim(rest)}
end

-- Splits a text into its first sentence and the rest.
local function split(text)
  local summary, rest = text:match("^(.-[.?])%s+(.*)$")
  if not summary then
    summary, rest = text, ""
  end
  return (trim(summary):gsub("%s*\n%s*", " ")), trim(rest)
end

local function finish(block)
  block.summary, block.text = split(trim(table.concat(block.lines, "\n")))
  block.lines = nil
  return block
end

local function add_line(block, line)
  local tag = parse_tag(line)
  local last = block.tags[#block.tags]
  if tag then
    tag.line = block.at
    block.tags[#block.tags + 1] = tag
  elseif last then
    last.value = trim(last.value .. " " .. trim(line))
  else
    block.lines[#block.lines + 1] = line
  end
end

-- Returns an array of blocks: `line`, `summary`, `text`, `tags`, and `code`, the
-- line that follows.
function comments.read(path)
  local blocks, block = {}, nil
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    local first = line:match("^%s*%-%-%-%s?([^-].*)$")
    local more = line:match("^%s*%-%-%s?(.*)$")
    if first then
      block = {line = number, at = ("%s:%d"):format(path, number), lines = {}, tags = {}}
      blocks[#blocks + 1] = block
      add_line(block, first)
    elseif block and more then
      add_line(block, more)
    elseif block then
      block.code = line
      finish(block)
      block = nil
    end
  end
  if block then
    finish(block)
  end
  return blocks
end

return comments
