-- Writes dump files byte by byte, from the tables in the format's documentation and
-- independently of the code that reads them.

local dumpwriter = {}

local machines = {aarch64 = 183, x86_64 = 62, x86 = 3, arm = 40}

-- Byte order ("<" or ">") and class (64 or 32) of the output. dumpwriter.as sets them during
-- one call.
local order, bits = "<", 64

local function pack(format, ...)
  return string.pack(order .. format, ...)
end

-- Calls f with the given byte order and class, and returns its result.
function dumpwriter.as(new_order, new_bits, f)
  order, bits = new_order, new_bits
  local ok, result = pcall(f)
  order, bits = "<", 64
  return ok and result or error(result, 0)
end

-- Zeros with strings or integers (8 bytes, little-endian) at their addresses, which count from
-- `base` (default 0); others are ignored.
function dumpwriter.filled(size, words, base)
  local bytes = ("\0"):rep(size)
  for address, word in pairs(words) do
    local at = address - (base or 0)
    if at >= 0 and at < size then
      local text = type(word) == "string" and word or string.pack("<i8", word)
      bytes = bytes:sub(1, at) .. text .. bytes:sub(at + #text + 1)
    end
  end
  return bytes
end

dumpwriter.PT_LOAD, dumpwriter.PT_NOTE = 1, 4

-- The register set of a vCPU. r: gpr (integers from index 0), elr, pstate.
function dumpwriter.aarch64(r)
  local words = {}
  for i = 0, 31 do
    words[#words + 1] = r.gpr and r.gpr[i] or 0
  end
  words[33], words[34] = r.elr or 0, r.pstate or 0
  return pack(("i8"):rep(34), table.unpack(words))
end

dumpwriter.x86_64_order = {"rdi", "rsi", "rdx", "r10", "r8", "r9", "rax", "rbx", "rbp",
  "rcx", "r11", "r12", "r13", "r14", "r15", "rip"}

function dumpwriter.x86_64(r)
  local words = {}
  for _, name in ipairs(dumpwriter.x86_64_order) do
    words[#words + 1] = r[name] or 0
  end
  return pack(("i8"):rep(16), table.unpack(words))
    .. pack("I4I4i8i8I4I4", r.cs or 0, 0, r.rflags or 0, r.rsp or 0, r.ss or 0, 0)
end

dumpwriter.x86_order = {"edi", "esi", "ebp", "exx", "ebx", "edx", "ecx", "eax", "eip", "cs",
  "efl", "esp", "ss"}
dumpwriter.arm_order = {"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10",
  "r11", "r12", "sp", "lr", "pc", "spsr"}

local function words_in_order(r, names)
  local words = {}
  for i, name in ipairs(names) do
    words[i] = pack("I4", r[name] or 0)
  end
  return table.concat(words)
end

function dumpwriter.x86(r)
  return words_in_order(r, dumpwriter.x86_order)
end

function dumpwriter.arm(r)
  return words_in_order(r, dumpwriter.arm_order)
end

-- One struct kdump_note_cpu with its registers: cpu.registers is a string of
-- bytes, cpu.extra an array of integers or a string.
local function cpu_record(cpu)
  local extra = cpu.extra or ""
  if type(extra) == "table" then
    extra = pack(("i8"):rep(#extra), table.unpack(extra))
  end
  return pack("i8I4I4I4I4I4c100", cpu.pgtbl or 0, cpu.cpunum or 0, 0, 0, 0, 0,
    cpu.process or "") .. cpu.registers .. extra
end

-- The payload of PT_NOTE. note: cpus, names (array of extra register names; SDP 8),
-- pad (bytes after the names), and any member of struct kdump_note.
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
  return pack("BBBBI2I2I4I4I4I4I4I4I4I4",
    note.version or 0, note.sig_num or 17, 0, 0, note.num_cpus or #cpus, 0, regset, 0,
    note.procnto or 0xffffffff, note.syspage or 0xffffffff, note.dumpinfo or 0xffffffff, 0,
    extra_size, note.names_size or #names)
    .. names .. ("\0"):rep(note.pad or 0) .. table.concat(records)
end

-- struct kdump (four ints, a pointer, three spare words, the size and an index), then its text.
function dumpwriter.dumpinfo(text, index)
  return pack("i4i4i4i4I" .. bits // 8 .. "I4I4I4I4I4", 0, 0, 0, 0, 0, 0, 0, 0, #text,
    index or 0) .. text
end

-- One ELF note: a name (with its NUL), a type, data, padded to 4 bytes.
function dumpwriter.elf_note(name, kind, data)
  local function pad(bytes)
    return bytes .. ("\0"):rep(-#bytes % 4)
  end
  return pack("I4I4I4", #name, #data, kind) .. pad(name) .. pad(data)
end

-- The prstatus that QEMU writes for a vCPU, counted from 0: its registers have 8 bytes each and
-- begin at offset 112.
function dumpwriter.prstatus(index, registers, size)
  local head = ("\0"):rep(32) .. pack("I4", index + 1) .. ("\0"):rep(76)
  local words = pack(("i8"):rep(#registers), table.unpack(registers))
  return head .. words .. ("\0"):rep(size - #head - #words)
end

-- The x86_64 "QEMU" note: {value, format} by offset, and zeros elsewhere.
function dumpwriter.qemu_state(values, size)
  local bytes = pack("I4I4", 1, size) .. ("\0"):rep(size - 8)
  for offset, value in pairs(values) do
    local format = value[2] or "i8"
    bytes = bytes:sub(1, offset) .. pack(format, value[1])
      .. bytes:sub(offset + 1 + string.packsize(format))
  end
  return bytes
end

local header_sizes = {[32] = 52, [64] = 64}
local entry_sizes = {[32] = 32, [64] = 56}
local section_sizes = {[32] = 40, [64] = 64}

function dumpwriter.header(h)
  local word = "i" .. bits // 8
  return pack("c4BBBBI8I2I2I4" .. word .. word .. word .. "I4I2I2I2I2I2I2",
    h.magic or "\127ELF", h.class or bits // 32, h.data or (order == "<" and 1 or 2), 1, 0, 0,
    h.type or 4, h.machine, 1, 0, h.phoff or header_sizes[bits], h.shoff or 0, 0,
    h.ehsize or header_sizes[bits], h.phentsize or entry_sizes[bits], h.phnum,
    section_sizes[bits], h.shnum or 0, h.shstrndx or 0)
end

function dumpwriter.program_header(s)
  local memsz, align = s.memsz or s.filesz or 0, s.align or 4096
  if bits == 32 then
    return pack("I4I4I4I4I4I4I4I4", s.type or 1, s.offset or 0, s.vaddr or 0, s.paddr or 0,
      s.filesz or 0, memsz, s.flags or 0, align)
  end
  return pack("I4I4i8i8i8i8i8i8", s.type or 1, s.flags or 0, s.offset or 0, s.vaddr or 0,
    s.paddr or 0, s.filesz or 0, memsz, align)
end

function dumpwriter.section_header(s)
  local word = "i" .. bits // 8
  return pack("I4I4" .. word:rep(4) .. "I4I4" .. word:rep(2), s.name or 0, s.type or 0,
    s.flags or 0, s.addr or 0, s.offset or 0, s.size or 0, s.link or 0, s.info or 0, 0, 0)
end

-- A whole file as a string. segments: each with paddr and bytes (its data), or
-- with explicit fields; data follows the program headers in the order given.
function dumpwriter.file(dump)
  local machine = machines[dump.machine] or dump.machine
  local offset = header_sizes[bits] + entry_sizes[bits] * #dump.segments
  local headers, data = {}, {}
  for i, segment in ipairs(dump.segments) do
    local bytes = segment.bytes or ""
    local fields = setmetatable({offset = segment.offset or offset,
      filesz = segment.filesz or #bytes}, {__index = segment})
    headers[i] = dumpwriter.program_header(fields)
    data[i] = bytes
    offset = offset + #bytes
  end
  local fields = {machine = machine, phnum = #dump.segments}
  for name, value in pairs(dump.header or {}) do
    fields[name] = value
  end
  return dumpwriter.header(fields) .. table.concat(headers) .. table.concat(data)
end

-- A small QNX dump: memory segments, then the note. options: machine, registers, cpus, memory,
-- note, header.
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
