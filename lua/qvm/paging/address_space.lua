--- An address space of a guest: its memory by virtual address.
--
-- Addresses are translated by the page tables in the dump. A Space is read like a Dump. An
-- address that is not mapped is `unmapped`, and the message has the level, the index and
-- the entry at which the walk ended.
-- @classmod qvm.space

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local classes = require "qvm.util.classes"
local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local make_scans = require "qvm.scan"

--- @type Space
local Space = {__name = "Space"}

--- Fields of a Space.
-- @table Space
-- @tfield qvm.dump.Dump dump the Dump
-- @tfield string kind `"x86_64"`, `"aarch64"`, `"x86"` or `"x86 PAE"`
-- @tfield ?SpaceHalf lower page tables of the lower half of the addresses, nil if they are
-- not known; on x86 those of all addresses
-- @tfield ?SpaceHalf upper page tables of the upper half
-- @tfield string from where the page tables were found
-- @usage space = assert(dump:kernel_space())

--- The page tables for one half of the addresses.
-- @table SpaceHalf
-- @tfield integer root physical address of the first table
-- @tfield integer va_bits significant bits of an address
-- @tfield integer page_size bytes
-- @usage print(qvm.hex(space.lower.root), space.lower.va_bits)

--- The place and form of page tables, for `Dump:space`.
-- @table SpaceByHand
-- @tfield ?integer root physical address of the first page table; on aarch64, for the
-- lower half of the addresses
-- @tfield ?integer kernel_root the same for the upper half (aarch64)
-- @tfield ?integer va_bits significant bits of an address (default 48)
-- @tfield ?integer granule bytes of a page (default 4096; on aarch64 also 16384, 65536)
-- @tfield ?integer pa_bits bits of a physical address, 48 or 52 (aarch64; default: 52 if
-- `va_bits` is above 48, or `granule` is 65536)
-- @tfield ?integer encryption_mask bits of an entry and of the root that are not part of the
-- address: the C-bit of AMD's memory encryption (SME, SEV), `NUMBER(sme_mask)` of VMCOREINFO
-- @tfield ?string kind `"x86_64"`, `"aarch64"`, `"x86"` or `"x86 PAE"` (default: the
-- dump's machine)
-- @usage space = assert(dump:space {root = 0x41000, va_bits = 39, granule = 4096})

--- Reads memory.
--
-- Like all functions that take an address, it also takes a symbol of the guest's kernel,
-- `"schedule"` or `"schedule+0x10"`.
-- @function Space:read
-- @tparam integer|string address virtual
-- @tparam integer n number of bytes; raises if negative
-- @treturn[1] string n bytes
-- @return[2] nil, message, code: `unmapped` and as `Dump:read`
-- @usage print(#space:read(0x1000, 16))

--- Reads a number, unsigned (u) or signed (i), of 8 to 64 bits.
-- @function Space:u8
-- @also u16 u32 u64 i8 i16 i32 i64
-- @tparam integer|string address virtual, any alignment
-- @treturn[1] integer value; `u64` and `i64` are the same 64-bit pattern
-- @return[2] nil, message, code: `unmapped` and as `Dump:read`
-- @usage print(space:u8(0x1000))

--- Reads the string up to the next NUL byte.
-- @function Space:cstring
-- @tparam integer|string address virtual
-- @tparam[opt=4096] integer max bytes to read if there is no NUL before
-- @treturn[1] string the bytes before the NUL
-- @return[2] nil, message, code: `unmapped` and as `Dump:read`
-- @usage print(space:cstring(0x1000))

local methods, memory = core.space_methods, core.dump

for _, name in ipairs {"read", "cstring", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"} do
  Space[name] = memory[name]
end

--- Reads many numbers at once.
-- @tparam integer|string address virtual
-- @tparam "u8"|"u16"|"u32"|"u64"|"i8"|"i16"|"i32"|"i64" type
-- @tparam integer count
-- @treturn[1] {integer,...} values
-- @return[2] nil, message, code: `unmapped` and as `Dump:read`
-- @usage entries = assert(space:array(0x1000, "u64", 16))
function Space:array(address, type, count)
  check.string(type, 2, "array")
  check.integer(count, 3, "array")
  if count < 0 then
    check.bad(3, "array", "a number of values is expected, not a negative one")
  end
  local start, message, code = addresses.of(self, address, 1, "array")
  if not start then
    return nil, message, code
  end
  address = start
  return memory.array(self, address, type, count)
end

local SpaceHalf = {__name = "SpaceHalf", __tostring = line.tostring("tables", function(half)
  return ("tables 0x%x, %d bits, %s pages"):format(half.root, half.va_bits,
    line.in_units(half.page_size))
end)}

local Step = {__name = "Step", __tostring = line.tostring("step", function(step)
  return ("level %d: entry %d of the table 0x%x: 0x%016x, %s%s%s"):format(step.level, step.index,
    step.table, step.entry, step.kind, step.address and (" 0x%x"):format(step.address) or "",
    step.rights and ", " .. step.rights or "")
end)}

local function view_of(tables)
  return tables and setmetatable({root = tables.root, va_bits = tables.va_bits,
    page_size = 1 << tables.page_shift}, SpaceHalf)
end

-- Arguments from kind on: as qvm.paging.page_tables returns them.
function Space.new(dump, from, kind, lower, upper)
  local handle, message, code = core.space(dump, kind, lower, upper)
  if not handle then
    return nil, ("%s: %s"):format(dump.path, message), code
  end
  return setmetatable({handle, dump = dump, kind = kind, from = from, lower = view_of(lower),
    upper = view_of(upper)}, Space)
end

Space.__tostring = line.tostring("Space", function(self)
  local parts = {}
  for _, half in ipairs {"lower", "upper"} do
    local tables = self[half]
    if tables then
      parts[#parts + 1] = ("%s0x%x, %d bits"):format(
        self.kind == "aarch64" and half .. " half " or "page table ", tables.root,
        tables.va_bits)
    end
  end
  return ("Space of %s: %s, %s, from %s"):format(self.dump.path, self.kind,
    table.concat(parts, ", "), self.from)
end)

-- Texts by the six permission bits: those of privileged code, then those of users,
-- "rwx/r-x".
local rights_text = {}

for rights = 0, 63 do
  local letters = {}
  for i, letter in ipairs {"r", "w", "x", "r", "w", "x"} do
    letters[i] = rights & 1 << i - 1 ~= 0 and letter or "-"
  end
  rights_text[rights] = table.concat(letters, "", 1, 3) .. "/" .. table.concat(letters, "", 4, 6)
end

--- Translates a virtual address.
-- @tparam integer|string address
-- @treturn[1] integer physical address; the dump need not hold that memory
-- @treturn[1] integer bytes of its page or block
-- @treturn[1] string permissions of privileged code and of users: `"rwx/---"`
-- @return[2] nil, message, code: `unmapped`; `unsupported` if the page tables for
-- such addresses are not known
-- @usage physical, size, rights = space:translate(0x1000)
function Space:translate(address)
  local virtual, message, code = addresses.of(self, address, 1, "translate")
  if not virtual then
    return nil, message, code
  end
  local physical, size, rights = methods.translate(self, virtual)
  if not physical then
    return nil, size, rights
  end
  return physical, size, rights_text[rights]
end

--- Walks the page tables to a virtual address.
-- @tparam integer|string address
-- @treturn[1] {Step,...} steps, from the root on
-- @treturn[1] ?string message, if a table is not in the dump, and its code
-- @return[2] nil, message, code: the walk cannot start
-- @usage steps = assert(space:walk(0x1000))
function Space:walk(address)
  local virtual, message, code = addresses.of(self, address, 1, "walk")
  if not virtual then
    return nil, message, code
  end
  local steps
  steps, message, code = methods.walk(self, virtual)
  for _, step in ipairs(steps or {}) do
    step.rights = step.rights and rights_text[step.rights]
    setmetatable(step, Step)
  end
  if message then
    return steps, message, code
  end
  return steps
end

-- The first and the last address of a range; first > last if it is empty.
local function range(from, to)
  if to == 0 then
    return 1, 0
  end
  return from or 0, to and to - 1 or -1
end

--- The mapped ranges, in ascending order.
--
-- Adjacent pages with equal permissions are one range. Entries of a table that is not in the
-- dump are left out. Tables that refer to themselves map memory without end: if far more is
-- visited than the dump's memory accounts for, the loop raises, and the message says how far
-- it got. The loop can be interrupted. Raises if the dump is closed, or if a symbol is not
-- known.
-- @tparam[opt=0] integer|string from
-- @tparam[opt] integer|string to the address after the last one (default: the end of the
-- space)
-- @treturn function():integer,integer,string iterator over start (virtual
-- address), size (bytes), permissions (as of `translate`)
-- @usage for start, size, rights in space:mappings() do print(size, rights) end
function Space:mappings(from, to)
  local first, last, message = from, to, nil
  if from ~= nil then
    first, message = addresses.of(self, from, 1, "mappings")
  end
  if to ~= nil and not message then
    last, message = addresses.of(self, to, 2, "mappings")
  end
  if message then
    errors.raise(message)
  end
  local step, failure, state, closing = methods.mappings(self, range(first, last))
  if not step then
    errors.raise(failure)
  end
  return function()
    local ok, start, size, rights = errors.try(step)
    if not ok then
      errors.raise(start)
    elseif start then
      return start, size, rights_text[rights]
    end
  end, nil, state, closing
end

local scans = make_scans(methods)

--- Finds every occurrence of some bytes in mapped memory.
--
-- Also those that cross from one page to the next. As with `mappings`, the loop raises where
-- the page tables map far more than the memory of the dump: then search a part, with `from`
-- and `to`.
-- @function Space:find
-- @tparam string bytes 1 byte to 1 MiB
-- @tparam ?table options
-- @tparam[opt=0] integer|string options.from first virtual address
-- @tparam[opt] integer|string options.to virtual address after the last byte
-- @tparam[opt=1] integer options.align only addresses that are multiples of it
-- @tparam[opt] function(integer) options.progress called now and then with the bytes of
-- memory done (how many there are in total is not known)
-- @tparam[opt] integer options.threads at most so many; it is one
-- @treturn function():integer iterator over virtual addresses, ascending
-- @usage for address in space:find("linux1") do print(qvm.hex(address)) end
Space.find = scans.find

--- Finds the printable strings in mapped memory.
--
-- As `Dump:strings`, by virtual address: a string may cross pages that are far apart in
-- physical memory.
-- @function Space:strings
-- @tparam[opt=4] integer min bytes of the shortest string
-- @tparam ?table options
-- @tparam[opt=0] integer|string options.from first virtual address
-- @tparam[opt] integer|string options.to virtual address after the last byte
-- @tparam[opt] function(integer) options.progress as of `find`
-- @tparam[opt] integer options.threads as of `find`
-- @treturn function():integer,string iterator over virtual address, text
-- @usage for address, text in space:strings(12) do print(text) end
Space.strings = scans.strings

--- A step of a page-table walk.
-- @table Step
-- @tfield integer level as the architecture numbers them
-- @tfield integer table physical address
-- @tfield integer index of the entry
-- @tfield integer entry its value
-- @tfield "table"|"page"|"invalid" kind
-- @tfield ?integer address physical address that it points to; nil if invalid
-- @tfield ?string rights permissions; nil if invalid
-- @tfield ?integer size bytes of the page
-- @usage for _, step in ipairs(steps) do print(step.level, step.kind) end

classes.publish(Space, "new")

return Space
