-- C types for a kernel that a spec makes up: laid out as a 64-bit compiler does it, written as
-- type information, and filled with values.
--
-- Types are named as in C: "int", "struct list_head", "struct list_head *", "char[16]".

local btf = require "support.btf"

local Types = {}
Types.__index = Types

local ctypes = {}

local function round(at, align)
  return (at + align - 1) // align * align
end

-- Sizes, alignments and BTF of the types that need no others.
local BASIC = {
  {"char", 1, {signed = true, char = true}}, {"unsigned char", 1, {}}, {"short int", 2,
  {signed = true}}, {"short unsigned int", 2, {}}, {"int", 4, {signed = true}},
  {"unsigned int", 4, {}}, {"long int", 8, {signed = true}}, {"long unsigned int", 8, {}},
  {"long long int", 8, {signed = true}}, {"long long unsigned int", 8, {}},
  {"_Bool", 1, {bool = true}}, {"__int128 unsigned", 16, {}},
}

function ctypes.new(order)
  local types = setmetatable({order = order or "<", ids = {}, names = {}, sizes = {}, aligns = {},
    emit = {}, parts = {}, packs = {}}, Types)
  for _, basic in ipairs(BASIC) do
    local name, size, options = table.unpack(basic)
    types:define(name, size, size, function(writer) writer:int(name, size, options) end)
    types.packs[name] = (options.signed and "i" or "I") .. size
  end
  types:define("void", nil, 1)
  types.ids.void = 0
  return types
end

function Types:define(name, size, align, emit)
  self.sizes[name], self.aligns[name], self.emit[name] = size, align, emit
end

-- Defines pointers, arrays and modified types when they are first named.
function Types:derive(name)
  local target = name:match("^(.-) ?%*$")
  if target then
    return self:define(name, 8, 8, function(writer) writer:pointer(self:id(target)) end)
  end
  local element, count = name:match("^(.-)%[(%d*)%]$")
  if element then
    count = tonumber(count) or 0
    return self:define(name, self:size(element) * count, self:align(element), function(writer)
      writer:array(self:id(element), count, self:id "long unsigned int")
    end)
  end
  local modifier, base = name:match("^(%l+) (.+)$")
  assert(modifier == "const" or modifier == "volatile", "unknown type: " .. name)
  self:define(name, self:size(base), self:align(base), function(writer)
    writer[modifier](writer, self:id(base))
  end)
end

function Types:known(name)
  if not self.aligns[name] then
    self:derive(name)
  end
  return name
end

function Types:size(name)
  return self.sizes[self:known(name)]
end

function Types:align(name)
  return self.aligns[self:known(name)]
end

-- The id of a type: the first use of a name gives it one.
function Types:id(name)
  if not self.ids[name] then
    self:known(name)
    self.names[#self.names + 1] = name
    self.ids[name] = #self.names
  end
  return self.ids[name]
end

-- members: {name, type} each; an anonymous one has an empty name.
local function composite(kind)
  return function(self, tag, members)
    local name, at, align, size = kind .. " " .. tag, 0, 1, 0
    local parts = {}
    for i, member in ipairs(members) do
      local one = self:align(member[2])
      at = kind == "union" and 0 or round(at, one)
      parts[i] = {name = member[1], type = member[2], offset = at}
      at, align = at + self:size(member[2]), math.max(align, one)
      size = math.max(size, at)
    end
    self.parts[name] = parts
    self:define(name, round(size, align), align, function(writer)
      local list = {}
      for i, part in ipairs(parts) do
        list[i] = {part.name, self:id(part.type), part.offset * 8}
      end
      writer[kind](writer, tag:find("^%.") and "" or tag, self:size(name), list)
    end)
  end
end

-- A tag that begins with "." names an anonymous one.
Types.struct, Types.union = composite "struct", composite "union"

function Types:enum(tag, values)
  self:define("enum " .. tag, 4, 4, function(writer) writer:enum(tag, values) end)
  self.packs["enum " .. tag] = "i4"
end

function Types:typedef(name, target)
  self:define(name, self:size(target), self:align(target), function(writer)
    writer:typedef(name, self:id(target))
  end)
  self.packs[name], self.parts[name] = self.packs[target], self.parts[target]
end

-- A type that the spec writes itself: emit(writer).
function Types:other(name, size, align, emit)
  self:define(name, size, align, emit)
  return self:id(name)
end

-- A global variable, of which the type information has the type.
function Types:variable(name, target)
  self:other("var " .. name, nil, 1, function(writer) writer:variable(name, self:id(target)) end)
end

-- All types, and those that they need, as a writer of type information.
function Types:writer()
  local names = {}
  for name in pairs(self.emit) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    self:id(name)
  end
  local writer = btf.new(self.order)
  local at = 1
  while at <= #self.names do
    self.emit[self.names[at]](writer)
    at = at + 1
  end
  return writer
end

function Types:btf()
  return self:writer():bytes()
end

-- A member, also within anonymous ones; the path has dots.
function Types:member(name, path)
  local first, rest = path:match("^([^.]+)%.?(.*)$")
  for _, part in ipairs(self.parts[name] or {}) do
    if part.name == first then
      local inner, offset = part.type, part.offset
      if rest ~= "" then
        local more
        inner, more = self:member(inner, rest)
        offset = offset + more
      end
      return inner, offset
    elseif part.name == "" then
      local inner, offset = self:member(part.type, path)
      if inner then
        return inner, part.offset + offset
      end
    end
  end
end

function Types:offset(name, path)
  local _, offset = self:member(name, path)
  return offset or error(name .. " has no member " .. path)
end

-- The bytes of a value: of a number, a string in a char array, a struct given by its members,
-- an array given by its elements from 1 on.
function Types:pack(name, value)
  local size = self:size(name)
  if self.packs[name] then
    return string.pack(self.order .. self.packs[name], value)
  elseif type(value) == "number" then
    return string.pack(self.order .. "i8", value)
  end
  local bytes = type(value) == "string" and value or ""
  bytes = bytes .. ("\0"):rep(size - #bytes)
  if type(value) == "table" then
    for key, part in pairs(value) do
      local inner, offset
      if math.type(key) == "integer" then
        inner = name:match("^(.-)%[%d*%]$")
        offset = (key - 1) * self:size(inner)
      else
        inner, offset = self:member(name, key)
        assert(inner, name .. " has no member " .. key)
      end
      local packed = self:pack(inner, part)
      bytes = bytes:sub(1, offset) .. packed .. bytes:sub(offset + #packed + 1)
    end
  end
  return bytes
end

return ctypes
