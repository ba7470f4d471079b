-- Completes a line of the prompt.
--
-- What is before the cursor decides what the candidates are: a quote, after which the function
-- that is called matters; a dot or a colon after a value; or else a bare name. Besides what
-- lookup.lua reads, these are read: the names of the VMs (as by qvm.names), directories, and the
-- types and symbols of an open dump's kernel.

local system = require "qvm.util.system"
local Dump = require "qvm.dump"
local guest = require "qvm.guest"
local help = require "qvm.prompt.help"
local line = require "qvm.util.text"
local lookup = require "qvm.prompt.lookup"
local qvm = require "qvm"
local typed_memory = require "qvm.guest.typed_memory"
local types = require "qvm.guest.types"

local MOST = 500 -- candidates
local DEEPEST = 16 -- directories that contain only the next one

-- Escapes a text for a string with such quotes.
local function escaped(text, quote)
  return (text:gsub("[\\" .. quote .. "]", "\\%0"))
end

-- Candidates ------------------------------------------------------------------

local function vm_names()
  return qvm.names() or {}
end

local function globals(env, piece, add)
  lookup.string_keys(env, function() return true end, add)
  if piece ~= "" then
    lookup.string_keys(_G, function() return true end, add)
    for _, word in ipairs(lookup.keywords) do
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
  local dump = prefix and lookup.resolve(prefix, env)
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
    is_plain = is_plain and (#list == count or lookup.is_identifier(name))
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
  local prefix, separator = before:match("^(.*[^%s.:])%s*([.:])%s*$")
  if not prefix then
    return false
  end
  local value, class = lookup.resolve(prefix, env)
  if value ~= nil and value == rawget(env, "vms") and separator == "." then
    return vm_members(before, list, add)
  elseif value ~= nil or class then
    lookup.members(value, class, separator, add)
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
