--- An address space of a guest: its memory by virtual address, through the page
-- tables that are in the dump.
--
-- `Dump:space` and `Dump:kernel_space` give one. It reads as a Dump does, by
-- virtual address: `read` `u8` `u16` `u32` `u64` `i8` `i16` `i32` `i64` `cstring`
-- `array` `find`. An address that is not mapped is `unmapped`, and the message has
-- the level, the index and the entry that stopped the walk.
--
-- Fields:
--
-- - `dump`: the Dump
-- - `kind`: `"x86_64"`, `"aarch64"`, `"x86"`, `"x86 PAE"`
-- - `lower`, `upper`: tables of `root` (physical address of the first table),
--   `va_bits` and `page_size`, of the half of the addresses they are for; x86 has
--   one for all, `lower`; a half that is not known is nil
-- - `from`: where this was found, as text
-- @classmod qvm.space

local check = require "qvm.check"
local core = require "qvm.core"

--- @type Space
local Space = {}
Space.__index = Space

local methods, memory = core.space_methods, core.dump

for _, name in ipairs {"read", "cstring", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"} do
  Space[name] = memory[name]
end

--- Reads many values at once, see `Dump:array`.
-- @tparam integer address virtual
-- @tparam string type
-- @tparam integer count
-- @treturn[1] {integer,...} values
-- @return[2] nil, message, code
-- @usage space:array(stack, "u64", 16)
function Space:array(address, type, count)
  check.integer(address, 1, "array")
  check.string(type, 2, "array")
  check.integer(count, 3, "array")
  return memory.array(self, address, type, count)
end

local function view_of(tables)
  return tables and {root = tables.root, va_bits = tables.va_bits,
    page_size = 1 << tables.page_shift}
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

function Space:__tostring()
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
end

-- Privileged code's rights, then users': "rwx/r-x".
local function rights_text(rights)
  local letters = {}
  for i, letter in ipairs {"r", "w", "x", "r", "w", "x"} do
    letters[i] = rights & 1 << i - 1 ~= 0 and letter or "-"
  end
  return table.concat(letters, "", 1, 3) .. "/" .. table.concat(letters, "", 4, 6)
end

--- Where a virtual address is in physical memory.
-- @tparam integer address
-- @treturn[1] integer physical address; the dump need not have the memory there
-- @treturn[1] integer bytes of its page or block
-- @treturn[1] string rights of privileged code and of users: `"rwx/---"`
-- @return[2] nil, message, code: `unmapped`; `unsupported` where the tables for
-- such addresses are not known
-- @usage local physical, size, rights = space:translate(cpu.pc)
function Space:translate(address)
  check.integer(address, 1, "translate")
  local physical, size, rights = methods.translate(self, address)
  if not physical then
    return nil, size, rights
  end
  return physical, size, rights_text(rights)
end

--- Every level of the walk to a virtual address.
-- @tparam integer address
-- @treturn[1] {table,...} steps, from the root on: `level` (as the architecture
-- counts them), `table` (physical address), `index`, `entry` (as it stands there),
-- `kind` (`"table"` `"page"` `"invalid"`), and where it is not invalid `address`
-- (physical, of what it points to), `rights`; of a page `size`
-- @treturn[1] ?string message, where a table is not in the dump, and its code
-- @return[2] nil, message, code: the address cannot be walked to
-- @usage for _, step in ipairs(space:walk(address)) do
function Space:walk(address)
  check.integer(address, 1, "walk")
  local steps, message, code = methods.walk(self, address)
  for _, step in ipairs(steps or {}) do
    step.rights = step.rights and rights_text(step.rights)
  end
  return steps, message, code
end

-- The first and the last address; first > last where that is none at all.
local function range(from, to)
  if to == 0 then
    return 1, 0
  end
  return from or 0, to and to - 1 or -1
end

--- The mapped ranges, in ascending order; pages that adjoin and have equal rights
-- are one range. What a table maps that is not in the dump is left out.
-- @tparam[opt=0] integer from
-- @tparam[opt] integer to the address behind the last one (the end of the space)
-- @treturn[1] function iterator over start (virtual address), size (bytes), rights
-- (as of `translate`)
-- @return[2] nil, message, `"gone"`
-- @usage for start, size, rights in space:mappings() do
function Space:mappings(from, to)
  if from ~= nil then
    check.integer(from, 1, "mappings")
  end
  if to ~= nil then
    check.integer(to, 2, "mappings")
  end
  local step, message, code = methods.mappings(self, range(from, to))
  if not step then
    return nil, message, code
  end
  return function()
    local start, size, rights = step()
    if start then
      return start, size, rights_text(rights)
    end
  end
end

local find_options = {from = "integer", to = "integer", align = "positive integer"}

--- Every occurrence of some bytes in mapped memory, across pages that adjoin.
-- @tparam string bytes
-- @tparam ?table options `from`, `to`, `align` as of `Dump:find`, virtual
-- @treturn[1] function iterator over virtual addresses, ascending
-- @return[2] nil, message, `"gone"`
-- @usage for address in space:find("swapper/0\0") do
function Space:find(bytes, options)
  check.string(bytes, 1, "find")
  if bytes == "" or #bytes > core.pattern_max then
    error(("bad argument #1 to 'find' (from 1 to %d bytes)"):format(core.pattern_max), 2)
  end
  check.options(options, "find", find_options, 2)
  options = options or {}
  local first, last = range(options.from, options.to)
  return methods.find(self, first, last, bytes, options.align or 1)
end

return Space
