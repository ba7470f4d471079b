-- Ctrl-C during a long operation, with the handler of the standalone interpreter. The
-- operation stops, releases its resources, and the dump remains usable.

local files = require "support.files"
local process = require "support.process"
local writer = require "support.dumpwriter"

local function head(size, filesz)
  return writer.header {machine = 183, phnum = 1}
    .. writer.program_header {offset = 120, filesz = filesz or size, memsz = size}
end

-- Runs `code` in an endless loop in another process and sends it SIGINT. Returns the two
-- lines that the process prints afterwards.
local function interrupt(path, code)
  local program = ([[
    package.path, package.cpath = %q, %q
    local qvm = require "qvm"
    local path = %q
    local dump = assert(qvm.open(path, {partial = true}))
    local function count(directory)
      local n = 0
      for _ in require("lfs").dir("/proc/self/" .. directory) do n = n + 1 end
      return n
    end
    local descriptors, threads = count("fd"), count("task")
    print("begun") io.stdout:flush()
    print(pcall(function()
      while true do
        %s
      end
    end))
    collectgarbage() collectgarbage()
    print(count("task") - threads, count("fd") - descriptors, dump:u8(0))]]):format(
    package.path, package.cpath, path, code)
  local child = process.start({process.lua, files.write("program.lua", program)},
    {log = files.path("errors"), env = {LD_PRELOAD = os.getenv("LD_PRELOAD")}})
  assert.are.equal("begun", child:line(30), files.read(files.path("errors")))
  process.sleep(0.3 + math.random() / 3)
  assert.is_true(child:is_alive())
  child:kill("INT")
  return child:line(10), child:line(10)
end

describe("Ctrl-C", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  -- Checks that the code is interrupted, that no thread or descriptor remains, and that the
-- dump can be read.
  local function check(path, code)
    local result, after = interrupt(path, code)
    assert.matches("^false\t.*interrupted!", result)
    assert.are.equal("0\t0\t0", after)
  end

  it("ends a search, a comparison and a long read", function()
    local path = files.write("large.gcore", head(1 << 50, 0))
    for _, code in ipairs {
      "for _ in dump:find('\\0', {align = 1 << 49, from = 1}) do end",
      "for _ in dump:find('\\0\\0', {align = 1 << 49, from = 1}) do end",
      "dump:read(0, 1 << 32)"} do
      check(path, code)
    end
  end)

  it("ends scans of data", function()
    local path = files.path("data.gcore")
    files.write("data.gcore", head(256 << 20) .. "\0")
    for _ = 1, 16 do
      files.append(path, ("\1"):rep(16 << 20))
    end
    for _, code in ipairs {"for _ in dump:find('x') do end", "for _ in dump:strings() do end",
      "local other = qvm.open(path) for _ in dump:diff(other) do end"} do
      check(path, code)
    end
  end)

  it("ends unpacking of a compressed dump", function()
    local size = 512 << 20
    local whole, half = files.path("whole.gz"), files.path("half.gz")
    files.write("head", head(size))
    assert(os.execute(("cd %s; (cat head; head -c %d /dev/zero) | gzip -1 >whole.gz")
      :format(process.quote(files.dir()), size)))
    files.write("half.gz", files.read(whole):sub(1, -8)) -- unpacked to find its size
    check(half, "qvm.open(path)")
    for _, code in ipairs {"assert(qvm.open(path)):u8(500 << 20)",
      "assert(qvm.open(path)):read(0, 512 << 20)", "assert(qvm.open(path)):cstring(500 << 20)",
      "for _ in assert(qvm.open(path)):find('x') do end",
      "for _ in assert(qvm.open(path)):strings() do end"} do
      check(whole, code)
    end
  end)
end)
