-- Symbols of modules. Each module has a table of its own, an ELF symbol table (struct
-- mod_kallsyms): 24 bytes a symbol, and its names. A table is read when an address in its module
-- is looked up, or when a name is not found elsewhere.

local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
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

-- Reads what is mapped from an address on, up to n bytes. Looks at one byte of each page first: to
-- read page by page would take several times the memory.
local function read_some(space, address, n)
  local done = 0
  while done < n and space:read(address + done, 1) do
    done = done + PAGE - (address + done) % PAGE
  end
  return space:read(address, math.min(done, n)) or ""
end

-- The bytes of names that a table's entries refer to, at most.
local function size_of_names(bytes, count, order)
  local last = 0
  for i = 0, count - 1 do
    last = math.max(last, (string.unpack(order .. "I4", bytes, i * SYMBOL_SIZE + 1)))
  end
  return last + NAME_MAX
end

-- Adds the symbols of one table to arrays. budget: what is left for all: symbols, bytes of names
-- that are read, and of names that are kept. Returns true, or false if the table has more; nil,
-- message, code if it cannot be read.
local function add(found, dump, space, tables, budget)
  local count = tables.num_symtab
  if count > budget.count then
    return false
  end
  budget.count = budget.count - count
  local bytes, message, code = space:read(address_of(tables, "symtab"), count * SYMBOL_SIZE)
  if not bytes then
    return nil, message, code
  end
  local order = dump.byteorder == "big" and ">" or "<"
  local form, size_read = order .. "I4BBI2i8I8", size_of_names(bytes, count, order)
  if size_read > budget.read then
    return false
  end
  budget.read = budget.read - size_read
  local names = read_some(space, address_of(tables, "strtab"), size_read)
  for i = 1, count - 1 do
    local name_at, _, _, section, address, size = string.unpack(form, bytes, i * SYMBOL_SIZE + 1)
    local name = names:sub(name_at + 1, name_at + NAME_MAX + 1):match "^[^\0]+"
    if name and section ~= 0 and #name <= NAME_MAX and not name:find "^%$[%l]" then
      if #name > budget.names then
        return false
      end
      budget.names = budget.names - #name
      local n = #found.addresses + 1
      found.addresses[n], found.names[n], found.sizes[n] = address, name, size
    end
  end
  return true
end

-- Keeps why symbols are missing, if the file could not be read. Damage in the guest is left out.
local function note(self, _, message, code)
  if code == "io" or code == "gone" then
    self.message, self.code = message, code
  end
end

-- Counts a module whose symbols are left out, in a warning of the dump.
local function leave_out(self)
  local warnings = self.dump.warnings
  self.left_out, self.warning = self.left_out + 1, self.warning or #warnings + 1
  self.missing = ("the symbols of %s were left out: modules have too many"):format(
    line.count(self.left_out, "module"))
  warnings[self.warning] = self.dump.path .. ": " .. self.missing
end

-- The table of one module's symbols; an empty one if they cannot be read.
local function table_of(self, module)
  local known = self.tables[module]
  if not known then
    local found = {addresses = {}, names = {}, sizes = {}}
    note(self, errors.returned(function()
      local tables = module.object.kallsyms
      if tables ~= nil then
        local added, message, code = add(found, self.dump, self.space, tables, self.budget)
        if added == false then
          leave_out(self)
        end
        return added, message, code
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

-- The symbols of all modules of a dump; `missing`: which were left out, as text. What cannot be
-- read is left out without a word: a kernel without modules, or without types, has none.
return function(dump)
  local self = setmetatable({dump = dump, space = dump:kernel_space(), modules = {}, tables = {},
    left_out = 0, budget = {count = symbol_table.COUNT_MAX, read = symbol_table.NAMES_MAX,
      names = symbol_table.NAMES_MAX}}, ModuleSymbols)
  note(self, errors.returned(function()
    local all, message, code = modules.all(dump)
    for module in all or function() end do
      table.insert(self.modules, module)
    end
    return all, message, code
  end))
  return self
end
