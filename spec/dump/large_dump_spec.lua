-- A sparse dump whose size needs more than 32 bits.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local BASE, SIZE, HEAD = 0x80000000, (6 << 30) + 5, 4096

-- Offsets into memory: across 2^31 and 2^32 in the file, beyond 5 GiB, and the last bytes.
local marks = {(1 << 31) - HEAD - 4, (1 << 32) - HEAD - 4, (5 << 30) + 3, SIZE - 8}

local function mark(i)
  return ("mark %03d"):format(i)
end

-- Other programs write the file: this Lua's own file offsets may have 32 bits.
local function write(name, changed)
  local head = writer.header {machine = 183, phnum = 1}
    .. writer.program_header {offset = HEAD, paddr = BASE, filesz = SIZE, memsz = SIZE}
  local path = files.write(name, head)
  local quoted = process.quote(path)
  assert(os.execute(("truncate -s %d %s"):format(HEAD + SIZE, quoted)))
  for i, offset in ipairs(marks) do
    -- dd must not inherit the specs' LD_PRELOAD.
    assert(os.execute(("printf '%s' | env -u LD_PRELOAD dd of=%s seek=%d bs=8 "
      .. "oflag=seek_bytes conv=notrunc status=none"):format(
      i == changed and "changed!" or mark(i), quoted, HEAD + offset)))
  end
  return path
end

describe("a dump of more than 4 GiB", function()
  local path, dump

  before_each(function()
    path = write("large.gcore")
    dump = assert(qvm.open(path))
  end)

  after_each(function()
    dump:close()
    files.clean()
  end)

  it("lists all of its memory", function()
    assert.are.equal(HEAD + SIZE, dump.size)
    local start, size = dump:ranges()()
    assert.are.same({BASE, SIZE}, {start, size})
    assert.is_true(dump.complete)
  end)

  it("can be read at the 32-bit limits and at its end", function()
    for i, offset in ipairs(marks) do
      assert.are.equal(mark(i), dump:read(BASE + offset, 8))
      assert.are.equal(string.unpack("<i8", mark(i)), dump:u64(BASE + offset))
      assert.are.equal("\0", dump:read(BASE + offset - 1, 1))
    end
    assert.are.equal("unmapped", select(3, dump:u8(BASE + SIZE)))
    assert.are.equal("unmapped", select(3, dump:read(BASE, SIZE + 1)))
  end)

  it("can be searched to its end", function()
    local found = {}
    for address in dump:find("mark ") do
      found[#found + 1] = address - BASE
    end
    assert.are.same(marks, found)
    local texts = {}
    for address, text in dump:strings(8) do
      texts[address - BASE] = text
    end
    assert.are.equal(mark(3), texts[marks[3]])
  end)

  it("can be compared to its end", function()
    local other <close> = assert(qvm.open(write("other.gcore", 4)))
    local differences = {}
    for start, size in dump:diff(other, {granularity = 8}) do
      differences[#differences + 1] = {start - BASE, size}
    end
    local first = marks[4] // 8 * 8
    assert.are.same({{first, SIZE - first}}, differences)
  end)

  it("is truncated if bytes beyond 4 GiB are missing", function()
    dump:close()
    assert(os.execute(("truncate -s %d %s"):format((5 << 30) - 1, process.quote(path))))
    local _, message, code = qvm.open(path)
    assert.are.equal("truncated", code)
    assert.matches((": %d of %d bytes are missing"):format(HEAD + SIZE - (5 << 30) + 1,
      HEAD + SIZE), message)
    dump = assert(qvm.open(path, {partial = true}))
    assert.are.equal(mark(2), dump:read(BASE + marks[2], 8))
    assert.are.equal("truncated", select(3, dump:read(BASE + marks[3], 8)))
  end)
end)
