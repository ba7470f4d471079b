-- Paths into a decoded document, as a Lua programmer would write them: `a.b[2].c`, with
-- `["any name"]` for names that are not identifiers.

local line = require "qvm.util.text"

local path = {}

-- Parses a quoted name, from its opening quote on: the name and the rest.
local function parse_quoted(text, at)
  local from = at + 1
  local stop = from
  while true do
    stop = text:find('["\\]', stop)
    if not stop then
      return nil
    elseif text:byte(stop) == 34 then
      return (text:sub(from, stop - 1):gsub("\\(.)", "%1")), stop + 1
    end
    stop = stop + 2
  end
end

-- Parses one step of a path: its key and the rest.
local function parse_step(text, at, first)
  local dot = first and at or text:match("^%.()", at)
  if dot then
    local name, rest = text:match('^([^%.%[%]"]+)()', dot)
    if name then
      return name, rest
    end
  end
  local index, rest = text:match("^%[(%d+)%]()", at)
  if index then
    return math.tointeger(tonumber(index)), rest
  end
  if text:find('^%["', at) then
    local name, rest_at = parse_quoted(text, at + 1)
    return name, rest_at and text:match("^%]()", rest_at)
  end
end

-- Parses a path into keys; nil, what is wrong.
function path.parse(text)
  local keys, at = {}, 1
  while at <= #text do
    local key, rest = parse_step(text, at, at == 1)
    if key == nil or not rest then
      return nil, ('character %d of path "%s" is not understood'):format(at,
        line.field(text))
    end
    keys[#keys + 1] = key
    at = rest
  end
  return keys
end

-- Writes a step of a path; is_first: the path is empty so far.
function path.piece(key, is_first)
  if math.type(key) == "integer" then
    return ("[%d]"):format(key)
  elseif not key:find('^[^%.%[%]"\\\0-\31\127 ]+$') then
    return ('["%s"]'):format((key:gsub('[\\"]', "\\%0")))
  end
  return is_first and key or "." .. key
end

return path
