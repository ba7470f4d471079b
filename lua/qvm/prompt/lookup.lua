-- Finds the value that a chain of names stands for, such as `vms.linux1:dump()`, and its members.
--
-- No functions of scripts are called, since a call may do anything: names are looked up
-- without metamethods, and the results of this library's functions are known by kind. Only
-- these are read: the VM of a name, and in an open dump the registers of a vCPU, variables of
-- the kernel, and members of Objects.

local Dump = require "qvm.dump"
local Env = require "qvm.host.env"
local objects = require "qvm.guest.objects"
local qvm = require "qvm"
local types = require "qvm.guest.types"
local VM = require "qvm.host.vm"

local lookup = {}

lookup.keywords = {"and", "break", "do", "else", "elseif", "end", "false", "for", "function",
  "goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until",
  "while"}

local is_keyword = {}
for _, word in ipairs(lookup.keywords) do
  is_keyword[word] = true
end

function lookup.is_identifier(name)
  return type(name) == "string" and name:find("^[%a_][%w_]*$") and not is_keyword[name]
end

-- The class of the object that a function returns, and the fields of an object that is not
-- there to be examined.
local returns = {[qvm.vm] = VM, [qvm.replay] = VM, [qvm.open] = Dump, [VM.env] = Env,
  [VM.dump] = Dump, [Dump.type] = types.Type}
local fields = {[types.Type] = {"name", "kind", "size", "length", "target"},
  [VM] = {"name", "path"}, [Env] = {"raw", "text", "warnings"},
  [Dump] = {"path", "format", "machine", "bits", "byteorder", "size", "complete", "warnings"}}

-- Parts of the library that are loaded on first use.
local parts = {c = true, conf = true, errata = true}

-- Fields -----------------------------------------------------------------------

-- The tables in which a name is looked up, in order: a value, and those that its metatables
-- name.
local function tables_of(value)
  local list, seen = {}, {}
  while type(value) == "table" and not seen[value] do
    seen[value] = true
    list[#list + 1] = value
    local meta = debug.getmetatable(value)
    value = meta and (rawget(meta, "methods") or rawget(meta, "__index"))
  end
  if type(value) == "string" then
    list[#list + 1] = string
  end
  return list
end

-- The member of an Object; nil if it cannot be read.
local function member_of(object, name)
  local ok, value = pcall(function() return object[name] end)
  return ok and value or nil
end

-- A raw field; a field of `vms` is the VM of that name.
local function field(value, name, vms)
  if objects.is_object(value) then
    return member_of(value, name)
  elseif value == vms then
    local is_name, vm = pcall(qvm.vm, name)
    return is_name and vm or nil
  elseif value == qvm and parts[name] then
    return qvm[name]
  end
  for _, t in ipairs(tables_of(value)) do
    if rawget(t, name) ~= nil then
      return rawget(t, name)
    end
  end
end

-- The chain of names, indexes and calls before a dot or colon ------------------

-- Splits off the last link of a chain. A link has a `name`, and `arguments` if it is a call.
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
  local is_quoted = true
  rest, name = text:match('^(.-)%s*%[%s*"([^"]*)"%s*%]%s*$')
  if not rest then
    rest, name = text:match("^(.-)%s*%[%s*'([^']*)'%s*%]%s*$")
  end
  if not rest then
    is_quoted = false
    rest, name = text:match("^(.-)%s*%[%s*(%d+)%s*%]%s*$")
  end
  if rest then
    return rest, {name = is_quoted and name:gsub("\\(.)", "%1") or math.tointeger(name),
      is_index = true}
  end
end

local LONGEST = 1024 -- bytes of a chain; each link costs passes over the rest of them

-- The links of a chain, from the first name on; nil if the text is not a chain, or is too long.
local function chain(text)
  local links = {}
  if #text > LONGEST then
    text = text:sub(-LONGEST):match("[;%s](.*)$") or ""
  end
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

-- The known result of a call: the class of an object, or a vCPU or a variable of an open dump.
local function call(callee, self, arguments)
  local variable = arguments:match("^%(?%s*[\"']([%w_]+)[\"']%s*%)?$")
  if variable and callee == Dump.variable and debug.getmetatable(self) == Dump then
    local ok, object = pcall(callee, self, variable)
    return ok and object or nil, nil
  end
  local index = tonumber(arguments:match("^%(%s*(%w+)%s*%)$"))
  if callee == Dump.vcpu and debug.getmetatable(self) == Dump and math.type(index) then
    local ok, cpu = pcall(callee, self, math.tointeger(index))
    return ok and cpu or nil, nil
  end
  return nil, callee ~= nil and returns[callee] or nil
end

-- Resolves a chain: a value, or the class of an object that is not there; nil if the text is not
-- a chain, or if it leads to nothing. env: the prompt's globals.
function lookup.resolve(text, env)
  local self, value, class
  for i, link in ipairs(chain(text) or {}) do
    self = value
    if i == 1 then
      value = rawget(env, link.name)
      if value == nil then
        value = rawget(_G, link.name)
      end
    else
      value = field(class and class.__index or value, link.name, rawget(env, "vms"))
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

-- Members ----------------------------------------------------------------------

local function is_object(value)
  local meta = debug.getmetatable(value)
  return type(value) == "table" and meta
    and type(rawget(meta, "methods") or rawget(meta, "__index")) == "table"
end

-- Adds the names in a table whose values are wanted: identifiers without a leading underscore.
function lookup.string_keys(t, wanted, add)
  for key, value in next, t do
    if lookup.is_identifier(key) and key:sub(1, 1) ~= "_" and wanted(value) then
      add(key)
    end
  end
end

-- Adds what may follow a value, or an object of a class that is not there. After a dot these are
-- the members of a module, but only the fields of an object; after a colon, the methods.
function lookup.members(value, class, separator, add)
  local function is_function(member)
    return type(member) == "function"
  end
  local function is_field(member)
    return not is_function(member)
  end
  if separator == ":" then
    for _, t in ipairs(tables_of(class and class.__index or value)) do
      lookup.string_keys(t, is_function, add)
    end
  elseif objects.is_object(value) then
    for _, name in ipairs(objects.member_names(value)) do
      if lookup.is_identifier(name) then
        add(name)
      end
    end
  elseif class or is_object(value) then
    for _, name in ipairs(class and fields[class] or {}) do
      add(name)
    end
    lookup.string_keys(class and {} or value, is_field, add)
  elseif type(value) == "table" then
    lookup.string_keys(value, function() return true end, add)
    for name in next, value == qvm and parts or {} do
      add(name)
    end
  end
end

return lookup
