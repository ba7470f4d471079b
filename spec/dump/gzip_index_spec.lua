-- The index of a compressed dump: made once, on request, and read from then on.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

-- 3 MiB that compress badly, between zeros that compress well.
local function memory()
  local parts = {("\0"):rep(1 << 20)}
  math.randomseed(11)
  for i = 2, 3 << 14 do
    parts[i] = string.pack("<I8I8I8I8I8I8I8I8", i, math.random(0), 0, math.random(0), i,
      math.random(0), 7, math.random(0))
  end
  parts[#parts + 1] = ("\0"):rep(1 << 20)
  return table.concat(parts)
end

local START = 0x1000

describe("the index of a compressed dump", function()
  local bytes, plain, path

  lazy_setup(function()
    bytes = memory()
    plain = writer.small {memory = {{paddr = START, bytes = bytes}},
      cpus = {{registers = writer.aarch64 {elr = 0x1234}, process = "one"}}}
  end)

  before_each(function()
    path = files.write("one.gcore", plain)
    assert(os.execute("gzip -1n " .. process.quote(path)))
    path = path .. ".gz"
  end)

  after_each(files.clean)

  local function open(options)
    options = options or {}
    options.index = true
    return assert(qvm.open(path, options))
  end

  -- Writes a file anew without changing its time.
  local function rewrite(name, content)
    local time = lfs.attributes(name, "modification")
    files.write(name, content)
    assert(lfs.touch(name, time, time))
  end

  -- Changes a byte in the middle of a file.
  local function damage(name, at)
    local old = files.read(name)
    rewrite(name, old:sub(1, at - 1) .. string.char(old:byte(at) ~ 0x5a) .. old:sub(at + 1))
  end

  local function reads_right(dump)
    assert.are.same({#plain, true, {}}, {dump.size, dump.complete, dump.warnings})
    assert.are.equal(0x1234, dump:vcpu(0).pc)
    for at = #bytes - 1000, 0, -99991 do
      assert(dump:read(START + at, 1000) == bytes:sub(at + 1, at + 1000), "different bytes")
    end
    assert(dump:read(START, #bytes) == bytes, "different bytes")
    assert.are.equal("unmapped", select(3, dump:read(START, #bytes + 1)))
  end

  it("is made by the first opening that asks for it", function()
    qvm.open(path, {index = false}):close()
    assert.is_false(files.exists(path .. ".index"))
    local dump <close> = open()
    reads_right(dump)
    assert.are.equal("rw-------", lfs.attributes(path .. ".index", "permissions"))
  end)

  it("lets later ones read without what is before", function()
    open():close()
    local dump <close> = open()
    reads_right(dump)
    -- The file is damaged where reading the end without an index would have to pass.
    damage(path, lfs.attributes(path, "size") // 3)
    local last = START + #bytes - (1 << 20)
    local again <close> = open()
    assert.are.equal(bytes:sub(-(1 << 20)), again:read(last, 1 << 20))
    assert.are.equal("malformed", select(3, qvm.open(path)))
  end)

  -- Zeros after the data are padding.
  local function pad(name, size)
    files.append(name, ("\0"):rep(size - lfs.attributes(name, "size")))
  end

  it("is made anew for another file of that name, even of that size", function()
    local size = lfs.attributes(path, "size") + (1 << 20)
    pad(path, size)
    open():close()
    local old = files.read(path .. ".index")
    bytes = bytes:sub(1, 2 << 20) .. bytes:sub((2 << 20) + 1):reverse()
    plain = writer.small {memory = {{paddr = START, bytes = bytes}},
      cpus = {{registers = writer.aarch64 {elr = 0x1234}, process = "one"}}}
    os.remove(path)
    assert(os.execute("gzip -1n " .. process.quote(files.write("one.gcore", plain))))
    pad(path, size)
    assert.are.equal(size, lfs.attributes(path, "size"))
    for _ = 1, 2 do
      local dump <close> = open()
      reads_right(dump)
    end
    assert.are_not.equal(old, files.read(path .. ".index"))
  end)

  it("is made anew if it is damaged, wherever that is", function()
    open():close()
    local whole = files.read(path .. ".index")
    for at = 9, #whole, #whole // 40 do
      damage(path .. ".index", at)
      local dump <close> = open()
      assert.are.same({}, dump.warnings)
      assert.are.equal(bytes:sub(-9), dump:read(START + #bytes - 9, 9))
      assert(files.read(path .. ".index") == whole, "it is still damaged")
    end
    for _, length in ipairs {8, 9, 40, #whole - 1} do
      files.write(path .. ".index", whole:sub(1, length))
      open():close()
      assert(files.read(path .. ".index") == whole, "it is still cut")
    end
  end)

  it("leaves a file alone that is no index, and says so", function()
    files.write(path .. ".index", "my notes")
    local dump <close> = open()
    assert.are.same({"no index: " .. path .. ".index: not an index of a compressed dump"},
      dump.warnings)
    assert.are.equal("my notes", files.read(path .. ".index"))
    assert.are.equal(bytes:sub(1, 9), dump:read(START, 9))
  end)

  it("says why there is none", function()
    files.mkdir("one.gcore.gz.index")
    local dump <close> = open()
    assert.matches("^no index: .*not a regular file$", dump.warnings[1])
    assert(dump:read(START, #bytes) == bytes, "different bytes")
  end)

  it("is neither made nor used for a dump that may be damaged", function()
    open({partial = true}):close()
    assert.is_false(files.exists(path .. ".index"))
    open():close()
    damage(path, lfs.attributes(path, "size") // 3)
    local dump <close> = open {partial = true}
    assert.is_false(dump.complete)
    assert.matches("damaged", dump.warnings[1])
  end)

  it("is made anew when the dump has changed since", function()
    open():close()
    local time = lfs.attributes(path, "modification")
    damage(path, lfs.attributes(path, "size") // 3)
    assert(lfs.touch(path, time, time + 5))
    assert.are.equal("malformed", select(3, qvm.open(path, {index = true})))
  end)

  it("is made anew when something was written after the data", function()
    local more = 1000
    pad(path, lfs.attributes(path, "size") + more)
    open():close()
    rewrite(path, files.read(path):sub(1, -more - 1) .. ("!"):rep(more))
    for _ = 1, 2 do
      local dump <close> = open()
      assert.matches("not gzip data follows", dump.warnings[1])
    end
  end)

  -- CRC-32 as in RFC 1952, section 8.
  local function crc32(text)
    local crc = 0xffffffff
    for i = 1, #text do
      crc = crc ~ text:byte(i)
      for _ = 1, 8 do
        crc = (crc >> 1) ~ (0xedb88320 & -(crc & 1))
      end
    end
    return crc ~ 0xffffffff
  end

  -- Replaces some bytes of an index, which stays whole.
  local function forge(at, new_bytes)
    local old = files.read(path .. ".index")
    local new = old:sub(1, at - 1) .. new_bytes .. old:sub(at + #new_bytes, -5)
    files.write(path .. ".index", new .. string.pack("<I4", crc32(new)))
  end

  it("is made anew if it is whole and wrong", function()
    open():close()
    local whole = files.read(path .. ".index")
    for _, wrong in ipairs {
      {45, string.pack("<I8", 100)}, -- the size of the data
      {53, string.pack("<I4", 0)}, -- the number of points
      {53, string.pack("<I4", 3)},
      {65, string.pack("<I8", (1 << 63) - 1)}, -- the offset of the first one
      {33, string.pack("<I8", 1 << 40)}, -- the end
    } do
      forge(table.unpack(wrong))
      local dump <close> = open()
      reads_right(dump)
      assert(files.read(path .. ".index") == whole, "it is still wrong")
    end
  end)

  it("is left alone if another version of the library made it", function()
    open():close()
    forge(9, string.pack("<I4", 99))
    local forged = files.read(path .. ".index")
    local dump <close> = open()
    assert.matches("^no index: .*another version", dump.warnings[1])
    assert(files.read(path .. ".index") == forged, "it was replaced")
  end)

  it("is for this user alone when it is made anew", function()
    open():close()
    assert(os.execute("chmod 644 " .. process.quote(path .. ".index")))
    damage(path .. ".index", 100)
    open():close()
    assert.are.equal("rw-------", lfs.attributes(path .. ".index", "permissions"))
  end)

  it("is not used if others may write to it", function()
    open():close()
    assert(os.execute("chmod 666 " .. process.quote(path .. ".index")))
    local dump <close> = open()
    assert.matches("others than its owner may write to it: not used$", dump.warnings[1])
    assert.are.equal(bytes:sub(-9), dump:read(START + #bytes - 9, 9))
  end)

  it("is not a file that a link leads to", function()
    files.symlink(files.write("elsewhere", "other"), "one.gcore.gz.index")
    local dump <close> = open()
    assert.matches("^no index: ", dump.warnings[1])
    assert.are.equal("other", files.read(files.path("elsewhere")))
  end)

  it("of several members knows them all", function()
    local function members(...)
      local parts = {}
      for i, part in ipairs {...} do
        local pipe <close> = assert(io.popen("gzip -1n <" ..
          process.quote(files.write("part" .. i, part))))
        parts[i] = pipe:read("a")
      end
      return table.concat(parts)
    end
    local third = #plain // 3
    rewrite(path, members(plain:sub(1, third), plain:sub(third + 1, 2 * third), "",
      plain:sub(2 * third + 1)))
    for _ = 1, 2 do
      local dump <close> = open()
      reads_right(dump)
    end
  end)

  it("is not made for a dump that is not compressed", function()
    path = files.write("plain.gcore", plain)
    local dump <close> = open()
    assert.are.same({{}, false}, {dump.warnings, files.exists(path .. ".index")})
  end)

  it("is not used if another user may have put it there", function()
    open():close()
    if not os.execute("chown 1 " .. process.quote(path .. ".index") .. " 2>/dev/null") then
      return pending "only root can give files away"
    end
    local dump <close> = open()
    assert.matches("belongs to another user than the dump: not used", dump.warnings[1])
    assert.are.equal(bytes:sub(-9), dump:read(START + #bytes - 9, 9))
  end)
end)
