-- find and strings over large memory.

local dumps = require "support.dumps"
local files = require "support.files"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

-- Opens a plain ELF core that consists of these segments.
local function memory(...)
  return dumps.open(writer.file {machine = "aarch64", segments = {...}})
end

describe("find", function()
  after_each(files.clean)

  it("finds the same in large memory as in small, with all processors", function()
    -- 40 MiB, with a match across every boundary between units of work.
    local block = ("\1\2\3\4"):rep(1 << 17)
    local bytes = block:sub(1, -4) .. "needle" .. block:sub(4)
    local path = files.write("large.gcore", writer.file {machine = "aarch64",
      segments = {{paddr = 0, bytes = bytes:rep(40)}}})
    local dump <close> = assert(qvm.open(path))
    local count = 0
    for address in dump:find("needle") do
      assert.are.equal(count * #bytes + (1 << 19) - 3, address)
      count = count + 1
    end
    assert.are.equal(40, count)
    -- Millions of matches: 2^17 - 2 in each half of a block, and one across each boundary.
    local before, ascending = -1, true
    count = 0
    for address in dump:find("\1\2\3\4\1\2\3") do
      ascending = ascending and address > before
      before, count = address, count + 1
    end
    assert.is_true(ascending)
    assert.are.equal(40 * 2 * ((1 << 17) - 2) + 39, count)
  end)

  it("takes time proportional to the memory for any pattern", function()
    -- The pattern almost matches everywhere: quadratic time would take hours.
    local dump = memory {paddr = 0, bytes = ("a"):rep(1 << 20) .. "b"}
    local pattern = ("a"):rep(1 << 18) .. "b"
    assert.are.same({("%x"):format((1 << 20) - (1 << 18))},
      dumps.addresses(dump:find(pattern)))
    local count = 0
    for _ in dump:find(("a"):rep(1 << 19)) do
      count = count + 1
    end
    assert.are.equal((1 << 19) + 1, count)
  end)
end)

describe("strings", function()
  after_each(files.clean)

  it("agrees with string.gmatch on large memory, with one or more threads", function()
    -- Strings of all sizes at odd addresses, some longer than several units of work, and
    -- binary blocks, some with many short strings.
    math.randomseed(11)
    local text = ("The quick brown fox jumps over the lazy dog. "):rep(1 << 16)
    local parts = {}
    for i = 1, 60 do
      local kind = math.random()
      if kind < 0.2 then
        -- So few strings that no unit stops for them, many across the end of a unit.
        parts[i] = (("\1"):rep(30000) .. text:sub(1, 6000)):rep(math.random(60))
      elseif kind < 0.4 then
        parts[i] = ("\1\2ab\0cde\255"):rep(math.random(1 << 16))
      elseif kind < 0.6 then
        parts[i] = ("\0abcdefg"):rep(math.random(1 << 17))
      elseif kind < 0.8 then
        parts[i] = text:sub(1, math.random(1 << 18))
      else
        parts[i] = text:sub(1, math.random(#text)) .. (math.random() < 0.5 and "\n" or "")
      end
    end
    local bytes = table.concat(parts)
    local expected = {}
    for at, found in bytes:gmatch("()([\t -~]+)") do
      for i = 1, #found >= 5 and #found or 0, 65536 do
        expected[#expected + 1] = ("%x:%s"):format(0x1000 + at + i - 2, found:sub(i, i + 65535))
      end
    end
    local dump <close> = memory({paddr = 0x1000, bytes = bytes:sub(1, 12345678)},
      {paddr = 0x1000 + 12345678, bytes = bytes:sub(12345679)})
    for _, options in ipairs {{}, {threads = 1}} do
      local i = 0
      for address, found in dump:strings(5, options) do
        i = i + 1
        assert(("%x:%s"):format(address, found) == expected[i], i)
      end
      assert.are.equal(#expected, i)
    end
  end)
end)
