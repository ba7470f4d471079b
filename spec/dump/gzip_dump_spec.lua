-- Dumps compressed with gzip: read in place, truncated, damaged, very large.

local cost = require "support.cost"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local function gzip(bytes, level)
  local path = files.write("plain", bytes)
  local pipe <close> = assert(io.popen(("gzip -c%d %s"):format(level or 6, process.quote(path))))
  return pipe:read("a")
end

-- Memory that resembles a guest's: zeros, text, repeated bytes and noise, identical in every
-- run.
local function memory(size)
  local parts, total = {}, 0
  local noise = {}
  math.randomseed(7)
  for i = 1, 4096 do
    noise[i] = string.char(math.random(0, 255))
  end
  noise = table.concat(noise)
  while total < size do
    local n = math.random(1, 60000)
    local kind = math.random(4)
    local part
    if kind == 1 then
      part = ("\0"):rep(n)
    elseif kind == 2 then
      part = ("line %d of a log\n"):format(total):rep(n // 20 + 1)
    elseif kind == 3 then
      part = noise:sub(math.random(4096)):rep(n // 4096 + 1)
    else
      part = noise:reverse():sub(1, n)
    end
    parts[#parts + 1], total = part, total + #part
  end
  return table.concat(parts):sub(1, size)
end

local function sample(size)
  return writer.small {memory = {{paddr = 0x1000, bytes = memory(size)}},
    cpus = {{registers = writer.aarch64 {elr = 0x1234}, process = "one"}}}
end

local function try(bytes, options)
  return qvm.open(files.write("test.gcore.gz", bytes), options)
end

-- Too much memory or work for valgrind.
local it_large = os.getenv("QVM_VALGRIND") and pending or it

describe("a compressed dump", function()
  after_each(files.clean)

  it("reads like the plain dump", function()
    local plain = sample(5 << 20)
    local whole = assert(qvm.open(files.write("whole.gcore", plain)))
    for _, level in ipairs {1, 6, 9} do
      local dump <close> = assert(try(gzip(plain, level)))
      assert.are.same({whole.size, true, "qnx"}, {dump.size, dump.complete, dump.format})
      assert.are.equal(0x1234, dump:vcpu(0).pc)
      for _ = 1, 300 do
        local at = 0x1000 + math.random(0, (5 << 20) - 1)
        local n = math.random(0, math.min(0x1000 + (5 << 20) - at, 1 << math.random(0, 20)))
        assert(whole:read(at, n) == dump:read(at, n), "different bytes")
      end
      assert(whole:read(0x1000, 5 << 20) == dump:read(0x1000, 5 << 20), "different bytes")
      assert.are.equal("unmapped", select(3, dump:read(0x1000, (5 << 20) + 1)))
    end
  end)

  it("can be read backwards", function()
    local plain = sample(5 << 20)
    local whole = assert(qvm.open(files.write("whole.gcore", plain)))
    local dump <close> = assert(try(gzip(plain)))
    for at = 0x1000 + (5 << 20) - 10000, 0x1000, -99991 do
      assert(whole:read(at, 10000) == dump:read(at, 10000), "different bytes")
    end
  end)

  it("may consist of several members", function()
    local plain = sample(2 << 20)
    local whole = assert(qvm.open(files.write("whole.gcore", plain)))
    local cuts = {0, 1, 63, 64, 5000, 1 << 20, (1 << 20) + 1, #plain}
    local members = {}
    for i = 2, #cuts do
      members[i - 1] = gzip(plain:sub(cuts[i - 1] + 1, cuts[i]), i)
    end
    table.insert(members, 3, gzip(""))
    for _, padding in ipairs {"", ("\0"):rep(512), "garbage", "\x1f"} do
      local dump <close> = assert(try(table.concat(members) .. padding))
      assert.are.same({#plain, true}, {dump.size, dump.complete})
      for _ = 1, 50 do
        local at = 0x1000 + math.random(0, 1 << 20)
        assert(whole:read(at, 70000) == dump:read(at, 70000), "different bytes")
      end
      assert.are.equal(0x1234, dump:vcpu(0).pc)
    end
  end)

  it("can be searched and compared", function()
    local plain = writer.small {memory = {{paddr = 0x1000,
      bytes = ("\0"):rep(3 << 20) .. "needle" .. ("x"):rep(1 << 20) .. "needle"}}}
    local whole = assert(qvm.open(files.write("whole.gcore", plain)))
    local dump <close> = assert(try(gzip(plain)))
    local found = {}
    for address in dump:find("needle") do
      found[#found + 1] = address
    end
    assert.are.same({0x301000, 0x401006}, found)
    for _ in dump:diff(whole) do
      error("a difference between equal dumps")
    end
    assert.are.equal("needle" .. ("x"):rep(65530), select(2, dump:strings()()))
  end)

  local function for_each_cut(bytes, lengths, f)
    for _, length in ipairs(lengths) do
      f(length, bytes:sub(1, length))
    end
  end

  it("is truncated if cut at any byte", function()
    local compressed = gzip(sample(3000))
    for length = 4, #compressed - 1 do
      local dump, message, code = try(compressed:sub(1, length))
      assert.is_nil(dump)
      assert.are.equal("truncated", code, message)
    end
  end)

  it("keeps everything before the cut", function()
    -- Zeros: each byte of the file holds the same amount of memory, also at the end of a
    -- chunk that is unpacked at once.
    local compressed = gzip(writer.small {memory = {{paddr = 0x1000, bytes = ("\0"):rep(600000)}}})
    local sizes = {}
    for length = 350, 366 do
      local dump <close> = assert(try(compressed:sub(1, length), {partial = true}))
      sizes[#sizes + 1] = dump.size
    end
    assert.is_true(sizes[1] < 256 << 10 and sizes[#sizes] > 256 << 10)
    for i = 3, #sizes do
      assert.are.equal(sizes[2] - sizes[1], sizes[i] - sizes[i - 1])
    end
  end)

  it("can be read up to the cut, on request", function()
    local bytes = memory(1 << 20)
    local plain = writer.file {machine = "aarch64", segments = {{paddr = 0x1000, bytes = bytes}}}
    local compressed = gzip(plain)
    for_each_cut(compressed, {#compressed // 3, #compressed // 2, #compressed - 9, #compressed - 1},
      function(length, cut)
        local _, message, code = try(cut)
        assert.are.equal("truncated", code)
        local dump <close> = assert(try(cut, {partial = true}))
        local present = dump.size - 64 - 56
        assert.is_false(dump.complete)
        assert.matches(present < #bytes and ": %d+ of " .. #plain .. " bytes are missing$"
          or "the end of the gzip data is missing", message)
        assert.are.equal(message:match(": (.*)$"), dump.warnings[1])
        assert.is_true(present > length // 2)
        assert(dump:read(0x1000, present) == bytes:sub(1, present), "different bytes")
        if present < #bytes then
          assert.are.equal("truncated", select(3, dump:read(0x1000, present + 1)))
          assert.are.equal("truncated", select(3, dump:u8(0x1000 + present)))
        end
      end)
  end)

  -- Reads all memory; returns the code and the message of the first failure.
  local function read_all(dump)
    for start, size in dump:ranges() do
      local bytes, message, code = dump:read(start, size)
      if not bytes then
        return code, message
      end
    end
  end

  it("is malformed or truncated if damaged", function()
    local plain = sample(300000)
    local compressed = gzip(plain)
    local codes = {}
    for _ = 1, 300 do
      local at = math.random(11, #compressed - 8)
      local byte = compressed:byte(at) ~ (1 << math.random(0, 7))
      local bytes = compressed:sub(1, at - 1) .. string.char(byte) .. compressed:sub(at + 1)
      local dump, message, code = try(bytes)
      if dump then
        code, message = read_all(dump)
        dump:close()
      end
      assert(code == "malformed" or code == "truncated", code)
      assert.matches("test.gcore.gz: ", message, 1, true)
      codes[code] = (codes[code] or 0) + 1
    end
    assert.is_true(codes.malformed > 100)
  end)

  it("reports a wrong checksum at its end, and then fails every read", function()
    local plain = writer.file {machine = "aarch64", segments = {
      {paddr = 0x1000, bytes = memory(1 << 20)}}}
    local compressed = gzip(plain)
    local bytes = compressed:sub(1, -9) .. "\1\2\3\4" .. compressed:sub(-4)
    local dump = assert(try(bytes))
    assert.are.equal(plain:sub(121, 130), dump:read(0x1000, 10))
    local code, message = read_all(dump)
    assert.are.equal("malformed", code)
    assert.matches("the checksum of the gzip data is wrong", message, 1, true)
    assert.are.equal("malformed", select(3, dump:read(0x1000, 10)))
    local _, same_message, same_code = dump:vmcoreinfo()
    assert.are.same({message, "malformed"}, {same_message, same_code})
    local lenient = assert(try(bytes, {partial = true}))
    assert.is_false(lenient.complete)
    assert.matches("checksum wrong", lenient.warnings[1], 1, true)
    assert(lenient:read(0x1000, 1 << 20) == plain:sub(121), "different bytes")
  end)

  it("warns about damage and reads everything before it, on request", function()
    local plain = writer.file {machine = "aarch64", segments = {
      {paddr = 0x1000, bytes = memory(1 << 20)}}}
    local compressed = gzip(plain)
    local dump, message
    repeat
      local noise = {}
      for i = 1, 64 do
        noise[i] = string.char(math.random(0, 255))
      end
      local bytes = compressed:sub(1, #compressed // 2) .. table.concat(noise)
        .. compressed:sub(#compressed // 2 + 65)
      dump, message = try(bytes)
      if dump then
        message = select(2, read_all(dump))
      end
      dump = assert(try(bytes, {partial = true}))
    until message:find("damaged gzip data", 1, true)
    assert.is_false(dump.complete)
    assert.are.equal(2, #dump.warnings)
    assert.matches("damaged", dump.warnings[1], 1, true)
    assert.matches((" of %d bytes are missing"):format(#plain), dump.warnings[2], 1, true)
    assert.are.equal(plain:sub(121, 1120), dump:read(0x1000, 1000))
    assert.are.equal(0, #assert(try(compressed, {partial = true})).warnings)
  end)

  it_large("reads correctly after and between millions of empty members", function()
    local plain = sample(3 << 19)
    local empty = gzip(""):rep(500000)
    local third = #plain // 3
    local calls = 0
    local dump <close> = assert(try(empty .. gzip(plain:sub(1, 100)) .. empty
      .. gzip(plain:sub(101, third)) .. empty .. gzip(plain:sub(third + 1)) .. empty,
      {progress = function() calls = calls + 1 end}))
    assert.is_true(calls > 2)
    assert(dump:read(0x1000, 3 << 19) == plain:sub(64 + 112 + 1, 64 + 112 + (3 << 19)),
      "different bytes")
    for at = 0x1000 + (3 << 19) - 8, 0x1000, -299999 do
      assert.are.equal(plain:sub(at - 0x1000 + 177, at - 0x1000 + 184), dump:read(at, 8))
    end
  end)

  it("is rejected if it holds something else", function()
    for _, case in ipairs {{"", "truncated"}, {"hello", "malformed"}, {("x"):rep(99), "malformed"},
      {"\127ELF", "truncated"}} do
      local _, message, code = try(gzip(case[1]))
      assert.are.equal(case[2], code, message)
    end
    assert.are.equal("malformed", select(3, try("\x1f\x8b\8" .. ("\xff"):rep(50))))
    assert.are.equal("truncated", select(3, try("\x1f\x8b\8\0\0\0\0\0\0\0")))
    assert.are.equal("malformed", select(3, try("\x1f\x8b\7\0\0\0\0\0\0\0")))
    assert.are.equal("malformed", select(3, try(gzip(gzip(sample(100))))))
  end)

  -- A dump of 256 MiB, of whose memory the file has only these bytes, with that size at its end.
  local function claiming(bytes)
    local size = 256 << 20
    local whole = gzip(writer.header {machine = 183, phnum = 1}
      .. writer.program_header {paddr = 0, offset = 120, filesz = size} .. bytes)
    return whole:sub(1, -5) .. string.pack("<I4", size + 120)
  end

  it("is not believed to be larger than it can be", function()
    local _, message, code = try(claiming "")
    assert.are.equal("malformed", code)
    assert.matches("the checksum of the gzip data is wrong", message, 1, true)
  end)

  it("takes no room for memory that it states and does not have", function()
    local noise = {}
    for i = 1, 1 << 16 do
      noise[i] = string.pack("<i8", math.random(0))
    end
    local path = files.write("claims.gz", claiming(table.concat(noise)))
    for _, read in ipairs {[[array(0, "u8", 12 << 20)]], "read(0, 200 << 20)"} do
      local _, bytes = cost.check(([[
        local dump = assert(qvm.open(%q))
        return select(3, dump:%s)]]):format(path, read))
      assert(not cost.is_exact or bytes < 48 << 20, bytes)
    end
  end)

  -- 64 MiB of zeros compress to 64 KiB, and each member holds that much.
  local function bomb(members)
    local size = members << 26
    local head = writer.header {machine = 183, phnum = 1}
      .. writer.program_header {paddr = 0, offset = 120, filesz = size}
    local zeros = files.path("zeros")
    assert(os.execute(("head -c 67108864 /dev/zero | gzip -1 >%s"):format(process.quote(zeros))))
    return files.write("bomb.gz", gzip(head) .. files.read(zeros):rep(members)), size
  end

  it("reads correctly after zeros, which take no space in the index", function()
    -- Enough zeros for several deflate blocks.
    local zeros, noise = 24 << 20, memory(1 << 20):gsub("\0", "\1")
    local dump <close> = assert(try(gzip(writer.file {machine = "aarch64", segments = {
      {paddr = 0, bytes = ("\0"):rep(zeros) .. noise}}})))
    assert(dump:read(zeros, 1 << 20) == noise, "different bytes")
    for at = zeros - (1 << 20), 0, -(1 << 20) do
      assert(not dump:read(at, 1 << 20):find("[^\0]"), "not zeros")
    end
  end)

  it_large("reads correctly with more access points than the index keeps", function()
    local count = 1500
    local block = memory(1 << 20)
    local head = writer.header {machine = 183, phnum = 1}
      .. writer.program_header {paddr = 0, offset = 120, filesz = count << 20}
    local dump <close> = assert(try(gzip(head) .. gzip(block):rep(count)))
    assert.are.equal((count << 20) + 120, dump.size)
    for _, at in ipairs {count - 1, 0, 1, count // 2, 700, 3} do
      local offset = math.random(0, (1 << 20) - 1000)
      assert(dump:read((at << 20) + offset, 1000) == block:sub(offset + 1, offset + 1000),
        "different bytes")
    end
  end)

  it("takes little memory, regardless of its unpacked size", function()
    local path, size = bomb(33)
    local _, out, errors = process.run_lua {"-e",
      ("package.path=%q;package.cpath=%q;"):format(package.path, package.cpath) .. ([[
        local qvm = require "qvm"
        local steps = 0
        local dump = assert(qvm.open(%q, {progress = function() steps = steps + 1 end}))
        print(dump.size, dump.complete, steps > 5)
        for i = 1, 50 do
          assert(dump:u64(math.random(0, %d)) == 0)
        end
        for line in io.lines("/proc/self/status") do
          if line:match("^VmHWM") then print(line:match("%%d+")) end
        end]]):format(path, size - 8)}
    local seen_size, kib = out:match("^(%d+)\ttrue\ttrue\n(%d+)\n$")
    assert.are.equal(size + 120, tonumber(seen_size), out .. errors)
    if not os.getenv("LD_PRELOAD") and not os.getenv("QVM_VALGRIND") then
      assert.is_true(tonumber(kib) < 64 * 1024, kib .. " KiB")
    end
  end)
end)
