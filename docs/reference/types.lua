-- Parses the types in LDoc comments, and writes them for people and for
-- lua-language-server:
--
--     ?string   a|b   "a"|"b"   {string,...}   {[string]=integer}   qvm.vm.VM
--     function(integer,?string):integer,string

local types = {}

local parse_union

-- Parses a list of types, separated by commas, each with `parse`.
local function parse_list(text, at, parse)
  local list = {}
  repeat
    list[#list + 1], at = parse(text, at)
    local comma = text:match("^,()", at)
    at = comma or at
  until not comma
  return list, at
end

local function expect(text, at, token)
  if text:sub(at, at + #token - 1) ~= token then
    error(("type %s: '%s' expected at character %d"):format(text, token, at), 0)
  end
  return at + #token
end

local function parse_table(text, at)
  local key, inner
  if text:sub(at, at) == "[" then
    key, at = parse_union(text, at + 1)
    inner, at = parse_union(text, expect(text, at, "]="))
    return {kind = "map", key = key, inner = inner}, expect(text, at, "}")
  end
  inner, at = parse_union(text, at)
  return {kind = "array", inner = inner}, expect(text, at, ",...}")
end

local function parse_one(text, at)
  if text:sub(at, at) == "?" then
    local inner
    inner, at = parse_one(text, at + 1)
    return {kind = "optional", inner = inner}, at
  elseif text:sub(at, at) == "{" then
    return parse_table(text, at + 1)
  elseif text:find("^function%(", at) then
    local result = {kind = "function", arguments = {}, returns = {}}
    at = at + #"function("
    if text:sub(at, at) ~= ")" then
      result.arguments, at = parse_list(text, at, parse_union)
    end
    at = expect(text, at, ")")
    if text:sub(at, at) == ":" then
      result.returns, at = parse_list(text, at + 1, parse_one)
    end
    return result, at
  end
  local literal, after = text:match('^("[^"]*")()', at)
  if literal then
    return {kind = "literal", text = literal}, after
  end
  local name, next_at = text:match("^([%a_][%w_.]*)()", at)
  if not name then
    error(("type %s: a name expected at character %d"):format(text, at), 0)
  end
  return {kind = "name", name = name}, next_at
end

function parse_union(text, at)
  local list = {}
  repeat
    list[#list + 1], at = parse_one(text, at)
    local bar = text:match("^|()", at)
    at = bar or at
  until not bar
  return list[2] and {kind = "union", list = list} or list[1], at
end

function types.parse(text)
  local result, at = parse_union(text, 1)
  if at <= #text then
    error(("type %s: not understood from character %d on"):format(text, at), 0)
  end
  return result
end

local plain = {any = true, string = true, integer = true, number = true, boolean = true,
  table = true, ["nil"] = true}

-- The name of a class without its module: VM for qvm.vm.VM.
function types.class(name)
  return name:match("%.(%u%w*)$") or name
end

local function all(list, write, separator)
  local texts = {}
  for i, entry in ipairs(list) do
    texts[i] = write(entry)
  end
  return table.concat(texts, separator)
end

-- Writes a type for people.
function types.text(t)
  if t.kind == "name" then
    return types.class(t.name)
  elseif t.kind == "literal" then
    return t.text
  elseif t.kind == "optional" then
    return types.text(t.inner) .. " or nil"
  elseif t.kind == "union" then
    return all(t.list, types.text, " or ")
  elseif t.kind == "array" then
    return "{" .. types.text(t.inner) .. ", ...}"
  elseif t.kind == "map" then
    return ("{[%s] = %s}"):format(types.text(t.key), types.text(t.inner))
  end
  return ("function(%s)%s"):format(all(t.arguments, types.text, ", "),
    t.returns[1] and ": " .. all(t.returns, types.text, ", ") or "")
end

-- Adds brackets if something follows the type.
local function closed(t)
  local text = types.luacats(t)
  return (t.kind == "function" or t.kind == "union") and "(" .. text .. ")" or text
end

-- Writes a type for lua-language-server.
function types.luacats(t)
  if t.kind == "name" then
    local name = types.class(t.name)
    return (plain[name] or name:find("^qvm%.")) and name or "qvm." .. name
  elseif t.kind == "literal" then
    return t.text
  elseif t.kind == "optional" then
    return t.inner.name == "any" and "any" or closed(t.inner) .. "?"
  elseif t.kind == "union" then
    return all(t.list, closed, "|")
  elseif t.kind == "array" then
    return closed(t.inner) .. "[]"
  elseif t.kind == "map" then
    return ("table<%s, %s>"):format(types.luacats(t.key), types.luacats(t.inner))
  end
  local names = {}
  for i, argument in ipairs(t.arguments) do
    names[i] = ("a%d: %s"):format(i, types.luacats(argument))
  end
  return ("fun(%s)%s"):format(table.concat(names, ", "),
    t.returns[1] and ": " .. all(t.returns, types.luacats, ", ") or "")
end

-- Calls a function with the name of every class in a type, to check that it exists.
function types.classes(t, found)
  found = found or {}
  if t.kind == "name" and not plain[t.name] then
    found[#found + 1] = types.class(t.name)
  end
  for _, inner in ipairs {t.inner or false, t.key or false} do
    if inner then
      types.classes(inner, found)
    end
  end
  for _, list in ipairs {t.list or {}, t.arguments or {}, t.returns or {}} do
    for _, inner in ipairs(list) do
      types.classes(inner, found)
    end
  end
  return found
end

return types
