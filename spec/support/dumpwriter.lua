-- Writes dump files from the tables of the format's documentation, byte by byte
-- and apart from the code that reads them.

local dumpwriter = {}

local machines = {
  aarch64 = {number = 183, regset = 272},
  x86_64 = {number = 62, regset = 168},
}

dumpwriter.PT_LOAD, dumpwriter.PT_NOTE = 1, 4

-- The register set of a CPU: aarch64 takes gpr (32 integers), elr, pstate.
function dumpwriter.aarch64(r)
  local words = {}
  for i = 0, 31 do
    words[#words + 1] = r.gpr and r.gpr[i] or 0
  end
  words[33], words[34] = r.elr or 0, r.pstate or 0
  return string.pack("<" .. ("i8"):rep(34), table.unpack(words))
end

dumpwriter.x86_64_order = {"rdi", "rsi", "rdx", "r10", "r8", "r9", "rax", "rbx", "rbp",
  "rcx", "r11", "r12", "r13", "r14", "r15", "rip"}

function dumpwriter.x86_64(r)
  local words = {}
  for _, name in ipairs(dumpwriter.x86_64_order) do
    words[#words + 1] = r[name] or 0
  end
  return string.pack("<" .. ("i8"):rep(16), table.unpack(words))
    .. string.pack("<I4I4i8i8I4I4", r.cs or 0, 0, r.rflags or 0, r.rsp or 0, r.ss or 0, 0)
end

-- One struct kdump_note_cpu with its registers: cpu.registers is a string of
-- bytes, cpu.extra an array of integers or a string.
local function cpu_record(cpu)
  local extra = cpu.extra or ""
  if type(extra) == "table" then
    extra = string.pack("<" .. ("i8"):rep(#extra), table.unpack(extra))
  end
  return string.pack("<i8I4I4I4I4I4c100", cpu.pgtbl or 0, cpu.cpunum or 0, 0, 0, 0, 0,
    cpu.process or "") .. cpu.registers .. extra
end

-- The payload of PT_NOTE. note: cpus, names (array of extra register names; SDP 8),
-- pad (bytes behind the names), and any member of struct kdump_note.
function dumpwriter.note(note)
  local cpus = note.cpus
  local names = ""
  for _, name in ipairs(note.names or {}) do
    names = names .. name .. "\0"
  end
  local extra_size = note.extra_size or 8 * #(note.names or {})
  local records = {}
  for i, cpu in ipairs(cpus) do
    records[i] = cpu_record(cpu)
  end
  local regset = note.regset_size or #cpus[1].registers + extra_size
  return string.pack("<BBBBI2I2I4I4I4I4I4I4I4I4",
    note.version or 0, note.sig_num or 17, 0, 0, note.num_cpus or #cpus, 0, regset, 0,
    note.procnto or 0xffffffff, note.syspage or 0xffffffff, note.dumpinfo or 0xffffffff, 0,
    extra_size, note.names_size or #names)
    .. names .. ("\0"):rep(note.pad or 0) .. table.concat(records)
end

-- struct kdump with its text, 64-bit.
function dumpwriter.dumpinfo(text, index)
  return string.pack("<i4i4i4i4I8I4I4I4I4I4", 0, 0, 0, 0, 0, 0, 0, 0, #text, index or 0) .. text
end

function dumpwriter.header(h)
  return string.pack("<c4BBBBI8I2I2I4I8I8I8I4I2I2I2I2I2I2",
    h.magic or "\127ELF", h.class or 2, h.data or 1, 1, 0, 0, h.type or 4, h.machine, 1, 0,
    h.phoff or 64, 0, 0, 64, h.phentsize or 56, h.phnum, 64, 0, 0)
end

function dumpwriter.program_header(s)
  return string.pack("<I4I4i8i8i8i8i8i8", s.type or 1, s.flags or 0, s.offset or 0, s.vaddr or 0,
    s.paddr or 0, s.filesz or 0, s.memsz or s.filesz or 0, s.align or 4096)
end

-- A whole file as a string. segments: each with paddr and bytes (its data), or
-- with explicit fields; data follows the program headers in the order given.
function dumpwriter.file(dump)
  local machine = machines[dump.machine] or {number = dump.machine}
  local offset = 64 + 56 * #dump.segments
  local headers, data = {}, {}
  for i, segment in ipairs(dump.segments) do
    local bytes = segment.bytes or ""
    local fields = setmetatable({offset = segment.offset or offset,
      filesz = segment.filesz or #bytes}, {__index = segment})
    headers[i] = dumpwriter.program_header(fields)
    data[i] = bytes
    offset = offset + #bytes
  end
  local fields = {machine = machine.number, phnum = #dump.segments}
  for name, value in pairs(dump.header or {}) do
    fields[name] = value
  end
  return dumpwriter.header(fields) .. table.concat(headers) .. table.concat(data)
end

-- The usual small dump: memory segments, then the note, as public kernel dump
-- code writes it.
function dumpwriter.small(options)
  options = options or {}
  local machine = options.machine or "aarch64"
  local registers = options.registers or dumpwriter[machine] {}
  local cpus = options.cpus or {{registers = registers, process = "one"}}
  local segments = {}
  for _, segment in ipairs(options.memory or {{paddr = 0x80000000, bytes = ("M"):rep(256)}}) do
    segments[#segments + 1] = segment
  end
  local note = options.note or {}
  note.cpus = note.cpus or cpus
  segments[#segments + 1] = {type = 4, bytes = dumpwriter.note(note)}
  return dumpwriter.file {machine = machine, segments = segments, header = options.header}
end

return dumpwriter
