-- Writes the seeds, the initial inputs for fuzzing: lua5.4 spec/fuzz/seeds.lua TO. Each
-- target has its own folder; the input format is described in the target's source.

package.path = "lua/?.lua;spec/?.lua;spec/fuzz/?.lua;" .. package.path

local btf = require "support.btf"
local kernel_objects = require "support.kernel_objects"
local layouts = require "layouts"
local writer = require "support.dumpwriter"

local to = assert(arg[1], "seeds.lua TO")
local counts = {}

local function seed(target, bytes)
  local folder = to .. "/" .. target
  if not counts[target] then
    assert(os.execute("mkdir -p '" .. folder .. "'"))
  end
  counts[target] = (counts[target] or 0) + 1
  local file = assert(io.open(("%s/seed-%02d"):format(folder, counts[target]), "wb"))
  assert(file:write(bytes))
  assert(file:close())
end

local function gzip(bytes, options)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  local pipe = assert(io.popen(("gzip -n %s <%s"):format(options or "-6", path)))
  local out = pipe:read("a")
  pipe:close()
  os.remove(path)
  return out
end

-- JSON, env documents -----------------------------------------------------------------

for _, text in ipairs {
  '{"a":[1,-2.5e+3,"x\\u00e9\\ud83d\\ude00\\n",true,false,null],"b":{}}',
  "[18446744073709551615,9223372036854775808,-9223372036854775808,1e999,123456789012345678901]",
  '"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf"', " [ ] ", "-0", "[0.5,",
  ("["):rep(513), ("["):rep(512) .. ("]"):rep(512), '{"a":1,"a":2}',
  "[1" .. ("0"):rep(130) .. ".5]",
  '["\\ud800"]', "01", "[1.]", "[1e]", "[-]", '["\1"]', "1 2", '{"a" 1}', "nul"} do
  seed("json", text)
  seed("env", text)
end

-- Large quantities: empty objects and arrays, numbers, duplicate members, depth, names.
for _, text in ipairs {"[" .. ("{},"):rep(1300) .. "{}]", "[" .. ("[],"):rep(1300) .. "[]]",
  "[" .. ("1,"):rep(2000) .. "1]", "{" .. ('"a":1,'):rep(600) .. '"a":1}',
  ('{"a":'):rep(500) .. "1" .. ("}"):rep(500), '{"' .. ("k"):rep(3000) .. '":[{},{}]}',
  '["' .. ("\\u00e9"):rep(600) .. '"]'} do
  seed("json", text)
  seed("env", text)
end
for _, text in ipairs {'{"errata":[' .. ("8,"):rep(2000) .. "8]}",
  "[" .. ('{"tid":3,"last_known_ip":5},'):rep(140) .. '{"tid":3}]',
  '[{"id":0,"host":{"thread_id":11},"last_known_ip":5},{"thread":{"id":1}},{"a":{"tid":1},'
    .. '"b":{"tid":2}}]', '[{"host":{"tid":3}},{"host":{"tid":4,"thread":5}}]',
  "[" .. ('{"a":{"tid":3}},'):rep(250) .. "{}]"} do
  seed("env", text)
end

for _, text in ipairs {
  [[{"vcpus":[{"tid":3,"last_known_ip":18446603336490160692},{"tid":"0x4","last_known_ip":"0"}],
    "errata":{"843419":"on","1286807":{"value":false,"cpu":1}}}]],
  [[{"vm":{"cpu":{"0":{"tid":1,"errata":["1","2"]},"1":{"tid":2,"errata":{"3":true}}}}}]],
  [[{"cpus":[{"id":0,"thread_id":7}],
    "errata":[{"id":"1","value":1},{"name":"x","enabled":true}]}]]} do
  seed("env", text)
end

-- Amplification: segments with the same notes or the same memory; names that share a table.
-- Each also compressed.

do
  local notes = writer.elf_note("X\0", 1, ""):rep(20)
  local segments = {}
  for i = 1, 30 do
    local at = 64 + 30 * 56
    segments[i] = i % 2 == 0 and {type = 4, offset = at, filesz = #notes, align = 4}
      or {offset = at, filesz = #notes, paddr = i << 12}
  end
  segments[30].bytes = notes
  local bytes = writer.file {machine = "x86_64", segments = segments}
  local names = {}
  for i = 0, 29 do
    names[i + 1] = writer.section_header {name = i, type = i == 0 and 3 or 1, offset = 64,
      size = 500}
  end
  local shared = writer.header {machine = 183, phnum = 0, shoff = 64, shnum = 30, shstrndx = 0}
    .. table.concat(names)
  for _, one in ipairs {bytes, shared} do
    seed("elf", one)
    seed("elf", gzip(one))
  end
  local ff = writer.small {memory = {{paddr = 0, bytes = writer.dumpinfo(("\255"):rep(900))}},
    note = {dumpinfo = 0}}
  seed("elf", gzip(ff .. ("\0"):rep(1 << 16)))
end

-- Dumps ---------------------------------------------------------------------------------

local function small(machine, names)
  local registers = writer[machine] {}
  local cpus = {}
  for i = 1, 2 do
    cpus[i] = {registers = registers, process = "p" .. i, extra = names and {i, 2}}
  end
  return writer.small {machine = machine,
    memory = {{paddr = 0x1000, bytes = ("m"):rep(64)}, {paddr = 0x1020, bytes = ("n"):rep(64)},
      {paddr = 0x8000, bytes = writer.dumpinfo("some text\n")}},
    cpus = cpus, note = {names = names, dumpinfo = 2}}
end

local function qemu_notes(machine, cpus, more)
  local notes = {}
  for i = 0, (cpus or 2) - 1 do
    if machine == "x86_64" then
      notes[#notes + 1] = writer.elf_note("CORE\0", 1, writer.prstatus(i, {1, 2, 3}, 336))
      notes[#notes + 1] = writer.elf_note("QEMU\0", 0, writer.qemu_state({[416] = {0x1000}},
        cpus and 432 or 440))
    else
      notes[#notes + 1] = writer.elf_note("CORE\0", 1, writer.prstatus(i, {1, 2, 3}, 392))
      notes[#notes + 1] = writer.elf_note("CORE\0", 2, ("\0"):rep(528))
      notes[#notes + 1] = writer.elf_note("LINUX\0", 0x405, ("\0"):rep(16))
    end
  end
  for _ = 1, more or 1 do
    notes[#notes + 1] = writer.elf_note("VMCOREINFO\0", 0, "OSRELEASE=6.1\n")
  end
  return table.concat(notes)
end

local elves = {}

local function elf(bytes)
  elves[#elves + 1] = bytes
  seed("elf", bytes)
end

for _, machine in ipairs {"aarch64", "x86_64", "x86", "arm"} do
  elf(small(machine))
  elf(small(machine, {"cr3", "ttbr"}))
  for _, form in ipairs {{"<", 32}, {">", 64}, {">", 32}} do
    elf(writer.as(form[1], form[2], function() return small(machine) end))
  end
end
for _, machine in ipairs {"aarch64", "x86_64"} do
  elf(writer.file {machine = machine, segments = {{paddr = 0x1000, bytes = "memory"},
    {type = 4, align = 0, bytes = qemu_notes(machine)}}})
end

-- Sections, with the number of program headers in the first one.
for _, bits in ipairs {32, 64} do
  elf(writer.as("<", bits, function()
    local header, entry = bits == 64 and 64 or 52, bits == 64 and 56 or 32
    local strings, at = "\0.text\0.names\0", header + 2 * entry
    local size = bits == 64 and 64 or 40
    return writer.header {machine = 62, phnum = 0xffff, shoff = at + #strings, shnum = 0,
      shstrndx = 0xffff}
      .. writer.program_header {paddr = 0, memsz = 0x4000} .. writer.program_header {
        paddr = 0x1000, filesz = 8, offset = at, memsz = 0x100}
      .. strings .. writer.section_header {size = 3, link = 2, info = 2}
      .. writer.section_header {name = 1, type = 1, offset = at, size = 4}
      .. writer.section_header {name = 7, type = 3, offset = at, size = #strings}
      .. ("\0"):rep(size)
  end))
end
local compressed = gzip(small("aarch64"))
for _, cut in ipairs {0, 1, 4, 8, 20, 100} do
  elf(compressed:sub(1, -1 - cut))
end
elf(compressed:sub(1, -9) .. "\0\0\0\0" .. compressed:sub(-4))
elf(writer.file {machine = 8, segments = {{paddr = -4096, bytes = ("t"):rep(100), memsz = 4096},
  {paddr = -100, bytes = ("e"):rep(100)}, {paddr = 0, bytes = "x", memsz = 0x10000},
  {paddr = 0, bytes = "y"}, {paddr = 1, memsz = 0x1000}, {paddr = 0x100, filesz = 0, memsz = 5,
  offset = -1}}})
elf("\x28\xb5\x2f\xfd" .. ("\0"):rep(80))
elf("\xfd7zXZ\0" .. ("\0"):rep(80))
elf("\x04\x22\x4d\x18" .. ("\0"):rep(80))
elf("BZh91AY" .. ("\0"):rep(80))
elf("KDUMP   " .. ("\0"):rep(80))
elf("DISKDUMP" .. ("\0"):rep(80))
elf("makedumpfile" .. ("\0"):rep(80))

-- Notes ---------------------------------------------------------------------------------

local kdump_machines = {"aarch64", "x86_64", "x86", "arm"}
for i, machine in ipairs(kdump_machines) do
  for _, form in ipairs {{"<", 64}, {">", 32}} do
    local both = writer.as(form[1], form[2], function()
      local registers = writer[machine] {}
      return {writer.dumpinfo("text\n"), writer.note {dumpinfo = 1, pad = i % 2 == 1 and 4 or 0,
        names = {"cr3"}, cpus = {{registers = registers, process = "p", extra = {1}},
          {registers = registers, extra = {2}}}}}
    end)
    local info, note = both[1], both[2]
    local flags = (form[2] == 32 and 1 or 0) | (form[1] == ">" and 2 or 0) | 8
    -- The text is a part of the note: of its first CPU's record.
    note = note:sub(1, 60) .. info .. note:sub(61 + #info)
    seed("qnx_note", string.pack("<BBI2I2I2", flags, i - 1, 0, 40, 60) .. note)
    seed("qnx_note", string.pack("<BBI2I2I2", flags, i - 1, 60, #info, 60) .. note)
  end
end

for i, machine in ipairs {"x86_64", "aarch64"} do
  local notes = qemu_notes(machine)
  seed("notes", string.pack("<BBI2", 0, i - 1, 0) .. notes)
  seed("notes", string.pack("<BBI2", 4, i - 1, #notes // 2 & ~3) .. notes)
  seed("notes", string.pack("<BBI2", 8, i - 1, 0) .. notes)
  for _, form in ipairs {{1, 0}, {3, 1}, {4, 0}, {5, 0}, {1, 30}} do
    seed("notes", string.pack("<BBI2", 0, i - 1, 0) .. qemu_notes(machine, form[1], form[2]))
  end
end

-- Compressed ----------------------------------------------------------------------------

local text = {}
for i = 1, 3000 do
  text[i] = ("line %d of %x\n"):format(i * i, i * 7919)
end
text = table.concat(text)
for _, options in ipairs {"-1", "-6", "-9"} do
  seed("gzip", gzip(("\0"):rep(300000), options))
  seed("gzip", gzip(text:sub(1, 20000), options))
  seed("gzip", gzip(text:sub(1, 9000)) .. gzip(("\0"):rep(100000), options) .. gzip("end"))
end
seed("gzip", gzip("") .. gzip("") .. gzip("x"))
seed("gzip", gzip(""):rep(200))
seed("gzip", "\x1f\x8b\7" .. ("\0"):rep(20))
seed("gzip", gzip(text:sub(1, 30000)):sub(1, -5))
seed("gzip", gzip("hello") .. ("\0"):rep(100))

-- Page tables -----------------------------------------------------------------------------

local function entry(page, index, run, kind, target, flags)
  if kind & 4 == 4 then -- the target's content is in the next 8 bytes, unchanged
    return string.pack("<BI2BBB", page, index, run, kind, target) .. ("\0"):rep(8) .. "\0\0"
  end
  return string.pack("<BI2BBBI2", page, index, run, kind, target, flags)
end

local X86, ARM_TABLE, ARM_PAGE = 7, 3, 0x443

-- A table of each level, on consecutive pages; then pages, and a block.
local function tables(levels, table_flags, leaf_flags, block_flags)
  local list = {}
  for level = 1, levels - 1 do
    list[#list + 1] = entry(level - 1, 0, 0, 0, level, table_flags)
  end
  list[#list + 1] = entry(levels - 1, 0, 20, 1, 0, leaf_flags)
  list[#list + 1] = entry(levels - 1, 2, 0, 0, 6, leaf_flags ~ 0x8082)
  list[#list + 1] = entry(levels - 1, 4, 0, 4, 6)
  list[#list + 1] = entry(levels - 1, 30, 5, 0, 3, leaf_flags ~ 0x8002)
  list[#list + 1] = entry(levels - 2, 5, 1, 0, levels, table_flags)
  list[#list + 1] = entry(levels, 0, 127, 8, 0, leaf_flags)
  list[#list + 1] = entry(levels, 100, 0, 0, 0, leaf_flags ~ 0x8082)
  list[#list + 1] = entry(levels - 2, 1, 2, 2, 0, block_flags)
  list[#list + 1] = entry(0, 511, 0, 0, 1, table_flags)
  list[#list + 1] = entry(0, 256, 0, 0, 0, table_flags)
  return table.concat(list)
end

local function paging(flags, lower, upper, from, rest)
  seed("pagetables", string.pack("BB", flags, 1) .. lower .. (upper or "")
    .. string.pack("B", from) .. rest)
end

for levels, form in pairs {[4] = 2, [5] = 2 | 1 << 2, [2] = 0, [3] = 1} do
  paging(0, string.pack("BBB", form, 0, 0), nil, 0, tables(levels, X86, X86, X86 | 128))
  paging(1, string.pack("BBB", form, 0, 0), nil, 255, tables(levels, X86, X86, X86 | 128))
end
for levels, bits in pairs {[3] = 3, [4] = 0, [2] = 7} do
  for _, shift in ipairs {0, 2, 3} do
    local form = string.pack("BBB", 3 | bits << 2 | shift << 5, shift == 3 and 1 or 0, 0)
    paging(0, form, nil, 0, tables(levels, ARM_TABLE, ARM_PAGE, 0x441))
    paging(4, form, form, 255, tables(levels, ARM_TABLE, ARM_PAGE, 0x441))
  end
end
paging(0, string.pack("BBB", 3 | 4 << 2, 1, 0), nil, 0, tables(5, ARM_TABLE, ARM_PAGE, 0x441))

-- Find, diff ------------------------------------------------------------------------------

-- A piece of memory: kind, gap, size, and its content.
local function piece(kind, gap, size, content, repeated)
  return string.pack("<BBI2", kind, gap, size - 1),
    string.pack("BB", #content, repeated and 1 or 0) .. content
end

local function memory(flags, list)
  local heads, bodies = {}, {}
  for i, one in ipairs(list) do
    heads[i], bodies[i] = piece(table.unpack(one))
  end
  return string.pack("B", flags | #list - 1 << 4) .. table.concat(heads) .. table.concat(bodies)
end

local one = memory(0, {{1, 0, 5000, "some text\0in memory\1", true}, {0, 3, 100, "more text"},
  {13, 0, 300, "zeros", false}, {3, 1, 9000, "", false}, {2, 0, 200, "text", true}})
local two = memory(1, {{8, 200, 100, "abc", true}, {1, 0, 6000, "x", true}})
local three = memory(8, {{1, 0, 5000, "a\xff\xaa\x48\x8b \1bc", true}, {9, 80, 600, "xy", true}})
for _, mem in ipairs {one, two, three, "\12" .. three:sub(2)} do
  -- Twelve patterns; long ones; one of zeros; of common and of rare bytes.
  seed("find", string.pack("<BBI2I2B", 0, 88, 0, 0, 100) .. mem
    .. ("\5\0\0\1\2\9\0\0\1\2\3\4\5\0\0\xff\xff\5\0\0\x48\x8b\5\0\0\xaa\xf9\5\0\0 \x89"):rep(2))
  seed("find", string.pack("<BBI2I2B", 0, 8, 0, 0, 1) .. mem .. "\250\3\0\122\8\0")
  seed("find", string.pack("<BBI2I2B", 3, 5, 50, 60000, 128) .. mem .. "\61\0\0" .. ("\0"):rep(16))
  seed("find", string.pack("<BBI2I2B", 0, 5, 0, 0, 9) .. mem .. "\5\0\0\0x")
  seed("find", string.pack("<BBI2I2B", 0, 4, 0, 0, 3) .. mem .. "\13\0\0text")
  seed("find", string.pack("<BBI2I2B", 2, 16, 0, 0, 3) .. mem
    .. "\21\0\0memory\9\0\0ex\16\5\0\3\9\0")
  seed("find", string.pack("<BBI2I2B", 0, 7, 100, 6000, 3) .. mem .. "\254\5\0")
  seed("diff", string.pack("<BI2I2", 0, 0, 0) .. mem .. mem)
  seed("diff", string.pack("<BI2I2", 128 | 6 << 2, 0, 0) .. mem)
  seed("diff", string.pack("<BI2I2", 131, 100, 9000) .. mem)
  seed("diff", string.pack("<BI2I2", 10 << 2, 0, 0) .. mem .. one)
end
seed("diff", string.pack("<BI2I2", 0, 0, 0) .. memory(1, {{1, 0, 5000, "\1", true}})
  .. memory(1, {{1, 0, 5000, "\1\2", true}}))
seed("diff", string.pack("<BI2I2", 5 << 2, 0, 0) .. memory(0, {{12, 255, 1, "", false}})
  .. memory(0, {{12, 255, 1, "", false}, {1, 0, 9, "z", true}}))
seed("env", 's{"a":{"b":[{"t":1,"i":5},{"t":2}]},"e":{"1":"on"}}')
seed("envfile", "\1\79\255")
seed("envfile", "\1\80\1")
seed("envfile", '{"a":1}')

-- Parsers in Lua --------------------------------------------------------------------------

local intel = "OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82010000\n"
  .. "SYMBOL(init_uts_ns)=ffffffff82020000\nOFFSET(uts_namespace.name)=4\nSIZE(list_head)=16\n"
  .. "LENGTH(a.b)=5\nNUMBER(phys_base)=-33554432\nNUMBER(KERNEL_IMAGE_SIZE)=1073741824\n"
  .. "NUMBER(sme_mask)=0x800000000000\nKERNELOFFSET=1c00000\nCRASHTIME=1700000000\n"
local arm = "OSRELEASE=6.1.0\nSYMBOL(swapper_pg_dir)=ffff800001200000\nNUMBER(VA_BITS)=48\n"
  .. "NUMBER(kimage_voffset)=0xffff7fffc0000000\nNUMBER(PHYS_OFFSET)=0x40000000\n"
  .. "NUMBER(TCR_EL1_T1SZ)=0x10\nPAGESIZE=4096\n"
for kind = 0, 3 do
  for _, lines in ipairs {intel, arm, layouts.text(0, 64), layouts.text(4, 64)} do
    local bytes = kind == 1 and writer.elf_note("VMCOREINFO\0", 0, lines)
      or kind == 3 and ("\0"):rep(64) .. writer.elf_note("VMCOREINFO\0", 0, lines) or lines
    seed("vmcoreinfo", string.char(kind) .. bytes)
  end
end

-- Invalid VMCOREINFO: without lines, zero, truncated, with many or long lines, duplicated;
-- next to a vCPU in the kernel, whose page table is in the same bytes.
for _, lines in ipairs {"", ("\0"):rep(200), intel:sub(1, 90), ("OSRELEASE=1\n"):rep(300),
  "OSRELEASE=1\n" .. ("SYMBOL("):rep(500), (intel:gsub("swapper_pg_dir", "init_top_pgt"))} do
  local registers = {}
  for n = 1, 27 do
    registers[n] = n == 17 and 0xffffffff82020080 or n
  end
  local note = writer.elf_note("VMCOREINFO\0", 0, lines)
  seed("vmcoreinfo", "\1" .. writer.elf_note("CORE\0", 1, writer.prstatus(0, registers, 336))
    .. writer.elf_note("QEMU\0", 0, writer.qemu_state({[392] = {0x80050033}, [416] = {0x1000},
      [424] = {0x20}}, 440)) .. note)
  seed("vmcoreinfo", "\2" .. lines)
  seed("vmcoreinfo", "\3" .. ("\0"):rep(64) .. note:rep(20))
end

-- Changes of guests: of objects by number, at a place; a word, a pointer to an object, a byte.
for form = 0, 3 do
  local changes = {string.char(form)}
  seed("tasks", changes[1])
  for object = 0, 60 do
    changes[#changes + 1] = string.char(object, object * 5 % 32, 1, object * 7 % 61, object % 3)
    if object % 4 == 3 then
      seed("tasks", changes[1] .. table.concat(changes, "", #changes - 3))
    end
  end
  seed("tasks", changes[1] .. "\9\2\0" .. ("\255"):rep(8) .. "\20\4\2\0\31\8\3\129")
end

-- The lockless ring with 4 records and 128 bytes of text, and the older buffer.
local function ring(word, order)
  local w = order .. (word == 8 and "i8" or "i4")
  local function pad(bytes, size)
    return bytes .. ("\0"):rep(size - #bytes)
  end
  local base = layouts.BASE
  local descs, infos, data = "", "", ""
  for id = 4, 7 do
    local begin = (id - 4) * 32
    local state = word == 8 and id | 2 << 62 or id - (1 << 31) -- finalized
    descs = descs .. pad(string.pack(order .. w:sub(2):rep(3), state, begin, begin + 32), 4 * word)
    infos = infos .. string.pack(order .. "i8i8I2I2I4", id * 1000000, id, 10, 0, 7)
    data = data .. pad(string.pack(w, id) .. "message " .. id .. "\n", 32)
  end
  local head = pad("", 16) .. pad(string.pack(w, base + 32), 16)
  local rb = pad(string.pack(order .. "i8", 0), 8)
    .. pad(string.pack(order .. "I4", 7), 16) .. pad(string.pack(w, base + 0x300), 40)
  rb = pad(rb, 64)
    .. pad(string.pack(w, base + 0x100), 8) .. pad(string.pack(w, base + 0x200), 8)
    .. pad(string.pack(w, 7), 8) .. pad(string.pack(w, 4), 16) .. string.pack(order .. "I4", 2)
  return pad(pad(pad(head .. rb, 0x100) .. descs, 0x200) .. infos, 0x300) .. data
end

local function buffer(word, order)
  local w = order .. (word == 8 and "i8" or "i4")
  local function record(message)
    local size = -(-(16 + #message) // 8) * 8
    return string.pack(order .. "i8I2I2I4", 5000, size, #message, 3) .. message
      .. ("\0"):rep(size - 16 - #message)
  end
  local records = record("first") .. record("second message") .. record("")
  local wrapped = record("last") .. string.pack(order .. "i8I2I2I4", 0, 0, 0, 0)
  local head = string.pack(w, layouts.BASE + 32) .. ("\0"):rep(8 - word)
  local function whole(first, next, all)
    return head .. string.pack(order .. "I4I4I4", #all, first, next) .. ("\0"):rep(12) .. all
  end
  return whole(0, #records, records), whole(#records, #records - 16, records .. wrapped)
end

-- Logs with amplification: 128 records with overlapping texts; a ring and a buffer of sizes
-- that no kernel has; records of minimal size.
do
  local base, descs, infos, data = layouts.BASE, "", "", ""
  for id = 0, 127 do
    descs = descs .. string.pack("<i8i8i8i8", id | 2 << 62, id * 8, id * 8 + 1024, 0)
    infos = infos .. string.pack("<i8i8I2I2I4", id, id, 1016, 0, 7)
    data = data .. string.pack("<i8", id)
  end
  local function overlapping(count_bits, size_bits)
    local rb = string.pack("<i8i8i8i8i8i8i8i8", size_bits, 0, base + 0x1d00, 0, 0, 0, 0, 0)
      .. string.pack("<i8i8i8i8i8I4", base + 0x100, base + 0x1100, 127, 0, 0, count_bits)
    local bytes = ("\0"):rep(16) .. string.pack("<i8i8", base + 32, 0) .. rb
    return bytes .. ("\0"):rep(0x100 - #bytes) .. descs .. infos .. data .. data
  end
  for _, bits in ipairs {{7, 11}, {7, 30}, {24, 11}, {63, 11}, {7, 63}, {0xffffffff, 64}} do
    seed("printk", "\0" .. overlapping(bits[1], bits[2]))
  end
  for _, size in ipairs {64 * 16, 1 << 30, 0xffffffff} do
    seed("printk", "\4" .. string.pack("<i8I4I4I4I4I4I4", base + 32, size, 0, size - 16, 0, 0, 0)
      .. string.pack("<i8I2I2I4", 1, 16, 0, 0):rep(64))
  end
end

for kind = 0, 7 do
  local word, order = kind & 1 == 0 and 8 or 4, kind & 2 == 0 and "<" or ">"
  local first, second = ring(word, order), nil
  if kind & 4 == 4 then
    first, second = buffer(word, order)
  end
  for _, bytes in ipairs {first, second} do
    seed("printk", string.char(kind) .. bytes)
    seed("printk", string.char(kind | 8) .. layouts.text(kind, 8 * word) .. "\0" .. bytes)
  end
end

-- The reports of crash_spec, as messages of one caller, and of two in turns.
local reports = {
  "BUG: kernel NULL pointer dereference, address: 0\nOops: 0000 [#1] SMP\nCPU: 1 PID: 94 Comm: "
    .. "cat Not tainted 6.1.0 #1\nCall Trace:\n f+0x1/0x2\n---[ end trace 0 ]---\nRIP: 0010:f\n"
    .. "Kernel panic - not syncing: Fatal exception\n---[ end Kernel panic - not syncing: x ]---",
  "Unable to handle kernel paging request at virtual address 0\nInternal error: Oops: 9600 [#1] "
    .. "SMP\nCPU: 0 UID: 0 PID: 7 Comm: a b Kdump: loaded Tainted: G W 6\npc : f\nCall trace:\n f",
  "------------[ cut here ]------------\nkernel BUG at a.c:1!\ninvalid opcode: 0000 [#1] SMP",
  "------------[ cut here ]------------\nWARNING: CPU: 1 PID: 8 at x.c:1 f+0x1/0x2\n---[ end trace",
  "------------[ cut here ]------------\nWARNING: a.c:1 at f+0x3/0x4, CPU#1: a b/c/12",
  "=====\nBUG: KASAN: slab-use-after-free in f\nCall Trace:\nAllocated by task 1:\n=====\nmore",
  "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a b:331]\nCall Trace:\n f\nend",
  "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1\nCPU: 0 PID: 0 Comm: x Not tainted",
  "rcu: INFO: rcu_sched self-detected stall on CPU\nrcu: \t1-....: (1 ticks this GP)\nCall Trace:",
  "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-... } 4 jiffies",
  "INFO: task kworker/1:0:77 blocked for more than 120 seconds.\nCall Trace:\n f\nend",
  "a invoked oom-killer: gfp_mask=0x1\nOut of memory: Killed process 103 (tail) total-vm:1kB",
  "sysrq: Trigger a crash\nKernel panic - not syncing: sysrq triggered crash\nUBSAN: x",
}
local all = table.concat(reports, "\n")
for _, report in ipairs(reports) do
  seed("crash", (("\n" .. report):gsub("\n", "\n1\4\5"):sub(2)))
end
local turn = 0
seed("crash", (("\n" .. all):gsub("\n", function()
  turn = turn + 1
  return turn % 2 == 0 and "\n1\4\5" or "\n2\12\5other\n2\4\30"
end):sub(2)))

for _, lines in ipairs {
  'system "linux1"\nram 0x80000000,256M\nram 1G\ncpu runmask 0x3 sched 10r name c0\nset a 1\n',
  "dump /tmp/dumps\nlogger info,warn stdout\nvdev virtio-net name net loc 0x1c100000 intr gic:40\n"
    .. "  set errata-843419 on\n  hostdev /dev/x peer /y # comment\n",
  "dump '|gzip -c'\nload a.img\npass loc 0x1,0x2,rw intr 5 cpu\nunknown a b 'c d' set\n@a\n%%\n"
    .. "cpu\n@b\n%%\nset x y\n",
  "\xef\xbb\xbfsystem a\r\ncmdline \"a \\\r\n b\n c\" cpu ram 0d4096 sched 1,2,3,4,5\r\nvdev "
    .. "vdev-x.so\n name\n n reserve loc 1,2 pass loc a=b set c 1 initrd load 1,f fdt generate\n",
  "system name=x", "cpu cluster=0,cores=2", "ram @SIZE@", "cpu\n%%\n%%\n%%\nvdev 'a\nb' set c d",
  -- Large quantities: words, options, files, quotes, lines.
  ("a "):rep(2000), ("cpu "):rep(1000), ("@a\n"):rep(600) .. "%%\n" .. ("@b\n"):rep(500)
    .. "%%\n@nothing\n", ("''"):rep(2000), ("\n"):rep(4000), ("set a 1 "):rep(500),
  "vdev x" .. (" loc 1"):rep(600), "cmdline '" .. ("\\\n"):rep(2000) .. "'",
  "@a\n%%\n@b\n@b\n%%\n@a\n", "@", '"a', "ram x", "logger", "ram 0x1,99999999999999999999G"} do
  seed("conf", lines)
end

for _, kind in ipairs {1, 3} do
  seed("symbols", string.char(kind) .. "0000000000000000 D __per_cpu_start\n"
    .. "ffffffff81000000 T _stext\nffffffff81000000 T _text\nffffffff81000100 T schedule\t[m]\n"
    .. "ffffffff82000000 D prb\n")
end

-- The kernel's own table. form: offsets from a base, self-relative offsets, or whole
-- addresses. count: the stored count, if it is not the actual one.
local function kallsyms(order, form, list, count)
  local tokens, index, names, offsets = "", "", "", ""
  for i = 0, 255 do
    index = index .. string.pack(order .. "I2", #tokens)
    tokens = tokens .. (i == 200 and ("long"):rep(60) or string.char(i)) .. "\0"
  end
  local base = 0xffffffff81000000
  for _, name in ipairs(list) do
    names = names .. (#name > 127 and string.char(#name & 127 | 128, #name >> 7)
      or string.char(#name)) .. name
  end
  local at = {24, 24 + #index, 24 + #index + #tokens, 24 + #index + #tokens + #names}
  for i = 1, #list do
    local place = 0x1000 + at[4] + 4 * (i - 1)
    offsets = offsets .. (form == 0 and string.pack(order .. "i4", (i - 1) * 16)
      or form == 1 and string.pack(order .. "i4", base + (i - 1) * 16 - place)
      or string.pack(order .. "i8", base + (i - 1) * 16))
  end
  return string.pack(order .. "I4I4i8I2I2I2I2", count or #list, 0, base, table.unpack(at))
    .. index .. tokens .. names .. offsets
end

local few = {"T_stext", "tother", "D" .. ("x"):rep(130)}
for form = 0, 2 do
  seed("kallsyms", string.char(form << 2) .. kallsyms("<", form, few))
  seed("kallsyms", string.char(form << 2 | 2) .. kallsyms(">", form, few))
end
-- Long names through tokens, many names, and a table without an end.
seed("kallsyms", "\0" .. kallsyms("<", 0, {"T_stext", "t\200\200"}))
seed("kallsyms", "\0" .. kallsyms("<", 0, {"T_stext", "t\200\200\200"}))
local many = {}
for i = 1, 1100 do
  many[i] = i == 1 and "T_stext" or "ta"
end
seed("kallsyms", "\0" .. kallsyms("<", 0, many))
seed("kallsyms", "\0" .. kallsyms("<", 0, few, 0xffffffff))
seed("kallsyms", "\0" .. kallsyms("<", 0, {"_stext", "t_stext", "a", "", "tz"}))
seed("kallsyms", "\32" .. kallsyms("<", 0, few))
seed("kallsyms", "\192" .. kallsyms("<", 0, {"T_stext", table.unpack(many, 2, 900)}))
seed("kallsyms", "\128" .. kallsyms("<", 0, {"T_stext", table.unpack(many, 2, 900)}))
seed("kallsyms", "\16" .. kallsyms("<", 0, {"T_stext", table.unpack(many, 2, 800)}, 1000))

-- ORC tables, a stack and registers: spec/fuzz/targets/orc.c. entries: {ip, sp_offset, bp_offset,
-- bits}; words: the stack's, from 0x800 on; registers: by their index in struct pt_regs.
local function orc(entries, words, registers, known)
  local base, ips, list, stack = 0x1000, 0x200, 0x400, 0x800
  local bytes = string.pack("<I2I2I2I2I2", 0x1000, 0x1fff, ips, list, #entries):rep(2)
  bytes = bytes .. string.pack("<I4", known or 0x1fffff)
  for i = 0, 20 do
    bytes = bytes .. string.pack("<I2", registers[i] or 0)
  end
  bytes = bytes .. ("\0"):rep(ips - #bytes)
  for i, e in ipairs(entries) do
    bytes = bytes .. string.pack("<i4", e[1] - (ips + 4 * (i - 1)))
  end
  bytes = bytes .. ("\0"):rep(list - #bytes)
  for _, e in ipairs(entries) do
    bytes = bytes .. string.pack("<i2i2I2", e[2], e[3], e[4])
  end
  bytes = bytes .. ("\0"):rep(stack - #bytes)
  for _, word in ipairs(words) do
    bytes = bytes .. string.pack("<i8", word < 0 and -word or word + base)
  end
  return bytes .. ("\0"):rep(0x3000 - #bytes)
end

local IP, SP, BP = 16, 19, 4
local code = {0x1010, 0x1110, 0x1210, 0x1310}
for form, numbers in ipairs {{5, 0x105, 0x400}, {5, 0x505, 0x800}, {0x205, 0xb05, 0x100},
  {0x203, 0xb03, 0x100}} do
  local plain, regs, last = table.unpack(numbers)
  local entries = {{0x1000, 16, 0, plain}, {0x1100, 0, 0, regs}, {0x1200, 8, 0, plain},
    {0x1300, 0, 0, last}, {0x1400, 8, 0, plain}, {0x1500, 8, 0, plain}}
  local saved = {0, code[2]}
  for i = 0, 20 do
    saved[#saved + 1] = i == IP and code[3] or i == SP and 0x900 or -(i == 17 and 0x10 or 7)
  end
  saved[0x100 // 8] = 0
  for i = #saved + 1, 0x20 do
    saved[i] = 0
  end
  saved[0x21], saved[0x22] = code[4], 0
  seed("orc", string.char(form - 1) .. orc(entries, saved, {[IP] = code[1], [SP] = 0x800}))
  -- Each base of sp, to the middle of the stack; of bp as well.
  for number = 0, 15 do
    local first = {0x1000, 8, 8, plain & ~0xff | number | (number * 3 & 15) << 4}
    local registers = {}
    for i = 0, 20 do
      registers[i] = 0x808
    end
    registers[IP], registers[SP], registers[BP] = code[1], 0x800, 0x808
    seed("orc", string.char(form - 1) .. orc({first, table.unpack(entries, 2)},
      {0x818, code[3], code[3], code[4], 0x810, 0x808}, registers))
    -- The same after a call, from which fewer registers are known.
    first[1], first[4] = 0x1100, plain & ~0xff | number
    seed("orc", string.char(form - 1) .. orc({{0x1000, 8, 0, plain}, first,
      table.unpack(entries, 3)}, {code[2], code[3], code[3], code[4], 0x810, 0x808}, registers))
  end
end
-- Frames without end; stacks without end, and that lead back; a base of bp.
local endless, stacks, back = {}, {}, {}
for i = 1, 80 do
  endless[i] = code[1]
  stacks[i] = i % 2 == 0 and code[1] or 0x800 + 8 * (i + 1)
  back[i] = i % 2 == 0 and code[1] or i < 7 and 0x800 + 8 * (i + 1) or 0x810
end
local at_start = {[IP] = code[1], [SP] = 0x800, [BP] = 0x810}
seed("orc", "\0" .. orc({{0x1000, 8, 0, 5}}, endless, at_start))
seed("orc", "\0" .. orc({{0x1000, 0, 0, 9}, {0x1100, 8, 0, 5}}, stacks, at_start))
seed("orc", "\0" .. orc({{0x1000, 0, 0, 9}, {0x1100, 8, 0, 5}}, back, at_start))
seed("orc", "\0" .. orc({{0x1000, 8, 8, 0x45}, {0x1100, 8, 0, 5}}, endless, at_start))
-- Return addresses without end; code without an entry; frame pointers; a table that is cut.
local returns = {}
for i = 1, 0x700 // 8 do
  returns[i] = i % 2 == 0 and 0x1010 or 0x800 + 8 * i + 8
end
for _, options in ipairs {"\0", "\4", "\8", "\16", "\32", "\64", "\12"} do
  seed("orc", options .. orc({{0x1000, 8, 0, 5}, {0x1100, 8, 0, 5}}, returns,
    {[IP] = 0x1010, [SP] = 0x800, [BP] = 0x808}))
  seed("orc", options .. orc({{0x1f00, 8, 0, 5}}, returns, {[IP] = 0x1010, [SP] = 0x800,
    [BP] = 0x808}))
end
seed("symbols", "\1" .. ("1 T a\n"):rep(1100))
seed("symbols", "\1" .. ("1 T " .. ("n"):rep(3000) .. "\n"):rep(3))
seed("symbols", "\1" .. "1 T a\n1 T " .. ("n"):rep(9000))
seed("symbols", "\3" .. "ffffffff9a9ff000 T _stext\nfffffffffffff001 D prb\n0 A percpu\n")

-- A file with a symbol table; optionally stores the number of sections in section 0.
local function symbols_elf(form, strings, list, note, in_first)
  return writer.as(form[1], form[2], function()
    local entries = {}
    for i, s in ipairs(list) do
      entries[i] = form[2] == 64 and string.pack(form[1] .. "I4BBI2i8i8", s[1], s[3], 0, 1, s[2], 4)
        or string.pack(form[1] .. "I4I4I4BBI2", s[1], s[2], 4, s[3], 0, 1)
    end
    local data = table.concat(entries)
    local head = form[2] == 64 and 64 or 52
    note = writer.elf_note("GNU\0", 3, note)
    return writer.header {machine = 62, type = 2, phnum = 0,
      shoff = head + #strings + #data + #note,
      shnum = in_first and 0 or 4} .. strings .. data .. note
      .. writer.section_header {size = in_first and 4 or 0}
      .. writer.section_header {type = 3, offset = head, size = #strings}
      .. writer.section_header {type = 2, offset = head + #strings, size = #data, link = 1}
      .. writer.section_header {type = 7, offset = head + #strings + #data, size = #note}
  end)
end

for _, form in ipairs {{"<", 64}, {">", 32}} do
  local list = {{1, 0x1000, 2}, {8, 0x2000, 1}, {1, 0, 4}}
  seed("symbols", symbols_elf(form, "\0_stext\0prb\0", list, "\10\11"))
  seed("symbols", symbols_elf(form, "\0_stext\0prb\0", list, "\10\12", true))
end
-- One name shared by many symbols, and substrings of it.
local shared, ends = {}, {}
for i = 1, 100 do
  shared[i], ends[i] = {1, i, 2}, {5001 - i, i, 2}
end
seed("symbols", symbols_elf({"<", 64}, "\0" .. ("n"):rep(5000) .. "\0", shared, "\1"))
seed("symbols", symbols_elf({"<", 64}, "\0" .. ("n"):rep(5000) .. "\0", ends, "\1"))

-- A debugger's session, and the commands that a user types.
local function hex(typed)
  return (typed:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

for kind = 0, 1 do
  local typed = {}
  for i, command in ipairs {"", "help", "vcpus", "log", "dmesg", "phys", "phys on", "phys off",
    "translate 0xffffffff81000000", "translate 0x400000 1", "translate x", "backtrace",
    "backtrace 2", "backtrace x", "nothing"} do
    typed[i] = "qRcmd," .. hex(command)
    seed("gdb", string.char(kind) .. typed[i])
  end
  for _, requests in ipairs {{"qSupported:xmlRegisters=i386", "QStartNoAckMode", "?", "Hg0",
    "qXfer:features:read:target.xml:0,3fff", "qXfer:threads:read::0,100", "qfThreadInfo",
    "qsThreadInfo", "qThreadExtraInfo,2", "qOffsets", "qAttached:1", "qSymbol::", "qC"},
    {"g", "p0", "p10", "pffff", "m200000,10", "x200000,40", "mffffffff81000000,20", "m0,0",
      "m400ff0,20", "Hg2", "g", "Hgffff", "T1", "T9", "vCont?", "vCont;c", "G00", "c", "s"},
    {"qSearch:memory:200000;1000;text", "qSearch:memory:ffffffff81000000;ffff;code",
      "qSearch:memory:0;ffffffffffffffff;}\3", "D"}, {"vKill;1"}, {"k"}} do
    seed("gdb", string.char(kind) .. table.concat(requests, "\n"))
  end
  seed("gdb", string.char(kind | 128) .. "+$?#3f-$g#00$qC#b4$m0,1$?#3f+")
  seed("gdb", string.char(kind | 128) .. "$" .. ("x"):rep(0x4001) .. "#80$?#3f")
end

-- Type information of a kernel, and of a module.
local function every_kind(types)
  local int = types:int("int", 4, {signed = true})
  local bits = types:int("unsigned int", 4, {bits = 3, offset = 2})
  local bool, float = types:int("_Bool", 1, {bool = true}), types:float("double", 8)
  local pointer, array = types:pointer(int), types:array(int, 4)
  local inner = types:union("", 8, {{"x", int}, {"y", pointer}})
  local struct = types:struct("outer", 40, {{"", inner, 0}, {"bits", bits, 64}, {"rest", array,
    96}})
  types:struct("flags", 4, {{"low", int, 0, 3}, {"high", bool, 3, 1}})
  types:enum("colour", {{"RED", -1}, {"GREEN", 2}}, 4, true)
  types:enum64("wide", {{"ALL", -1}})
  types:forward("opaque")
  types:typedef("outer_t", types:const(types:volatile(types:restrict(struct))))
  local prototype = types:prototype(int, {{"fd", int}, {"", 0}})
  types:func("open", prototype)
  types:section(".data", 4, {{types:variable("jiffies", int), 0, 4}})
  types:decl_tag("tag", struct, 1)
  types:typedef("marked", types:type_tag("rcu", types:pointer(float)))
  return types
end

local function btf_seed(base, module)
  local bytes = base:bytes()
  seed("btf", string.pack("<I2", #bytes) .. bytes .. (module and module:bytes() or ""))
end

for _, order in ipairs {"<", ">"} do
  local base = every_kind(btf.new(order))
  btf_seed(base)
  btf_seed(base, every_kind(btf.new(order, base)))
  btf_seed(kernel_objects.types(order):writer())
end
local chain = btf.new()
chain:int("int", 4)
for i = 1, 63 do
  chain:typedef("t" .. i, i)
end
btf_seed(chain)
local nested = btf.new()
nested:int("int", 4)
for i = 1, 20 do
  nested:struct("", 4, {{"", i, 0}, {"m" .. i, i, 0}, {"", i, 32}})
end
btf_seed(nested)
