-- Two dumps for the target gdb: one of QEMU, with page tables, kernel log and vCPUs; one in
-- the documented QNX format.

local layouts = require "layouts"
local pagetables = require "support.pagetables"
local writer = require "support.dumpwriter"

local function from_qemu()
  local t = pagetables.x86_64(0x100000)
  t:map(0xffffffff81000000, 0x200000, 1, 0)
  t:map(0x400000, 0x200000, 0, 4)
  local notes = ""
  for i = 0, 2 do
    local registers = {}
    for n = 1, 27 do
      registers[n] = n == 17 and 0xffffffff81000010 or n == 20 and 0xffffffff81000100 or n
    end
    notes = notes .. writer.elf_note("CORE\0", 1, writer.prstatus(i, registers, 336))
      .. writer.elf_note("QEMU\0", 0, writer.qemu_state({[392] = {0x80050033},
        [416] = {t.root}, [424] = {0x20}}, 440))
  end
  notes = notes .. writer.elf_note("VMCOREINFO\0", 0, "OSRELEASE=6.1.0\nKERNELOFFSET=1c00000\n"
    .. ("NUMBER(phys_base)=0\nSYMBOL(swapper_pg_dir)=%x\n"):format(0xffffffff80000000 + t.root)
    .. layouts.text(0, 64))
  local segments = t:segments()
  segments[#segments + 1] = {paddr = 0x200000, bytes = ("code and text\0$#}*\27"):rep(300)}
  segments[#segments + 1] = {type = 4, align = 0, bytes = notes}
  return writer.file {machine = "x86_64", segments = segments}
end

local function from_qnx()
  local registers = writer.aarch64 {elr = 0x200010, gpr = {[30] = 0x200100, [31] = 0x200200}}
  return writer.small {machine = "aarch64",
    memory = {{paddr = 0x200000, bytes = ("text"):rep(1000)},
      {paddr = 0x300000, bytes = writer.dumpinfo("a log\nof\27 lines\n")}},
    cpus = {{registers = registers, process = "p<&\27", extra = {1}},
      {registers = registers, extra = {2}}},
    note = {names = {"sctlr el1"}, dumpinfo = 1}}
end

return {from_qemu(), from_qnx()}
