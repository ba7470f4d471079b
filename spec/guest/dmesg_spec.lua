-- The kernel log of a Linux guest, in memory laid out as in the kernel's sources:
-- kernel/printk/printk_ringbuffer.h, and printk.c before 5.10.

local cjson = require "cjson"
local cost = require "support.cost"
local files = require "support.files"
local pagetables = require "support.pagetables"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local VIRTUAL, PHYSICAL = 0xffffffff82000000, 0x200000

-- A buffer that can be written at any offset.
local function memory(size)
  local bytes = ("\0"):rep(size)
  return setmetatable({}, {__index = {
    put = function(_, at, format, ...)
      local new = string.pack(format, ...)
      bytes = bytes:sub(1, at) .. new .. bytes:sub(at + #new + 1)
    end,
    bytes = function() return bytes end,
  }})
end

-- Opens a dump of one page-aligned region of kernel memory, with VMCOREINFO. map(tables) adds
-- mappings.
local function dump_of(mem, lines, map)
  local t = pagetables.x86_64(0x100000)
  t:map(VIRTUAL, PHYSICAL, 1, 0)
  if map then
    map(t)
  end
  local text = ("OSRELEASE=6\nSYMBOL(swapper_pg_dir)=%x\nNUMBER(phys_base)=0\n"):format(
    0xffffffff80000000 + t.root)
  for _, line in ipairs(lines) do
    text = text .. line .. "\n"
  end
  local segments = t:segments()
  segments[#segments + 1] = {paddr = PHYSICAL, bytes = mem:bytes()}
  segments[#segments + 1] = {type = 4, align = 0,
    bytes = writer.elf_note("VMCOREINFO\0", 0, text)}
  return assert(qvm.open(files.write("log.gcore", writer.file {machine = "x86_64",
    segments = segments})))
end

-- The messages of a dump as lines, and the number of skipped records.
local function messages(dump)
  local list = {}
  local iterator, log = dump:dmesg()
  for m in iterator do
    list[#list + 1] = ("%d %s %s %s"):format(m.seq, m.time, m.caller, m.text)
  end
  return list, log.skipped
end

local function diag(path, ...)
  return process.run_lua {"examples/diag.lua", "--read", path, "--dmesg", ...}
end

-- The lockless ring. Its members have offsets that no kernel uses, so that the code cannot
-- rely on real ones.
local PRB, RB, DESCS, INFOS, DATA = 0x10, 0x100, 0x1000, 0x2000, 0x3000

local ring_lines = {
  ("SYMBOL(prb)=%x"):format(VIRTUAL + PRB),
  "SIZE(printk_ringbuffer)=128", "OFFSET(printk_ringbuffer.desc_ring)=64",
  "OFFSET(printk_ringbuffer.text_data_ring)=8", "OFFSET(prb_desc_ring.count_bits)=40",
  "OFFSET(prb_desc_ring.descs)=0", "OFFSET(prb_desc_ring.infos)=8",
  "OFFSET(prb_desc_ring.head_id)=16", "OFFSET(prb_desc_ring.tail_id)=24", "SIZE(prb_desc)=40",
  "OFFSET(prb_desc.state_var)=24", "OFFSET(prb_desc.text_blk_lpos)=0",
  "OFFSET(prb_data_blk_lpos.begin)=8", "OFFSET(prb_data_blk_lpos.next)=0",
  "SIZE(printk_info)=48", "OFFSET(printk_info.ts_nsec)=0", "OFFSET(printk_info.text_len)=8",
  "OFFSET(printk_info.seq)=16", "OFFSET(printk_info.caller_id)=32",
  "OFFSET(prb_data_ring.size_bits)=0", "OFFSET(prb_data_ring.data)=16",
  "OFFSET(atomic_long_t.counter)=0"}

local COMMITTED, FINALIZED, REUSABLE = 1, 2, 3

local small = {descs = DESCS, infos = INFOS, data = DATA, size = 0x4000, count_bits = 3,
  size_bits = 7}

-- A ring of 8 records and 128 bytes of text, or of the sizes in `form`. first, last: ids of the
-- oldest and the newest record.
local function ring(first, last, form)
  form = form or small
  local mem = memory(form.size)
  mem:put(PRB, "<i8", VIRTUAL + RB)
  mem:put(RB + 64 + 40, "<I4", form.count_bits)
  mem:put(RB + 64, "<i8i8i8i8", VIRTUAL + form.descs, VIRTUAL + form.infos, last, first)
  mem:put(RB + 8, "<I4", form.size_bits)
  mem:put(RB + 8 + 16, "<i8", VIRTUAL + form.data)
  local self = {mem = mem}
  -- r: id, begin, next, text, state, length, seq, time, caller, at (offset of its data)
  function self.add(r)
    local index = r.id & (1 << form.count_bits) - 1
    local desc, info = form.descs + index * 40, form.infos + index * 48
    mem:put(desc, "<i8i8", r.next, r.begin)
    mem:put(desc + 24, "<i8", r.id | (r.state or FINALIZED) << 62)
    mem:put(info, "<i8I2", r.time or r.id * 1000, r.length or #r.text)
    mem:put(info + 16, "<i8", r.seq or r.id)
    mem:put(info + 32, "<I4", r.caller or 7)
    if r.level then -- as in the kernel: LOG_NEWLINE (2) is among the flags
      mem:put(info + 10, "<BBI4", r.facility or 0, r.level << 5 | 2, r.caller or 7)
    end
    if r.at then
      mem:put(form.data + r.at, "<i8", r.id)
      mem:put(form.data + r.at + 8, "c" .. #r.text, r.text)
    end
    return self
  end
  return self
end

-- 8192 records of 64 KiB each that share a ring of 128 KiB: the ids before their texts are 8
-- bytes apart. data: where the ring's text is mapped.
local function overlapping(size_bits, data)
  local r = ring(0, 8191, {descs = 0x1000, infos = 0x60000, data = data or 0xc0000,
    size = 0xe0000, count_bits = 13, size_bits = size_bits or 17})
  local descs, infos, ids = {}, {}, {}
  for id = 0, 8191 do
    descs[#descs + 1] = string.pack("<i8i8i8i8i8", id * 8 + 65536, id * 8, 0, id | 2 << 62, 0)
    infos[#infos + 1] = string.pack("<i8I2I2I4i8i8I4I4i8", id, 65000, 0, 0, id, 0, 7, 0, 0)
    ids[#ids + 1] = string.pack("<i8", id)
  end
  r.mem:put(0x1000, "c327680", table.concat(descs))
  r.mem:put(0x60000, "c393216", table.concat(infos))
  r.mem:put(0xc0000, "c131072", table.concat(ids) .. ("x"):rep(65536))
  return r
end

-- The layout of printk_info that kernels use, where the facility and the level are between
-- the length and the caller.
local level_lines = {}
for i, line in ipairs(ring_lines) do
  level_lines[i] = line:gsub("^OFFSET%(printk_info%.caller_id%)=32$",
    "OFFSET(printk_info.caller_id)=12")
end

describe("a kernel log with overlapping records", function()
  after_each(files.clean)

  it("returns no more text than its ring holds", function()
    local iterator, log = dump_of(overlapping().mem, ring_lines):dmesg()
    local bytes, count = 0, 0
    for m in iterator do
      bytes, count = bytes + #m.text, count + 1
    end
    assert.are.same({130000, 2, 8190}, {bytes, count, log.skipped})
    assert.are.equal("2 messages given, 8190 records skipped: the records overlap: they hold more "
      .. "text than the log's buffer", tostring(log))
  end)

  it("returns no more text than the memory that its ring maps", function()
    -- A ring of 1 GiB whose every 2 MiB are the same memory.
    local dump = dump_of(overlapping(30, 0x400c0000).mem, ring_lines, function(t)
      for i = 0, 511 do
        t:map(VIRTUAL + 0x40000000 + i * 0x200000, PHYSICAL, 1, 0)
      end
    end)
    local iterator, log = dump:dmesg()
    local bytes = 0
    for m in iterator do
      bytes = bytes + #m.text
    end
    assert.is_true(bytes > 0 and bytes <= 0x200000, bytes)
    assert.matches("records overlap", log.reason, 1, true)
  end)

  it("costs qvm-diag little memory", function()
    local path = dump_of(overlapping().mem, ring_lines).path
    local answer = cost.check(([[
      local dump = assert(qvm.open(%q))
      local count = 0
      for m in dump:dmesg() do count = count + #tostring(m) end
      return count]]):format(path))
    assert.is_true(tonumber(answer) < 1 << 20, answer)
    local status, output, errors = diag(path, "--json")
    assert.are.equal(1, status)
    assert.are.equal(2, #cjson.decode(output).messages)
    assert.matches("8190 records of the kernel log left out: the records overlap", errors, 1, true)
  end)
end)

describe("the kernel log", function()
  after_each(files.clean)

  it("returns number, time, caller and text of each message", function()
    local r = ring(5, 7)
    r.add {id = 5, begin = 0, next = 16, at = 0, text = "first", time = 1234567890123456789}
    r.add {id = 6, begin = 16, next = 40, at = 16, text = "second one", caller = 0x80000003,
      state = COMMITTED, time = -1}
    r.add {id = 7, begin = 40, next = 56, at = 40, text = "third\27", seq = 1 << 40}
    local dump = dump_of(r.mem, ring_lines)
    local list, skipped = messages(dump)
    assert.are.same({"5 1234567890.123456789 T7 first", "6 18446744073.709551615 C3 second one",
      (1 << 40) .. " 0.000007000 T7 third\27"}, list)
    assert.are.equal(0, skipped)
    assert.are.equal("[1234567890.123456] first", tostring(dump:dmesg()()))
    assert.are.equal(1234567890123456789, dump:dmesg()().nanoseconds)
    r.add {id = 5, begin = 0, next = 32, at = 0, text = "two\nlines"}
    assert.are.equal("[    0.000005] two\n               lines",
      tostring(dump_of(r.mem, ring_lines):dmesg()()))
  end)

  it("is read from a ring of many pages", function()
    local r = ring(100, 611, {descs = 0x2000, infos = 0x8000, data = 0x10000, size = 0x20000,
      count_bits = 9, size_bits = 16})
    local expected, at = {}, 0
    for id = 100, 611 do
      local text = ("message %d "):format(id):rep(id % 7 + 1)
      local block = 8 + #text + -#text % 8
      r.add {id = id, begin = at, next = at + block, at = at, text = text, time = id}
      expected[#expected + 1] = ("%d 0.%09d T7 %s"):format(id, id, text)
      at = at + block
    end
    local list, skipped = messages(dump_of(r.mem, ring_lines))
    assert.are.same(expected, list)
    assert.are.equal(0, skipped)
    assert.is_true(at > 0x4000)
  end)

  it("does not visit millions of missing records", function()
    local r = ring(5, 4)
    r.mem:put(RB + 64 + 40, "<I4", 24)
    local list, skipped = messages(dump_of(r.mem, ring_lines))
    assert.are.same({{}, 1 << 24}, {list, skipped})
  end)

  it("is read correctly where text wraps around the end of the ring", function()
    local r = ring(1, 5)
    -- The first text ends with the ring; the second wraps because it does not fit; the third
    -- follows it; the others are empty.
    r.add {id = 1, begin = 96, next = 128, at = 96, text = ("e"):rep(24)}
    r.add {id = 2, begin = 128 + 112, next = 256 + 32, at = 0, text = ("w"):rep(20),
      length = 65535}
    r.add {id = 3, begin = 256 + 32, next = 256 + 48, at = 32, text = "behind"}
    r.add {id = 4, begin = 3, next = 3, text = "", length = 0}
    r.add {id = 5, begin = 1, next = 3, text = "", length = 0}
    local list, skipped = messages(dump_of(r.mem, ring_lines))
    assert.are.same({"1 0.000001000 T7 " .. ("e"):rep(24), "2 0.000002000 T7 " .. ("w"):rep(20)
      .. "\0\0\0\0", "3 0.000003000 T7 behind", "4 0.000004000 T7 ", "5 0.000005000 T7 "}, list)
    assert.are.equal(0, skipped)
  end)

  it("wraps around the ids and skips records that are free or being written", function()
    local top = (1 << 62) - 1
    local r = ring(top - 1, 2)
    r.add {id = top - 1, begin = 0, next = 16, at = 0, text = "a", seq = 1}
    r.add {id = top, begin = 16, next = 32, at = 16, text = "b", seq = 2, state = REUSABLE}
    r.add {id = 0, begin = 32, next = 48, at = 32, text = "c", seq = 3, state = 0}
    r.add {id = 1, begin = 48, next = 64, at = 48, text = "d", seq = 4}
    r.add {id = 2, begin = 64, next = 80, at = 64, text = "e", seq = 5}
    local list, skipped = messages(dump_of(r.mem, ring_lines))
    assert.are.same({"a", "d", "e"}, {list[1]:sub(-1), list[2]:sub(-1), list[3]:sub(-1)})
    assert.are.same({3, 0}, {#list, skipped})
  end)

  it("is printed by qvm-diag, with a count of missing records", function()
    local r = ring(5, 7)
    r.add {id = 5, begin = 0, next = 16, at = 0, text = "first", time = 3000004000}
    r.add {id = 6, begin = 16, next = 40, at = 16, text = "red \27[31m", caller = 2}
    local path = dump_of(r.mem, ring_lines).path
    local status, output, errors = diag(path)
    assert.are.same({1, "[    3.000004] first\n[    0.000006] red \\x1b[31m\n"}, {status, output})
    assert.matches("log.gcore: 1 record of the kernel log corrupt, and left out\n$", errors)
    local report = cjson.decode((select(2, diag(path, "--json"))))
    assert.are.same({"first", "3.000004000", "red \27[31m"}, {report.messages[1].text,
      report.messages[1].time, report.messages[2].text})
  end)

  it("is reported if it is empty", function()
    local r = ring(0, 0).add {id = 0, begin = 1, next = 1, text = "", state = REUSABLE}
    local dump = dump_of(r.mem, ring_lines)
    local iterator, log = dump:dmesg()
    assert.is_nil(iterator())
    assert.are.equal("0 messages given, 0 records skipped", tostring(log))
    assert.matches("log.gcore: the kernel log is empty", dump:guest().warnings[1], 1, true)
    local status, output, errors = diag(dump.path)
    assert.are.same({0, ""}, {status, output})
    assert.matches("log.gcore: the kernel log is empty", errors, 1, true)
  end)

  it("raises in the loop where the dump cannot be read any more", function()
    local function read(dump, change)
      local lines = {}
      local ok, problem = pcall(function()
        for m in dump:dmesg() do
          lines[#lines + 1] = m.text
          change()
        end
      end)
      assert.is_false(ok)
      return lines, problem
    end
    -- The text of the second record is in another chunk than what was read.
    local far = ring(0, 1, {descs = 0x1000, infos = 0x2000, data = 0x4000, size = 0x10000,
      count_bits = 3, size_bits = 15})
    far.add {id = 0, begin = 0, next = 16, at = 0, text = "one", length = 3}
    far.add {id = 1, begin = 0x6000, next = 0x6010, at = 0x6000, text = "two", length = 3}
    local dump = dump_of(far.mem, ring_lines)
    local lines, problem = read(dump, function() dump:close() end)
    assert.are.same({"one"}, lines)
    assert.matches("^spec/guest/dmesg_spec.lua:%d+: the dump is closed$", problem)
    dump = dump_of(far.mem, ring_lines)
    assert(dump:dmesg())
    assert(os.execute("truncate -s 4K " .. process.quote(dump.path)))
    lines, problem = read(dump, function() end)
    assert.are.same({}, lines)
    assert.matches("log.gcore: ", problem, 1, true)
    local found, _, code = dump:crash()
    assert.are.same({nil, "truncated"}, {found, code})
  end)

  it("counts records in memory that the dump does not have, and says so", function()
    local form = {descs = 0x1000, infos = 0x2000, data = 0x4000, size = 0x8000, count_bits = 3,
      size_bits = 15}
    local r = ring(0, 1, form)
    r.add {id = 0, begin = 0, next = 16, at = 0, text = "one", length = 3}
    r.mem:put(DESCS + 40, "<i8i8", 0x6010, 0x6000) -- after the end of the segment
    r.mem:put(DESCS + 40 + 24, "<i8", 1 | FINALIZED << 62)
    local iterator, log = dump_of(r.mem, ring_lines):dmesg()
    assert.are.equal("one", iterator().text)
    assert.is_nil(iterator())
    assert.are.same({1, "the dump does not have the memory of all of them"},
      {log.skipped, log.reason})
  end)

  it("continues after corrupt records and counts them", function()
    local r = ring(0, 7)
    r.add {id = 0, begin = 0, next = 16, at = 0, text = "good", length = 4}
    r.add {id = 1, begin = 16, next = 32, at = 16, text = "id"}
    r.mem:put(DATA + 16, "<i8", 99)
    r.add {id = 2, begin = 32, next = 36, at = 32, text = "size"}
    r.add {id = 3, begin = 48, next = 1 << 40, at = 48, text = "end"}
    r.add {id = 4, begin = -1, next = -100, text = "negative"}
    r.add {id = 5, begin = 64, next = 80, at = 64, text = "long", length = 65535}
    r.add {id = 6, begin = 80, next = 96, at = 80, text = "state"}
    r.mem:put(DESCS + 6 * 40 + 24, "<i8", 1234 | 2 << 62)
    r.add {id = 7, begin = 96, next = 112, at = 96, text = "last"}
    local list, skipped = messages(dump_of(r.mem, ring_lines))
    assert.are.same({"0 0.000000000 T7 good", "5 0.000005000 T7 long\0\0\0\0",
      "7 0.000007000 T7 last"}, list)
    assert.are.equal(5, skipped)
    -- A huge range of ids: no more are visited than the ring has records.
    r.mem:put(RB + 64 + 16, "<i8", 1 << 61)
    assert.are.equal(3, #messages(dump_of(r.mem, ring_lines)))
  end)

  it("raises if it cannot be read", function()
    local function problem(r, lines)
      local dump = dump_of(r.mem, lines)
      local ok, message = pcall(dump.dmesg, dump)
      assert.is_false(ok)
      return message
    end
    for _, name in ipairs {"count_bits", "ts_nsec", "counter", "printk_info)"} do
      local lines = {}
      for _, line in ipairs(ring_lines) do
        lines[#lines + 1] = not line:find(name, 1, true) and line or nil
      end
      assert.matches("log.gcore: no kernel log: VMCOREINFO has no ", problem(ring(0, 0), lines),
        1, true)
      assert.matches(name, problem(ring(0, 0), lines), 1, true)
    end
    local r
    for _, bits in ipairs {25, 40, 63, 64, 0xffffffff} do
      for _, at in ipairs {RB + 64 + 40, RB + 8} do -- count_bits, size_bits
        r = ring(0, 0)
        r.mem:put(at, "<I4", bits + (at == RB + 8 and 6 or 0) & 0xffffffff)
        if bits ~= 0xffffffff or at ~= RB + 8 then
          assert.matches("its ring of messages cannot be read", problem(r, ring_lines), 1, true)
        end
      end
    end
    r = ring(0, 0)
    r.mem:put(PRB, "<i8", 0)
    assert.matches("log.gcore: no kernel log: its ring of messages cannot be read: virtual address "
      .. "0x%x+ is not mapped: [^/]+$", problem(r, ring_lines))
    assert.are.equal("unmapped", select(3, dump_of(r.mem, ring_lines):crash()))
    local dump = assert(qvm.open(files.write("none.gcore", writer.file {machine = "x86_64",
      segments = {{paddr = 0, bytes = "x"}}})))
    assert.error_matches(function() dump:dmesg() end,
      "none.gcore: no VMCOREINFO, neither as a note nor in memory$")
    assert.are.same({machine = "x86_64", warnings = {}}, dump:guest())
  end)

  it("fails or is empty if VMCOREINFO holds impossible values", function()
    for _, change in ipairs {{"SIZE%(prb_desc%)", -1}, {"SIZE%(printk_info%)", 1 << 62},
      {"SIZE%(printk_ringbuffer%)", -5}, {"OFFSET%(prb_desc_ring.tail_id%)", 4000},
      {"OFFSET%(prb_desc_ring.head_id%)", -4000}, {"OFFSET%(prb_desc_ring.descs%)", 4000},
      {"OFFSET%(prb_data_ring.data%)", 4000}, {"OFFSET%(printk_info.seq%)", -9000000}} do
      local lines, found = {}, 0
      for i, line in ipairs(ring_lines) do
        local n
        lines[i], n = line:gsub("^" .. change[1] .. "=.*", function()
          return (change[1]:gsub("%%", "")) .. "=" .. change[2]
        end)
        found = found + n
      end
      assert.are.equal(1, found, change[1])
      local r = ring(5, 5).add {id = 5, begin = 0, next = 16, at = 0, text = "text"}
      local dump = dump_of(r.mem, lines)
      local ok, iterator, log = pcall(dump.dmesg, dump)
      assert.is_true(not ok and iterator:find(": no kernel log: ", 1, true) ~= nil
        or ok and iterator() == nil and log.skipped <= 8)
    end
  end)

  it("does not crash on random contents of the ring", function()
    math.randomseed(9)
    for _ = 1, os.getenv("QVM_VALGRIND") and 3 or 100 do
      local r = ring(0, 7)
      for id = 0, 7 do
        r.add {id = id, begin = id * 16, next = id * 16 + 16, at = id * 16, text = "text"}
      end
      for _ = 1, math.random(20) do
        local base = ({RB, DESCS, INFOS, DATA})[math.random(4)]
        r.mem:put(base + math.random(0, 383), "<i8",
          math.random() < 0.5 and math.random(0) or math.random(0, 300))
      end
      local dump = dump_of(r.mem, ring_lines)
      local ok, iterator = pcall(dump.dmesg, dump)
      local count = 0
      for m in ok and iterator or function() end do
        assert.are.equal("string", type(m.text))
        count = count + 1
      end
      assert.is_true(count <= 1 << 24)
    end
  end)
end)

describe("the levels of the kernel log", function()
  after_each(files.clean)

  -- Messages of the levels and facilities in a list; the text of each is its number.
  local function log_of(list, lines)
    local r = ring(1, #list)
    for id, m in ipairs(list) do
      r.add {id = id, begin = id * 16, next = id * 16 + 16, at = id * 16, text = tostring(id),
        level = m[1], facility = m[2]}
    end
    return dump_of(r.mem, lines or level_lines)
  end

  -- The texts of a dump's messages, in one string; and the LogCount.
  local function texts(dump, options)
    local list = {}
    local iterator, log = dump:dmesg(options)
    for m in iterator do
      list[#list + 1] = m.text
    end
    return table.concat(list, " "), log
  end

  it("are those of syslog, as are the facilities", function()
    local list = {}
    for m in log_of {{0, 0}, {3, 1}, {7, 3}, {6, 23}, {4, 12}, {5, 255}}:dmesg() do
      list[#list + 1] = ("%d %s %s"):format(m.level, m.facility, m.caller)
    end
    assert.are.same({"0 kern T7", "3 user T7", "7 daemon T7", "6 local7 T7", "4 12 T7",
      "5 255 T7"}, list)
  end)

  it("select messages by number or name, and those more severe", function()
    local dump = log_of {{6}, {3}, {7}, {0}, {4}, {2}}
    assert.are.equal("1 2 3 4 5 6", (texts(dump, {level = "debug"})))
    assert.are.equal("2 4 5 6", (texts(dump, {level = "warn"})))
    assert.are.equal("2 4 6", (texts(dump, {level = 3})))
    assert.are.equal("4", (texts(dump, {level = "emerg"})))
    assert.are.equal("4", (texts(dump, {level = 0})))
    assert.are.equal("2 messages given, 0 records skipped",
      tostring(select(2, texts(dump, {level = 2}))))
  end)

  it("select the last messages", function()
    local dump = log_of {{6}, {3}, {7}, {0}, {4}, {2}}
    assert.are.equal("5 6", (texts(dump, {last = 2})))
    assert.are.equal("1 2 3 4 5 6", (texts(dump, {last = 6})))
    assert.are.equal("1 2 3 4 5 6", (texts(dump, {last = math.maxinteger})))
    assert.are.equal("4 6", (texts(dump, {last = 2, level = "err"})))
    local iterator, log = dump:dmesg {last = 1}
    assert.are.equal(0, log.given)
    assert.are.same({"6", 1}, {iterator().text, log.given})
    assert.is_nil(iterator())
    assert.is_nil(iterator())
  end)

  it("are nil where the record's layout is not known", function()
    local dump = log_of({{3}, {4}}, ring_lines)
    local first = dump:dmesg()()
    assert.are.same({"1"}, {first.text, first.level, first.facility})
    assert.error_matches(function() dump:dmesg {level = 3} end,
      "log.gcore: no kernel log: the levels of its messages are not known$")
    assert.are.equal("2", (texts(dump, {last = 1})))
  end)

  it("are in the high bits of a byte on little-endian machines, in the low ones on others",
    function()
      -- A record of the older log, at address 0, whose byte at 15 is 0x65: binary 011 00101.
      local info = {symbols = {log_buf = 64, log_buf_len = 72, log_first_idx = 76,
        log_next_idx = 80}, sizes = {printk_log = 16}, offsets = {["printk_log.ts_nsec"] = 0,
        ["printk_log.len"] = 8, ["printk_log.text_len"] = 10}}
      for order, level in pairs {["<"] = 3, [">"] = 5} do
        local bytes = writer.as(order, 64, function()
          return writer.file {machine = "x86_64", segments = {{paddr = 0,
            bytes = string.pack(order .. "I8I2I2I2BBc48I8I4I4I4", 1, 24, 4, 0, 3, 0x65, "text",
              0, 24, 0, 24)}}}
        end)
        local dump = assert(qvm.open(files.write("order.gcore", bytes)))
        local space = {read = function(_, ...) return dump:read(...) end,
          translate = function(_, address) return address, 4096 end}
        local first = require "qvm.guest.printk".messages(dump, space, info)()
        assert.are.same({"text", level, "daemon"}, {first.text, first.level, first.facility})
      end
    end)

  it("are refused if they do not exist", function()
    local dump = log_of {{6}}
    for _, wrong in ipairs {{{level = "er"}, "no level 'er': is it 'err'?"},
      {{level = 8}, "option 'level' of 'dmesg' is 8, not 0 to 7"},
      {{level = -1}, "option 'level' of 'dmesg' is -1, not 0 to 7"},
      {{level = 3.5}, "option 'level' of 'dmesg' is not an integer or string"},
      {{last = 0}, "option 'last' of 'dmesg' is not a positive integer"},
      {{lst = 1}, "'dmesg' has no option 'lst': is it 'last'?"}} do
      local ok, message = pcall(dump.dmesg, dump, wrong[1])
      assert.is_false(ok)
      assert.matches(wrong[2], message, 1, true)
    end
  end)

  it("select what qvm-diag prints", function()
    local path = log_of {{6}, {3}, {7}, {2}}.path
    local status, output = diag(path, "-l", "err")
    assert.are.same({0, "[    0.000002] 2\n[    0.000004] 4\n"}, {status, output})
    assert.are.equal(output, (select(2, diag(path, "--level", "3"))))
    assert.are.same({3, "kern"}, {cjson.decode((select(2, diag(path, "--json")))).messages[2].level,
      cjson.decode((select(2, diag(path, "--json")))).messages[2].facility})
    local errors
    status, output, errors = diag(path, "-l", "alert")
    assert.are.same({0, "", ""}, {status, output, errors})
    status, output, errors = diag(path, "-l", "error")
    assert.are.same({2, ""}, {status, output})
    assert.matches("must be one of 'emerg', 'alert', 'crit', 'err',", errors, 1, true)
    status, output, errors = process.run_lua {"examples/diag.lua", "--read", path, "-l", "err"}
    assert.are.same({2, ""}, {status, output})
    assert.matches("--level goes with --dmesg only", errors, 1, true)
  end)
end)

describe("the log of a kernel before 5.10", function()
  after_each(files.clean)

  local BUFFER = 0x1000

  local lines = {
    ("SYMBOL(log_buf)=%x"):format(VIRTUAL), ("SYMBOL(log_buf_len)=%x"):format(VIRTUAL + 8),
    ("SYMBOL(log_first_idx)=%x"):format(VIRTUAL + 16),
    ("SYMBOL(log_next_idx)=%x"):format(VIRTUAL + 24), "SIZE(printk_log)=16",
    "OFFSET(printk_log.ts_nsec)=0", "OFFSET(printk_log.len)=8", "OFFSET(printk_log.text_len)=10"}

  local function buffer(first, next)
    local mem = memory(0x2000)
    mem:put(0, "<i8I4I4I4I4I4", VIRTUAL + BUFFER, 256, 0, first, 0, next)
    return mem
  end

  local function add(mem, at, time, text, length)
    length = length or 16 + #text + -#text % 8
    mem:put(BUFFER + at, "<i8I2I2I4c" .. #text, time, length, #text, 0, text)
    return at + length
  end

  it("returns its messages, also across the end of the buffer", function()
    local mem = buffer(128, 64)
    local at = add(mem, 128, 1000, "first")
    at = add(mem, at, 2000000001, "second")
    mem:put(BUFFER + at, "<i8I2", 0, 0) -- the next record is at the start
    at = add(mem, 0, 3000, "third")
    assert.are.equal(24, at)
    assert.are.equal(64, add(mem, at, 4000, ("x"):rep(17), 40))
    assert.are.same({"0 0.000001000 nil first", "1 2.000000001 nil second",
      "2 0.000003000 nil third", "3 0.000004000 nil " .. ("x"):rep(17)},
      (messages(dump_of(mem, lines))))
  end)

  it("has levels and facilities", function()
    local mem = buffer(0, 48)
    mem:put(BUFFER, "<i8I2I2I2BBc8", 1000, 24, 4, 0, 0, 3 << 5 | 2, "disk")
    mem:put(BUFFER + 24, "<i8I2I2I2BBc8", 2000, 24, 4, 0, 3, 6 << 5 | 2, "unit")
    local list = {}
    for m in dump_of(mem, lines):dmesg {level = 7} do
      list[#list + 1] = ("%d %s %s"):format(m.level, m.facility, m.text)
    end
    assert.are.same({"3 kern disk", "6 daemon unit"}, list)
    local others = {table.unpack(lines)}
    others[#others + 1] = "OFFSET(printk_log.dict_len)=14"
    assert.is_nil(dump_of(mem, others):dmesg()().level)
  end)

  it("returns no more records than fit in the memory that its buffer maps", function()
    -- A buffer of 1 GiB of 16-byte records whose every 4 KiB are the same memory.
    local mem = buffer(0, (1 << 30) - 1)
    mem:put(8, "<I4", 1 << 30)
    mem:put(BUFFER, "c4096", string.pack("<i8I2I2I4", 1, 16, 0, 0):rep(256))
    mem:put(0, "<i8", VIRTUAL + 0x40000000)
    local dump = dump_of(mem, lines, function(t)
      for i = 0, 511 do
        t:map(VIRTUAL + 0x40000000 + i * 4096, PHYSICAL + BUFFER, 0, 0)
      end
    end)
    local list, skipped = messages(dump)
    assert.are.same({256, 1}, {#list, skipped})
  end)

  it("says which memory is missing if its buffer cannot be read", function()
    local gone = table.move(lines, 1, #lines, 1, {})
    gone[3] = ("SYMBOL(log_first_idx)=%x"):format(VIRTUAL + (1 << 30))
    local _, message, code = dump_of(buffer(0, 0), gone):crash()
    assert.are.equal("unmapped", code)
    assert.matches("log.gcore: no kernel log: its buffer of messages cannot be read: virtual "
      .. "address 0xffffffffc2000000 is not mapped: ", message, 1, true)
  end)

  it("raises if the size of its buffer is impossible", function()
    local mem = buffer(0, 100)
    mem:put(8, "<I4", -1 & 0xffffffff)
    local dump = dump_of(mem, lines)
    assert.error_matches(function() dump:dmesg() end, "its buffer of messages cannot be read$")
  end)

  it("ends at a record without a length", function()
    local none = {}
    for i, line in ipairs(lines) do
      none[i] = line:gsub("SIZE%(printk_log%)=16", "SIZE(printk_log)=0")
    end
    local iterator, log = dump_of(buffer(0, 16), none):dmesg()
    assert.is_nil(iterator())
    assert.are.equal(1, log.skipped)
  end)

  it("ends at a corrupt record and counts it", function()
    local mem = buffer(0, 200)
    local at = add(mem, 0, 1000, "good")
    add(mem, at, 2000, "bad", 8)
    local list, skipped = messages(dump_of(mem, lines))
    assert.are.same({{"0 0.000001000 nil good"}, 1}, {list, skipped})
    mem = buffer(0, 5) -- never reached
    for i = 0, 240, 24 do
      add(mem, i, 1, "again")
    end
    list, skipped = messages(dump_of(mem, lines))
    assert.is_true(#list <= 11 and skipped == 1)
  end)
end)
