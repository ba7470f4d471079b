-- A Linux guest that QEMU runs behind the simulator. What the library finds is compared with
-- what QEMU shows over a second monitor, and with the guest's own words on its console.

local files = require "support.files"
local guests = require "real_guests.guests"
local process = require "support.process"
local qmp = require "real_guests.qmp"
local qvm = require "qvm"
local sim = require "support.sim"

local BOOT_SECONDS = 240
local RAM = {x86_64 = 0, aarch64 = 0x40000000}
local SIZE = 256 << 20
local CONSOLE = {x86_64 = {"ttyS0 no_timer_check", "ser8250 loc io:0x3f8"},
  aarch64 = {"ttyAMA0", "pl011 loc 0x9000000"}}

local function configuration(machine)
  local image = guests.root .. machine .. "-image/"
  return table.concat({"set sim-machine " .. machine, "set sim-guest qemu",
    "set sim-guest-qmp " .. files.path("monitor"), "ram 256M", "cpu", "cpu name second",
    "load " .. image .. "kernel", "initrd load " .. image .. "initramfs",
    ('cmdline "console=%s printk.devkmsg=on qvm_stay=1"'):format(CONSOLE[machine][1]),
    ("vdev %s hostdev >%s"):format(CONSOLE[machine][2], files.path("console")),
    "vdev virtio-net", "vdev virtio-entropy name random", "vdev wdt-sp805 loc 0x1c0f0000",
    "dump " .. files.mkdir("dumps")}, "\n")
end

local function console()
  return files.exists(files.path("console")) and files.read(files.path("console")) or ""
end

for _, machine in ipairs {"x86_64", "aarch64"} do
  describe("a guest that QEMU runs (" .. machine .. ")", function()
    local vm, linux1, monitor

    setup(function()
      qvm.root(sim.root())
      linux1 = sim.start("linux1", configuration(machine))
      assert(process.eventually(function()
        return console():find("qvm: ready", 1, true) or not linux1.process:is_alive()
      end, BOOT_SECONDS), "it does not boot")
      assert(linux1.process:is_alive(), linux1:log_text())
      vm = qvm.vm("linux1")
      monitor = qmp.connect(files.path("monitor"))
    end)

    teardown(sim.clean)

    it("is a running VM, whose vCPUs are threads", function()
      assert.are.equal("running", vm:state())
      local env = assert(vm:env())
      assert.are.equal(machine, env.raw.machine)
      local threads = {}
      for _, cpu in ipairs(monitor:call("query-cpus-fast")) do
        threads[cpu["cpu-index"]] = cpu["thread-id"]
      end
      local count = 0
      for cpu in env:vcpus() do
        assert.are.equal(threads[cpu.index], cpu.tid)
        assert.is_true(files.exists("/proc/" .. cpu.tid))
        assert.is_true(cpu.last_known_ip ~= 0)
        count = count + 1
      end
      assert.are.equal(2, count)
    end)

    it("moves on in env", function()
      local function ips()
        local list = {}
        for cpu in assert(vm:env()):vcpus() do
          list[#list + 1] = qvm.hex(cpu.last_known_ip)
        end
        return table.concat(list, " ")
      end
      local before = ips()
      assert.is_true(process.eventually(function() return ips() ~= before end, 60))
    end)

    it("says in the log which vdevs it lacks, and in the status text how QEMU runs it", function()
      assert.matches("vdev wdt%-sp805: QEMU has none, or no more", linux1:log_text())
      local text = assert(vm:status {log = linux1.log})
      assert.matches("guest in QEMU, process %d+, TCG: running", tostring(text))
      assert.matches("vdev virtio%-entropy random", tostring(text))
      assert.is_true(files.exists(linux1.path .. "/random"))
    end)

    describe("in a dump", function()
      local dump

      setup(function()
        monitor:call("stop")
        monitor:call("pmemsave", {val = RAM[machine], size = SIZE,
          filename = files.path("memory")})
        dump = assert(vm:dump {dir = files.path("dumps"), timeout = 120})
      end)

      teardown(function()
        dump:close()
        monitor:call("cont")
      end)

      it("is in QNX's layout, with a note, a report, and registers by name", function()
        assert.are.same({"qnx", machine, true}, {dump.format, dump.machine, dump.complete})
        assert.matches("guest in QEMU, process %d+, TCG: paused", dump:log())
        assert.are.same({"vcpu0", "second"}, {dump:vcpu(0).process, dump:vcpu(1).process})
        assert.is_truthy(dump:vcpu(1).extra[machine == "x86_64" and "cr3" or "ttbr1_el1"])
      end)

      it("has the memory that QEMU saved", function()
        local file <close> = assert(io.open(files.path("memory"), "rb"))
        for address = RAM[machine], RAM[machine] + SIZE - 1, 1 << 20 do
          -- A PC's memory has a hole, where QEMU saves its devices' memory.
          local bytes = file:read(1 << 20)
          if machine == "aarch64" or address ~= 0 then
            assert(dump:read(address, 1 << 20) == bytes, qvm.hex(address))
          else
            assert(dump:read(0, 0xa0000) == bytes:sub(1, 0xa0000))
          end
        end
      end)

      it("has the registers that QEMU shows", function()
        for cpu in dump:vcpus() do
          local text = monitor:monitor("info registers", cpu.index)
          local function shown(pattern)
            return tonumber(text:match(pattern) or error("no " .. pattern .. " in " .. text), 16)
          end
          if machine == "x86_64" then
            assert.are.same({shown "RIP=(%x+)", shown "RSP=(%x+)", shown "RAX=(%x+)",
              shown "R15=(%x+)", shown "RFL=(%x+)"},
              {cpu.pc, cpu.sp, cpu.regs.rax, cpu.regs.r15, cpu.regs.rflags})
            assert.are.same({shown "CR0=(%x+)", shown "CR2=(%x+)", shown "CR3=(%x+)",
              shown "CR4=(%x+)", shown "EFER=(%x+)"}, {cpu.extra.cr0, cpu.extra.cr2,
              cpu.extra.cr3, cpu.extra.cr4, cpu.extra.efer})
            assert.are.equal(cpu.extra.cr3 & ~0xfff, cpu.pgtbl)
          else
            assert.are.same({shown " PC=(%x+)", shown " SP=(%x+)", shown "X00=(%x+)",
              shown "X29=(%x+)", shown "PSTATE=(%x+)"},
              {cpu.pc, cpu.sp, cpu.regs.x0, cpu.regs.x29, cpu.regs.pstate})
          end
        end
      end)

      it("has virtual memory where QEMU translates it to", function()
        local compared = 0
        for cpu in dump:vcpus() do
          local space = assert(dump:space(cpu))
          assert.matches("from its control registers", tostring(space))
          local addresses = {cpu.pc, cpu.sp & ~0xfff}
          for name in ("_stext _etext schedule linux_banner init_task"):gmatch("%S+") do
            addresses[#addresses + 1] = dump:address(name)
          end
          for i = 1, 200 do
            addresses[#addresses + 1] = dump:address("_stext") + i * 0x11008
          end
          for _, address in ipairs(addresses) do
            local physical = monitor:monitor("gva2gpa " .. qvm.hex(address), cpu.index)
              :match("gpa: (0x%x+)")
            assert.are.equal(physical and math.tointeger(tonumber(physical)),
              (space:translate(address)), qvm.hex(address))
            compared = compared + 1
          end
        end
        assert.is_true(compared > 400)
      end)

      it("explains itself: release, log, tasks with their stacks", function()
        assert.are.equal(console():match("Linux version (%S+)"), dump:guest().release)
        local ready, last = 0, nil
        for message in dump:dmesg() do
          last = tostring(message)
          ready = ready + (message.text == "qvm: ready" and 1 or 0)
        end
        assert.are.equal(1, ready)
        -- The console has the log to its end, and may have had more since.
        assert.matches(last:match "[^%]]*$", console(), 1, true)
        local names, frames = {}, 0
        for task in dump:tasks() do
          names[task.name] = (names[task.name] or 0) + 1
          for frame in (task.state == "S" and task.backtrace or function()
            return function() end
          end)(task) do
            frames = frames + (frame.how ~= "scan" and 1 or 0)
          end
        end
        assert.is_true(names.init >= 1 and names.sleep >= 2 and names["swapper/1"] == nil)
        assert.is_true(frames > 60, frames)
      end)
    end)

    it("resets when the VM reboots, and ends by the power button or when it is cut", function()
      if machine == "x86_64" then
        linux1:signal("TERM")
        assert.are.same({"exit", 0}, {linux1.process:wait()})
        assert.matches("the guest is off: guest%-shutdown", linux1:log_text())
        assert.matches("reboot: Power down", console())
      else -- Debian's cloud kernel has no driver of QEMU's power button
        linux1:tell("reboot")
        assert(process.eventually(function()
          return select(2, console():gsub("Linux version", "")) == 2
        end, BOOT_SECONDS))
        linux1:signal("QUIT")
        assert.are.same({"exit", 3}, {linux1.process:wait()})
      end
      assert.are.equal("unavailable", vm:state())
    end)
  end)
end

describe("QEMU", function()
  after_each(sim.clean)

  -- A VM whose guest has not booted yet, and the process id of its QEMU.
  local function start()
    qvm.root(sim.root())
    local linux1 = sim.start("linux1", configuration "x86_64")
    local status, out = process.run {"pgrep", "-P", tostring(linux1.pid)}
    assert.are.equal(0, status)
    return linux1, tonumber(out)
  end

  -- A zombie that nobody waits for has ended, too.
  local function has_ended(pid)
    local stat = io.open(("/proc/%d/stat"):format(pid))
    local text = stat and stat:read "a" or ") Z"
    if stat then
      stat:close()
    end
    return text:match "%) (%a)" == "Z"
  end

  it("ends with the simulator, however that ends", function()
    local linux1, pid = start()
    assert.is_false(has_ended(pid))
    linux1:stop "KILL"
    assert.is_true(process.eventually(function() return has_ended(pid) end, 20))
    assert.are.equal("gone", qvm.vm("linux1"):state())
  end)

  it("takes the VM with it, with an exit code that says so", function()
    local linux1, pid = start()
    assert(os.execute("kill -KILL " .. pid))
    assert.are.same({"exit", 96}, {linux1.process:wait()})
    assert.matches("linux1 fatal: QEMU has ended, or does not answer", linux1:log_text())
    assert.is_nil(qvm.vm "linux1")
  end)
end)
