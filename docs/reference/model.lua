-- Parses the LDoc comments into one structure: kinds (modules, classes, tables) and
-- functions, each with its parts and their types.

local comments = require "comments"
local types = require "types"

local model = {}

local function fail(tag, format, ...)
  error(("%s: "):format(tag.line) .. format:format(...), 0)
end

-- Replaces @{module.name|label} by its label, and @{qvm.vm.VM} by VM.
local function plain(text)
  return (text:gsub("@(%b{})", function(link)
    local name = link:sub(2, -2)
    return name:match("|(.*)$") or types.class(name)
  end))
end

local function tag_of(block, name)
  for _, tag in ipairs(block.tags) do
    if tag.name == name then
      return tag
    end
  end
end

local function parse_type(tag, text)
  local ok, result = pcall(types.parse, text)
  return ok and result or fail(tag, "%s", result)
end

-- Parses "integer min bytes" of @tparam[opt=4]: name, type, text, and whether it is
-- optional.
local function parse_value(tag)
  local type_text, name, text = tag.value:match("^(%S+)%s+(%S+)%s*(.*)$")
  if not name then
    fail(tag, "@%s has no type or no name: %s", tag.name, tag.value)
  end
  local value = {name = name, type = parse_type(tag, type_text), text = plain(text)}
  local modifier = tag.modifier or ""
  value.default = modifier:match("^opt=(.*)$")
  value.optional = modifier:find("^opt") ~= nil or value.type.kind == "optional"
  if value.type.kind == "optional" and tag.name == "tparam" then
    value.type = value.type.inner
  end
  return value
end

-- Reads the parameters; those named `options.dir` are options of the one before.
local function add_parameter(parameters, tag)
  local value = parse_value(tag)
  local owner, name = value.name:match("^([%w_]+)%.(.+)$")
  if not owner then
    parameters[#parameters + 1] = value
    return
  end
  local last = parameters[#parameters]
  if not last or last.name ~= owner then
    fail(tag, "'%s' does not follow '%s'", value.name, owner)
  end
  last.options = last.options or {}
  value.name = name
  table.insert(last.options, value)
end

local function add_return(entry, tag)
  if tag.name == "return" then
    if not tag.value:find("^nil, message, code") then
      fail(tag, "a @return without a type is 'nil, message, code'; use @treturn")
    end
    entry.failure = plain(tag.value:gsub("^nil, message, code:?%s*", ""))
    return
  end
  local type_text, text = tag.value:match("^(%S+)%s*(.*)$")
  table.insert(entry.returns, {type = parse_type(tag, type_text), text = plain(text)})
end

local function add_usage(entry, block)
  entry.usage = {}
  for _, tag in ipairs(block.tags) do
    if tag.name == "usage" then
      table.insert(entry.usage, tag.value)
    end
  end
end

local function new_entry(block, name)
  local entry = {name = name, summary = plain(block.summary), text = plain(block.text)}
  add_usage(entry, block)
  return entry
end

local function read_function(block, name)
  local entry = new_entry(block, name)
  entry.parameters, entry.returns = {}, {}
  for _, tag in ipairs(block.tags) do
    if tag.name == "tparam" then
      add_parameter(entry.parameters, tag)
    elseif tag.name == "treturn" or tag.name == "return" then
      add_return(entry, tag)
    elseif tag.name ~= "usage" and tag.name ~= "function" and tag.name ~= "also" then
      fail(tag, "@%s is not known here", tag.name)
    end
  end
  return entry
end

-- Returns a copy of a function for another name that @also gives.
local function renamed(entry, old, new)
  local copy = {}
  for key, value in pairs(entry) do
    copy[key] = value
  end
  copy.name, copy.usage = entry.name:gsub(old .. "$", new), {}
  for i, line in ipairs(entry.usage) do
    copy.usage[i] = line:gsub(":" .. old .. "%(", ":" .. new .. "(")
  end
  return copy
end

local Reader = {}
Reader.__index = Reader

-- Returns the kind of a name; makes it if it does not exist.
function Reader:kind(name)
  local kind = self.by_name[name]
  if not kind then
    kind = {name = name, summary = "", text = "", usage = {}, fields = {}, functions = {}}
    self.by_name[name] = kind
    table.insert(self.kinds, kind)
  end
  return kind
end

function Reader:add_function(block, name)
  local short = self.module.name:match("[^.]*$")
  local full = name:gsub("^" .. short .. "%.", self.module.name .. ".")
  local owner = full:match("^(%u%w*):")
  local kind = owner and self:kind(owner) or self.module
  local entry = read_function(block, full)
  local also = tag_of(block, "also")
  table.insert(kind.functions, entry)
  for other in (also and also.value or ""):gmatch("%S+") do
    table.insert(kind.functions, renamed(entry, full:match("[%w_]+$"), other))
  end
end

-- A table is a kind, except that the table of a class or module describes its fields.
function Reader:add_table(block, name)
  local kind = self:kind(name)
  local entry = new_entry(block, name)
  kind.usage = entry.usage
  if kind.summary == "" then
    kind.summary, kind.text = entry.summary, entry.text
  elseif entry.text ~= "" then
    kind.text = kind.text .. (kind.text ~= "" and "\n\n" or "") .. entry.text
  end
  for _, tag in ipairs(block.tags) do
    if tag.name == "tfield" then
      table.insert(kind.fields, parse_value(tag))
    elseif tag.name == "extends" then
      kind.extends = tag.value
    end
  end
end

function Reader:add(block)
  local module, class = tag_of(block, "module"), tag_of(block, "classmod")
  local submodule, tag = tag_of(block, "submodule"), tag_of(block, "type")
  if module then
    self.module = self:kind(module.value)
    self.module.is_module = true
    self.module.summary, self.module.text = plain(block.summary), plain(block.text)
  elseif submodule then -- a file that continues the module before it
    if submodule.value ~= self.module.name then
      fail(submodule, "@submodule %s does not follow that module", submodule.value)
    end
  elseif class then
    self.module = {name = class.value, block = block, functions = {}}
  elseif tag then
    local kind = self:kind(tag.value)
    local said = self.module.block
    kind.summary, kind.text = plain(said.summary), plain(said.text)
  elseif tag_of(block, "table") then
    self:add_table(block, tag_of(block, "table").value)
  else
    tag = tag_of(block, "function")
    local name = tag and tag.value or block.code and block.code:match("^function ([%w_.:]+)")
    if not name then
      fail({line = block.at}, "a comment that belongs to nothing")
    end
    self:add_function(block, name)
  end
end

-- A type that no comment describes is a typing error.
local function check_types(self, what, list)
  for _, value in ipairs(list) do
    for _, class in ipairs(types.classes(value.type)) do
      if not self.by_name[class] then
        error(("%s: nothing is called %s"):format(what, class), 0)
      end
    end
    check_types(self, what, value.options or {})
  end
end

local function codes_of(text)
  local list = {}
  for code in assert(text:match("The codes are(.-)%."), "no codes"):gmatch("`([%w_]+)`") do
    list[#list + 1] = code
  end
  return list
end

-- Reads files in order. Returns `kinds`, each with `name` `summary` `text` `usage`
-- `fields` `functions` `extends` `is_module`; and `codes`.
function model.read(paths)
  local self = setmetatable({kinds = {}, by_name = {}}, Reader)
  for _, path in ipairs(paths) do
    for _, block in ipairs(comments.read(path)) do
      self:add(block)
    end
  end
  for _, kind in ipairs(self.kinds) do
    check_types(self, kind.name, kind.fields)
    for _, entry in ipairs(kind.functions) do
      check_types(self, entry.name, entry.parameters)
      check_types(self, entry.name, entry.returns)
    end
  end
  return {kinds = self.kinds, by_name = self.by_name, codes = codes_of(self.by_name.qvm.text)}
end

return model
