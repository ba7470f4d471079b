-- vm:dump{keep = N} deletes older dumps of the VM, and no other file.

local files = require "support.files"
local lfs = require "lfs"
local qvm = require "qvm"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local it = sim.can_signal and it or pending

describe("vm:dump with keep", function()
  local dumps, vm

  before_each(function()
    qvm.root(sim.root())
    dumps = files.mkdir("dumps")
    sim.start("linux1", "ram 1M\ncpu\ncpu\ndump " .. dumps)
    vm = qvm.vm("linux1")
  end)

  after_each(sim.clean)

  local complete = writer.small {}
  local DAY = 24 * 3600
  local now = os.time() -- for all files: the second may change between two of them

  -- Writes a file with the time of a dump that was made some days ago in its name, and as its
  -- last change.
  local function write(name, days, bytes)
    local time = now - days * DAY
    local path = files.write("dumps/" .. name:gsub("%%", os.date("%Y%m%d-%H%M%S", time)),
      bytes or complete)
    assert(lfs.touch(path, time, time))
    return path
  end

  -- Dumps once. Returns the paths that were deleted, sorted, and the problems.
  local function dump(keep)
    local made, deleted, problems = assert(vm:dump {dir = dumps, keep = keep})
    assert.is_true(files.exists(made.path))
    made:close()
    table.sort(deleted)
    for _, path in ipairs(deleted) do
      assert.is_false(files.exists(path))
    end
    return deleted, problems
  end

  it("keeps the newest dumps, the new one among them", function()
    local paths = {}
    for days = 1, 5 do
      paths[days] = write("linux1-%.gcore", days)
    end
    assert.are.same({paths[5], paths[4], paths[3]}, (dump(3)))
    assert.are.equal(3, #files.list(dumps))
    assert.are.same({paths[2], paths[1]}, (dump(2)))
    assert.are.equal(2, #files.list(dumps))
  end)

  it("counts dumps of one second by the number in their names", function()
    local paths = {}
    for number = 0, 3 do
      paths[number] = write("linux1-%" .. (number > 0 and "-" .. number or "") .. ".gcore", 1)
    end
    assert.are.same({paths[1], paths[0]}, (dump(3)))
  end)

  it("deletes nothing that is not a complete dump of this VM", function()
    write("linux10-%.gcore", 9)
    write("linux1-x-%.gcore", 9)
    write("linux1-%.gcore.gz", 9)
    write("linux1-%.gcore.part", 9)
    write("linux1-%-0.gcore", 9)
    write("xlinux1-%.gcore", 9)
    write("linux1-%.gcore", 9, complete:sub(1, -2))
    write("linux1-%.gcore", 8, "notes")
    write("linux1-%.gcore", 7, "")
    local packed = write("linux1-%.gcore", 10)
    os.execute(("gzip %s && mv %s.gz %s"):format(packed, packed, packed))
    write("linux1-%.gcore", 6, writer.file {machine = "aarch64",
      segments = {{paddr = 0x80000000, bytes = "an ELF core of something else"}}})
    local before = files.list(dumps)
    assert.are.same({}, (dump(1)))
    assert.are.equal(#before + 1, #files.list(dumps))
    for _, name in ipairs(before) do
      assert.is_true(files.exists(dumps .. "/" .. name))
    end
  end)

  it("follows no links, and deletes none", function()
    local target = files.write("target.gcore", complete)
    local name = os.date("dumps/linux1-%Y%m%d-%H%M%S.gcore", os.time() - 9 * DAY)
    files.symlink(target, name)
    files.mkdir((name:gsub("%.gcore", "-1.gcore")))
    assert.are.same({}, (dump(1)))
    assert.is_true(files.exists(target))
    assert.is_true(files.exists(files.path(name)))
    local first, second = write("linux1-%.gcore", 11), write("linux1-%.gcore", 10)
    assert.are.same({first}, (dump(3))) -- the link does not count
    assert.is_true(files.exists(second))
  end)

  it("deletes nothing that is new by its name or by its last change", function()
    local named = write("linux1-%.gcore", -2)
    assert(lfs.touch(named, os.time() - 9 * DAY))
    local changed = write("linux1-%.gcore", 9)
    assert(lfs.touch(changed, os.time() + DAY))
    assert.are.same({}, (dump(1)))
    local old, middle, copied = write("linux1-%.gcore", 4), write("linux1-%.gcore", 3),
      write("linux1-%.gcore", 8)
    assert(lfs.touch(copied, os.time() - 60, os.time() - 60))
    assert.are.same({old}, (dump(3))) -- the first one of this test is the third
    assert.is_true(files.exists(middle))
    assert.is_true(files.exists(copied))
  end)

  it("returns the dump and why a file could not be deleted", function()
    local core = require "qvm.core"
    local real, path = core.remove_file, write("linux1-%.gcore", 3)
    core.remove_file = function(file) return nil, file .. ": no", "permission" end
    local ok, deleted, problems = pcall(dump, 1)
    core.remove_file = real
    assert.is_true(ok, deleted)
    assert.are.same({}, deleted)
    assert.are.same({path .. ": no"}, problems)
  end)

  it("deletes nothing if no dump was made", function()
    local path = files.mkdir("elsewhere") .. "/linux1-20201122-101500.gcore"
    assert(os.rename(write("linux1-%.gcore", 3), path))
    assert.is_nil((vm:dump {dir = files.path("elsewhere"), keep = 1, timeout = 0.3}))
    assert.is_true(files.exists(path))
  end)

  it("returns no list without keep, and takes only positive integers", function()
    local made, deleted = assert(vm:dump {dir = dumps})
    made:close()
    assert.is_nil(deleted)
    for _, keep in ipairs {0, -1, 1.5, "2", true} do
      assert.error_matches(function() vm:dump {dir = dumps, keep = keep} end,
        "option 'keep' of 'dump' is not a positive integer")
    end
  end)
end)
