-- Loads a real guest into a simulated VM: the memory of QEMU's dump, with registers from
-- QEMU's record. The library must read the same from the resulting dump in QNX format as
-- from QEMU's.

local files = require "support.files"
local guests = require "real_guests.guests"
local lfs = require "lfs"
local qvm = require "qvm"
local sim = require "support.sim"

-- The registers of the QNX format that the simulator supports.
local names = {x86_64 = {"rip", "rflags", "cs", "ss"}, aarch64 = {"sp", "pc", "pstate"}}
for _, name in ipairs {"a", "b", "c", "d"} do
  table.insert(names.x86_64, "r" .. name .. "x")
end
for _, name in ipairs {"si", "di", "bp", "sp"} do
  table.insert(names.x86_64, "r" .. name)
end
for i = 8, 15 do
  table.insert(names.x86_64, "r" .. i)
end
for i = 0, 30 do
  table.insert(names.aarch64, "x" .. i)
end

-- Extra registers for aarch64: QEMU's dump has none. TCR_EL1 is what QEMU's gdb stub
-- showed for such a guest (4 KiB pages, 48 bits in both halves), as is the ASID in
-- TTBR1_EL1, whose address is in VMCOREINFO; there, both had the same value. The root of
-- user-space tables is unknown.
local function aarch64_registers(dump)
  local info = dump:vmcoreinfo()
  assert(info.page_size == 4096 and info.numbers.VA_BITS == 48)
  return {TTBR1_EL1 = 0x22 << 48 | info.symbols.swapper_pg_dir - info.numbers.kimage_voffset,
    TCR_EL1 = 0x00500074b5503510}
end

-- A configuration with the dump's memory and registers. note: "new", with extra registers;
-- "old", with pgtbl alone (on aarch64, without).
local function configuration(dump, note)
  local lines = {"set sim-guest " .. dump.path, "set sim-note " .. note}
  local is_x86 = dump.machine == "x86_64"
  for name, value in pairs(not is_x86 and note == "new" and aarch64_registers(dump) or {}) do
    lines[#lines + 1] = ("set sim-extra-%s 0x%x"):format(name, value)
  end
  for cpu in dump:vcpus() do
    lines[#lines + 1] = "cpu"
    if is_x86 and note == "old" then
      lines[#lines + 1] = ("set sim-pgtbl 0x%x"):format(cpu.extra.cr3 & ~0xfff)
    end
  end
  return table.concat(lines, "\n")
end

-- The results of an iterator, as text.
local function lines(iterator)
  local list = {}
  for one in iterator do
    list[#list + 1] = tostring(one)
  end
  return list
end

-- Addresses with their physical addresses (nil if unmapped) according to QEMU.
local function translations(directory, arch, index)
  if arch == "aarch64" then
    return files.read(directory .. "gva2gpa.txt"):gmatch("(%x+): (%w+)\n")
  end
  return files.read(directory .. ("tlb-%d.txt"):format(index)):gmatch("(%x+): (%x+) [%w-]+\n")
end

local from = {
  x86_64 = {new = "from its control registers %(vCPU %d%)$",
    old = "from pgtbl of its record %(vCPU %d%)$"},
  aarch64 = {new = "from its control registers %(vCPU %d%)$",
    old = "from VMCOREINFO from physical address 0x%x+ %(vCPU %d%)$"},
}

for _, note in ipairs {"new", "old"} do
  guests.each({"aarch64", "x86_64", "x86_64-la57"},
    "a real guest in a simulated VM (%s, " .. note .. " note)", function(_, directory)
      local qemu, qnx

      setup(function()
        qemu = assert(qvm.open(directory .. "first.elf"))
        qvm.root(sim.root())
        local dumps = files.mkdir("dumps")
        sim.start("linux1", configuration(qemu, note) .. "\ndump " .. dumps)
        qnx = assert(qvm.vm("linux1"):dump {dir = dumps})
      end)

      teardown(function()
        qnx:close()
        qemu:close()
        sim.clean()
      end)

      it("is in a dump of QNX's format, whole, and sparse", function()
        assert.are.same({"qnx", qemu.machine}, {qnx.format, qnx.machine})
        assert.is_true(qnx.size > 256 << 20)
        assert.is_true(lfs.attributes(qnx.path, "blocks") * 512 < 192 << 20)
        for start, size in qemu:ranges() do
          for address = start, start + size - 1, 1 << 20 do
            local length = math.min(1 << 20, start + size - address)
            assert(qemu:read(address, length) == qnx:read(address, length), qvm.hex(address))
          end
        end
      end)

      it("has the registers that QEMU showed", function()
        for cpu in qemu:vcpus() do
          local there = qnx:vcpu(cpu.index)
          assert.are.same({cpu.pc, cpu.sp}, {there.pc, there.sp})
          for _, name in ipairs(names[qemu.machine]) do
            assert.are.equal(cpu.regs[name], there.regs[name])
          end
          assert.are.equal(note == "new", next(there.extra) ~= nil)
        end
      end)

      it("has its virtual memory where QEMU translates it to", function()
        local compared = 0
        for cpu in qemu:vcpus() do
          local mine, theirs = assert(qnx:space(qnx:vcpu(cpu.index))), assert(qemu:space(cpu))
          assert.matches(from[qemu.machine][note], tostring(mine))
          for address, physical in translations(directory, qemu.machine, cpu.index) do
            address = tonumber(address, 16)
            local there, size, rights = mine:translate(address)
            physical = physical:gsub("^0x", "")
            assert.are.equal(physical ~= "none" and tonumber(physical, 16) or nil, there,
              qvm.hex(address))
            local _, expected_size, expected_rights = theirs:translate(address)
            -- For unmapped addresses, the error code.
            assert.are.equal(expected_rights, rights)
            assert.is_true(not there or size == expected_size)
            compared = compared + 1
          end
        end
        assert.is_true(compared >= 10000, compared)
      end)

      it("has its kernel's log, line by line", function()
        local expected = lines(qemu:dmesg())
        assert.is_true(#expected > 200)
        assert.are.same(expected, lines(qnx:dmesg()))
        assert.matches("from physical address 0x%x+$", tostring(qnx:vmcoreinfo()))
      end)

      it("has its kernel's symbols", function()
        local symbols = assert(qnx:symbols())
        assert.matches("^%d%d%d%d%d+ symbols from kallsyms$", tostring(symbols))
        assert.are.equal(tostring(qemu:symbols()), tostring(symbols))
        for _, name in ipairs {"_stext", "schedule", "linux_banner"} do
          assert.are.equal(qemu:address(name), qnx:address(name))
        end
      end)

      it("has the call chains of its vCPUs", function()
        local compared = 0 -- a stopped vCPU may have a chain of a single call
        for cpu in qemu:vcpus() do
          local expected = lines(cpu:backtrace())
          assert.are.same(expected, lines(qnx:vcpu(cpu.index):backtrace()))
          compared = compared + #expected
        end
        assert.is_true(compared >= 1)
      end)
    end)
end
