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

  -- Changes a byte in the middle of a file.
  local function damage(name, at)
    local old = files.read(name)
    files.write(name, old:sub(1, at - 1) .. string.char(old:byte(at) ~ 0x5a) .. old:sub(at + 1))
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

  it("is not made for a dump that is cut", function()
    local whole = files.read(path)
    files.write(path, whole:sub(1, #whole // 2))
    local dump <close> = open {partial = true}
    assert.matches("^no index: .*the gzip data is cut", dump.warnings[#dump.warnings])
    assert.is_false(files.exists(path .. ".index"))
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
