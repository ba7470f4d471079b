-- Writes page tables as described by the architectures' manuals (AMD64 Architecture
-- Programmer's Manual 2; Arm Architecture Reference Manual, VMSAv8-64).

local pagetables = {}

local Tables = {}
Tables.__index = Tables

-- form:
-- - bits, top_bits: bits of an index, and of the top level's index if it has fewer;
-- - shift: bits of a page offset; levels; size: bytes of an entry (default 8);
-- - at: physical address of the first table;
-- - table(address), leaf(address, level, flags): entries of a table, and of a page or a block
--   (level: 0 for a page, 1 for the next larger block);
-- - address(entry): the table that an entry points to.
function pagetables.new(form)
  return setmetatable({form = form, size = form.size or 8, next = form.at, tables = {},
    root = nil}, Tables):start()
end

function Tables:start()
  self.root = self:add()
  return self
end

function Tables:add()
  local address = self.next
  self.next = address + math.max(1 << self.form.shift, 4096)
  self.tables[#self.tables + 1] = {address = address, entries = {}}
  self.tables[address] = self.tables[#self.tables]
  return address
end

-- Sets the raw entry of a table.
function Tables:set(table_address, index, entry)
  self.tables[table_address].entries[index] = entry
end

-- Maps a page or a block. leaf_level: 0 for a page, 1 for the next larger block, and so on.
-- flags are added to the leaf entry, table_flags to the table entries on the way.
function Tables:map(virtual, physical, leaf_level, flags, table_flags)
  local form, at = self.form, self.root
  for level = form.levels - 1, leaf_level or 0, -1 do
    local bits = level == form.levels - 1 and (form.top_bits or form.bits) or form.bits
    local index = virtual >> (form.shift + form.bits * level) & (1 << bits) - 1
    local entries = self.tables[at].entries
    if level == (leaf_level or 0) then
      entries[index] = form.leaf(physical, level, flags or 0)
    else
      if not entries[index] then
        local new = self:add()
        entries[index] = form.table(new) | (table_flags or 0)
        self.tables[new].entry_address = new
      end
      at = form.address(entries[index])
    end
  end
end

-- The tables as segments of a dump, in a byte order.
function Tables:segments(order)
  local segments = {}
  local format = (order or "<") .. (self.size == 4 and "I4" or "i8")
  for i, one in ipairs(self.tables) do
    local bytes = {}
    for index = 0, (1 << self.form.bits) - 1 do
      bytes[#bytes + 1] = string.pack(format, one.entries[index] or 0)
    end
    segments[i] = {paddr = one.address, bytes = table.concat(bytes)}
  end
  return segments
end

-- Bits of x86 and Arm entries.
pagetables.x86 = {present = 1, write = 2, user = 4, large = 128, nx = 1 << 63}
pagetables.arm = {user = 1 << 6, read_only = 1 << 7, pxn = 1 << 53, uxn = 1 << 54,
  table_no_user = 1 << 61, table_read_only = 1 << 62, table_uxn = 1 << 60, table_pxn = 1 << 59}

local x86 = pagetables.x86

-- Four levels, or five if `five` is true.
function pagetables.x86_64(at, five)
  return pagetables.new {at = at, bits = 9, shift = 12, levels = five and 5 or 4,
    table = function(address) return address | x86.present | x86.write | x86.user end,
    leaf = function(address, level, flags)
      return address | x86.present | flags | (level > 0 and x86.large or 0)
    end,
    address = function(entry) return entry & 0x000ffffffffff000 end}
end

function pagetables.x86_pae(at)
  return pagetables.new {at = at, bits = 9, top_bits = 2, shift = 12, levels = 3,
    table = function(address) return address | x86.present end,
    leaf = function(address, level, flags)
      return address | x86.present | flags | (level > 0 and x86.large or 0)
    end,
    address = function(entry) return entry & 0x000ffffffffff000 end}
end

-- The two-level form, without PAE.
function pagetables.x86_32(at)
  return pagetables.new {at = at, bits = 10, shift = 12, levels = 2, size = 4,
    table = function(address) return address | x86.present | x86.write | x86.user end,
    leaf = function(address, level, flags)
      if level > 0 then -- bits 39:32 of the address go to 20:13
        address = address & 0xffc00000 | (address >> 32 & 0xff) << 13 | x86.large
      end
      return address | x86.present | flags
    end,
    address = function(entry) return entry & 0xfffff000 end}
end

-- Encodes an address for an entry. pa52: whether physical addresses have 52 bits. With 64 KiB
-- pages, bits 51:48 move to 15:12; with smaller ones (LPA2), 49:48 stay and 51:50 move to 9:8.
local function arm_address(address, shift, pa52)
  if shift == 16 then
    return address & 0x0000ffffffffffff | (address >> 48 & 0xf) << 12
  elseif pa52 then
    return address & 0x0003ffffffffffff | (address >> 50 & 3) << 8
  end
  return address
end

function pagetables.aarch64(at, shift, va_bits, pa52)
  local bits = shift - 3
  local levels = (va_bits - shift + bits - 1) // bits
  return pagetables.new {at = at, bits = bits, shift = shift, levels = levels,
    top_bits = (va_bits - shift - 1) % bits + 1,
    table = function(address) return arm_address(address, shift, pa52) | 3 end,
    leaf = function(address, level, flags)
      return arm_address(address, shift, pa52) | flags | (level > 0 and 1 or 3)
    end,
    address = function(entry) -- of a table; tables have low addresses
      return entry & 0x0000fffffffff000 & ~((1 << shift) - 1)
    end}
end

return pagetables
