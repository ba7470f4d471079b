-- The target description: which registers a vCPU has for gdb, in what order and of what size.
-- The names of features and registers are those of the GDB manual, "Standard Target Features".

local line = require "qvm.util.text"
local packet = require "qvm.gdb.packet"

local target = {}

-- A feature is a name and an array of registers: name in gdb, bits, type in gdb, and the name
-- in `regs` or `extra` of a vCPU if it is different.

local function numbered(prefix, count, bits, type)
  local registers = {}
  for n = 0, count - 1 do
    registers[#registers + 1] = {prefix .. n, bits, type}
  end
  return registers
end

local function joined(...)
  local all = {}
  for _, list in ipairs {...} do
    table.move(list, 1, #list, #all + 1, all)
  end
  return all
end

local function named(names, bits, type)
  local registers = {}
  for name in names:gmatch("%S+") do
    registers[#registers + 1] = {name, bits, type}
  end
  return registers
end

-- The floating-point unit. Dumps lack its registers, but gdb rejects a description without
-- them.
local x87 = joined(numbered("st", 8, 80, "i387_ext"),
  named("fctrl fstat ftag fiseg fioff foseg fooff fop", 32, "int"))

local x86_segments = named("cs ss ds es fs gs", 32, "int32")

local machines = {
  aarch64 = {
    architecture = "aarch64", llvm = "aarch64", big = "aarch64_be", pointer = 8,
    {"org.gnu.gdb.aarch64.core", joined(numbered("x", 31, 64, "uint64"),
      {{"sp", 64, "data_ptr"}, {"pc", 64, "code_ptr"}, {"cpsr", 32, "uint32", "pstate"}})},
  },
  x86_64 = {
    architecture = "i386:x86-64", llvm = "x86_64", pointer = 8,
    {"org.gnu.gdb.i386.core", joined(named("rax rbx rcx rdx rsi rdi", 64, "int64"),
      named("rbp rsp", 64, "data_ptr"), named("r8 r9 r10 r11 r12 r13 r14 r15", 64, "int64"),
      {{"rip", 64, "code_ptr"}, {"eflags", 32, "int32", "rflags"}}, x86_segments, x87)},
    {"org.gnu.gdb.i386.segments", named("fs_base gs_base", 64, "int64"), "fs_base"},
    {"org.gnu.gdb.i386.linux", named("orig_rax", 64, "int64"), "orig_rax"},
  },
  x86 = {
    architecture = "i386", llvm = "i386", pointer = 4,
    {"org.gnu.gdb.i386.core", joined(named("eax ecx edx ebx", 32, "int32"),
      named("esp ebp", 32, "data_ptr"), named("esi edi", 32, "int32"),
      {{"eip", 32, "code_ptr"}, {"eflags", 32, "int32", "efl"}}, x86_segments, x87)},
  },
  arm = {
    architecture = "arm", llvm = "arm", big = "armeb", pointer = 4,
    {"org.gnu.gdb.arm.core", joined(numbered("r", 13, 32, "uint32"),
      {{"sp", 32, "data_ptr"}, {"lr", 32, "uint32"}, {"pc", 32, "code_ptr"},
        {"cpsr", 32, "uint32", "spsr"}})},
  },
}

-- QEMU's note of the aarch64 floating-point unit: V0 to V31, then fpsr and fpcr.
local VECTOR_TYPE = [[
<vector id="v2d" type="ieee_double" count="2"/><vector id="v2u" type="uint64" count="2"/>
<vector id="v4f" type="ieee_single" count="4"/><vector id="v16b" type="uint8" count="16"/>
<union id="vector"><field name="d" type="v2d"/><field name="u" type="v2u"/>
<field name="f" type="v4f"/><field name="b" type="v16b"/></union>
]]
local QEMU_VECTORS = 528 -- bytes of the note

local function vectors_of(dump, cpu)
  if dump.machine ~= "aarch64" or dump.format ~= "qemu" or #cpu.extra_bytes ~= QEMU_VECTORS then
    return nil
  end
  local registers = numbered("v", 32, 128, "vector")
  for n, register in ipairs(registers) do
    register.at = 16 * (n - 1) + 1
  end
  return {"org.gnu.gdb.aarch64.fpu", joined(registers, named("fpsr fpcr", 32, "uint32")),
    types = VECTOR_TYPE}
end

-- Extra registers, which gdb has no names for: they keep their names in the dump. Their number
-- is limited by the size of the reply to `g`.
local EXTRA_MAX = 512

local function extras_of(cpu, known)
  local registers = {}
  for name in cpu:extra_registers() do
    local plain = name:gsub("[^0-9A-Za-z_]", "_"):gsub("^%d", "_%0"):sub(1, 64)
    if plain ~= "" and not known[plain] and #registers < EXTRA_MAX then
      known[plain] = true
      registers[#registers + 1] = {plain, 64, "uint64", name, group = "system"}
    end
  end
  return {"org.qvm.extra", registers}
end

local function features_of(dump, cpu)
  local features, known = {}, {}
  for _, feature in ipairs(machines[dump.machine]) do
    if not feature[3] or cpu.regs[feature[3]] then
      features[#features + 1] = feature
    end
  end
  features[#features + 1] = vectors_of(dump, cpu)
  for _, feature in ipairs(features) do
    for _, register in ipairs(feature[2]) do
      known[register[1]] = true
    end
  end
  features[#features + 1] = extras_of(cpu, known)
  return features
end

local function feature_text(feature)
  local parts = {('<feature name="%s">\n'):format(feature[1]), feature.types or ""}
  for _, register in ipairs(feature[2]) do
    parts[#parts + 1] = ('<reg name="%s" bitsize="%d" type="%s"%s/>\n'):format(register[1],
      register[2], register[3], register.group and ' group="' .. register.group .. '"' or "")
  end
  return table.concat(parts) .. "</feature>\n"
end

local HEADING = [[
<?xml version="1.0"?>
<!DOCTYPE target SYSTEM "gdb-target.dtd">
<target version="1.0">
]]

-- No operating system: gdb's code for Linux expects registers that dumps lack, and its command
-- generate-core-file then fails an assertion.
local BODY = "%s<architecture>%s</architecture>\n<osabi>none</osabi>\n%s</target>\n"

-- Describes the vCPUs of a dump; cpu: the first one. Returns `text`, for gdb, and `registers`, in
-- the order in which gdb asks for them; nil, message, code if the machine is unsupported.
function target.of(dump, cpu)
  local machine = machines[dump.machine]
  if not machine then
    return nil, ("%s: no description of %s for gdb"):format(dump.path, dump.machine), "unsupported"
  end
  local texts, registers = {}, {}
  for i, feature in ipairs(features_of(dump, cpu)) do
    texts[i] = #feature[2] > 0 and feature_text(feature) or ""
    table.move(feature[2], 1, #feature[2], #registers + 1, registers)
  end
  return {registers = registers, text = BODY:format(HEADING, machine.architecture,
    table.concat(texts))}
end

-- Describes the machine to LLDB: byte order and pointer size.
function target.host(dump)
  local machine, is_big = machines[dump.machine], dump.byteorder == "big"
  local triple = (is_big and machine.big or machine.llvm) .. "-unknown-none"
  return ("triple:%s;endian:%s;ptrsize:%d;"):format(packet.to_hex(triple), dump.byteorder,
    machine.pointer)
end

-- Returns the bytes of a register in hexadecimal, in the dump's byte order; "x" for each digit
-- if the dump lacks it. from: see the method registers of threads.
function target.value(dump, from, register)
  local size = register[2] // 8
  if register.at and from.extra_bytes ~= "" then
    return packet.to_hex(from.extra_bytes:sub(register.at, register.at + size - 1))
  end
  local name = register[4] or register[1]
  local value = register.group and from.extra[name] or not register.group
    and (from.regs[name] or from.extra[name])
  if not value then
    return ("x"):rep(2 * size)
  end
  local order = dump.byteorder == "big" and ">" or "<"
  return packet.to_hex(string.pack(order .. "I" .. size,
    size < 8 and value & (1 << 8 * size) - 1 or value))
end

local xml = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;"}

local function xml_text(text)
  return (line.escape_controls(text):gsub('[&<>"]', xml))
end

local function thread_text(thread)
  return ('<thread id="%x"%s name="%s">%s</thread>\n'):format(thread.id,
    thread.core and (' core="%d"'):format(thread.core) or "", xml_text(thread.name),
    xml_text(thread.text))
end

-- Describes a list of threads to gdb: an iterator over the pieces of a document. It returns nil
-- and a message if a thread cannot be read.
function target.threads(threads)
  local position, is_over = -1, false
  return function()
    position = position + 1
    if position == 0 then
      return '<?xml version="1.0"?>\n<threads>\n'
    elseif is_over then
      return nil
    end
    local thread, failed = threads:at(position)
    is_over = not thread
    return thread and thread_text(thread) or not failed and "</threads>\n" or nil, failed
  end
end

return target
