local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local clock = require("system").monotime

local it = sim.can_signal and it or pending

local RAM = 0x80000000

-- The simulator writes its system's name and the dump's number into memory.
local function identity(dump)
  return dump:cstring(RAM), dump:u64(RAM + 0x100)
end

-- Creates the file names that a dump in this second or the next ones would use first.
local function take_names(directory, system, seconds)
  local now = os.time()
  for second = now, now + seconds do
    files.write(("%s/%s-%s.gcore"):format(directory, system,
      os.date("%Y%m%d-%H%M%S", second)), "taken")
  end
end

describe("vm:dump", function()
  local dumps

  before_each(function()
    qvm.root(sim.root())
    dumps = files.mkdir("dumps")
  end)

  after_each(sim.clean)

  local function start(name, more, size)
    return sim.start(name, ("ram %s\ncpu\ncpu\ndump %s\n%s"):format(size or "1M", dumps,
      more or ""))
  end

  it("returns the requested dump, opened", function()
    start("linux1")
    local vm = qvm.vm("linux1")
    for number = 1, 3 do
      local dump <close> = assert(vm:dump {dir = dumps})
      local name, got = identity(dump)
      assert.are.equal("simulated guest linux1", name)
      assert.are.equal(number, got)
      assert.are.equal("qnx", dump.format)
      assert.is_true(dump.complete)
      assert.matches("^" .. dumps:gsub("%p", "%%%0")
        .. "/linux1%-%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d.*%.gcore$", dump.path)
      assert.matches("linux1 info: dump " .. number, dump:log())
    end
  end)

  it("has the registers and the memory of the simulated guest", function()
    start("linux1")
    local dump <close> = assert(qvm.vm("linux1"):dump {dir = dumps})
    for cpu in dump:vcpus() do
      local i = cpu.index
      assert.are.equal(0xffff800010081234 + i * 0x1000, cpu.pc)
      assert.are.equal(0xffff80001100f000 + i * 0x10000, cpu.sp)
      assert.are.equal(0xffff000000000000 | i << 32 | 0x1000 + 29 * 0x11, cpu.regs.x29)
      assert.are.equal(RAM + 0x41000 + i * 0x1000, cpu.pgtbl)
      assert.are.equal(0xe000000000000000 | i << 16 | 1, cpu.extra.ttbr1_el1)
    end
    for address = RAM + 0x108, RAM + 0xffff, 8 do
      assert.are.equal(address, dump:u64(address))
    end
    assert.are.equal(0, dump:u64(RAM + 0x10000))
    local ranges = {}
    for from, size in dump:ranges() do
      ranges[#ranges + 1] = {from, size}
    end
    assert.are.same({{RAM, 1 << 20}}, ranges)
  end)

  it("reads the older note format, and x86_64", function()
    for _, machine in ipairs {"aarch64", "x86_64"} do
      for _, note in ipairs {"old", "new"} do
        local name = machine .. note
        start(name, ("set sim-machine %s\nset sim-note %s"):format(machine, note))
        local dump <close> = assert(qvm.vm(name):dump {dir = dumps})
        assert.are.equal("qnx", dump.format)
        assert.are.equal(machine, dump.machine)
        assert.are.equal(machine == "aarch64" and 0xffff800010082234 or 0xffffffff81002234,
          dump:vcpu(1).pc)
        assert.are.equal(note == "new", next(dump:vcpu(0).extra) ~= nil)
        assert.are.equal("vcpu1", dump:vcpu(1).process)
      end
    end
  end)

  it("takes the directory from $QVM_DUMP_DIR", function()
    start("linux1")
    local program = ([[
      package.path, package.cpath = %q, %q
      local qvm = require "qvm"
      local vm = qvm.vm "linux1"
      print(pcall(vm.dump, vm))]]):format(package.path, package.cpath)
    local arguments = {os.getenv("LUA") or "lua5.4", "-e", program}
    local env = {QVM_ROOT = sim.root(), LD_PRELOAD = os.getenv("LD_PRELOAD")}
    assert.matches("^false\t.*needs the option 'dir' or $QVM_DUMP_DIR",
      (select(2, process.run(arguments, {env = env}))))
    env.QVM_DUMP_DIR = dumps
    assert.matches("^true\tDump .*linux1.*: qnx aarch64, 2 vCPUs, 1 MiB of memory",
      (select(2, process.run(arguments, {env = env}))))
  end)

  it("accepts a dump under an alternative name", function()
    start("linux1")
    local vm = qvm.vm("linux1")
    take_names(dumps, "linux1", 5)
    local dump <close> = assert(vm:dump {dir = dumps})
    assert.matches("%-1%.gcore$", dump.path)
    assert.are.equal(1, select(2, identity(dump)))
  end)

  it("is not misled by other dumps that appear", function()
    start("linux1", "set sim-dump-seconds 1")
    local vm = qvm.vm("linux1")
    local first = assert(vm:dump {dir = dumps})
    first:close()
    local old = os.date("%Y%m%d-%H%M%S", os.time() - 7 * 60)
    process.start {"sh", "-c", ([[
      cd %s; sleep 0.3; now=$(date +%%Y%%m%%d-%%H%%M%%S)
      for name in linux1-20200101-000001.gcore linux1-%s.gcore linux10-$now.gcore \
        linux1-$now-0.gcore linux1-$now-10.gcore linux1-$now.gcore.part xlinux1-$now.gcore \
        linux1-x-$now.gcore linux1-$now-x.gcore other1-$now.gcore; do
        cp %s $name
      done]]):format(process.quote(dumps), old, first.path)}
    local dump <close> = assert(vm:dump {dir = dumps})
    assert.are.equal(2, select(2, identity(dump)))
    assert(process.eventually(function() return #files.list(dumps) == 12 end))
  end)

  it("does not accept the dump of an earlier request that is still being written", function()
    start("linux1", "set sim-dump-seconds 1")
    local vm = qvm.vm("linux1")
    assert(vm:signal("dump"))
    assert(process.eventually(function() return files.list(dumps)[1] end))
    local dump <close> = assert(vm:dump {dir = dumps})
    assert.are.equal(2, select(2, identity(dump)))
  end)

  it("is independent of the script's time zone", function()
    start("linux1")
    for _, zone in ipairs {"Asia/Tokyo", "America/St_Johns", "Australia/Sydney", "UTC",
      "XXX-14", "XXX12"} do
      local program = ([[
        package.path, package.cpath = %q, %q
        local dump, message = require "qvm".vm "linux1":dump {dir = %q, timeout = 5}
        print(dump and dump.format or message)]]):format(package.path, package.cpath, dumps)
      local _, out = process.run({os.getenv("LUA") or "lua5.4", "-e", program},
        {env = {QVM_ROOT = sim.root(), TZ = zone, LD_PRELOAD = os.getenv("LD_PRELOAD")}})
      assert.are.equal("qnx\n", out)
    end
  end)

  it("ignores names that are not dates", function()
    start("linux1")
    for _, stamp in ipairs {"19691231-235959", "00000000-000000", "99999999-999999",
      "20261301-000000", "20260230-246060"} do
      files.write("dumps/linux1-" .. stamp .. ".gcore", "")
    end
    local dump <close> = assert(qvm.vm("linux1"):dump {dir = dumps})
    assert.are.equal(1, select(2, identity(dump)))
  end)

  it("is not misled when another process closes the dump that is being written", function()
    start("linux1", "set sim-dump-seconds 1.5")
    process.start {"sh", "-c", ([[
      for i in 1 2 3 4 5 6 7 8; do sleep 0.1; for f in %s/*.gcore; do : >>$f; done; done]])
      :format(dumps)}
    local dump <close> = assert(qvm.vm("linux1"):dump {dir = dumps})
    assert.is_true(dump.complete)
  end)

  it("returns the dump of a VM that ended after writing it", function()
    local linux1 = start("linux1", "set sim-dump-seconds 2", "4M")
    process.start {"sh", "-c", ([[
      until grep -q 'dump .*gcore' %s; do sleep 0.01; done; kill %d]])
      :format(linux1.log, linux1.pid)}
    local dump <close> = assert(qvm.vm("linux1"):dump {dir = dumps})
    assert.are.equal(1, select(2, identity(dump)))
  end)

  it("waits until a slow dump is complete, and reports progress", function()
    start("linux1", "set sim-dump-seconds 3", "4M")
    local calls = {}
    local cpu, wall = os.clock(), clock()
    local dump <close> = assert(qvm.vm("linux1"):dump {dir = dumps,
      progress = function(bytes, total)
        calls[#calls + 1] = {bytes, total}
      end})
    assert.is_true(os.clock() - cpu < (clock() - wall) / 2, "it burnt CPU time")
    assert.are.equal(1, select(2, identity(dump)))
    assert.is_true(#calls >= 3)
    assert.are.same({0}, calls[1])
    for i, call in ipairs(calls) do
      assert.is_true(i == 1 or call[1] > calls[i - 1][1])
      assert.is_true(call[2] == nil or call[2] == dump.size)
    end
    assert.are.equal(dump.size, calls[#calls][1])
    assert.are.equal(dump.size, calls[#calls][2])
  end)

  it("propagates an error of the progress function", function()
    start("linux1", "set sim-dump-seconds 0.5")
    assert.error_matches(function()
      qvm.vm("linux1"):dump {dir = dumps, progress = function() error("enough") end}
    end, "enough")
  end)

  it("times out", function()
    start("linux1", "set sim-dump-seconds 20", "4M")
    local dump, message, code = qvm.vm("linux1"):dump {dir = dumps, timeout = 3}
    assert.is_nil(dump)
    assert.are.equal("timeout", code)
    assert.matches("not complete within 3 s: %d+ of %d+ bytes", message)
  end)

  it("reports that no dump appeared", function()
    start("linux1")
    local elsewhere = files.mkdir("elsewhere")
    local dump, message, code = qvm.vm("linux1"):dump {dir = elsewhere, timeout = 1 / 3}
    assert.is_nil(dump)
    assert.are.equal("timeout", code)
    assert.matches("within 0.333333 s: its dumps go to " .. dumps .. " (", message, 1, true)
  end)

  it("reports a VM that ends before the dump is complete", function()
    local linux1 = start("linux1", "set sim-dump-seconds 30", "4M")
    local vm = qvm.vm("linux1")
    local killer = process.start {"sh", "-c", "sleep 0.5; kill -KILL " .. linux1.pid}
    local dump, message, code = vm:dump {dir = dumps, timeout = 15}
    killer:wait()
    assert.is_nil(dump)
    assert(code == "truncated" or code == "gone", message)
  end)

  it("reports an incomplete dump that its writer removed", function()
    start("linux1", "set sim-dump-seconds 30", "4M")
    process.start {"sh", "-c", "sleep 0.5; rm " .. process.quote(dumps) .. "/*.gcore"}
    local dump, _, code = qvm.vm("linux1"):dump {dir = dumps, timeout = 1}
    assert.is_nil(dump)
    assert.are.equal("timeout", code)
  end)

  it("sends nothing without a directory or a process", function()
    local linux1 = start("linux1")
    local vm = qvm.vm("linux1")
    local dump, message, code = vm:dump {dir = files.path("nowhere")}
    assert.is_nil(dump)
    assert.are.equal("not_found", code)
    assert.matches("nowhere: No such file", message)
    assert.are.same({}, files.list(dumps))
    assert.is_nil(linux1:log_text():find("dump", 1, true))
    linux1:stop()
    assert.are.equal("not_found", select(3, vm:dump {dir = dumps}))
  end)

  it("returns the right dump for two VMs that dump at once, 200 times", function()
    local names = {"linux1", "linux10"}
    local vms, numbers = {}, {}
    for _, name in ipairs(names) do
      start(name)
      vms[name], numbers[name] = qvm.vm(name), 0
    end
    local done = {}
    for cycle = 1, 200 do
      if cycle % 5 == 0 then
        take_names(dumps, names[cycle // 5 % 2 + 1], 1)
      end
      for index, name in ipairs(names) do
        -- The other VM receives a request too, and its dump appears next to this one's.
        local other = names[3 - index]
        assert(vms[other]:signal("dump"))
        numbers[other] = numbers[other] + 1
        local dump <close> = assert(vms[name]:dump {dir = dumps})
        numbers[name] = numbers[name] + 1
        local system, number = identity(dump)
        assert.are.equal("simulated guest " .. name, system)
        assert.are.equal(numbers[name], number)
        assert(process.eventually(function() -- until the other dump is there
          local files_now = files.list(dumps)
          for _, file in ipairs(files_now) do
            local stray = file:find(other .. "-", 1, true) == 1
              and qvm.open(dumps .. "/" .. file)
            if stray and stray:u64(RAM + 0x100) == numbers[other] then
              return stray:close() or true
            end
          end
        end), "the other dump did not appear")
        -- This cycle's dumps may not be closed yet; they are removed in the next one.
        for _, file in ipairs(done) do
          assert(os.remove(dumps .. "/" .. file))
        end
        done = files.list(dumps)
      end
    end
  end)
end)
