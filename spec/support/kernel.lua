-- A small guest with a kernel: a dump whose memory is one block of the kernel's address space,
-- with VMCOREINFO, page tables, and symbols in a System.map.

local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local Kernel = {}
Kernel.__index = Kernel

local kernel = {}

kernel.BASE = 0xffffff8000200000 -- the block's virtual address, on aarch64
kernel.MEMORY = 0x80000000       -- its physical one
local TABLES, SIZE, PAGE = 0x41000, 2 << 20, 4096

-- What the machines differ in: the block's address, that of the kernel's page tables, and what
-- VMCOREINFO says of both.
local MACHINES = {
  aarch64 = {base = kernel.BASE, image = -1 << 39,
    tables = function() return pagetables.aarch64(TABLES, 12, 39) end,
    info = "NUMBER(VA_BITS)=39\nNUMBER(kimage_voffset)=0xffffff8000000000\n"},
  x86_64 = {base = 0xffffffff80200000, image = 0xffffffff80000000,
    tables = function() return pagetables.x86_64(TABLES) end,
    info = "NUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=0\n"},
}

-- order: "<" or ">". base: another address of the block. machine: "aarch64" or "x86_64".
function kernel.new(order, base, machine)
  machine = machine or "aarch64"
  base = base or MACHINES[machine].base
  return setmetatable({order = order or "<", base = base, next = base, parts = {},
    machine = machine, notes = "", segments = {}, info = "", reserved = {}, mapped = {},
    symbols = {swapper_pg_dir = MACHINES[machine].image | TABLES}}, Kernel)
end

function Kernel:pack(format, ...)
  return string.pack(self.order .. format, ...)
end

-- Reserves memory, and returns its address. Its bytes are zeros until it is set.
function Kernel:reserve(size, align)
  local mask = (align or 16) - 1
  local at = self.next + mask & ~mask
  self.next = at + size
  self.reserved[#self.reserved + 1] = {address = at, size = size}
  assert(self.next - self.base <= SIZE, "the kernel's memory is full")
  return at
end

-- Bytes, or an integer of 8, at an address that was reserved.
function Kernel:set(address, bytes)
  if type(bytes) == "number" then
    bytes = self:pack("i8", bytes)
  end
  self.parts[#self.parts + 1] = {address, bytes}
end

-- Reserves memory for a string, and returns its address. name: of a symbol there.
function Kernel:place(bytes, name)
  local at = self:reserve(#bytes)
  self:set(at, bytes)
  if name then
    self.symbols[name] = at
  end
  return at
end

-- Maps pages of the block once more, from an address on. pages: {page = address, count = how often}
-- each, in order.
function Kernel:map_again(address, pages)
  for _, one in ipairs(pages) do
    for _ = 1, one.count do
      self.mapped[#self.mapped + 1] = {address, one.page - self.base + kernel.MEMORY}
      address = address + PAGE
    end
  end
end

-- Puts type information where the kernel's symbols say that it is.
function Kernel:add_btf(bytes)
  self.symbols.__stop_BTF = self:place(bytes, "__start_BTF") + #bytes
end

-- The bytes of the block, up to the last one that was reserved. Parts that were set later
-- replace earlier ones.
function Kernel:memory()
  local size, pages = self.next - self.base, {}
  for i = 1, (size + PAGE - 1) // PAGE do
    pages[i] = ("\0"):rep(math.min(PAGE, size - (i - 1) * PAGE))
  end
  for _, part in ipairs(self.parts) do
    local at, bytes = part[1] - self.base, part[2]
    assert(at >= 0 and at + #bytes <= size, "not reserved")
    while #bytes > 0 do
      local i, from = at // PAGE + 1, at % PAGE
      local piece = bytes:sub(1, PAGE - from)
      pages[i] = pages[i]:sub(1, from) .. piece .. pages[i]:sub(from + #piece + 1)
      at, bytes = at + #piece, bytes:sub(#piece + 1)
    end
  end
  return table.concat(pages)
end

-- The System.map, of a kernel that was moved by some bytes.
function Kernel:map(moved)
  local lines = {}
  for name, address in pairs(self.symbols) do
    lines[#lines + 1] = ("%016x D %s\n"):format(address - (moved or 0), name)
  end
  table.sort(lines)
  return table.concat(lines)
end

-- Adds a note, as of a vCPU.
function Kernel:add_note(name, kind, data)
  self.notes = self.notes .. writer.as(self.order, 64, function()
    return writer.elf_note(name, kind, data)
  end)
end

-- The dump as bytes.
function Kernel:dump()
  return writer.as(self.order, 64, function()
    local form = MACHINES[self.machine]
    local tables = form.tables()
    tables:map(self.base, kernel.MEMORY, 1, 0)
    for _, one in ipairs(self.mapped) do
      tables:map(one[1], one[2], 0, 0)
    end
    local info = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n"
      .. ("SYMBOL(swapper_pg_dir)=%x\n"):format(self.symbols.swapper_pg_dir) .. form.info
      .. self.info
    local segments = {{paddr = kernel.MEMORY, bytes = self:memory()}, {type = 4, align = 4,
      bytes = self.notes .. writer.elf_note("VMCOREINFO\0", 0, info)}}
    table.move(tables:segments(self.order), 1, #tables.tables, #segments + 1, segments)
    table.move(self.segments, 1, #self.segments, #segments + 1, segments)
    return writer.file {machine = self.machine, segments = segments}
  end)
end

-- Writes the dump, and returns its path.
function Kernel:write(name)
  return files.write(name or "kernel.gcore", self:dump())
end

-- Writes the dump and opens it, with its symbols.
function Kernel:open()
  local dump = assert(qvm.open(self:write()))
  assert(dump:symbols(files.write("System.map", self:map())))
  return dump
end

return kernel
