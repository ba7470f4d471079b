-- Readable views for the prompt: qvm.show.

local cjson = require "cjson"
local columns = require "qvm.util.columns"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

local view = {}

local DEPTH = 4       -- tables in tables
local ELEMENTS = 100  -- of one table
local LINES = 500     -- of one result, except for notes on what was cut
local SORTED = 10000  -- members of one table that are sorted
local TITLE = 1000    -- bytes of an object's own line

-- Names of members that are addresses.
local addresses = {paddr = true, vaddr = true, addr = true, pc = true, sp = true, pgtbl = true,
  last_known_ip = true, address = true, start = true, kaslr_offset = true,
  root = true, table = true}

local function is_address(name, value)
  return addresses[name] or value < 0 or value > 0xffffffff
end

local function scalar(name, value)
  if math.type(value) == "integer" then
    return is_address(name, value) and ("0x%016x"):format(value) or tostring(value)
  end
  return line.value(value)
end

local ranks = {number = 1, string = 2}

local function key_before(a, b)
  if type(a) ~= type(b) then
    return (ranks[type(a)] or 3) < (ranks[type(b)] or 3)
  elseif type(a) == "number" then
    return a < b
  elseif type(a) == "string" then
    return line.natural_before(a, b)
  end
  return tostring(a) < tostring(b)
end

-- The function by which an object shows itself: Types and Objects have one.
local function shower(value)
  local meta = getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__show") or nil
end

local function is_shown(key, value)
  if type(key) == "string" and key:sub(1, 1) == "_" then
    return false -- private fields
  end
  return type(value) ~= "userdata" or value == cjson.null or shower(value) ~= nil
end

-- The keys in order, and their number. If there are very many, only the first ones that `next`
-- returns, which in an array are the first.
local function keys_of(value)
  local keys, count = {}, 0
  for key, member in next, value do
    if is_shown(key, member) then
      count = count + 1
      keys[count <= SORTED and count or SORTED + 1] = key
    end
  end
  keys[SORTED + 1] = nil
  table.sort(keys, key_before)
  return keys, count
end

local function title(value)
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then
    local ok, text = errors.pcall(tostring, value)
    return line.escape_controls(ok and line.cut(text, TITLE) or "(its __tostring fails)")
  end
end

local add_members

local function add_value(lines, indent, name, value, seen, depth)
  local label = indent .. (type(name) == "number" and "[" .. name .. "]"
    or line.field(tostring(name)))
  if shower(value) then
    lines[#lines + 1] = ("%s: %s"):format(label, title(value))
  elseif type(value) ~= "table" then
    lines[#lines + 1] = ("%s: %s"):format(label, scalar(name, value))
  elseif seen[value] then
    lines[#lines + 1] = ("%s: (shown above)"):format(label)
  elseif next(value) == nil then
    lines[#lines + 1] = label .. ": {}"
  elseif depth == DEPTH then
    lines[#lines + 1] = label .. ": {...}"
  else
    lines[#lines + 1] = label .. ":" .. (title(value) and " " .. title(value) or "")
    add_members(lines, indent .. "  ", value, seen, depth + 1)
  end
end

local function are_registers(name, value)
  if (name ~= "regs" and name ~= "extra") or type(value) ~= "table" then
    return false
  end
  for key, register in next, value do
    if type(key) ~= "string" or math.type(register) ~= "integer" then
      return false
    end
  end
  return next(value) ~= nil
end

-- The methods of a vCPU that iterate over these members.
local IN_ORDER = {regs = "registers", extra = "extra_registers"}

-- The names of registers in the architecture's order, if `owner` is a vCPU that has them; else
-- sorted. And their number.
local function register_names(owner, member)
  local registers, names = owner[member], {}
  local ok = errors.pcall(function()
    for name in owner[IN_ORDER[member]](owner) do
      names[#names + 1] = registers[name] and name
    end
  end)
  local sorted, count = keys_of(registers)
  if ok and #names == count then
    return names, count
  end
  return sorted, count
end

-- Adds all registers, in columns.
local function add_registers(lines, indent, owner, name)
  local registers = owner[name]
  lines[#lines + 1] = indent .. name .. ":"
  local names, count = register_names(owner, name)
  local shown, width = {}, 0
  for i = 1, math.min(#names, LINES - #lines) do
    shown[i] = line.field(names[i]) .. ":"
    width = math.max(width, columns.of(shown[i]))
  end
  for i, label in ipairs(shown) do
    lines[#lines + 1] = ("%s  %s 0x%016x"):format(indent, columns.pad(label, width),
      registers[names[i]])
  end
  if count > #shown then
    lines[#lines + 1] = ("%s  ... and %d more"):format(indent, count - #shown)
  end
end

function add_members(lines, indent, value, seen, depth)
  seen[value] = true
  local keys, count = keys_of(value)
  for i, key in ipairs(keys) do
    if i > ELEMENTS or #lines >= LINES then
      lines[#lines + 1] = ("%s... and %d more"):format(indent, count - i + 1)
      break
    end
    if are_registers(key, value[key]) then
      add_registers(lines, indent, value, key)
    else
      add_value(lines, indent, key, value[key], seen, depth)
    end
  end
end

-- Adds what an iterator of an object returns.
local function add_list(lines, name, iterator)
  local count = 0
  lines[#lines + 1] = "  " .. name .. ":"
  for a, b in iterator do
    count = count + 1
    if count <= ELEMENTS then
      lines[#lines + 1] = "    " .. (b == nil and line.field(tostring(a), TITLE)
        or ("0x%016x  %d bytes"):format(a, b))
    end
  end
  if count == 0 then
    lines[#lines] = "  " .. name .. ": none"
  elseif count > ELEMENTS then
    lines[#lines + 1] = ("    ... and %d more"):format(count - ELEMENTS)
  end
end

local function add_parts(lines, value)
  for _, part in ipairs {{"vcpus", "vCPUs"}, {"errata", "errata"}, {"ranges", "memory"},
    {"nodes", "nodes"}} do
    local method, name = value[part[1]], part[2]
    if type(method) == "function" then
      local before = #lines
      local ok, problem = errors.pcall(function() add_list(lines, name, method(value)) end)
      if not ok then
        for i = #lines, before + 1, -1 do
          lines[i] = nil
        end
        lines[#lines + 1] = ("  %s: %s"):format(name, line.escape_controls(tostring(problem)))
      end
    end
  end
end

function view.text(value)
  if shower(value) then
    return shower(value)(value)
  elseif type(value) ~= "table" then
    return scalar(nil, value)
  end
  local name = title(value)
  local lines = {name or "table"}
  local meta = getmetatable(value)
  if type(meta) == "table" and type(meta.__index) == "table" then
    add_parts(lines, value)
  end
  add_members(lines, "  ", value, {}, 1)
  return not name and #lines == 1 and "(empty)" or table.concat(lines, "\n")
end

return view
