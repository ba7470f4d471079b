--- Symbols of a guest's kernel, sorted by address.
-- @classmod qvm.symbols

-- The field `_table` looks symbols up: it has the methods at and address. For the kernel's
-- own table it is the C core's (qvm.guest.kallsyms), for a file's a qvm.guest.symbol_table.

local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
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
-- @usage print(symbols:at(0xffffffff81000000))
function Symbols:at(address)
  check.integer(address, 1, "at")
  return self._table:at(address)
end

--- The address of a symbol.
-- @tparam string name
-- @treturn ?integer virtual address, the lowest if several symbols have that name; nil if
-- there is none
-- @usage print(symbols:address "schedule")
function Symbols:address(name)
  check.string(name, 1, "address")
  return self._table:address(name)
end

-- table: what looks them up. about: from, count; slide, skipped, verified or nil.
function Symbols.new(table, about)
  return setmetatable({_table = table, from = about.from, slide = about.slide or 0,
    count = about.count, skipped = about.skipped or 0, verified = about.verified}, Symbols)
end

classes.publish(Symbols, "new")

return Symbols
