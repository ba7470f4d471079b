-- A gzip dump with one block of deflate data that is longer than what one step unpacks. zlib
-- makes no such blocks, so the file is made here (RFC 1951).

local files = require "support.files"
local process = require "support.process"
local writer = require "support.dumpwriter"

local MATCH = "11000101" .. "00000" -- with the fixed codes: 258 bytes, the one before again

-- The bytes of a string of bits, the lowest bit of each byte first.
local function bytes_of(bits)
  return (bits:gsub("%d%d%d%d%d%d%d%d", function(byte)
    return string.char(tonumber(byte:reverse(), 2))
  end))
end

-- One block with 258 * (8 * times + 1) + 1 zeros. Eight matches are 13 bytes, which repeat.
local function block_of_zeros(times)
  local bytes = bytes_of("010" .. "00110000" .. MATCH:rep(17) .. "00000000")
  return bytes:sub(1, 2) .. bytes:sub(3, 15):rep(times), 258 * (8 * times + 1) + 1
end

-- Ends that block, and appends bytes as they are.
local function stored(bytes)
  local parts = {bytes_of(MATCH:sub(6) .. "0000000" .. "000" .. "000000")}
  for at = 1, #bytes, 0xffff do
    local part = bytes:sub(at, at + 0xfffe)
    parts[#parts + 1] = string.pack("<I2I2", #part, #part ~ 0xffff) .. part
      .. (at + 0xffff > #bytes and "" or "\0")
  end
  return table.concat(parts) .. "\1\0\0\xff\xff" -- an empty last block
end

-- The checksum and the size that end a gzip member with so many zeros and these bytes.
local function trailer(zeros, bytes)
  local status, out = process.run {"sh", "-c", ("(head -c %d /dev/zero; cat %s) | gzip -1 | "
    .. "tail -c 8"):format(zeros, process.quote(files.write("tail", bytes)))}
  assert(status == 0)
  return out
end

describe("a gzip dump with a very long block", function()
  after_each(files.clean)

  it("can be read anywhere, any number of times", function()
    local block, zeros = block_of_zeros(52000)
    local tail = ("not zero"):rep(1 << 17)
    local _, head = process.run {"sh", "-c", "gzip <" .. process.quote(files.write("head",
      writer.header {machine = 183, phnum = 1} .. writer.program_header {paddr = 0, offset = 120,
        filesz = zeros + #tail}))}
    local path = files.write("long.gz", head .. "\x1f\x8b\8\0\0\0\0\0\0\3" .. block .. stored(tail)
      .. trailer(zeros, tail))
    local _, out, errors = process.run({"timeout", "300", process.lua, "-e",
      ("package.path=%q;package.cpath=%q;"):format(package.path, package.cpath) .. ([[
        local qvm = require "qvm"
        local dump <close> = assert(qvm.open(%q))
        local zeros, last = %d, %d
        assert(dump:read(last - 8, 8) == "not zero")
        for i = 1, 42 do -- each of these is more than a step after the block's beginning
          assert(dump:u64(zeros - (i << 19)) == 0)
        end
        print(dump:read(last - 700000 - 700000 %% 8, 8))]]):format(path, zeros, zeros + #tail)},
      {env = {LD_PRELOAD = os.getenv("LD_PRELOAD")}})
    assert.are.equal("not zero\n", out, errors)
  end)
end)
