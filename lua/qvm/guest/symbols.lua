--- Symbols of a guest's kernel, sorted by address.
-- @classmod qvm.symbols

-- The field `_table` looks symbols up: it has the methods at, address and get. For the kernel's
-- own table it is the C core's (qvm.guest.kallsyms), for a file's a qvm.guest.symbol_table.
-- `_modules`, if set, returns those of modules (qvm.guest.module_symbols), or nil.

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

--- @type Symbols
local Symbols = {__name = "Symbols"}

--- Fields of Symbols.
-- @table Symbols
-- @tfield string from path of the file, or `"kallsyms"`
-- @tfield integer slide bytes by which the kernel was moved from the addresses in the file
-- @tfield integer count number of symbols
-- @tfield integer skipped number of symbols left out because their names are too long
-- @tfield ?"memory"|"build_id"|"addresses" verified how they were verified to be this
-- kernel's: they are in its memory; the file has its build id; their addresses match
-- VMCOREINFO. nil: they were not, because nothing is known of the kernel
-- @usage symbols = assert(dump:symbols "System.map")

Symbols.__tostring = line.tostring("Symbols", function(self)
  return ("%d symbols from %s%s%s%s"):format(self.count, self.from,
    self.slide ~= 0 and (", moved by 0x%x"):format(self.slide) or "",
    self.skipped > 0 and (", %d skipped: their names are too long"):format(self.skipped) or "",
    self.verified and "" or ", not verified: nothing is known of the kernel")
end)

--- Finds the symbol that contains an address.
--
-- If the kernel is in the upper half of the addresses, symbols in the lower half are not
-- considered: they are offsets of per-CPU variables.
-- @tparam integer address virtual
-- @treturn ?string name; nil if no symbol contains it
-- @treturn ?integer offset into the symbol
-- @treturn ?integer its size in bytes; if it has none, up to the next symbol
-- @treturn ?string name of the module that it is in; nil: it is in the kernel itself
-- @usage print(symbols:at(0xffffffff81000000))
function Symbols:at(address)
  check.integer(address, 1, "at")
  local name, offset, size = self._table:at(address)
  if name then
    return name, offset, size
  end
  local modules = address < 0 and self._modules and self._modules()
  if modules then
    return modules:at(address)
  end
end

--- The address of a symbol.
-- @tparam string name
-- @treturn ?integer virtual address, the lowest if several symbols have that name, and one of
-- the kernel itself before those of modules; nil if there is none
-- @usage print(symbols:address "schedule")
function Symbols:address(name)
  check.string(name, 1, "address")
  local address = self._table:address(name)
  local modules = not address and self._modules and self._modules()
  return address or modules and modules:address(name) or nil
end

-- The address of a symbol of the kernel itself; nil.
function Symbols.in_kernel(symbols, name)
  return symbols._table:address(name)
end

-- Iterates over the symbols of one table: name, address, size or nil.
local function members(lookup)
  local index = -1
  return function()
    index = index + 1
    local name, address, size = lookup:get(index)
    return name, address, size ~= 0 and size or nil
  end
end

--- A symbol of `all`.
-- @table Symbol
-- @tfield string name
-- @tfield integer address virtual
-- @tfield ?integer size bytes, or bytes to the next symbol; nil: neither is known
-- @tfield ?string module name of the module that it is in; nil: it is in the kernel itself
-- @usage for s in dump:symbols():all "^sys_" do print(s) end

local Symbol = {__name = "Symbol"}

Symbol.__tostring = line.tostring("symbol", function(symbol)
  return ("0x%016x %s%s"):format(symbol.address, line.cut(symbol.name),
    symbol.module and (" [%s]"):format(line.field(symbol.module)) or "")
end)

-- Does a name match a pattern? What is wrong with a pattern may show at some names only.
local function matches(pattern, name)
  local ok, found = errors.try(string.find, name, pattern)
  return ok and found ~= nil or not ok and check.bad(1, "all", found)
end

--- All symbols: those of the kernel by address, then those of its modules.
--
-- Raises in the loop, after all symbols that are there, if the file could not be read.
-- @tparam[opt] string pattern a Lua pattern that names are to match
-- @treturn function():Symbol iterator
-- @usage for s in dump:symbols():all "^sys_" do print(s) end
function Symbols:all(pattern)
  if pattern ~= nil then
    check.string(pattern, 1, "all")
    matches(pattern, "")
  end
  local tables, module_names = {self._table}, {}
  local modules = self._modules and self._modules()
  local message, code
  if modules then
    message, code = modules:each(function(lookup, name)
      tables[#tables + 1] = lookup
      module_names[#tables] = name
    end)
  end
  local at, step = 1, members(tables[1])
  return function()
    while tables[at] do
      for name, address, size in step do
        if not pattern or matches(pattern, name) then
          return setmetatable({name = name, address = address, size = size,
            module = module_names[at]}, Symbol)
        end
      end
      at = at + 1
      step = tables[at] and members(tables[at])
    end
    if message then
      errors.raise(message, code)
    end
  end
end

--- Writes the symbols as an ELF file, for gdb.
--
-- As far as the dump says so, the file also says how the frames of functions are found
-- (`.debug_frame`): debuggers then walk the kernel's stacks as `Task:backtrace` does.
--
-- The file has the symbols of modules too, and no code. It is replaced at once, when it is whole.
-- @tparam string path
-- @treturn[1] integer number of symbols
-- @return[2] nil, message, code: `unsupported`: the machine is not aarch64 or x86_64, or where
-- the kernel's code ends is not known; or the file cannot be written
-- @usage dump:symbols():save "guest.sym"
function Symbols:save(path)
  check.path(path, 1, "save")
  local first, last = self._table:address "_stext", self._table:address "_etext"
  if not self._machine or not first or not last then
    return nil, ("%s: %s: symbols can be written only with _stext and _etext of a kernel "
      .. "of aarch64 or x86_64"):format(path, tostring(self)), "unsupported"
  end
  local orc, space = self._orc()
  return errors.returned(require "qvm.guest.symbol_writer", path, self, {machine = self._machine,
    byteorder = self._byteorder, first = first, last = last, orc = orc, space = space})
end

-- Connects symbols to the dump of their kernel; modules: returns those of its modules, or nil.
function Symbols.attach(symbols, dump, modules)
  symbols._modules, symbols._byteorder = modules, dump.byteorder
  symbols._machine = dump.bits == 64 and (dump.machine == "x86_64" or dump.machine == "aarch64")
    and dump.machine or nil
  function symbols._orc()
    local space = dump.machine == "x86_64" and dump:kernel_space() or nil
    return space and require "qvm.guest".orc_tables(dump, space, symbols), space
  end
end

-- table: what looks them up. about: from, count; slide, skipped, verified or nil.
function Symbols.new(table, about)
  return setmetatable({_table = table, from = about.from, slide = about.slide or 0,
    count = about.count, skipped = about.skipped or 0, verified = about.verified},
    Symbols)
end

classes.publish(Symbols, "new", "attach", "in_kernel")

return Symbols
