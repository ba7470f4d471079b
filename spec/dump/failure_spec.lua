-- What failures say: the whole path, however long it is and whatever has become of the object
-- that was opened with it.

local core = require "qvm.core"
local files = require "support.files"
local lfs = require "lfs"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

-- The path of `name` in a directory so deep that the path has some 4000 bytes.
local function deep(name)
  local path = files.dir()
  while #path < 3900 do
    path = path .. "/" .. ("d"):rep(120)
    assert(lfs.mkdir(path))
  end
  return path .. "/" .. name
end

local function starts_with(path, message)
  assert.are.equal(path .. ":", message:sub(1, #path + 1))
end

describe("a failure's message", function()
  after_each(files.clean)

  it("has the whole path of a file that is not a dump", function()
    local path = files.write(deep "text", ("text "):rep(20))
    local dump, message, code = qvm.open(path)
    assert.is_nil(dump)
    assert.are.equal("malformed", code)
    assert.are.equal(path .. ": offset 0: not an ELF file", message)
  end)

  it("has the whole path of a file that ends too early", function()
    local path = files.write(deep "cut.gcore", writer.small():sub(1, -2))
    local dump, message, code = qvm.open(path)
    assert.is_nil(dump)
    assert.are.equal("truncated", code)
    starts_with(path, message)
  end)

  it("has the whole path of a dump whose path nobody else keeps", function()
    local path = files.write(deep "test.gcore", writer.small())
    local dump = assert(qvm.open(table.concat {path:sub(1, 1000), path:sub(1001)}))
    dump.path = nil
    collectgarbage()
    collectgarbage()
    local value, message, code = dump:u64(0)
    assert.is_nil(value)
    assert.are.equal("unmapped", code)
    assert.are.equal(path .. ": address 0x0000000000000000 is not in the dump", message)
    dump:close()
  end)

  it("has the whole path of a file without symbols", function()
    local path = files.write(deep "test.gcore", writer.small())
    local symbols, message, code = core.open_symbols(path)
    assert.is_nil(symbols)
    assert.are.equal("malformed", code)
    assert.are.equal(path .. ": an ELF file without a symbol table", message)
  end)

  it("has the path that symbolic links have led to", function()
    assert(lfs.link("second", files.path "first", true))
    assert(lfs.link("third", files.path "second", true))
    files.mkdir "third"
    local saved, message, code = core.save(files.path "first", "bytes")
    assert.is_nil(saved)
    assert.are.equal("unsupported", code)
    starts_with(files.path "third", message)
  end)

  it("has the name that could not be written in a new directory", function()
    local directory <close> = assert(core.new_directory(files.path "new"))
    assert(directory:write("one", "bytes"))
    local written, message, code = directory:write("one", "bytes")
    assert.is_nil(written)
    assert.are.equal("io", code)
    starts_with(files.path "new/one", message)
  end)

  it("has the name of a new directory that cannot be made", function()
    local directory, message, code = core.new_directory(deep "none" .. "/new")
    assert.is_nil(directory)
    assert.are.equal("not_found", code)
    assert.matches("none/new: ", message)
  end)
end)
