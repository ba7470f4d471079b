-- Symbols of modules. Each module has a table of its own, an ELF symbol table (struct
-- mod_kallsyms): 24 bytes a symbol, and its names. A table is read when an address in its module
-- is looked up, or when a name is not found elsewhere.

local errors = require "qvm.util.errors"
local modules = require "qvm.guest.modules"
local objects = require "qvm.guest.objects"
local symbol_table = require "qvm.guest.symbol_table"

local ModuleSymbols = {}
ModuleSymbols.__index = ModuleSymbols

local SYMBOL_SIZE = 24 -- of Elf64_Sym
local NAME_MAX = 512   -- bytes of a name, as KSYM_NAME_LEN
local PAGE = 4096      -- bytes, of the smallest pages

-- Where a pointer of a struct leads to.
local function address_of(object, name)
  return require "qvm.guest.c".address(objects.linked(object, name))
end

-- Reads what is mapped from an address on, up to n bytes.
local function read_some(space, address, n)
  local parts, done = {}, 0
  while done < n do
    local size = math.min(n - done, PAGE - (address + done) % PAGE)
    local bytes = space:read(address + done, size)
    if not bytes then
      break
    end
    parts[#parts + 1], done = bytes, done + size
  end
  return table.concat(parts)
end

-- Adds the symbols of one table to arrays. budget: symbols and bytes that are left for all. nil,
-- message, code if they cannot be read.
local function add(found, dump, space, tables, budget)
  local count = tables.num_symtab
  if count > budget.count then
    return
  end
  budget.count = budget.count - count
  local bytes, message, code = space:read(address_of(tables, "symtab"), count * SYMBOL_SIZE)
  if not bytes then
    return nil, message, code
  end
  local order = dump.byteorder == "big" and ">" or "<"
  local form, last_name = order .. "I4BBI2i8I8", 0
  for i = 0, count - 1 do
    last_name = math.max(last_name, (string.unpack(order .. "I4", bytes, i * SYMBOL_SIZE + 1)))
  end
  if last_name + NAME_MAX > budget.names then
    return
  end
  local names = read_some(space, address_of(tables, "strtab"), last_name + NAME_MAX)
  for i = 1, count - 1 do
    local name_at, _, _, section, address, size = string.unpack(form, bytes, i * SYMBOL_SIZE + 1)
    local name = names:sub(name_at + 1, name_at + NAME_MAX + 1):match "^[^\0]+"
    if name and section ~= 0 and #name <= math.min(NAME_MAX, budget.names)
        and not name:find "^%$[%l]" then
      budget.names = budget.names - #name
      local n = #found.addresses + 1
      found.addresses[n], found.names[n], found.sizes[n] = address, name, size
    end
  end
end

-- Keeps why symbols are missing, if the file could not be read. Damage in the guest is left out.
local function note(self, _, message, code)
  if code == "io" or code == "gone" then
    self.message, self.code = message, code
  end
end

-- The table of one module's symbols; an empty one if they cannot be read.
local function table_of(self, module)
  local known = self.tables[module]
  if not known then
    local found = {addresses = {}, names = {}, sizes = {}}
    note(self, errors.returned(function()
      local tables = module.object.kallsyms
      if tables ~= nil then
        return add(found, self.dump, self.space, tables, self.budget)
      end
    end))
    known = symbol_table.lookup(found, 0)
    self.tables[module] = known
  end
  return known
end

-- The name, offset, size and module's name of an address; nil.
function ModuleSymbols:at(address)
  for _, module in ipairs(self.modules) do
    if modules.contains(module, address) then
      local name, offset, size = table_of(self, module):at(address)
      if name then
        return name, offset, size, module.name
      end
    end
  end
end

-- The address of a name; nil.
function ModuleSymbols:address(name)
  for _, module in ipairs(self.modules) do
    local address = table_of(self, module):address(name)
    if address then
      return address
    end
  end
end

-- Calls f(table of symbols, module's name) for each module. Returns message, code if the file could
-- not be read.
function ModuleSymbols:each(f)
  for _, module in ipairs(self.modules) do
    f(table_of(self, module), module.name)
  end
  return self.message, self.code
end

-- The symbols of all modules of a dump. What cannot be read is left out: a kernel without
-- modules, or without types, has none.
return function(dump)
  local self = setmetatable({dump = dump, space = dump:kernel_space(), modules = {}, tables = {},
    budget = {count = symbol_table.COUNT_MAX, names = symbol_table.NAMES_MAX}}, ModuleSymbols)
  note(self, errors.returned(function()
    local all, message, code = modules.all(dump)
    for module in all or function() end do
      table.insert(self.modules, module)
    end
    return all, message, code
  end))
  return self
end
