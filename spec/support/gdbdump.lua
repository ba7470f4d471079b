-- A QNX dump for gdb: two vCPUs in one address space, a stack and some code.

local files = require "support.files"
local pagetables = require "support.pagetables"
local writer = require "support.dumpwriter"

local gdbdump = {
  CODE = 0xffffffff81000000, CODE_AT = 0x10000,   -- one page; the next one is not mapped
  STACK = 0xffff888000000000, STACK_AT = 0x40000, -- four pages; the dump has three of them
}

local x86 = pagetables.x86

local function memory()
  local t = pagetables.x86_64(0x100000)
  t:map(gdbdump.CODE, gdbdump.CODE_AT, 0, x86.write)
  for at = 0, 0x3000, 0x1000 do
    t:map(gdbdump.STACK + at, gdbdump.STACK_AT + at, 0, x86.write | x86.nx)
  end
  local segments = t:segments()
  local words = {}
  for n = 0, 0x3000 // 8 - 1 do
    words[n + 1] = string.pack("<i8", gdbdump.STACK + 8 * n)
  end
  segments[#segments + 1] = {paddr = gdbdump.CODE_AT,
    bytes = "\x90\x90\xf4\xc3#$}*" .. ("\0"):rep(4096 - 8)}
  segments[#segments + 1] = {paddr = gdbdump.STACK_AT, bytes = table.concat(words)}
  return segments, t.root
end

-- Writes the dump and returns its path. text: the dump's text, if any, for dump:log().
function gdbdump.x86_64(text)
  local segments, root = memory()
  local cpus = {}
  for i = 0, 1 do
    cpus[i + 1] = {pgtbl = 0, cpunum = i + 4, process = i == 0 and 'a<b> & "c"' or "procnto\27[2J",
      extra = {root, 0x80050033, 0x20, -2},
      registers = writer.x86_64 {rax = 0x1122334455667788, rbp = gdbdump.STACK + 0x40,
        r15 = -1, rip = gdbdump.CODE + i, cs = 8, ss = 16, rflags = 0x246,
        rsp = gdbdump.STACK + 0x10}}
  end
  local note = {cpus = cpus, names = {"CR3", "CR0", "CR4", "odd name/1"}}
  if text then
    segments[#segments + 1] = {paddr = 0x200000, bytes = writer.dumpinfo(text)}
    note.dumpinfo = #segments - 1
  end
  segments[#segments + 1] = {type = 4, bytes = writer.note(note)}
  return files.write("gdb.gcore", writer.file {machine = "x86_64", segments = segments})
end

return gdbdump
