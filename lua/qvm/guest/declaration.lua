-- C declarations: of a type as text, and of text as a type.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

local declaration = {}

local DEPTH = 8         -- of functions whose parameters are functions, and of structs in structs
local PARAMETERS = 32   -- that are shown of one declaration
local ONE_LINE = 300    -- bytes of members in one line
local MEMBERS = 400     -- lines of one layout

-- Text --------------------------------------------------------------------------------------

local PREFIXES = {struct = "struct", union = "union", enum = "enum"}

local write

-- nested: the depth of functions within functions, and `left`, the parameters that may still be
-- shown: each may be a function with parameters of its own.
local function parameters(handle, nested)
  local list, index = {}, 0
  local name, inner, is_rest = core.type_part(handle, index)
  while name do
    if nested.left == 0 or nested.depth == DEPTH then
      list[#list + 1] = "..."
      break
    end
    nested.left, nested.depth = nested.left - 1, nested.depth + 1
    list[#list + 1] = is_rest and "..." or write(inner, name, nested)
    index, nested.depth = index + 1, nested.depth - 1
    name, inner, is_rest = core.type_part(handle, index)
  end
  return #list > 0 and table.concat(list, ", ") or "void"
end

-- Modifiers stand before what they modify; those of a pointer, after its star.
local function with_modifier(word, target, name, nested)
  local kind = core.type_about(target)
  if kind == "pointer" then
    return write(target, word .. (name ~= "" and " " .. name or ""), nested)
  end
  return word .. " " .. write(target, name, nested)
end

local writers = {}

function writers.pointer(_, target, name, nested)
  local kind = core.type_about(target)
  if kind == "array" or kind == "prototype" then
    return write(target, "(*" .. name .. ")", nested)
  end
  return write(target, "*" .. name, nested)
end

function writers.array(handle, target, name, nested)
  local _, _, _, length = core.type_about(handle)
  return write(target, ("%s[%s]"):format(name, length > 0 and length or ""), nested)
end

function writers.prototype(handle, target, name, nested)
  return write(target, ("%s(%s)"):format(name, parameters(handle, nested)), nested)
end

writers["function"] = function(_, target, name, nested)
  return write(target, name, nested)
end
writers.variable, writers.decl_tag = writers["function"], writers["function"]

for _, word in ipairs {"const", "volatile", "restrict"} do
  writers[word] = function(_, target, name, nested)
    return with_modifier(word, target, name, nested)
  end
end

-- The kernel's own marks: __user, __rcu, __percpu.
function writers.type_tag(handle, target, name, nested)
  local _, tag = core.type_about(handle)
  return with_modifier("__" .. line.field(tag), target, name, nested)
end

local function base_name(handle)
  local kind, name, _, _, _, is_union = core.type_about(handle)
  if kind == "forward" then
    return (is_union and "union " or "struct ") .. line.field(name)
  elseif kind == "void" then
    return "void"
  elseif PREFIXES[kind] then
    return PREFIXES[kind] .. " " .. (name ~= "" and line.field(name) or "{...}")
  end
  return line.field(name)
end

-- The declaration of a name as a type, given as a handle; without a name, the type alone.
function write(handle, name, nested)
  local kind, _, _, _, target = core.type_about(handle)
  if writers[kind] then
    return writers[kind](handle, target, name, nested)
  end
  local base = base_name(handle)
  if name == "" or name:find("^%[") then
    return base .. name
  end
  return base .. " " .. name
end

function declaration.of(handle, name)
  return write(handle, name and line.field(name) or "", {depth = 1, left = PARAMETERS})
end

local function member_text(name, handle, bits)
  return declaration.of(handle, name) .. (bits and (" : %d"):format(bits) or "") .. ";"
end

local function members_line(handle)
  local parts, size, index = {}, 0, 0
  local name, inner, _, _, bits = core.type_part(handle, index)
  while name do
    if size > ONE_LINE then
      parts[#parts + 1] = "..."
      break
    end
    parts[#parts + 1] = member_text(name, inner, bits)
    size, index = size + #parts[#parts], index + 1
    name, inner, _, _, bits = core.type_part(handle, index)
  end
  return table.concat(parts, " ")
end

local function enumerators_line(handle)
  local parts, size, index = {}, 0, 0
  local name, value = core.type_part(handle, index)
  while name do
    if size > ONE_LINE then
      parts[#parts + 1] = "..."
      break
    end
    parts[#parts + 1] = ("%s = %d"):format(line.field(name), value)
    size, index = size + #parts[#parts], index + 1
    name, value = core.type_part(handle, index)
  end
  return table.concat(parts, ", ")
end

-- The declaration in one line: of a struct, union or enum with its parts.
function declaration.line(handle)
  local kind, name, _, _, target = core.type_about(handle)
  local text = declaration.of(handle)
  if kind == "struct" or kind == "union" then
    return ("%s { %s }"):format(name ~= "" and text or kind, members_line(handle))
  elseif kind == "enum" then
    return ("%s { %s }"):format(name ~= "" and text or kind, enumerators_line(handle))
  elseif kind == "typedef" then
    return "typedef " .. declaration.of(target, name)
  end
  return text
end

-- Layouts -----------------------------------------------------------------------------------

local add_members

local function add_member(lines, indent, base, name, inner, offset, bit_offset, bits)
  local kind, tag = core.type_about(inner)
  local at = bits and ("%5d:%d"):format(base + offset, bit_offset)
    or ("%5d  "):format(base + offset)
  if (kind == "struct" or kind == "union") and tag == "" and #indent < 2 * DEPTH then
    lines[#lines + 1] = ("%s  %s%s {"):format(at, indent, kind)
    add_members(lines, indent .. "  ", inner, base + offset)
    lines[#lines + 1] = ("         %s}%s;"):format(indent,
      name ~= "" and " " .. line.field(name) or "")
  else
    lines[#lines + 1] = ("%s  %s%s"):format(at, indent, member_text(name, inner, bits))
  end
end

-- Members with their offsets; those of anonymous structs within them.
function add_members(lines, indent, handle, base)
  local index = 0
  local name, inner, offset, bit_offset, bits = core.type_part(handle, index)
  while name do
    if #lines >= MEMBERS then
      lines[#lines + 1] = ("         %s..."):format(indent)
      return
    end
    add_member(lines, indent, base, name, inner, offset, bit_offset, bits)
    index = index + 1
    name, inner, offset, bit_offset, bits = core.type_part(handle, index)
  end
end

local function add_enumerators(lines, handle)
  local index = 0
  local name, value = core.type_part(handle, index)
  while name and index < MEMBERS do
    lines[#lines + 1] = ("  %s = %d,"):format(line.field(name), value)
    index = index + 1
    name, value = core.type_part(handle, index)
  end
  if name then
    lines[#lines + 1] = "  ..."
  end
end

local function size_text(handle)
  local _, _, size = core.type_about(handle)
  return size and line.count(size, "byte") or "no size"
end

-- The declaration in lines: members with their offsets in bytes.
function declaration.layout(handle)
  local kind, inner = core.type_shape(handle)
  local own = core.type_about(handle)
  local lines = {}
  if kind ~= "struct" and kind ~= "union" and kind ~= "enum" then
    return ("%s, %s"):format(declaration.line(handle), size_text(handle))
  elseif own == "typedef" then
    lines[1] = declaration.line(handle)
  end
  lines[#lines + 1] = ("%s {  /* %s */"):format(declaration.of(inner):gsub(" {%.%.%.}$", ""),
    size_text(inner))
  lines[#lines] = lines[#lines]:gsub("^(.-) {  ", "%1 {  ")
  if kind == "enum" then
    add_enumerators(lines, inner)
  else
    add_members(lines, "", inner, 0)
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n")
end

-- Parsing -----------------------------------------------------------------------------------

local TAGS = {struct = true, union = true, enum = true}
local INTEGERS = {signed = true, unsigned = true, short = true, long = true, int = true,
  char = true, __int128 = true}
local MODIFIERS = {const = true, volatile = true, restrict = true}

local function bad(text)
  errors.raise(("bad type %q (such as \"struct task_struct\", \"unsigned long\", "
    .. "\"struct list_head *\" or \"char[16]\" expected)"):format(line.field(text)))
end

-- Splits "struct list_head *[4]" into its words, and what follows them.
local function split(text)
  local words, at = {}, 1
  while true do
    local word, rest = text:match("^%s*([%a_][%w_]*)()", at)
    if not word then
      break
    elseif not MODIFIERS[word] then
      words[#words + 1] = word
    end
    at = rest
  end
  return words, text:sub(at)
end

-- The names that compilers write for integers: gcc "long unsigned int", clang "unsigned long".
local function integer_names(words)
  local count = {}
  for _, word in ipairs(words) do
    if not INTEGERS[word] then
      return nil
    end
    count[word] = (count[word] or 0) + 1
  end
  local unsigned = count.unsigned and "unsigned" or nil
  if count.char then
    local sign = unsigned or count.signed and "signed"
    return {sign and sign .. " char" or "char"}
  elseif count.__int128 then
    return unsigned and {"__int128 unsigned", "unsigned __int128"} or {"__int128"}
  end
  local size = count.short and "short" or count.long == 2 and "long long" or count.long and "long"
  if not size then
    return {unsigned and "unsigned int" or "int"}
  elseif unsigned then
    return {size .. " unsigned int", "unsigned " .. size}
  end
  return {size .. " int", size}
end

local function find_named(types, name)
  for _, kind in ipairs {"typedef", "int", "float"} do
    local found = core.btf_find(types, name, kind)
    if found then
      return found
    end
  end
end

local function find_tagged(types, kind, name)
  return core.btf_find(types, name, kind)
    or kind ~= "enum" and core.btf_find(types, name, "forward") or nil
end

-- The type that some words name; nil.
local function find_base(types, words, text)
  if TAGS[words[1]] then
    if #words ~= 2 then
      bad(text)
    end
    return find_tagged(types, words[1], words[2])
  end
  local names = integer_names(words)
  if not names and #words ~= 1 then
    bad(text)
  elseif words[1] == "void" then
    return core.btf_type(types, 0)
  end
  for _, name in ipairs(names or words) do
    local found = find_named(types, name)
    if found then
      return found
    end
  end
end

-- Applies "*", "* *" and "[4][2]" to a type.
local function derive(handle, rest, text)
  local stars, lengths = rest:match("^([%s%*]*)([%[%]%w%s]*)$")
  if not stars then
    bad(text)
  end
  for _ = 1, select(2, stars:gsub("%*", "")) do
    handle = core.type_pointer(handle) or bad(text)
  end
  local dimensions = {}
  lengths = lengths:gsub("%s*%[%s*(%w*)%s*%]%s*", function(digits)
    local length = digits == "" and 0 or math.tointeger(tonumber(digits))
    if not length or length < 0 or length > 0xffffffff then
      bad(text)
    end
    table.insert(dimensions, 1, length)
    return ""
  end)
  if lengths ~= "" then
    bad(text)
  end
  for _, length in ipairs(dimensions) do
    handle = core.type_array(handle, length) or bad(text)
  end
  return handle
end

-- What a name that is not found could mean: a struct of that name.
local function hint(types, words)
  for kind in pairs(TAGS) do
    if #words == 1 and find_tagged(types, kind, words[1]) then
      return (": is it '%s %s'?"):format(kind, words[1])
    end
  end
  return ""
end

-- The type of a declaration without a name: a handle; nil, the name of the type that there is
-- not, and a hint. Raises if it is no declaration.
function declaration.find(types, text)
  local words, rest = split(text)
  if #words == 0 then
    bad(text)
  end
  local handle = find_base(types, words, text)
  if not handle then
    derive(core.btf_type(types, 0), rest, text)
    return nil, line.field(table.concat(words, " ")), hint(types, words)
  end
  return derive(handle, rest, text)
end

return declaration
