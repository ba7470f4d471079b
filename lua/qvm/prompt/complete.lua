-- What may come next on a line of the prompt.
--
-- Nothing is called to find that out, for a call may do anything: a name is looked
-- up where it stands, and what a call of this library gives is known by its kind.
-- Three things are looked at in the world: which VMs there are (as qvm.names does),
-- the names in a directory, and the registers of a vCPU of a dump that is open.

local core = require "qvm.core"
local Dump = require "qvm.dump"
local Env = require "qvm.host.env"
local line = require "qvm.util.text"
local qvm = require "qvm"
local VM = require "qvm.host.vm"

local MOST = 500 -- candidates

local keywords = {"and", "break", "do", "else", "elseif", "end", "false", "for", "function",
  "goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until",
  "while"}

-- What a call gives, where an object of this library is to be expected, and the
-- fields of one that is not there to be looked at.
local gives = {[qvm.vm] = VM, [qvm.replay] = VM, [qvm.open] = Dump, [VM.env] = Env,
  [VM.dump] = Dump}
local fields = {[VM] = {"name", "path"}, [Env] = {"raw", "text", "warnings"},
  [Dump] = {"path", "format", "machine", "bits", "byteorder", "size", "complete", "warnings"}}

-- Parts of the library that are loaded when they are asked for.
local parts = {conf = true, errata = true}

local is_keyword = {}
for _, word in ipairs(keywords) do
  is_keyword[word] = true
end

local function is_identifier(name)
  return type(name) == "string" and name:find("^[%a_][%w_]*$") and not is_keyword[name]
end

-- Looking without calling -----------------------------------------------------

-- The tables that a name is looked up in, the nearest first: a value, and what
-- its metatables name without a function.
local function tables_of(value)
  local list, seen = {}, {}
  while type(value) == "table" and not seen[value] do
    seen[value] = true
    list[#list + 1] = value
    local meta = debug.getmetatable(value)
    value = meta and rawget(meta, "__index")
  end
  if type(value) == "string" then
    list[#list + 1] = string
  end
  return list
end

-- A field as it stands; of `vms`, the VM of that name.
local function field(value, name, vms)
  if value == vms then
    local root = core.is_name(name) and qvm.root()
    return root and (VM.find(root, name)) or nil
  elseif value == qvm and parts[name] then
    return qvm[name]
  end
  for _, t in ipairs(tables_of(value)) do
    if rawget(t, name) ~= nil then
      return rawget(t, name)
    end
  end
end

local function is_object(value)
  local meta = debug.getmetatable(value)
  return type(value) == "table" and meta and type(rawget(meta, "__index")) == "table"
end

local function string_keys(t, wanted, add)
  for key, value in next, t do
    if is_identifier(key) and key:sub(1, 1) ~= "_" and wanted(value) then
      add(key)
    end
  end
end

-- The chain of names, indexes and calls before a dot or colon ------------------

-- The last link of a chain: what is before it, and the link. A link has a `name`,
-- and `arguments` where it is called.
local function last_link(text)
  local before, arguments = text:match("^(.-)%s*(%b())%s*$")
  if not before then
    before, arguments = text:match("^(.-[%w_])%s*([\"'][^\"']*[\"'])%s*$")
  end
  if not before then
    before, arguments = text:match("^(.-[%w_])%s*(%b{})%s*$")
  end
  local rest, name = (before or text):match("^(.-)([%a_][%w_]*)%s*$")
  if name and not is_keyword[name] then
    return rest, {name = name, arguments = arguments}
  elseif before then
    return nil
  end
  local quote
  rest, quote, name = text:match("^(.-)%s*%[%s*([\"'])([^\"']*)%2%s*%]%s*$")
  if not quote then
    rest, name = text:match("^(.-)%s*%[%s*(%d+)%s*%]%s*$")
  end
  if rest then
    return rest, {name = quote and name or math.tointeger(name), is_index = true}
  end
end

-- The links from the first name on, or nil where that is no such chain.
local function chain(text)
  local links = {}
  while true do
    local rest, link = last_link(text)
    if not rest then
      return nil
    end
    table.insert(links, 1, link)
    local joined = rest:match("^(.-)%s*[.:]%s*$")
    if not link.is_index and (not joined or rest:find("%.%.%s*$") or rest:find("::%s*$")) then
      return links
    end
    text = link.is_index and rest or joined
  end
end

-- What a call is known to give: an object of a class; a vCPU that is looked at.
local function call(callee, self, arguments)
  local index = tonumber(arguments:match("^%(%s*(%w+)%s*%)$"))
  if callee == Dump.vcpu and debug.getmetatable(self) == Dump and math.type(index) then
    local ok, cpu = pcall(callee, self, math.tointeger(index))
    return ok and cpu or nil, nil
  end
  return nil, callee ~= nil and gives[callee] or nil
end

-- Where a chain leads: a value, or the class of one that is not there.
local function resolve(links, env, vms)
  local self, value, class
  for i, link in ipairs(links) do
    self = value
    if i == 1 then
      value = rawget(env, link.name)
      if value == nil then
        value = rawget(_G, link.name)
      end
    else
      value = field(class or value, link.name, vms)
    end
    class = nil
    if link.arguments then
      value, class = call(value, self, link.arguments)
    end
    if value == nil and not class then
      return nil
    end
  end
  return value, class
end

-- Candidates ------------------------------------------------------------------

local function vm_names()
  return qvm.names() or {}
end

-- Behind a dot: the functions of a module too, but of an object what it holds.
local function members(value, class, separator, vms, add)
  local function is_function(member)
    return type(member) == "function"
  end
  if value == vms and separator == "." then
    for _, name in ipairs(vm_names()) do
      if is_identifier(name) then
        add(name)
      end
    end
  elseif separator == ":" then
    for _, t in ipairs(tables_of(class or value)) do
      string_keys(t, is_function, add)
    end
  elseif class or is_object(value) then
    for _, name in ipairs(class and fields[class] or {}) do
      add(name)
    end
    string_keys(class and {} or value, function(member) return not is_function(member) end, add)
  elseif type(value) == "table" then
    string_keys(value, function() return true end, add)
    for name in next, value == qvm and parts or {} do
      add(name)
    end
  end
end

local function globals(env, piece, add)
  string_keys(env, function() return true end, add)
  if piece ~= "" then
    string_keys(_G, function() return true end, add)
    for _, word in ipairs(keywords) do
      add(word)
    end
  end
end

local function file_names(piece, add)
  local directory = piece:match("^.*/") or ""
  for _, name in ipairs(core.entries(directory == "" and "." or directory) or {}) do
    local path = directory .. name
    local _, _, kind = core.stat(path)
    if name:sub(1, 1) ~= "." or piece:match("[^/]*$"):sub(1, 1) == "." then
      add(kind == "directory" and path .. "/" or path)
    end
  end
end

-- The quote that is open at the end of a text, and where it stands; "-" in a
-- comment.
local function open_quote(text)
  local quote, at
  local i = 1
  while i <= #text do
    local c = text:sub(i, i)
    if quote and c == "\\" then
      i = i + 1
    elseif quote == c then
      quote = nil
    elseif not quote and (c == '"' or c == "'") then
      quote, at = c, i
    elseif not quote and text:sub(i, i + 1) == "--" then
      return "-"
    end
    i = i + 1
  end
  return quote, at
end

-- Functions whose first argument is a path, and those that take a VM's name.
local takes_path = {open = true, load = true, replay = true}

local function in_quotes(before, piece, add)
  local name = before:match("([%a_][%w_]*)%s*%(?%s*$")
  if name == "vm" or before:find("%f[%w_]vms%s*%[%s*$") then
    for _, vm in ipairs(vm_names()) do
      add(vm)
    end
  elseif takes_path[name] then
    file_names(piece, add)
  end
end

-- Those of the candidates that begin with the piece, in order.
local function collector(piece)
  local list, seen = {}, {}
  return list, function(name)
    if name:sub(1, #piece) == piece and not seen[name] and #list < MOST
      and line.harmless(name) == name then
      seen[name] = true
      list[#list + 1] = name
    end
  end
end

--- What may stand at the end of a line.
-- @tparam string text the line up to the cursor
-- @tparam table env the prompt's globals; `vms` in it stands for the VMs
-- @treturn integer where that which is to be completed begins in the text
-- @treturn {string,...} what may stand there, sorted
-- @treturn string what closes it
return function(text, env)
  local quote, at = open_quote(text)
  local piece = quote and at and text:sub(at + 1) or text:match("[%w_]*$")
  local list, add = collector(piece)
  local before = text:sub(1, #text - #piece)
  if quote then
    if at then
      in_quotes(text:sub(1, at - 1), piece, add)
    end
  else
    local prefix, separator = before:match("^(.-)%s*([.:])%s*$")
    if not prefix then
      globals(env, piece, add)
    elseif not before:find("%.%.%s*$") and not before:find("::%s*$") then
      local links = chain(prefix)
      local value, class = resolve(links or {}, env, rawget(env, "vms"))
      if value ~= nil or class then
        members(value, class, separator, rawget(env, "vms"), add)
      end
    end
  end
  table.sort(list)
  local is_whole = quote and #list == 1 and list[1]:sub(-1) ~= "/"
  return #text - #piece + 1, list, is_whole and quote or ""
end
