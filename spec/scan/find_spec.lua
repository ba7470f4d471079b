-- find, strings and array over a dump's memory.

local dumps = require "support.dumps"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local open, all = dumps.open, dumps.addresses

-- Opens a plain ELF core that consists of these segments.
local function memory(...)
  return open(writer.file {machine = "aarch64", segments = {...}})
end

describe("find", function()
  after_each(files.clean)

  it("returns every occurrence, including overlapping ones", function()
    local dump = memory {paddr = 0x1000, bytes = "aaaabaaaa"}
    assert.are.same({"1000", "1001", "1002", "1005", "1006", "1007"}, all(dump:find("aa")))
    assert.are.same({"1004"}, all(dump:find("b")))
    assert.are.same({"1000"}, all(dump:find("aaaabaaaa")))
    assert.are.same({}, all(dump:find("aaaabaaaab")))
    assert.are.same({}, all(dump:find("c")))
  end)

  it("crosses from one segment into the next, but not a gap", function()
    local dump = memory({paddr = 0x1003, bytes = "needle"}, {paddr = 0x1000, bytes = "xne"},
      {paddr = 0x1009, bytes = "need"}, {paddr = 0x100e, bytes = "le"})
    assert.are.same({"1003"}, all(dump:find("needle")))
    assert.are.same({"1003", "1009"}, all(dump:find("need")))
    assert.are.same({"1001"}, all(dump:find("neneed")))
  end)

  it("accepts from, to and align", function()
    local dump = memory {paddr = 0x1000, bytes = ("ab"):rep(8)}
    assert.are.same({"100a", "100c", "100e"}, all(dump:find("ab", {from = 0x1009})))
    assert.are.same({"1000", "1002"}, all(dump:find("ab", {to = 0x1005})))
    assert.are.same({"1002"}, all(dump:find("ab", {from = 0x1002, to = 0x1004})))
    assert.are.same({"1000", "1004", "1008", "100c"}, all(dump:find("ab", {align = 4})))
    assert.are.same({"1002", "1008", "100e"}, all(dump:find("ab", {align = 3, from = 0x1001})))
    for _, range in ipairs {{from = 0x1010}, {to = 0x1000}, {from = 0x1004, to = 0x1004}, {to = 0},
      {from = 0x1008, to = 0x1002}} do
      assert.are.same({}, all(dump:find("ab", range)))
    end
  end)

  it("reaches the top of the address space and does not wrap around", function()
    local dump = memory({paddr = -4, bytes = "abca"}, {paddr = 0, bytes = "bc"})
    assert.are.same({"fffffffffffffffc"}, all(dump:find("abc")))
    assert.are.same({"ffffffffffffffff"}, all(dump:find("a", {from = -3})))
    assert.are.same({"0", "fffffffffffffffd"}, all(dump:find("b")))
  end)

  it("finds zeros in holes and after a segment's file data", function()
    local dump = memory {paddr = 0x1000, bytes = "ab", memsz = 8}
    assert.are.same({"1002", "1003", "1004"}, all(dump:find("\0\0\0\0")))
    assert.are.same({"1001"}, all(dump:find("b\0\0\0\0\0\0")))
    assert.are.same({}, all(dump:find("b\0\0\0\0\0\0\0")))
    dump = memory({paddr = 0, filesz = 0, memsz = 1 << 40}, {paddr = 1 << 40, bytes = "\1ab"})
    assert.are.same({"fffffffffe"}, all(dump:find("\0\0\1a")))
    assert.are.same({"ffffffffff"}, all(dump:find("\0\1")))
    assert.are.same({"fffffffffd"}, all(dump:find("\0\0\0\1ab")))
    local first = dump:find("\0", {from = 1 << 39, align = 1 << 20})
    assert.are.same({1 << 39, (1 << 39) + (1 << 20)}, {first(), first()})
  end)

  it("finds matches that start right after a hole or end right before one", function()
    -- Two 4 KiB blocks of data, from offset 4096 of the file, with a 1 MiB hole between them.
    local path = files.path("sparse.gcore")
    local size = 4096 + (1 << 20) + 4096
    local file <close> = assert(io.open(path, "wb"))
    file:write(writer.header {machine = 183, phnum = 1},
      writer.program_header {paddr = 0x1000, offset = 4096, filesz = size})
    file:seek("set", 4096)
    file:write(("x"):rep(4090), "before")
    file:seek("set", 4096 + 4096 + (1 << 20))
    file:write("behind", ("y"):rep(4090))
    file:flush()
    local dump = assert(qvm.open(path))
    assert.are.same({"1ffa"}, all(dump:find("before\0\0")))
    assert.are.same({"102000"}, all(dump:find("behind")))
    assert.are.same({"101fff"}, all(dump:find("\0behind")))
    assert.are.same({"1fff"}, all(dump:find("e\0")))
    local texts = {}
    for address, text in dump:strings() do
      texts[#texts + 1] = ("%x %d"):format(address, #text)
    end
    assert.are.same({"1000 4096", "102000 4096"}, texts)
    local plain = assert(qvm.open(files.write("plain.gcore", files.read(path))))
    for _ in dump:diff(plain) do
      error("a difference between equal dumps")
    end
  end)

  it("raises for an invalid pattern or option", function()
    local dump = memory {paddr = 0, bytes = "x"}
    for _, case in ipairs {{"", "from 1 to 1048576 bytes"}, {1, "string expected, got number"},
      {nil, "string expected, got no value"},
      {("x"):rep((1 << 20) + 1), "from 1 to 1048576 bytes"}} do
      local ok, message = pcall(function() dump:find(case[1]) end)
      assert.is_false(ok)
      assert.matches(case[2], message, 1, true)
      assert.matches("find_spec.lua:", message, 1, true)
    end
    for _, options in ipairs {{align = 0}, {align = -4}, {align = 1.5}, {from = "0"}, {too = 1},
      {progress = 1}, 5} do
      local ok, message = pcall(function() dump:find("x", options) end)
      assert.is_false(ok)
      assert.matches("find_spec.lua:", message, 1, true)
    end
  end)

  it("fails after its dump is closed", function()
    local dump = memory {paddr = 0, bytes = "xxx"}
    local iterator = dump:find("x")
    dump:close()
    local ok, message = pcall(function() for _ in iterator do end end)
    assert.is_false(ok)
    assert.matches("find_spec.lua:%d+: the dump is closed", message)
    for _, make in ipairs {function() dump:find("x") end,
      function() dump:strings() end, function() dump:diff(dump) end} do
      ok, message = pcall(make)
      assert.is_false(ok)
      assert.matches("find_spec.lua:%d+: the dump is closed", message)
    end
    assert.are.equal("gone", select(3, dump:array(0, "u8", 1)))
  end)

  it("survives a finalizer that closes its dump during a method", function()
    local path = files.write("v.gcore", writer.file {machine = "aarch64",
      segments = {{paddr = 0, bytes = ("x"):rep(1 << 18)}}})
    local calls = {
      function(d) return d:array(0, "u8", 1 << 16) end,
      function(d) return d:read(0, 1 << 18) end,
      function(d) return d:cstring(0, 1 << 17) end,
      function(d) return (d:find("y")) and (d:find("y"))() or d:u8(0) end,
      function(d) return d:strings(4)() end,
      function(d) return d:segments()() end}
    for _, call in ipairs(calls) do
      for _ = 1, 5 do
        local dump = assert(qvm.open(path))
        -- Collectable immediately.
        setmetatable({}, {__gc = function() dump:close() end})
        local ok, result
        local count = 0
        repeat
          ok, result = pcall(call, dump)
          count = count + 1
        until not ok or result == nil or count > 2000
      end
    end
  end)

  it("raises if its progress function closes the dump", function()
    local dump = memory {paddr = 0, bytes = "xxx"}
    assert.error_matches(function()
      for _ in dump:find("x", {progress = function() dump:close() end}) do end
    end, "the dump is closed")
  end)

  it("reports its progress", function()
    local dump = memory({paddr = 0x1000, bytes = ("x"):rep(19 << 20)},
      {paddr = 1 << 40, bytes = ("y"):rep(1 << 20)})
    local seen = {}
    for _ in dump:find("z", {progress = function(done, total)
      assert.are.equal(20 << 20, total)
      seen[#seen + 1] = done
    end}) do end
    assert.are.equal(20 << 20, seen[#seen])
    for i = 2, #seen do
      assert.is_true(seen[i] >= seen[i - 1] and seen[i] <= 20 << 20)
    end
    assert.is_true(#seen >= 4 and seen[1] > 0 and seen[1] < 20 << 20)
    assert.error_matches(function()
      for _ in dump:find("z", {progress = function() error("stop") end}) do end
    end, "stop")
  end)

  it("crosses thousands of small segments stored out of order in the file", function()
    local parts, segments = {}, {}
    math.randomseed(5)
    local at = 0
    for i = 1, 6000 do
      parts[i] = string.char(96 + i % 7):rep(math.random(3)) .. (i % 50 == 0 and "\0\0\0" or "")
      segments[i] = {paddr = at, bytes = parts[i]}
      at = at + #parts[i]
    end
    for i = #segments, 2, -1 do
      local j = math.random(i)
      segments[i], segments[j] = segments[j], segments[i]
    end
    local dump, bytes = memory(table.unpack(segments)), table.concat(parts)
    for _, pattern in ipairs {"abc", bytes:sub(3000, 9000), bytes:sub(-70), "\0\0\0a", "e\0"} do
      local expected, from = {}, 1
      while true do
        from = bytes:find(pattern, from, true)
        if not from then
          break
        end
        expected[#expected + 1] = ("%x"):format(from - 1)
        from = from + 1
      end
      assert.is_true(#expected > 0)
      assert.are.same(expected, all(dump:find(pattern)))
    end
    assert.are.same({}, all(dump:diff(dump)))
  end)

  it("reaches data after thousands of holes", function()
    local segments = {}
    for i = 1, 6000 do
      segments[i] = {paddr = i << 20, filesz = 0, memsz = 1 << 17}
    end
    segments[6001] = {paddr = 1 << 40, bytes = "needle"}
    local dump = memory(table.unpack(segments))
    assert.are.same({"10000000000"}, all(dump:find("needle")))
    assert.are.same({"10000000000:needle"}, all(dump:strings()))
    segments[6001].bytes = "needlX"
    local other = assert(qvm.open(files.write("other.gcore", writer.file {machine = "aarch64",
      segments = segments})))
    assert.are.same({"10000000005+1 changed"}, dumps.extents(dump:diff(other)))
  end)

  -- An emulator may report a wrong fault address (spec/cross/cross.mk).
  local it_with_fault_addresses = os.getenv("QVM_WRONG_FAULTS") and pending or it

  it_with_fault_addresses("raises in any thread if small segments disappear", function()
    local segments = {}
    for i = 1, 500 do
      segments[i] = {paddr = i * 0x1000, bytes = ("x"):rep(3000)}
    end
    local dump = memory(table.unpack(segments))
    assert(dump:u8(0x1000 * 500))
    assert(os.execute("truncate -s 200000 " .. process.quote(dump.path)))
    local count = 0
    local ok, message = pcall(function()
      for _ in dump:find("xx", {align = 1000}) do
        count = count + 1
      end
    end)
    assert.is_false(ok)
    assert.matches("test.gcore: no %d+ bytes at offset", message)
    assert.is_true(count > 50)
    assert.is_false(pcall(function() for _ in dump:diff(dump) do end end))
  end)

  it("skips memory that a truncated dump lacks", function()
    local bytes = writer.file {machine = "aarch64", segments = {
      {paddr = 0x1000, bytes = "needle"}, {paddr = 0x2000, bytes = "needle"}}}
    local path = files.write("cut.gcore", bytes:sub(1, -2))
    local dump = assert(qvm.open(path, {partial = true}))
    assert.are.same({"1000"}, all(dump:find("needle")))
    assert.are.same({"1000:needle", "2000:needl"}, all(dump:strings()))
  end)

  it("raises if the file is truncated during the search", function()
    local dump = memory {paddr = 0x1000, bytes = ("x"):rep(100000)}
    assert(os.execute("truncate -s 5000 " .. process.quote(dump.path)))
    local ok, message = pcall(function() for _ in dump:find("y") do end end)
    assert.is_false(ok)
    assert.matches("find_spec.lua:%d+: .*test.gcore: no %d+ bytes at offset", message)
    assert.is_false(pcall(function() for _ in dump:strings() do end end))
  end)
end)

describe("find, on any memory,", function()
  after_each(files.clean)

  it("returns hundreds of thousands of matches of a long pattern", function()
    local count = 0
    for address in memory({paddr = 0, bytes = ("a"):rep(300000)}):find(("a"):rep(100000)) do
      assert(address == count)
      count = count + 1
    end
    assert.are.equal(200001, count)
  end)

  -- The matches according to string.find.
  local function expected(regions, pattern, options)
    local list = {}
    for _, region in ipairs(regions) do
      local at = region.bytes:find(pattern, 1, true)
      while at do
        local address = region.paddr + at - 1
        if address >= options.from and address + #pattern <= options.to
          and address % options.align == 0 then
          list[#list + 1] = ("%x"):format(address)
        end
        at = region.bytes:find(pattern, at + 1, true)
      end
    end
    return table.concat(list, " ")
  end

  local function random_bytes(size, alphabet)
    local bytes = {}
    for i = 1, size do
      bytes[i] = string.char(math.random(0, alphabet))
    end
    return table.concat(bytes)
  end

  -- Regions of memory with gaps between them, each split into several segments.
  local function random_memory(alphabet)
    local regions, segments, at = {}, {}, 0x1000
    for _ = 1, math.random(3) do
      local bytes = random_bytes(math.random(math.random() < 0.2 and 30000 or 600), alphabet)
      if math.random() < 0.3 then
        bytes = bytes .. ("\0"):rep(math.random(70000)) .. random_bytes(10, alphabet)
      end
      regions[#regions + 1] = {paddr = at, bytes = bytes}
      local i = 1
      while i <= #bytes do
        local size = math.random(#bytes - i + 1)
        segments[#segments + 1] = {paddr = at + i - 1, bytes = bytes:sub(i, i + size - 1)}
        i = i + size
      end
      at = at + #bytes + math.random(50)
    end
    return regions, segments
  end

  local function random_pattern(regions, alphabet)
    local bytes = regions[math.random(#regions)].bytes
    local at = math.random(#bytes)
    local size = math.random(0, math.random() < 0.2 and 5000 or 8)
    return math.random() < 0.7 and bytes:sub(at, at + size)
      or random_bytes(math.random(6), alphabet + 1)
  end

  it("agrees with string.find on 30 random memories", function()
    math.randomseed(20261123)
    for _ = 1, os.getenv("QVM_VALGRIND") and 3 or 30 do
      local alphabet = math.random(3)
      local regions, segments = random_memory(alphabet)
      local path = files.write("random.gcore",
        writer.file {machine = "aarch64", segments = segments})
      os.execute("fallocate -d " .. process.quote(path) .. " 2>/dev/null")
      local dump <close> = assert(qvm.open(path))
      for _ = 1, 12 do
        local pattern = random_pattern(regions, alphabet)
        local options = {from = 0, to = 1 << 40}
        options.align = math.random() < 0.3 and math.random(16) or 1
        if math.random() < 0.5 then
          options.from = 0x1000 + math.random(0, 2000)
          options.to = options.from + math.random(0, 100000)
        end
        local found = table.concat(all(dump:find(pattern, options)), " ")
        assert(expected(regions, pattern, options) == found, "different matches")
      end
    end
  end)

  -- Runs a script that searches 40 MiB; returns the number of threads that it starts.
  local function threads_of(options, ...)
    local path = files.write("threads.gcore", writer.file {machine = "aarch64",
      segments = {{paddr = 0, bytes = ("\1\2\3\4"):rep(10 << 20)}}})
    local preload = (os.getenv("QVM_PRELOAD") or "") .. " " .. sim.build .. "/helpers/threads.so"
    local arguments = {"env", "LD_PRELOAD=" .. preload, "LUA_PATH=" .. package.path,
      "LUA_CPATH=" .. package.cpath, arg and arg[-1] or "lua5.4", "-e",
      ("for _ in assert(require 'qvm'.open(%q)):find('\1\2\3\5', %s) do end"):format(path, options)}
    for i, word in ipairs {...} do
      table.insert(arguments, i, word)
    end
    local status, _, errors = process.run(arguments)
    assert.are.equal(0, status, errors)
    return select(2, errors:gsub("thread\n", ""))
  end

  it("uses several threads where they help, or one on request", function()
    local two = io.popen("nproc"):read("n") > 1
    assert.are.equal(two, threads_of("{}") > 0)
    assert.are.equal(two, threads_of("{threads = 2}") > 0)
    assert.are.equal(0, threads_of("{threads = 1}"))
    assert.are.equal(0, threads_of("{}", "taskset", "-c", "0"))
  end)

  it("frees its memory as soon as a loop breaks", function()
    local dump = memory {paddr = 0, bytes = ("needle "):rep(1 << 14)}
    local function resident()
      return tonumber(files.read("/proc/self/statm"):match("^%d+ (%d+)")) * 4096
    end
    collectgarbage()
    collectgarbage("stop")
    local before = resident()
    for _ = 1, os.getenv("QVM_VALGRIND") and 200 or 2000 do
      for _ in dump:find("needle") do -- luacheck: ignore 512
        break
      end
    end
    local grown = resident() - before
    collectgarbage("restart")
    assert.is_true(grown < 8 << 20, ("memory grew by %d bytes"):format(grown))
  end)

  it("cannot be resumed after its loop has ended", function()
    local dump = memory {paddr = 0, bytes = "needle needle"}
    local next, state, control, closing = dump:find("needle")
    for _ in next, state, control, closing do -- luacheck: ignore 512
      break
    end
    local ok, message = pcall(next)
    assert.is_false(ok)
    assert.matches("the loop over this iterator has ended", message, 1, true)
  end)
end)

describe("strings", function()
  after_each(files.clean)

  it("returns printable strings with their addresses", function()
    local dump = memory({paddr = 0x1000, bytes = "\0abc\0four\1\tfive 5~\127\128longer one"},
      {paddr = 0x2000, bytes = "end"})
    assert.are.same({"1005:four", "100a:\tfive 5~", "1014:longer one"}, all(dump:strings()))
    assert.are.same({"1014:longer one"}, all(dump:strings(9)))
    assert.are.same({"1001:abc", "1005:four", "100a:\tfive 5~", "1014:longer one", "2000:end"},
      all(dump:strings(1)))
    assert.are.same({"1006:our", "100a:\tfi"}, all(dump:strings(3, {from = 0x1006, to = 0x100d})))
  end)

  it("joins adjacent segments and reaches the top of memory", function()
    local dump = memory({paddr = 0x1003, bytes = "def"}, {paddr = 0x1000, bytes = "abc"},
      {paddr = 0x1007, bytes = "ghi"}, {paddr = -4, bytes = "last"}, {paddr = 0, bytes = "first"})
    assert.are.same({"0:first", "1000:abcdef", "fffffffffffffffc:last"}, all(dump:strings()))
  end)

  it("splits long strings", function()
    local long = ("0123456789abcdef"):rep(1 << 14) -- 256 KiB
    local dump = memory {paddr = 0x1000, bytes = long .. "rest\0" .. ("x"):rep(65536) .. "\0y"}
    local texts, addresses = {}, {}
    for address, text in dump:strings() do
      texts[#texts + 1], addresses[#addresses + 1] = text, address
    end
    assert(table.concat(texts) == long .. "rest" .. ("x"):rep(65536), "different text")
    assert.are.same({0x1000, 0x11000, 0x21000, 0x31000, 0x41000, 0x41005}, addresses)
  end)

  it("agrees with string.gmatch", function()
    math.randomseed(4)
    for _ = 1, 10 do
      local parts = {}
      for i = 1, math.random(2000) do
        parts[i] = math.random() < 0.7 and string.char(math.random(32, 126))
          or ("\0"):rep(math.random(0, 40))
      end
      -- As long as blocks and parts of them, at any alignment.
      for _, length in ipairs {60, 63, 64, 65, 70, 127, 128, 129, 191, 200, 65535, 65536} do
        table.insert(parts, math.random(#parts), ("\1"):rep(math.random(0, 70)) ..
          ("long"):rep(length):sub(1, length) .. "\2")
      end
      local bytes = table.concat(parts)
      local dump <close> = memory {paddr = 0x1000, bytes = bytes}
      for _, min in ipairs {1, 2, 4, 9, 63, 64, 65, 127, 128, 129, 200} do
        local expected = {}
        for at, text in bytes:gmatch("()([\t -~]+)") do
          if #text >= min then
            expected[#expected + 1] = ("%x:%s"):format(0x1000 + at - 1, text)
          end
        end
        assert(table.concat(expected, "\n") == table.concat(all(dump:strings(min)), "\n"),
          "different strings")
      end
    end
  end)

  it("raises for an invalid minimum length", function()
    local dump = memory {paddr = 0, bytes = "x"}
    for _, min in ipairs {0, -1, 1.5, "4", 65537} do
      assert.is_false(pcall(dump.strings, dump, min))
    end
  end)
end)

describe("array", function()
  after_each(files.clean)

  local bytes = ""
  for i = 0, 255 do
    bytes = bytes .. string.char((i * 73 + 129) % 256)
  end
  local types = {u8 = "I1", u16 = "I2", u32 = "I4", u64 = "i8", i8 = "i1", i16 = "i2", i32 = "i4",
    i64 = "i8"}

  it("decodes every type in the dump's byte order", function()
    for order, machine in pairs {["<"] = "aarch64", [">"] = "arm"} do
      local dump = open(writer.as(order, 32, function()
        return writer.file {machine = machine, segments = {{paddr = 0x1000, bytes = bytes}}}
      end))
      for name, format in pairs(types) do
        local size = string.packsize(format)
        local count = 240 // size
        local values = dump:array(0x1003, name, count)
        assert.are.equal(count, #values)
        for i = 1, count do
          local value = string.unpack(order .. format, bytes, 4 + (i - 1) * size)
          assert.are.equal(value, values[i])
          assert.are.equal(value, dump[name](dump, 0x1003 + (i - 1) * size))
        end
      end
    end
  end)

  it("returns all values or none", function()
    local dump = memory({paddr = 0x1000, bytes = bytes}, {paddr = 0x1100, bytes = bytes})
    assert.are.equal(64, #dump:array(0x1000, "u64", 64))
    assert.are.same({}, dump:array(0x9000, "u64", 0))
    local values, message, code = dump:array(0x1008, "u64", 64)
    assert.are.same({nil, "unmapped"}, {values, code})
    assert.matches("0x0000000000001200 is not in the dump", message)
    assert.are.equal("unmapped", select(3, dump:array(0x1000, "u64", 1 << 30)))
    for _, call in ipairs {{0, "u7", 1}, {0, "u64", -1}, {0, "u64", 1 << 40}, {0, "u64"}, {0, 8, 1},
      {"0", "u8", 1}} do
      assert.is_false(pcall(dump.array, dump, table.unpack(call, 1, 3)))
    end
  end)

  it("reads more values than one buffer holds", function()
    local values = memory({paddr = 0, bytes = bytes:rep(2000)}):array(0, "u32", 128000)
    assert.are.equal(128000, #values)
    for i = 1, 128000, 997 do
      assert.are.equal(string.unpack("<I4", bytes, (i - 1) % 64 * 4 + 1), values[i])
    end
  end)
end)
