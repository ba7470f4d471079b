-- Truncated, modified and hand-made files: each yields an error code, never a crash.

local dumps = require "support.dumps"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local codes = {}
for code in ("not_found permission malformed truncated too_large unmapped unsupported io")
  :gmatch("%S+") do
  codes[code] = true
end

-- Calls every method of a dump; returns the codes of the failures.
local function use(dump)
  local results = {}
  local function note(value, message, code)
    if value == nil and message ~= nil then
      assert(codes[code], tostring(message) .. ": " .. tostring(code))
      results[#results + 1] = code
    end
  end
  for s in dump:segments() do
    note(dump:read(s.paddr, math.min(s.filesz & 0xffff, 4096)))
    note(dump:u64(s.paddr + s.filesz))
    note(dump:cstring(s.paddr))
  end
  for start, size in dump:ranges() do
    assert(dump:u8(start) and dump:u8(start + size - 1))
  end
  for i = 0, 3 do
    local cpu, message, code = dump:vcpu(i)
    note(cpu, message, code)
    if cpu then
      for _ in cpu:registers() do end
    end
  end
  note(dump:log())
  tostring(dump)
  return results
end

-- Opens bytes as a dump and uses it. Returns the code and the message if it cannot be opened.
local function try(bytes)
  local dump, message, code = qvm.open(files.write("hostile.gcore", bytes))
  if not dump then
    assert(codes[code], tostring(message) .. ": " .. tostring(code))
    assert.matches("hostile.gcore: ", message, 1, true)
    return code, message
  end
  use(dump)
  dump:close()
end

-- Too slow under valgrind.
local it_large = os.getenv("QVM_VALGRIND") and pending or it

local function sample(machine)
  local registers = writer[machine] {}
  return writer.small {machine = machine,
    memory = {{paddr = 0x1000, bytes = ("m"):rep(300)}, {paddr = 0x112c, bytes = "n"},
      {paddr = 0x8000, bytes = writer.dumpinfo("some text\n")}},
    cpus = {{registers = registers, extra = {1}}, {registers = registers, extra = {2}}},
    note = {names = {"cr3"}, dumpinfo = 2}}
end

describe("a truncated file", function()
  after_each(files.clean)

  it("is reported as truncated at any length", function()
    for _, machine in ipairs {"aarch64", "x86_64"} do
      local bytes = sample(machine)
      assert.is_nil((try(bytes)))
      for length = 0, #bytes - 1 do
        assert.are.equal("truncated", (try(bytes:sub(1, length))))
      end
    end
  end)

  it("is reported with the number of missing bytes", function()
    local bytes = sample("aarch64")
    local _, message = try(bytes:sub(1, -101))
    local missing = ("100 of %d bytes are missing"):format(#bytes)
    assert.are.equal(files.path("hostile.gcore") .. ": " .. missing, message)
    local dump <close> = assert(qvm.open(files.path("hostile.gcore"), {partial = true}))
    assert.are.same({false, missing}, {dump.complete, dump.warnings[1]})
    _, message = try(bytes:sub(1, 100))
    assert.matches(("%d bytes missing from the program headers"):format(64 + 4 * 56 - 100), message)
    _, message = try(bytes:sub(1, 63))
    assert.matches("ends after 63 bytes, within the ELF header", message)
  end)

  it("is reported as truncated at 1000 random offsets of a larger dump", function()
    local bytes = writer.small {memory = {{paddr = 0, bytes = ("0123456789abcdef"):rep(4096)}}}
    for _ = 1, 1000 do
      assert.are.equal("truncated", (try(bytes:sub(1, math.random(0, #bytes - 1)))))
    end
  end)
end)

describe("a partial dump", function()
  after_each(files.clean)

  local bytes = sample("aarch64")
  local headers = 64 + 4 * 56

  it("opens on request, and its remaining bytes can be read", function()
    for _, length in ipairs {headers, headers + 299, headers + 301, #bytes - 1} do
      local path = files.write("partial.gcore", bytes:sub(1, length))
      assert.are.equal("truncated", select(3, qvm.open(path)))
      assert.are.equal("truncated", select(3, qvm.open(path, {partial = false})))
      local dump <close> = assert(qvm.open(path, {partial = true}))
      assert.is_false(dump.complete)
      assert.are.equal(length, dump.size)
      for at = 0, 299 do
        local value, _, code = dump:u8(0x1000 + at)
        assert.are.equal(at < length - headers and 0x6d or nil, value)
        assert.are.equal(value == nil and "truncated" or nil, code)
      end
      assert.are.equal("unmapped", select(3, dump:u8(0x2000)))
      if length == #bytes - 1 then -- the note is at the end
        assert.are.equal(0, dump:vcpu(0).index)
        assert.are.equal("truncated", select(3, dump:vcpu(1)))
      else
        assert.is_nil(dump:vcpu(0))
      end
    end
  end)

  it("reads a string whose terminator is present", function()
    local whole = writer.small {memory = {{paddr = 0x1000, bytes = "abc\0" .. ("x"):rep(600)}}}
    local path = files.write("partial.gcore", whole:sub(1, 64 + 2 * 56 + 300))
    local dump <close> = assert(qvm.open(path, {partial = true}))
    assert.are.equal("abc", dump:cstring(0x1000))
    assert.are.equal("xx", dump:cstring(0x1004, 2))
    assert.are.equal("truncated", select(3, dump:cstring(0x1004)))
  end)

  it("allocates no memory for missing bytes", function()
    local path = files.write("partial.gcore", writer.small {memory = {
      {paddr = 0, offset = 176, filesz = 1 << 45, bytes = "abcd"}}})
    local dump <close> = assert(qvm.open(path, {partial = true}))
    local got, message, code = dump:read(0, 1 << 44)
    assert.is_nil(got)
    assert.are.equal("truncated", code)
    assert.matches("ends before what is at address 0x", message)
  end)

  it("is complete if nothing is missing", function()
    local cut = assert(qvm.open(files.write("cut.gcore", bytes:sub(1, -2)), {partial = true}))
    assert.matches(", incomplete$", tostring(cut))
    local dump <close> = assert(qvm.open(files.write("whole.gcore", bytes), {partial = true}))
    assert.is_true(dump.complete)
    assert.are.equal(0, dump:vcpu(0).index)
  end)

  it("does not open without its headers", function()
    for _, length in ipairs {0, 63, 64, headers - 1} do
      local path = files.write("partial.gcore", bytes:sub(1, length))
      assert.are.equal("truncated", select(3, qvm.open(path, {partial = true})))
    end
  end)
end)

describe("a file that is truncated while it is open", function()
  after_each(files.clean)

  local function truncate(path, size)
    assert(os.execute(("truncate -s %d %s"):format(size, process.quote(path))))
  end

  -- Headers, three pages of memory, then the note.
  local function open()
    local memory = {{paddr = 0x10000, bytes = ("\xee"):rep(3 * 4096)}}
    return assert(qvm.open(files.write("cut.gcore", writer.small {memory = memory})))
  end

  it("reads as truncated and never as zeros, at any size", function()
    local whole = open().size
    for _, size in ipairs {whole - 1, whole - 400, 12400, 12000,
      8193, 8192, 5000, 4096, 100, 1, 0} do
      local dump = open()
      local data = 64 + 2 * 56 -- where the memory begins in the file
      truncate(dump.path, size)
      for at = 0, 3 * 4096 - 8, 72 do
        local value, message, code = dump:u64(0x10000 + at)
        if value then
          assert.are.equal(0xeeeeeeeeeeeeeeee, value)
          assert(data + at + 8 <= size)
        else
          assert.are.equal("truncated", code)
          assert.matches("cut.gcore: no 8 bytes at offset", message, 1, true)
        end
      end
      local bytes, _, code = dump:read(0x10000, 3 * 4096)
      if size < data + 3 * 4096 then
        assert.is_nil(bytes)
        assert.are.equal("truncated", code)
      else
        assert.are.equal(("\xee"):rep(3 * 4096), bytes)
      end
      if size < whole - 400 then
        assert.are.equal("truncated", select(3, dump:vcpu(0)))
        assert.error_matches(function() for _ in dump:vcpus() do end end, "file too short")
      end
      dump:close()
    end
  end)

  it("keeps what was read before", function()
    local dump <close> = open()
    assert.are.equal(0xeeeeeeeeeeeeeeee, dump:u64(0x12000))
    truncate(dump.path, 0)
    assert.are.equal(0xeeeeeeeeeeeeeeee, dump:u64(0x12008))
    assert.are.equal("truncated", select(3, dump:u64(0x10000)))
    assert.are.equal("truncated", select(3, dump:read(0x10000, 3 * 4096)))
  end)
end)

describe("a hand-made file", function()
  after_each(files.clean)

  local function with_header(fields)
    return writer.small {header = fields}
  end

  it("is malformed if it is not an ELF file", function()
    for _, bytes in ipairs {"hello, world, this is text", ("\0"):rep(100),
      with_header {magic = "\127ELf"}} do
      local code, message = try(bytes)
      assert.are.equal("malformed", code)
      assert.matches("offset 0: not an ELF file", message)
    end
  end)

  it("is unsupported, with advice, in other known formats", function()
    for magic, advice in pairs {["\x28\xb5\x2f\xfd"] = "compressed by zstd: zstd -d it first",
      ["\xfd7zXZ\0"] = "compressed by xz: xz -d it first",
      ["\x04\x22\x4d\x18"] = "compressed by lz4: lz4 -d it first",
      ["BZh9"] = "compressed by bzip2: bzip2 -d it first",
      ["KDUMP   "] = "a kdump-compressed dump: have it written as ELF",
      ["DISKDUMP"] = "a diskdump-compressed dump: have it written as ELF",
      ["makedumpfile\0\0\0\0"] = "makedumpfile -R NEW < OLD"} do
      local code, message = try(magic .. ("\0"):rep(100))
      assert.are.equal("unsupported", code)
      assert.matches(advice, message, 1, true)
    end
  end)

  it("is rejected if it is another kind of ELF file", function()
    for _, case in ipairs {{{data = 2}, "malformed"}, {{type = 0}, "malformed"},
      {{class = 0}, "malformed"}, {{class = 3}, "malformed"}, {{data = 0}, "malformed"},
      {{data = 3}, "malformed"}, {{type = 2}, "malformed"}, {{phentsize = 32}, "malformed"},
      {{phnum = 0xffff}, "malformed"}, {{phoff = -1}, "malformed"},
      {{phoff = 0x7fffffffffffffff}, "truncated"}, {{phoff = 1 << 32}, "truncated"},
      {{phnum = 0xfffe}, "truncated"}} do
      assert.are.equal(case[2], (try(with_header(case[1]))))
    end
  end)

  local function with_segment(segment)
    return writer.small {memory = {{paddr = 0x1000, bytes = "first"}, segment}}
  end

  it("is rejected if sizes and offsets overflow", function()
    for _, case in ipairs {
      {{offset = -1, filesz = 2}, "malformed", "segment 1: its file range overflows"},
      {{offset = 1, filesz = -1, memsz = -1}, "malformed", "overflows"},
      {{offset = 1, filesz = 1 << 63, memsz = 1 << 63}, "malformed", "overflows"},
      {{offset = 0, filesz = 16, memsz = 16, paddr = -8}, "malformed", "address range overflows"},
      {{offset = 0, filesz = 0, memsz = -1, paddr = 2}, "malformed", "address range overflows"},
      {{offset = 0, filesz = 16, memsz = 8}, "malformed", "larger in the file than in memory"},
      {{offset = 0, filesz = 1 << 62, memsz = 1 << 62}, "truncated", "are missing"},
      {{offset = 1 << 62, filesz = 1}, "truncated", "are missing"},
      {{type = 4, offset = -1, filesz = 2}, "malformed", "file range overflows"}} do
      local code, message = try(with_segment(case[1]))
      assert.are.equal(case[2], code)
      assert.matches(case[3], message, 1, true)
      if code == "malformed" then
        assert.matches("offset 120: segment 1", message, 1, true)
      end
    end
  end)

  it("is too large from 2^63 bytes of memory on", function()
    local half = 1 << 62
    local function claim(...)
      local segments = {}
      for i, size in ipairs {...} do
        segments[i] = {paddr = (i - 1) * half, filesz = 0, memsz = size}
      end
      return try(writer.file {machine = "aarch64", segments = segments})
    end
    local code, message = claim(half, half)
    assert.are.equal("too_large", code)
    assert.matches("segments claim 2^63 bytes of memory or more", message, 1, true)
    assert.are.equal("too_large", (claim(half, half, half, half)))
    assert.is_nil((claim(half, half - 1)))
    local dump = assert(qvm.open(files.write("large.gcore", writer.file {machine = "aarch64",
      segments = {{paddr = 1 << 62, filesz = 0, memsz = math.maxinteger}}})))
    assert.are.equal(math.maxinteger, (select(2, dump:ranges()())))
    assert.matches("8 EiB of memory", tostring(dump), 1, true)
  end)

  it("opens if a segment without data lies far beyond its end", function()
    assert.is_nil((try(with_segment {offset = -1, filesz = 0, memsz = 4096, paddr = 0x5000})))
  end)

  it("may have a segment that shows its own headers", function()
    local dump = assert(qvm.open(files.write("self.gcore", with_segment {
      offset = 0, filesz = 128, paddr = 0x9000})))
    assert.are.equal("\127ELF", dump:read(0x9000, 4))
  end)

  it("may have 65534 overlapping segments", function()
    local count = 65534
    local headers = {}
    for i = 1, count - 1 do
      headers[i] = writer.program_header {paddr = count - i, offset = 64, filesz = 56 * count}
    end
    headers[count] = writer.program_header {paddr = 1 << 40, offset = 64, filesz = 1}
    local bytes = writer.header {machine = 183, phnum = count} .. table.concat(headers)
    local dump = assert(qvm.open(files.write("many.gcore", bytes)))
    assert.are.same({("1+%x"):format(56 * count + count - 2), "10000000000+1"},
      dumps.ranges(dump))
    -- The first segment in the file has the highest address, and wins where it overlaps.
    assert.are.equal(dump:read(count - 1, 56), headers[1])
    assert.are.equal(dump:read(1, 1), headers[count - 1]:sub(1, 1))
  end)

  -- A file whose header says "65535 or more" segments: section 0 holds the number.
  local function with_large_count(count, stated, fields)
    local headers = {}
    for i = 1, count do
      headers[i] = writer.program_header {paddr = i * 16, offset = 64 + 56 * (i - 1), filesz = 4}
    end
    local header = {machine = 183, phnum = 0xffff, shnum = 1, shoff = 64 + 56 * count}
    for name, value in pairs(fields or {}) do
      header[name] = value
    end
    return writer.header(header) .. table.concat(headers)
      .. writer.section_header {info = stated or count}
  end

  it_large("may have more segments than its header can count", function()
    local dump = assert(qvm.open(files.write("many.gcore", with_large_count(70000))))
    local count = 0
    for s in dump:segments() do
      assert.are.equal(count, s.index)
      count = count + 1
    end
    assert.are.equal(70000, count)
    assert.are.equal(1, dump:u32(70000 * 16)) -- its own header: PT_LOAD
    assert.are.equal("unmapped", select(3, dump:u8(70001 * 16)))
  end)

  it("is rejected if its segment count is wrong", function()
    for _, case in ipairs {{0xffffffff, "too_large"}, {1 << 17, "truncated"},
      {(1 << 17) + 1, "too_large"}, {3, nil}, {nil, "malformed", {shoff = 0}},
      {nil, "truncated", {shoff = 1 << 40}}, {nil, "truncated", {shoff = -1}}} do
      assert.are.equal(case[2], (try(with_large_count(2, case[1], case[3]))))
    end
  end)

  it("leaves no descriptor open if it is rejected", function()
    local function descriptors()
      local count = 0
      for _ in require("lfs").dir("/proc/self/fd") do
        count = count + 1
      end
      return count
    end
    local path = files.write("cut.gcore", sample("aarch64"):sub(1, -2))
    collectgarbage("stop")
    local before = descriptors()
    for _ = 1, 20 do
      assert.is_nil((qvm.open(path)))
    end
    assert.are.equal(before, descriptors())
    collectgarbage("restart")
  end)

  it("opens if 2000 segments share the same 20000 notes", function()
    local notes = writer.elf_note("VMCOREINFO\0", 0, ""):rep(20000)
    local headers = {}
    for i = 1, 2000 do
      headers[i] = writer.program_header {type = 4, offset = 64 + 56 * 2000, filesz = #notes,
        align = 0}
    end
    local dump = assert(qvm.open(files.write("notes.gcore", writer.header {machine = 62,
      phnum = 2000} .. table.concat(headers) .. notes)))
    assert.are.equal("elf", dump.format)
  end)

  it("is unsupported if it is not a regular file", function()
    local _, message, code = qvm.open(files.dir())
    assert.are.equal("unsupported", code, message)
    assert(os.execute("mkfifo " .. process.quote(files.path("fifo"))))
    assert.are.equal("unsupported", select(3, qvm.open(files.path("fifo"))))
    assert.are.equal("not_found", select(3, qvm.open(files.path("nothing"))))
    assert.are.equal("unsupported", select(3, qvm.open("/dev/zero")))
    assert.error_matches(function() qvm.open("a\0b") end, "NUL in a path")
  end)

  it("does not crash the library if changed at random", function()
    math.randomseed(20261122)
    for _, machine in ipairs {"aarch64", "x86_64"} do
      local bytes = sample(machine)
      for _ = 1, os.getenv("QVM_VALGRIND") and 300 or 1500 do
        local changed = bytes
        for _ = 1, math.random(4) do
          local at = math.random(0, #changed - 1)
          changed = changed:sub(1, at) .. string.char(math.random(0, 255)) .. changed:sub(at + 2)
        end
        try(changed)
      end
    end
  end)

  it("does not crash the library if header values are extreme", function()
    local extremes = {0, 1, -1, 0x7fffffffffffffff, 1 << 63, 1 << 32, 0xffffffff, 4096, 63}
    local bytes = sample("x86_64")
    local note = #bytes - 40 - 4 - 2 * (128 + 168)
    for at = 16, 64 + 4 * 56 - 8, 4 do
      for _, value in ipairs(extremes) do
        try(bytes:sub(1, at) .. string.pack("<i8", value) .. bytes:sub(at + 9))
      end
    end
    for at = note, note + 40 do
      for _, value in ipairs(extremes) do
        try(bytes:sub(1, at) .. string.pack("<i8", value) .. bytes:sub(at + 9))
      end
    end
  end)
end)
