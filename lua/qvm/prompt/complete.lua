-- Completes a line of the prompt.
--
-- No functions of scripts are called, since a call may do anything: names are looked up
-- without metamethods, and the results of this library's functions are known by kind. Only
-- these are read: the names of the VMs (as by qvm.names), directories, and in an open dump the
-- registers of a vCPU, the kernel's types, symbols and variables, and members of Objects.

local system = require "qvm.util.system"
local Dump = require "qvm.dump"
local Env = require "qvm.host.env"
local guest = require "qvm.guest"
local help = require "qvm.prompt.help"
local line = require "qvm.util.text"
local objects = require "qvm.guest.objects"
local qvm = require "qvm"
local typed_memory = require "qvm.guest.typed_memory"
local types = require "qvm.guest.types"
local VM = require "qvm.host.vm"

local MOST = 500 -- candidates
local DEEPEST = 16 -- directories that contain only the next one

local keywords = {"and", "break", "do", "else", "elseif", "end", "false", "for", "function",
  "goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until",
  "while"}

-- The class of the object that a function returns, and the fields of an object that is not
-- there to be examined.
local returns = {[qvm.vm] = VM, [qvm.replay] = VM, [qvm.open] = Dump, [VM.env] = Env,
  [VM.dump] = Dump, [Dump.type] = types.Type}
local fields = {[types.Type] = {"name", "kind", "size", "length", "target"},
  [VM] = {"name", "path"}, [Env] = {"raw", "text", "warnings"},
  [Dump] = {"path", "format", "machine", "bits", "byteorder", "size", "complete", "warnings"}}

-- Parts of the library that are loaded on first use.
local parts = {c = true, conf = true, errata = true}

local is_keyword = {}
for _, word in ipairs(keywords) do
  is_keyword[word] = true
end

-- Escapes a text for a string with such quotes.
local function escaped(text, quote)
  return (text:gsub("[\\" .. quote .. "]", "\\%0"))
end

local function is_identifier(name)
  return type(name) == "string" and name:find("^[%a_][%w_]*$") and not is_keyword[name]
end

-- Lookup without calls ----------------------------------------------------------

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

local function is_object(value)
  local meta = debug.getmetatable(value)
  return type(value) == "table" and meta
    and type(rawget(meta, "methods") or rawget(meta, "__index")) == "table"
end

local function string_keys(t, wanted, add)
  for key, value in next, t do
    if is_identifier(key) and key:sub(1, 1) ~= "_" and wanted(value) then
      add(key)
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

-- The links of a chain, from the first name on; nil if the text is not a chain.
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

-- Resolves a chain: a value, or the class of an object that is not there.
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
      value = field(class and class.__index or value, link.name, vms)
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

-- After a dot: members of a module, but only fields of an object.
local function members(value, class, separator, add)
  local function is_function(member)
    return type(member) == "function"
  end
  if separator == ":" then
    for _, t in ipairs(tables_of(class and class.__index or value)) do
      string_keys(t, is_function, add)
    end
  elseif objects.is_object(value) then
    for _, name in ipairs(objects.member_names(value)) do
      if is_identifier(name) then
        add(name)
      end
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

-- The paths in a directory that begin with a text; directories end with "/".
local function paths(typed)
  local directory = typed:match("^.*/") or ""
  local list = {}
  for _, name in ipairs(system.entries(directory == "" and "." or directory) or {}) do
    local path = directory .. name
    if path:sub(1, #typed) == typed
      and (name:sub(1, 1) ~= "." or typed:match("[^/]*$"):sub(1, 1) == ".") then
      local _, _, kind = system.stat(path)
      list[#list + 1] = kind == "directory" and path .. "/" or path
    end
  end
  return list
end

-- If there is only one directory, its contents: readline closes the quote after a single word.
local function file_names(piece, quote, add)
  local list = paths((piece:gsub("\\(.)", "%1")))
  for _ = 1, DEEPEST do
    if #list ~= 1 or list[1]:sub(-1) ~= "/" then
      break
    end
    local inside = paths(list[1])
    list = inside[1] and inside or list
  end
  for _, path in ipairs(list) do
    add(escaped(path, quote))
  end
end

-- The quote that is open at the end of a text, and its position; "-" in a comment.
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

-- Functions whose first argument is a path.
local takes_path = {open = true, load = true, replay = true, types = true, symbols = true}

-- Methods of a dump whose first argument is the name of a type, and of a symbol.
local takes_type = {type = true, object = true}
local takes_symbol = {address = true, symbol = true, variable = true, read = true, cstring = true,
  array = true, u8 = true, u16 = true, u32 = true, u64 = true, i8 = true, i16 = true, i32 = true,
  i64 = true}

-- The open dump whose method is called before a quote, and the method's name.
local function dump_before(before, env)
  local prefix, name = before:match("^(.-):%s*([%a_][%w_]*)%s*%(?%s*$")
  local dump = prefix and resolve(chain(prefix) or {}, env, rawget(env, "vms"))
  if dump ~= nil and debug.getmetatable(dump) == Dump then
    return dump, name
  end
end

local function symbol_names(dump, piece, add)
  local ok, symbols = pcall(guest.symbols_in_use, dump)
  if ok and symbols and symbols.all then
    for symbol in symbols:all("^" .. piece:gsub("%W", "%%%0")) do
      add(symbol.name)
    end
  end
end

local function kernel_names(before, piece, env, add)
  local dump, name = dump_before(before, env)
  if dump and takes_type[name] then
    local ok, found = pcall(typed_memory.types_in_use, dump)
    for _, type_name in ipairs(ok and found and types.Types.names(found, piece, MOST) or {}) do
      add(type_name)
    end
  elseif dump and takes_symbol[name] and piece ~= "" then
    symbol_names(dump, piece, add)
  end
end

local function help_names(add)
  for _, name in ipairs(help.names()) do
    add(name)
  end
end

local function in_quotes(before, piece, quote, env, add)
  local name = before:match("([%a_][%w_]*)%s*%(?%s*$")
  if name == "vm" or before:find("%f[%w_]vms%s*%[%s*$") then
    for _, vm in ipairs(vm_names()) do
      add(escaped(vm, quote))
    end
  elseif name == "help" then
    help_names(add)
  elseif takes_path[name] then
    file_names(piece, quote, add)
  else
    kernel_names(before, piece, env, add)
  end
end

-- Collects the candidates that begin with the piece, in order.
local function collector(piece)
  local list, seen = {}, {}
  return list, function(name)
    if name:sub(1, #piece) == piece and not seen[name] and #list < MOST
      and line.escape_controls(name) == name then
      seen[name] = true
      list[#list + 1] = name
    end
  end
end

-- The VMs whose names begin with what follows "vms.". If one of them is not an identifier, all
-- are written as `vms["a name"]`, since candidates must begin alike. True if they also replace
-- the dot.
local function vm_members(before, list, add)
  local is_plain = true
  for _, name in ipairs(vm_names()) do
    local count = #list
    add(name)
    is_plain = is_plain and (#list == count or is_identifier(name))
  end
  if is_plain then
    return false
  elseif not before:find("%S%.$") then -- readline replaces only the last word
    while list[1] do
      table.remove(list)
    end
    return false
  end
  for i, name in ipairs(list) do
    list[i] = '["' .. escaped(name, '"') .. '"]'
  end
  return true
end

-- Candidates after names, dots and colons. Returns the same as vm_members.
local function after_names(before, env, list, add)
  local prefix, separator = before:match("^(.-)%s*([.:])%s*$")
  if before:find("%.%.%s*$") or before:find("::%s*$") then
    return false
  end
  local vms = rawget(env, "vms")
  local value, class = resolve(chain(prefix) or {}, env, vms)
  if value ~= nil and value == vms and separator == "." then
    return vm_members(before, list, add)
  elseif value ~= nil or class then
    members(value, class, separator, add)
  end
  return false
end

--- Completes a line.
-- @tparam string text the line up to the cursor
-- @tparam table env the prompt's globals; `vms` in it stands for the VMs
-- @treturn integer position in the text of what is to be completed
-- @treturn {string,...} candidates, sorted
-- @treturn string what closes a candidate
return function(text, env)
  local quote, at = open_quote(text)
  local topic = text:match("^%s*help%s+([%a_][%w_.:]*)$") -- `help` also takes a bare name
  local piece = quote and at and text:sub(at + 1) or topic or text:match("[%w_]*$")
  local list, add = collector(piece)
  local before = text:sub(1, #text - #piece)
  local from = #before + 1
  if topic then
    help_names(add)
  elseif quote and at then
    in_quotes(text:sub(1, at - 1), piece, quote, env, add)
  elseif not quote and before:find("[.:]%s*$") then
    from = after_names(before, env, list, add) and from - 1 or from
  elseif not quote then
    globals(env, piece, add)
  end
  table.sort(list)
  local is_whole = quote and #list == 1 and list[1]:sub(-1) ~= "/"
  return from, list, is_whole and quote or ""
end
