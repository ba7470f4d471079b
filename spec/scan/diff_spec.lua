-- Differences between two dumps: memory (diff) and vCPU registers (diff_registers).

local dumps = require "support.dumps"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local function write(name, ...)
  local path = files.write(name, writer.file {machine = "aarch64", segments = {...}})
  -- Turn zeros into holes if the file system supports them.
  os.execute("fallocate -d " .. process.quote(path) .. " 2>/dev/null")
  return assert(qvm.open(path))
end

local function pair(here, there)
  return write("here.gcore", table.unpack(here)), write("there.gcore", table.unpack(there))
end

local function all(here, there, options)
  return dumps.extents(here:diff(there, options))
end

-- Too much memory for valgrind.
local it_large = os.getenv("QVM_VALGRIND") and pending or it

describe("diff", function()
  after_each(files.clean)

  it("returns exactly the bytes that changed", function()
    local here, there = pair({{paddr = 0x1000, bytes = "0123456789"}},
      {{paddr = 0x1000, bytes = "x1xx45678y"}})
    assert.are.same({"1000+1 changed", "1002+2 changed", "1009+1 changed"}, all(here, there))
    assert.are.same({"1000+1 changed", "1002+2 changed", "1009+1 changed"}, all(there, here))
    assert.are.same({}, all(here, here))
  end)

  it("returns memory that only one of the dumps has", function()
    local here, there = pair({{paddr = 0x1000, bytes = "0123"}, {paddr = 0x3000, bytes = "abc"}},
      {{paddr = 0x0ffe, bytes = "..0123"}, {paddr = 0x3002, bytes = "x"},
        {paddr = 0x3003, bytes = "def"}})
    assert.are.same({"ffe+2 there", "3000+2 here", "3002+1 changed", "3003+3 there"},
      all(here, there))
    assert.are.same({"ffe+2 here", "3000+2 there", "3002+1 changed", "3003+3 here"},
      all(there, here))
  end)

  it("extends changes to multiples of the granularity where both have memory", function()
    local here, there = pair(
      {{paddr = 0x1004, bytes = ("."):rep(0x2ff0)}, {paddr = 0x8000, bytes = "a"}},
      {{paddr = 0x1000, bytes = ("."):rep(0x10) .. "!" .. ("."):rep(0xfff) .. "!"
        .. ("."):rep(0x3000)}, {paddr = 0x8000, bytes = "b"}})
    assert.are.same({"1000+4 there", "1010+1 changed", "2010+1 changed", "3ff4+101d there",
      "8000+1 changed"}, all(here, there))
    assert.are.same({"1000+4 there", "1010+10 changed", "2010+10 changed", "3ff4+101d there",
      "8000+1 changed"}, all(here, there, {granularity = 16}))
    assert.are.same({"1000+4 there", "1004+1ffc changed", "3ff4+101d there", "8000+1 changed"},
      all(here, there, {granularity = 4096}))
    assert.are.same({"1000+4 there", "1004+2ff0 changed", "3ff4+101d there", "8000+1 changed"},
      all(here, there, {granularity = 1 << 30}))
  end)

  it("extends changes across the edge of a hole that is not page-aligned", function()
    -- The file's blocks are not aligned with memory pages: memory begins at 0x1004.
    local function sparse(name, byte)
      local path = files.path(name)
      local file <close> = assert(io.open(path, "wb"))
      file:write(writer.header {machine = 183, phnum = 1},
        writer.program_header {paddr = 0x1004, offset = 4096, filesz = (1 << 20) + 8192})
      file:seek("set", 4096 + (1 << 20))
      file:write(byte, ("y"):rep(8191))
      file:flush()
      return assert(qvm.open(path))
    end
    local here, there = sparse("here.gcore", "a"), sparse("there.gcore", "b")
    assert.are.same({"101004+1 changed"}, all(here, there))
    assert.are.same({"101000+1000 changed"}, all(here, there, {granularity = 4096}))
    assert.are.same({"101000+20 changed"}, all(here, there, {granularity = 32}))
  end)

  it("extends changes across the end of a segment's file data", function()
    local here, there = pair({{paddr = 0, bytes = ("a"):rep(100), memsz = 1 << 20}},
      {{paddr = 0, bytes = ("a"):rep(50) .. ("b"):rep(50), memsz = 1 << 20}})
    assert.are.same({"0+1000 changed"}, all(here, there, {granularity = 4096}))
    assert.are.same({"32+32 changed"}, all(here, there))
  end)

  it("accepts from and to", function()
    local here, there = pair({{paddr = 0x1000, bytes = ("a"):rep(100)}},
      {{paddr = 0x1000, bytes = ("b"):rep(100)}})
    assert.are.same({"1005+5 changed"}, all(here, there, {from = 0x1005, to = 0x100a}))
    assert.are.same({"1060+4 changed"}, all(here, there, {from = 0x1060}))
    assert.are.same({}, all(here, there, {to = 0x1000}))
  end)

  it("joins adjacent differences across any boundary", function()
    local size = 5 << 20
    local here, there = pair({{paddr = 0x1234, bytes = ("a"):rep(size)}},
      {{paddr = 0x1234, bytes = ("b"):rep(size // 2)},
        {paddr = 0x1234 + size // 2, bytes = ("c"):rep(size // 2)}})
    assert.are.same({("1234+%x changed"):format(size)}, all(here, there))
    local only = write("only.gcore", {paddr = 1 << 40, bytes = "x"})
    assert.are.same({("1234+%x here"):format(size), "10000000000+1 there"}, all(here, only))
  end)

  it_large("compares every byte of large memory, with all processors", function()
    local size = 24 << 20
    local bytes = ("\1\2\3\4"):rep(size // 4)
    local changed, expected, at = {}, {}, 0
    for i = 1, 40 do
      local next_at = i * (size // 41) + i
      changed[#changed + 1] = bytes:sub(at + 1, next_at) .. "\255"
      expected[i] = ("%x+1 changed"):format(next_at)
      at = next_at + 1
    end
    changed[#changed + 1] = bytes:sub(at + 1)
    local here, there = pair({{paddr = 0, bytes = bytes}},
      {{paddr = 0, bytes = table.concat(changed)}})
    assert.are.same(expected, all(here, there))
  end)

  it_large("returns hundreds of thousands of ranges", function()
    local count = 200000
    local here, there = pair({{paddr = 0, bytes = ("ab"):rep(count)}},
      {{paddr = 0, bytes = ("aB"):rep(count)}})
    local seen = 0
    for start, size in here:diff(there) do
      assert(start == 2 * seen + 1 and size == 1)
      seen = seen + 1
    end
    assert.are.equal(count, seen)
  end)

  it("reaches the top of the address space", function()
    local here, there = pair({{paddr = -4, bytes = "abcd"}}, {{paddr = -4, bytes = "abcx"}})
    assert.are.same({"ffffffffffffffff+1 changed"}, all(here, there))
    assert.are.same({"fffffffffffffffc+4 changed"}, all(here, there, {granularity = 4096}))
  end)

  it("compares file data with zeros that are not in the file", function()
    local here, there = pair({{paddr = 0, filesz = 0, memsz = 1 << 44}},
      {{paddr = 0, filesz = 0, memsz = 1 << 43}, {paddr = 1 << 43, bytes = "x", memsz = 1 << 43}})
    assert.are.same({"80000000000+1 changed"}, all(here, there))
  end)

  -- Classifies each address on its own.
  local function expected(here, there, granularity)
    local kinds, top = {}, 0
    local function mark(segments, field)
      for _, segment in ipairs(segments) do
        for i = 1, #segment.bytes do
          local at = segment.paddr + i - 1
          kinds[at] = kinds[at] or {}
          kinds[at][field] = segment.bytes:byte(i)
          top = math.max(top, at)
        end
      end
    end
    mark(here, "here")
    mark(there, "there")
    local function kind_of(at)
      local k = kinds[at]
      return not k and "none" or not k.there and "here" or not k.here and "there"
        or (k.changed or k.here ~= k.there) and "changed" or "same"
    end
    local function both(at)
      return kinds[at] and kinds[at].here and kinds[at].there
    end
    for at = 0, granularity > 1 and top or -1 do
      if both(at) and kinds[at].here ~= kinds[at].there then
        local block = at // granularity * granularity
        local i = at
        while i >= block and both(i) do
          kinds[i].changed = true
          i = i - 1
        end
        i = at
        while i < block + granularity and both(i) do
          kinds[i].changed = true
          i = i + 1
        end
      end
    end
    local list, at = {}, 0
    while at <= top do
      local kind, start = kind_of(at), at
      repeat
        at = at + 1
      until at > top or kind_of(at) ~= kind
      if kind ~= "same" and kind ~= "none" then
        list[#list + 1] = ("%x+%x %s"):format(start, at - start, kind)
      end
    end
    return list
  end

  -- The segments of two similar memories.
  local function random_segments()
    local here, there, at = {}, {}, math.random(0, 5000)
    for _ = 1, math.random(3) do
      local bytes = {}
      for i = 1, math.random(3000) do
        bytes[i] = string.char(math.random(0, 1) * 65)
      end
      bytes = table.concat(bytes) .. (math.random() < 0.4
        and ("\0"):rep(math.random(150000)) .. "xyz" or "")
      local other = bytes
      for _ = 1, math.random(0, 20) do
        local i, n = math.random(#other), math.random(30)
        other = (other:sub(1, i - 1) .. ("Q"):rep(n) .. other:sub(i + n)):sub(1, #bytes)
      end
      if math.random() < 0.9 then
        here[#here + 1] = {paddr = at, bytes = bytes}
      end
      if math.random() < 0.9 then
        there[#there + 1] = {paddr = at + math.random(0, 1) * math.random(0, 20), bytes = other}
      end
      at = at + #bytes + 20 + math.random(0, 3) * math.random(0, 5000)
    end
    return here, there
  end

  it("agrees with a naive comparison on random memories", function()
    math.randomseed(11)
    for _ = 1, os.getenv("QVM_VALGRIND") and 1 or 6 do
      local here, there = random_segments()
      if #here > 0 and #there > 0 then
        local a, b = pair(here, there)
        for _, granularity in ipairs {1, 2, 64, 4096, 1 << 20} do
          assert.are.same(expected(here, there, granularity),
            all(a, b, {granularity = granularity}))
        end
      end
    end
  end)

  it("raises for an invalid dump or granularity", function()
    local here = write("here.gcore", {paddr = 0, bytes = "x"})
    for _, other in ipairs {{}, "x", 1} do
      local ok, message = pcall(function() here:diff(other) end)
      assert.is_false(ok)
      assert.matches("diff_spec.lua:%d+: bad argument #1 to 'diff' %(Dump expected", message)
    end
    for _, granularity in ipairs {0, -1, 3, 1.5, 1 << 31} do
      assert.is_false(pcall(here.diff, here, here, {granularity = granularity}))
    end
  end)

  it("fails after either dump is closed", function()
    local here, there = pair({{paddr = 0, bytes = "x"}}, {{paddr = 0, bytes = "y"}})
    local iterator = here:diff(there)
    there:close()
    assert.error_matches(function() for _ in iterator do end end, "the dump is closed")
    for _, make in ipairs {function() here:diff(there) end, function() there:diff(here) end} do
      local _, failure = pcall(make)
      assert.matches("diff_spec.lua:%d+: the dump is closed", failure)
    end
    assert.error_matches(function() here:diff_registers(there) end,
      "^the dump is closed$")
  end)
end)

describe("diff_registers", function()
  after_each(files.clean)

  local function open(name, cpus, names)
    local list = {}
    for i, cpu in ipairs(cpus) do
      list[i] = {registers = writer.aarch64(cpu), extra = cpu.extra}
    end
    local path = files.write(name, writer.small {cpus = list, note = {names = names}})
    return assert(qvm.open(path))
  end

  local function changes(here, there)
    local list = {}
    for cpu, name, before, after in here:diff_registers(there) do
      list[#list + 1] = ("%d %s %s %s"):format(cpu, name,
        before and ("%x"):format(before) or "-", after and ("%x"):format(after) or "-")
    end
    return list
  end

  it("returns each register whose value differs, in order", function()
    local here = open("here.gcore", {{elr = 0xffff800010080000, gpr = {[3] = 1}, extra = {7, 9}},
      {pstate = 5, extra = {1, 1}}}, {"ttbr0", "ttbr1"})
    local there = open("there.gcore", {{elr = 0xffff800010080004, gpr = {[3] = 2}, extra = {7, 8}},
      {pstate = 5, extra = {1, 1}}}, {"ttbr0", "ttbr1"})
    assert.are.same({"0 x3 1 2", "0 pc ffff800010080000 ffff800010080004", "0 ttbr1 9 8"},
      changes(here, there))
    assert.are.same({}, changes(here, here))
  end)

  it("returns all registers of a vCPU, or a register, that only one dump has", function()
    local here = open("here.gcore", {{extra = {1}}}, {"a"})
    local there = open("there.gcore", {{extra = {1}}, {extra = {2}}}, {"b"})
    local list = changes(here, there)
    assert.are.same({"0 a 1 -", "0 b - 1", "1 x0 - 0"}, {list[1], list[2], list[3]})
    assert.are.equal(2 + 34 + 1, #list)
    assert.are.equal("1 b - 2", list[#list])
  end)

  it("raises for an invalid dump", function()
    local here = open("here.gcore", {{}})
    assert.error_matches(function() here:diff_registers(5) end, "Dump expected, got number")
  end)
end)
