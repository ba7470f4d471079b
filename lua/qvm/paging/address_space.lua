--- An address space of a guest: its memory by virtual address.
--
-- Through the page tables that are in the dump. It reads as a Dump does. An address
-- that is not mapped is `unmapped`, and the message has the level, the index and the
-- entry that stopped the walk.
-- @classmod qvm.space

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local core = require "qvm.core"
local line = require "qvm.util.text"
local make_scans = require "qvm.scan"
local methods_of = require "qvm.util.methods"

--- @type Space
local Space = {__name = "Space"}

--- What a Space holds.
-- @table Space
-- @tfield qvm.dump.Dump dump the Dump
-- @tfield string kind `"x86_64"`, `"aarch64"`, `"x86"` or `"x86 PAE"`
-- @tfield ?SpaceHalf lower page tables of the lower half of the addresses, nil where
-- they are not known; on x86 those of all addresses
-- @tfield ?SpaceHalf upper page tables of the upper half
-- @tfield string from where this was found
-- @usage space = assert(dump:kernel_space())

--- The page tables of a half of the addresses.
-- @table SpaceHalf
-- @tfield integer root physical address of the first table
-- @tfield integer va_bits bits of an address that count
-- @tfield integer page_size bytes
-- @usage print(qvm.hex(space.lower.root), space.lower.va_bits)

--- Where page tables are, for `Dump:space`.
-- @table SpaceByHand
-- @tfield ?integer root physical address of the first page table; of aarch64, for the
-- lower half of the addresses
-- @tfield ?integer kernel_root the same for the upper half (aarch64)
-- @tfield ?integer va_bits bits of an address that count (48)
-- @tfield ?integer granule bytes of a page (4096; aarch64 also 16384, 65536)
-- @tfield ?boolean wide physical addresses of 52 bits (aarch64; if `va_bits` is above
-- 48, or `granule` is 65536; false turns it off)
-- @tfield ?integer encryption_mask bits of an entry and of the root that are no part of the
-- address: the C-bit of AMD's memory encryption (SME, SEV), `NUMBER(sme_mask)` of VMCOREINFO
-- @tfield ?string kind `"x86_64"`, `"aarch64"`, `"x86"` or `"x86 PAE"` (the dump's
-- machine)
-- @usage space = assert(dump:space {root = 0x41000, va_bits = 39, granule = 4096})

--- Reads memory.
--
-- As other functions that take an address it also takes a symbol of the guest's kernel,
-- `"schedule"` or `"schedule+0x10"`.
-- @function Space:read
-- @tparam integer|string address virtual
-- @tparam integer n bytes; raises where it is negative
-- @treturn[1] string n bytes
-- @return[2] nil, message, code: `unmapped` and as `Dump:read`
-- @usage print(#space:read(0x1000, 16))

--- Reads a number: unsigned (u) or signed (i), of 8 to 64 bits.
-- @function Space:u8
-- @also u16 u32 u64 i8 i16 i32 i64
-- @tparam integer|string address virtual; need not be aligned
-- @treturn[1] integer value; `u64` and `i64` are the same 64-bit pattern
-- @return[2] nil, message, code: `unmapped` and as `Dump:read`
-- @usage print(space:u8(0x1000))

--- Reads the string that ends before the next NUL byte.
-- @function Space:cstring
-- @tparam integer|string address virtual
-- @tparam[opt=4096] integer max at most so many bytes, if no NUL comes before
-- @treturn[1] string the bytes
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

-- kind, lower, upper as of qvm.paging.
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

-- Privileged code's rights, then users': "rwx/r-x". By the rights' bits, of which there
-- are six.
local rights_text = {}

for rights = 0, 63 do
  local letters = {}
  for i, letter in ipairs {"r", "w", "x", "r", "w", "x"} do
    letters[i] = rights & 1 << i - 1 ~= 0 and letter or "-"
  end
  rights_text[rights] = table.concat(letters, "", 1, 3) .. "/" .. table.concat(letters, "", 4, 6)
end

--- Where a virtual address is in physical memory.
-- @tparam integer|string address
-- @treturn[1] integer physical address; the dump need not have the memory there
-- @treturn[1] integer bytes of its page or block
-- @treturn[1] string rights of privileged code and of users: `"rwx/---"`
-- @return[2] nil, message, code: `unmapped`; `unsupported` where the tables for
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

--- Every level of the walk to a virtual address.
-- @tparam integer|string address
-- @treturn[1] {Step,...} steps, from the root on
-- @treturn[1] ?string message, where a table is not in the dump, and its code
-- @return[2] nil, message, code: the address cannot be walked to
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

-- The first and the last address; first > last where that is none at all.
local function range(from, to)
  if to == 0 then
    return 1, 0
  end
  return from or 0, to and to - 1 or -1
end

--- The mapped ranges, in ascending order.
--
-- Pages that adjoin and have equal rights are one range. The entries of a table that is
-- not in the dump are left out. Tables that lead back to themselves map without end: where
-- far more is looked at than the dump's memory can account for, the loop raises, with
-- `too_large` and how far it came in the message. It can be interrupted. A closed dump, or
-- a symbol that is not found, raises.
-- @tparam[opt=0] integer|string from
-- @tparam[opt] integer|string to the address after the last one (the end of the space)
-- @treturn function():integer,integer,string iterator over start (virtual address), size
-- (bytes), rights (as of `translate`)
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
    error(message, 2)
  end
  local step, failure, state, closing = methods.mappings(self, range(first, last))
  if not step then
    error(failure, 2)
  end
  return function()
    local start, size, rights = step()
    if start then
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

--- A step of a walk to a virtual address.
-- @table Step
-- @tfield integer level as the architecture counts them
-- @tfield integer table physical address
-- @tfield integer index
-- @tfield integer entry as it stands there
-- @tfield "table"|"page"|"invalid" kind
-- @tfield ?integer address physical, of what it points to; nil where it is invalid
-- @tfield ?string rights nil where it is invalid
-- @tfield ?integer size bytes of a page
-- @usage for _, step in ipairs(steps) do print(step.level, step.kind) end

methods_of(Space, "new")

return Space
