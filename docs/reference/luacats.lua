-- Writes stubs for lua-language-server (LuaCATS annotations).

local types = require "types"

local luacats = {}

local Stub = {}
Stub.__index = Stub

function Stub:add(format, ...)
  self[#self + 1] = select("#", ...) > 0 and format:format(...) or format
end

function Stub:comment(text)
  for line in (text .. "\n"):gmatch("(.-)\n") do
    self:add("---" .. line, nil)
  end
end

function Stub:describe(entry)
  self:comment(entry.summary .. (entry.text ~= "" and "\n\n" .. entry.text or ""))
  if entry.usage[1] then
    self:comment("\n```lua\n" .. table.concat(entry.usage, "\n") .. "\n```")
  end
end

local function with_text(line, text)
  return text ~= "" and line .. " " .. text or line
end

local function is_optional(value)
  return value.optional and value.type.kind ~= "optional"
end

function Stub:field(value)
  self:add(with_text(("---@field %s%s %s"):format(value.name, is_optional(value) and "?" or "",
    types.luacats(value.type)), value.text), nil)
end

-- Writes the options of a parameter as a class.
local function options_class(entry, parameter)
  local name = entry.name:gsub(":", ".")
  return ("%s.%s"):format(name:find("^qvm%.") and name or "qvm." .. name, parameter.name)
end

function Stub:options(entry)
  for _, parameter in ipairs(entry.parameters) do
    if parameter.options then
      self:add("---@class %s", options_class(entry, parameter))
      for _, option in ipairs(parameter.options) do
        self:field(option)
      end
      self:add("")
    end
  end
end

function Stub:parameters(entry)
  for _, parameter in ipairs(entry.parameters) do
    local kind = parameter.options and options_class(entry, parameter)
      or types.luacats(parameter.type)
    self:add(with_text(("---@param %s%s %s"):format(parameter.name,
      parameter.optional and "?" or "", kind), parameter.text), nil)
  end
end

local failures = {{"nil"}, {"string", "what is wrong"}, {"qvm.code", "what kind of failure"}}

-- The type of one return value. A function that can fail has two sets of return values.
local function return_type(value, failure)
  if not failure then
    return types.luacats(value.type)
  elseif not value then
    return failure[1] .. "?"
  elseif failure[1] == "nil" then
    return types.luacats(value.type.kind == "optional" and value.type
      or {kind = "optional", inner = value.type})
  end
  local bare = value.type.kind == "optional" and value.type.inner or value.type
  return ("(%s|%s)?"):format(types.luacats(bare), failure[1])
end

function Stub:returns(entry)
  for i = 1, math.max(#entry.returns, entry.failure and 3 or 0) do
    local value, failure = entry.returns[i], entry.failure and failures[i]
    local text = value and value.text or i == 3 and entry.failure or failure[2]
    self:add(("---@return %s%s"):format(return_type(value, failure),
      text ~= "" and " # " .. text or ""), nil)
  end
end

function Stub:method(entry, name)
  self:options(entry)
  self:describe(entry)
  self:parameters(entry)
  self:returns(entry)
  local names = {}
  for i, parameter in ipairs(entry.parameters) do
    names[i] = parameter.name
  end
  self:add("function %s(%s) end\n", name, table.concat(names, ", "))
end

local function class_of(kind)
  return kind.name:find("^qvm") and kind.name or "qvm." .. kind.name
end

-- Writes a kind: its class, and its functions on a local of that name.
function Stub:kind(kind)
  local variable = kind.name:match("[^.]*$")
  self:comment(kind.summary .. (kind.text ~= "" and "\n\n" .. kind.text or ""))
  self:add("---@class %s%s", class_of(kind), kind.extends and ": qvm." .. kind.extends or "")
  for _, field in ipairs(kind.fields) do
    self:field(field)
  end
  self:add("local %s = {}\n", variable)
  for _, entry in ipairs(kind.functions) do
    self:method(entry, variable .. entry.name:match("[.:][%w_]+$"))
  end
end

local function header(module)
  return setmetatable({"---@meta " .. module, "-- Generated from the comments in lua/qvm; "
    .. "for lua-language-server, not to be loaded.\n"}, Stub)
end

-- Returns the stubs: an array of {path, text}.
function luacats.files(model)
  local main, assertions = header "qvm", header "qvm.assertions"
  main:comment("What went wrong, besides nil and a message.")
  main:add('---@alias qvm.code "%s"\n', table.concat(model.codes, '"|"'))
  for _, kind in ipairs(model.kinds) do
    if kind.name == "qvm.assertions" then
      assertions:add("---@class luassert\nlocal assert = {}\n")
      for _, entry in ipairs(kind.functions) do
        assertions:method(entry, entry.name)
      end
    else
      main:kind(kind)
    end
  end
  main:add("return qvm")
  return {{"qvm.lua", table.concat(main, "\n") .. "\n"},
    {"qvm/assertions.lua", table.concat(assertions, "\n")}}
end

return luacats
