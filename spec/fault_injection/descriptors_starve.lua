-- Checks that started programs inherit no descriptors, that no descriptor leaks, and that
-- memory use does not grow with repeated calls.

local api = require "support.api"
local files = require "support.files"
local lfs = require "lfs"
local qvm = require "qvm"
local sim = require "support.sim"

local function descriptors()
  local list = {}
  for name in lfs.dir("/proc/self/fd") do
    local target = lfs.symlinkattributes("/proc/self/fd/" .. name, "target")
    list[#list + 1] = name:find("^%d+$") and target or nil
  end
  return list
end

-- The descriptors that a newly started program inherits.
local function of_a_child()
  local pipe <close> = assert(io.popen("exec ls -l /proc/self/fd"))
  return pipe:read("a")
end

local function resident()
  return tonumber(files.read("/proc/self/status"):match("VmRSS:%s*(%d+)")) -- KiB
end

-- Open descriptors and resident KiB after so many calls of f.
local function left_by(times, f)
  for _ = 1, times do
    f()
  end
  collectgarbage()
  collectgarbage()
  return #descriptors(), resident()
end

-- Tolerance in KiB. Search buffers of about 400 KiB each change the size of malloc's heap
-- by a few MiB between rounds. A dump that leaked at each call would add tens of MiB.
local ROUNDS, FLAT = 5, 4096

-- Descriptors must not grow at all. Memory must stop growing, which takes a while, since
-- malloc keeps freed blocks.
local function repeats(times, f)
  local open, memory = left_by(times // 10, f)
  local grown = {}
  for _ = 1, ROUNDS do
    local now, more = left_by(times, f)
    assert.are.equal(open, now)
    grown[#grown + 1] = more - memory
    memory = more
    if grown[#grown] < FLAT then
      return
    end
  end
  error(("KiB of growth after %d calls each: %s"):format(times, table.concat(grown, " ")))
end

-- An unfinished search keeps its buffers until it is collected, and Lua does not know their
-- size. This forces a collection at every so many calls.
local function now_and_then(calls)
  local count = 0
  return function()
    count = count + 1
    if count % calls == 0 then
      collectgarbage()
    end
  end
end

local TIMES = os.getenv("QVM_VALGRIND") and 100 or 10000

describe("descriptors", function()
  after_each(sim.clean)

  it("are not inherited by programs that the script starts", function()
    local path = files.write("one.gcore", api.dump_bytes("one"))
    os.execute(("gzip -kf %s"):format(path))
    local dump, packed = assert(qvm.open(path)), assert(qvm.open(path .. ".gz"))
    dump:u64(0x80000000) -- maps it
    packed:read(0x80000000, 100)
    local find = dump:find("Oops")
    find()
    assert.matches("one%.gcore\n", table.concat(descriptors(), "\n") .. "\n")
    assert.is_nil(of_a_child():find("gcore", 1, true))
    dump:close()
    packed:close()
  end)

  it("of requests and waits are not inherited either", function()
    if not sim.can_signal then
      pending("valgrind does not support pidfd_send_signal")
      return
    end
    sim.start("linux1", ("dump %s\nram 1M\ncpu"):format(files.dir()))
    qvm.root(sim.root())
    local seen
    local dump = assert(qvm.vm("linux1"):dump {dir = files.dir(), timeout = 20,
      progress = function() seen = seen or of_a_child() end})
    dump:close()
    assert.is_nil(seen:find("inotify", 1, true), seen)
    assert.is_nil(seen:find("gcore", 1, true), seen)
  end)

  local function check(name, times, prepare)
    it(("and memory do not leak: %s, %d times"):format(name, times), function()
      repeats(times, prepare())
    end)
  end

  check("a dump opened and left to the collector", TIMES, function()
    local path = files.write("one.gcore", api.dump_bytes("one"))
    local collects = now_and_then(100) -- before descriptors run out
    return function()
      assert(qvm.open(path)):u64(0x80000000)
      collects()
    end
  end)

  check("a dump opened, read and closed", TIMES, function()
    local path = files.write("one.gcore", api.dump_bytes("one"))
    return function()
      local dump <close> = assert(qvm.open(path))
      assert(dump:read(0x80000000, 100) and dump:vcpu(0) and dump:log() and dump:sections())
      -- Reads to the end: an unfinished iterator keeps its buffers until it is collected.
      for _ in dump:strings(8) do end
    end
  end)

  check("a gzip dump opened, read and closed", TIMES // 5, function()
    local path = files.write("one.gcore", api.dump_bytes("one"))
    os.execute(("gzip -f %s"):format(path))
    return function()
      local dump <close> = assert(qvm.open(path .. ".gz"))
      assert(dump:read(0x80000000, 100))
    end
  end)

  check("failures to open", TIMES, function()
    local whole = api.dump_bytes("one")
    local paths = {files.path("nowhere"), files.write("malformed", ("x"):rep(100)),
      files.write("truncated", whole:sub(1, 400)), files.write("empty", ""), files.dir(),
      files.write("bad.gz", "\31\139\8" .. ("x"):rep(50)), files.write("text", whole:sub(1, 70))}
    return function()
      for _, path in ipairs(paths) do
        assert(not qvm.open(path))
      end
      assert(not qvm.vm("nobody"))
      assert(not qvm.errata.load(paths[2]))
      assert(not qvm.conf.load(paths[1]))
      assert(not qvm.replay(files.dir()))
      assert(not qvm.decode("[1, 2"))
    end
  end)

  check("a VM asked and its env read", TIMES // 5, function()
    sim.start("linux1")
    qvm.root(sim.root())
    local vm = assert(qvm.vm("linux1"))
    return function()
      assert(vm:pid() and vm:env() and vm:state() and vm:nodes() and qvm.names())
    end
  end)

  check("address spaces, searches and comparisons", TIMES, function()
    local path = files.write("one.gcore", api.dump_bytes("one"))
    local other = assert(qvm.open(files.write("other.gcore", api.dump_bytes("other"))))
    local dump = assert(qvm.open(path))
    local collects = now_and_then(50)
    return function()
      collects()
      local space = assert(dump:space {root = 0x41000, va_bits = 39, granule = 4096})
      assert(space:translate(0x1000) and space:walk(0x1000) and space:mappings()())
      assert(space:find("Oops")() and dump:find("Oops")() and dump:diff(other)())
      assert(not dump:read(0x12345, 8) and not space:u64(0x70000000))
    end
  end)

  check("a baseline saved and loaded", TIMES // 10, function()
    local path, snapshot = files.path("base.json"), {{id = "1", value = true}}
    return function()
      assert(qvm.errata.save(path, snapshot) and qvm.errata.load(path))
      assert(not qvm.errata.save(files.path("no/base.json"), snapshot))
    end
  end)
end)
