-- Writes dumps of Linux guests with a kernel log, laid out as in Linux 6.1: a ring of records
-- (kernel/printk/printk_ringbuffer.h). The offsets are those in the VMCOREINFO of such a guest.

local files = require "support.files"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local kernel_log = {}

local PHYSICAL, TABLES, SPARE = 0x40000000, 0x100000, 0x80 -- SPARE: a word for the caller
local RING, DESCS = 0x100, 0x1000
local DESC_SIZE, INFO_SIZE = 24, 88

local layout = [[
SIZE(printk_ringbuffer)=80
OFFSET(printk_ringbuffer.desc_ring)=0
OFFSET(printk_ringbuffer.text_data_ring)=40
SIZE(prb_desc_ring)=40
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=8
OFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24
OFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24
OFFSET(prb_desc.state_var)=0
OFFSET(prb_desc.text_blk_lpos)=8
OFFSET(prb_data_blk_lpos.begin)=0
OFFSET(prb_data_blk_lpos.next)=8
SIZE(printk_info)=88
OFFSET(printk_info.seq)=0
OFFSET(printk_info.ts_nsec)=8
OFFSET(printk_info.text_len)=16
OFFSET(printk_info.caller_id)=20
SIZE(prb_data_ring)=32
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=8
OFFSET(atomic_long_t.counter)=0
]]

-- Where the kernel's memory is, by machine; and the VMCOREINFO that says how it is mapped.
local machines = {
  x86_64 = {base = -1 << 31, level = 1, tables = pagetables.x86_64,
    info = "OSRELEASE=6.1.0-x86\nPAGESIZE=4096\nNUMBER(phys_base)=0\n"
      .. ("SYMBOL(swapper_pg_dir)=%x\n"):format((-1 << 31) + TABLES)},
  aarch64 = {base = -1 << 38, level = 1,
    tables = function(at) return pagetables.aarch64(at, 12, 39) end,
    info = "OSRELEASE=6.1.0-arm\nPAGESIZE=4096\nNUMBER(VA_BITS)=39\n"
      .. ("NUMBER(kimage_voffset)=0x%x\nSYMBOL(swapper_pg_dir)=%x\n"):format(-1 << 38,
        (-1 << 38) + TABLES)},
}

-- The number of a caller: "T7" is task 7, "C1" is CPU 1.
local function caller_id(text)
  local kind, number = text:match("^([TC])(%d+)$")
  return (kind == "C" and 0x80000000 or 0) | math.tointeger(number)
end

local function bits_for(n)
  local bits = 1
  while 1 << bits < n do
    bits = bits + 1
  end
  return bits
end

-- The parts of the ring. messages: {time = seconds, caller = "T1", level = 0 to 7, facility =
-- number, text}; corrupt = true for a record whose descriptor is of another one; free = true for
-- one that holds no message.
local function records_of(messages)
  local descs, infos, data, at = {}, {}, {}, 0
  for id, m in ipairs(messages) do
    id = id - 1
    local block = string.pack("<i8", id) .. m.text
    block = block .. ("\0"):rep(-#block % 8)
    descs[#descs + 1] = string.pack("<i8i8i8", (m.corrupt and id + 99 or id)
      | (m.free and 3 or 2) << 62, at, at + #block)
    infos[#infos + 1] = string.pack("<i8i8I2BBI4c64", id, math.floor(m.time * 1e9 + 0.5),
      #m.text, m.facility or 0, m.level << 5 | 2, caller_id(m.caller), "")
    data[#data + 1], at = block, at + #block
  end
  return table.concat(descs), table.concat(infos), table.concat(data)
end

-- Memory with the log at its beginning.
local function memory_of(messages, base, word)
  local count_bits = bits_for(#messages)
  local descs, infos, data = records_of(messages)
  local size_bits = bits_for(math.max(#data + 1, 64))
  local at_infos = DESCS + (DESC_SIZE << count_bits)
  local at_data = at_infos + (INFO_SIZE << count_bits) + 63 & ~63
  local ring = string.pack("<I4I4i8i8i8i8I4I4i8i8i8", count_bits, 0, base + DESCS,
    base + at_infos, #messages - 1, 0, size_bits, 0, base + at_data, #data, 0)
  local parts, at = {}, 0
  local function put(offset, bytes)
    parts[#parts + 1] = ("\0"):rep(offset - at) .. bytes
    at = offset + #bytes
  end
  put(0, string.pack("<i8", base + RING))
  put(SPARE, string.pack("<i8", word or -1))
  put(RING, ring)
  put(DESCS, descs)
  put(at_infos, infos)
  put(at_data, data)
  put(at_data + (1 << size_bits), "")
  return table.concat(parts)
end

-- Opens a dump with two vCPUs and these messages. machine: "x86_64" or "aarch64"; word: what is
-- in the spare word; has_vcpus: if false, the dump has no records of vCPUs.
function kernel_log.dump(messages, machine, word, has_vcpus)
  machine = machine or "x86_64"
  local form = machines[machine]
  local bytes = memory_of(messages, form.base, word)
  local tables = form.tables(TABLES)
  for at = 0, #bytes - 1, 1 << 21 do
    tables:map(form.base + at, PHYSICAL + at, form.level, 0)
  end
  local segments = tables:segments()
  local registers = writer[machine] {}
  segments[#segments + 1] = {paddr = PHYSICAL, bytes = bytes}
  segments[#segments + 1] = has_vcpus ~= false and {type = 4, bytes = writer.note {
    cpus = {{registers = registers}, {cpunum = 1, registers = registers}}}} or nil
  segments[#segments + 1] = {type = 4, align = 4, bytes = writer.elf_note("VMCOREINFO\0", 0,
    form.info .. ("SYMBOL(prb)=%x\n"):format(form.base) .. layout)}
  return assert(qvm.open(files.write("log.gcore", writer.file {machine = machine,
    segments = segments})))
end

-- The address of the spare word, and that of the page tables, as in /proc/kallsyms.
function kernel_log.addresses(machine)
  local base = machines[machine].base
  return base + SPARE, base + TABLES
end

-- Messages from lines "TIME CALLER LEVEL text"; LEVEL as in /dev/kmsg: the facility times 8 is
-- part of it.
function kernel_log.parse(text)
  local messages = {}
  for line in text:gmatch("[^\n]+") do
    local time, caller, level, rest = line:match("^%s*([%d.]+) ([TC]%d+) (%d+) ?(.*)$")
    assert(time, line)
    local number = math.tointeger(level)
    messages[#messages + 1] = {time = tonumber(time), caller = caller, level = number & 7,
      facility = number >> 3, text = rest}
  end
  return messages
end

return kernel_log
