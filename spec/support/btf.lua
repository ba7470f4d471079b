-- Writes type information from the tables in the kernel's Documentation/bpf/btf.rst,
-- independently of the code that reads it.

local btf = {}

local KINDS = {int = 1, pointer = 2, array = 3, struct = 4, union = 5, enum = 6, forward = 7,
  typedef = 8, volatile = 9, const = 10, restrict = 11, func = 12, prototype = 13, variable = 14,
  section = 15, float = 16, decl_tag = 17, type_tag = 18, enum64 = 19}
btf.KINDS = KINDS

local SIGNED, CHAR, BOOL = 1, 2, 4

local Writer = {}
Writer.__index = Writer

-- Without a base, ids begin at 1. order: "<" or ">". base: a writer whose ids and strings this
-- one continues, as a module's do.
function btf.new(order, base)
  return setmetatable({order = order or "<", base = base, first = base and base.next or 1,
    next = base and base.next or 1, first_string = base and base.end_string or 0,
    end_string = base and base.end_string or 1, types = {}, strings = base and {} or {"\0"},
    offsets = {}}, Writer)
end

function Writer:pack(format, ...)
  return string.pack(self.order .. format, ...)
end

-- The offset of a name. Names are shared, also with the base.
function Writer:string(text)
  if not text or text == "" then
    return 0
  end
  local known = self.offsets[text] or self.base and self.base.offsets[text]
  if not known then
    known = self.end_string
    self.offsets[text], self.end_string = known, known + #text + 1
    self.strings[#self.strings + 1] = text .. "\0"
  end
  return known
end

-- One type, from its raw fields; returns its id.
function Writer:raw(name, kind, count, flag, size, extra)
  local info = count | (KINDS[kind] or kind) << 24 | (flag and 1 << 31 or 0)
  self.types[#self.types + 1] = self:pack("I4I4I4", type(name) == "number" and name
    or self:string(name), info, size) .. (extra or "")
  self.next = self.next + 1
  return self.next - 1
end

-- options: signed, char, bool; offset and bits, of one that is a part of its bytes.
function Writer:int(name, size, options)
  options = options or {}
  local encoding = (options.signed and SIGNED or 0) | (options.char and CHAR or 0)
    | (options.bool and BOOL or 0)
  return self:raw(name, "int", 0, false, size, self:pack("I4", encoding << 24
    | (options.offset or 0) << 16 | (options.bits or 8 * size)))
end

function Writer:array(element, count, index)
  return self:raw("", "array", 0, false, 0, self:pack("I4I4I4", element, index or element, count))
end

-- members: {name, type, offset in bits, bits of a bitfield} each.
local function composite(kind)
  return function(self, name, size, members)
    local flag, parts = false, {}
    for _, member in ipairs(members) do
      flag = flag or member[4] ~= nil
    end
    for i, member in ipairs(members) do
      parts[i] = self:pack("I4I4I4", self:string(member[1]), member[2],
        (member[3] or 0) | (flag and (member[4] or 0) << 24 or 0))
    end
    return self:raw(name, kind, #members, flag, size, table.concat(parts))
  end
end

Writer.struct, Writer.union = composite "struct", composite "union"

-- values: {name, value} each.
function Writer:enum(name, values, size, is_signed)
  local parts = {}
  for i, one in ipairs(values) do
    parts[i] = self:pack("I4I4", self:string(one[1]), one[2] & 0xffffffff)
  end
  return self:raw(name, "enum", #values, is_signed, size or 4, table.concat(parts))
end

function Writer:enum64(name, values, is_signed)
  local parts = {}
  for i, one in ipairs(values) do
    parts[i] = self:pack("I4I4I4", self:string(one[1]), one[2] & 0xffffffff, one[2] >> 32)
  end
  return self:raw(name, "enum64", #values, is_signed, 8, table.concat(parts))
end

function Writer:forward(name, is_union)
  return self:raw(name, "forward", 0, is_union, 0)
end

function Writer:pointer(target)
  return self:raw("", "pointer", 0, false, target)
end

for _, kind in ipairs {"const", "volatile", "restrict"} do
  Writer[kind] = function(self, target)
    return self:raw("", kind, 0, false, target)
  end
end

for _, kind in ipairs {"typedef", "type_tag"} do
  Writer[kind] = function(self, name, target)
    return self:raw(name, kind, 0, false, target)
  end
end

-- parameters: {name, type} each; type 0 for the last: "...".
function Writer:prototype(result, parameters)
  local parts = {}
  for i, one in ipairs(parameters or {}) do
    parts[i] = self:pack("I4I4", self:string(one[1]), one[2])
  end
  return self:raw("", "prototype", #parts, false, result, table.concat(parts))
end

function Writer:func(name, prototype)
  return self:raw(name, "func", 1, false, prototype) -- 1: of external linkage
end

function Writer:variable(name, target)
  return self:raw(name, "variable", 0, false, target, self:pack("I4", 1))
end

-- variables: {id, offset, size} each.
function Writer:section(name, size, variables)
  local parts = {}
  for i, one in ipairs(variables) do
    parts[i] = self:pack("I4I4I4", one[1], one[2], one[3])
  end
  return self:raw(name, "section", #variables, false, size, table.concat(parts))
end

function Writer:float(name, size)
  return self:raw(name, "float", 0, false, size)
end

function Writer:decl_tag(name, target, index)
  return self:raw(name, "decl_tag", 0, false, target, self:pack("i4", index))
end

-- The whole: the header, the types, the strings. header: fields of another value.
function Writer:bytes(header)
  local types, strings = table.concat(self.types), table.concat(self.strings)
  header = header or {}
  return self:pack("I2BBI4I4I4I4I4", header.magic or 0xeb9f, header.version or 1,
    header.flags or 0, header.size or 24, header.types_at or 0, header.types_size or #types,
    header.strings_at or #types, header.strings_size or #strings) .. types .. strings
end

return btf
