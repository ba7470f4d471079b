-- What `sim-guest` puts into a simulated VM: a dump, or QEMU. The guests that QEMU runs are in
-- spec/real_guests; here is what can be seen without QEMU.

local dumps = require "support.dumps"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

-- A vCPU's record, with two extra registers or none.
local function cpu(i, extra)
  local gpr = {}
  for n = 0, 31 do
    gpr[n] = 0x1111000000000000 | i << 32 | n
  end
  return {pgtbl = 0x40041000 + i * 0x1000, process = "core" .. i, registers = writer.aarch64
    {gpr = gpr, elr = 0xffff800010999000 + i, pstate = 0x3c5}, extra = extra and {0x7700 + i, -2}}
end

local PAGE = ("guest's own"):rep(400):sub(1, 4096)

-- The path of a dump with two blocks of RAM and two vCPUs.
local function dump_file(names)
  return files.write("board.gcore", writer.small {cpus = {cpu(0, names), cpu(1, names)},
    note = {names = names},
    memory = {{paddr = 0x40000000, bytes = PAGE .. ("\0"):rep(8192)},
      {paddr = 0x180000000, bytes = ("\xa5"):rep(4096)}}})
end

describe("a dump as the guest of a simulated VM", function()
  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  -- A VM with that guest, and a dump of it.
  local function start(path, config)
    local where = files.mkdir(path:match "[^/]+$" .. ".dumps")
    local linux1 = sim.start("linux1", ("set sim-guest %s\n%s\ndump %s"):format(path, config or "",
      where))
    linux1:tell("dump")
    return assert(qvm.open(where .. "/" .. files.list(where)[1])), linux1
  end

  it("gives it RAM, vCPUs and registers", function()
    local dump <close> = start(dump_file {"TTBR1_EL1", "own"})
    assert.are.same({"qnx", "aarch64"}, {dump.format, dump.machine})
    local blocks = dumps.ranges(dump)
    assert.are.same({"40000000+3000", "180000000+1000"}, {blocks[1], blocks[2]})
    assert.are.equal(PAGE, dump:read(0x40000000, 4096))
    assert.are.equal(("\xa5"):rep(4096), dump:read(0x180000000, 4096))
    assert.matches("ram 0x0000000180000000 size 0x1000", dump:log())
    for c in dump:vcpus() do
      local i = c.index
      assert.are.same({0xffff800010999000 + i, 0x111100000000001f | i << 32, 0x3c5,
        0x1111000000000007 | i << 32, 0x40041000 + i * 0x1000, "core" .. i, 0x7700 + i, -2},
        {c.pc, c.sp, c.regs.pstate, c.regs.x7, c.pgtbl, c.process, c.extra.TTBR1_EL1,
          c.extra.own})
    end
    local ips = {}
    for c in qvm.vm("linux1"):env():vcpus() do
      ips[#ips + 1] = c.last_known_ip
    end
    assert.are.same({0xffff800010999000, 0xffff800010999001}, ips)
  end)

  it("can be a dump of this simulator, with other registers by the configuration", function()
    local first <close> = start(dump_file())
    local path = first.path
    process.clean()
    local second <close>, linux1 = start(path,
      "cpu name boot set sim-reg-x7 7 cpu set sim-extra-x 8")
    assert.are.equal(first:read(0x40000000, 4096), second:read(0x40000000, 4096))
    assert.are.same({7, "boot", 8}, {second:vcpu(0).regs.x7, second:vcpu(0).process,
      second:vcpu(1).extra.x})
    assert.are.same({second:vcpu(0).pc, second:vcpu(1).regs.x7},
      {first:vcpu(0).pc, first:vcpu(1).regs.x7})
    linux1:tell("suspend")
    assert.are.equal("suspended", qvm.vm("linux1"):state())
  end)
end)

describe("sim-guest is refused", function()
  after_each(sim.clean)

  -- One that is accepted would run on.
  local function run(config, command)
    local status, _, errors = process.run({"timeout", "-k", "1", "20", command or sim.program,
      "@" .. files.write("bad.qvmconf", "system a\n" .. config)}, {env = {QVM_ROOT = sim.root()}})
    assert.are.same({}, files.list(sim.root()))
    return status, errors
  end

  local function refused(expected, config)
    local status, errors = run(config)
    assert.are.equal(65, status, errors)
    assert.are.equal(("qvm: %s:%s\n"):format(files.path("bad.qvmconf"), expected), errors)
  end

  it("where QEMU is not installed", function()
    local config = "set sim-machine %s\nset sim-guest qemu\nram 16M\nload " ..
      files.write("kernel", "no kernel")
    local without_qemu = files.write("qvm", ("#!/bin/sh\nPATH=/nowhere exec %s \"$@\"\n")
      :format(sim.program))
    assert(os.execute("chmod 755 " .. without_qemu))
    for machine, package in pairs {x86_64 = "x86", aarch64 = "arm"} do
      local status, errors = run(config:format(machine), without_qemu)
      assert.are.equal(64, status)
      assert.are.equal(("qvm: sim-guest qemu: qemu-system-%s is not installed " ..
        "(Debian: qemu-system-%s)\n"):format(machine, package), errors)
    end
  end)

  it("if QEMU has no such machine", function()
    refused("2: sim-guest qemu: no `load`, which names the guest's kernel", "set sim-guest qemu")
    refused("4: load: with sim-guest qemu there is one, the guest's kernel",
      "set sim-guest qemu\nload a\nload b")
    refused("4: ram: QEMU's memory begins at 0x40000000 on aarch64",
      "set sim-guest qemu\nload a\nram 0x3ff00000,4M")
    refused("4: ram: with sim-guest qemu on x86_64, RAM ends below 0xb0000000",
      "set sim-guest qemu set sim-machine x86_64\nload a\nram 2816M")
    refused("2: set sim-guest-accel: bad value 'xen', wanted tcg or kvm",
      "set sim-guest-accel xen")
  end)

  it("if the dump cannot be used, or the configuration has another memory", function()
    local path = dump_file()
    refused("3: ram: the RAM is that of sim-guest " .. path, ("set sim-guest %s\nram 4K")
      :format(path))
    refused("3: load: the memory is that of sim-guest " .. path, ("set sim-guest %s\nload x")
      :format(path))
    refused(("2: sim-guest: %s: 2 vCPUs, but 3 `cpu`"):format(path),
      ("set sim-guest %s cpu cpu cpu"):format(path))
    refused(("2: sim-guest: %s: No such file or directory"):format(files.path("none")),
      "set sim-guest " .. files.path("none"))
    local text = files.write("text", "this is no dump\n")
    local _, errors = run("set sim-guest " .. text)
    assert.matches("^qvm: %S+:2: sim%-guest: %S+/text: offset 0: not an ELF", errors)
    local odd = files.write("odd.elf", writer.small {cpus = {cpu(0)}, memory = {
      {paddr = 0x40000100, bytes = PAGE}}})
    refused(("2: sim-guest: the block at 0x40000100 of 0x1000 bytes is not made of pages of 4096"),
      "set sim-guest " .. odd)
    local plain = files.write("plain.elf", writer.file {machine = "aarch64", segments = {
      {paddr = 0x40000000, bytes = PAGE}}})
    refused(("2: sim-guest: %s: it has no registers of vCPUs"):format(plain),
      "set sim-guest " .. plain)
  end)
end)

describe("the options of QEMU", function()
  after_each(sim.clean)

  it("are not simulated without it", function()
    local linux1 = sim.start("linux1", 'ram 1M\ninitrd load 1M,/none\ncmdline "a b"')
    assert.matches("linux1.qvmconf:3: warning: option 'initrd' is not simulated\n",
      linux1:log_text(), 1, true)
    assert.matches("linux1.qvmconf:4: warning: option 'cmdline' is not simulated\n",
      linux1:log_text(), 1, true)
  end)
end)
