-- Runs a Linux guest under QEMU: starts it, waits until its init is ready, and kills it
-- with all processes that belong to it.

local files = require "support.files"
local process = require "support.process"
local qmp = require "real_guests.qmp"
local system = require "system"
local unix = require "socket.unix"

local machine = {}
machine.__index = machine

machine.cpus = 2
machine.ready = "qvm: ready"

-- Limits in seconds: until the init is ready, with so many more tasks in the guest; and for
-- QEMU, which also writes several dumps.
local function boot_limit(tasks)
  return 300 + tasks // 20
end

local function life(memory, tasks)
  return boot_limit(tasks) + 420 + 60 * (memory >> 30)
end

-- By QEMU's name of an architecture: Debian's name of it, and of its kernel packages;
-- QEMU's options for such a machine; the console, and parameters of the kernel after it.
-- Variants: five levels of page tables, which most guests lack; pages of 16 KiB; the kernel
-- of another suite of Debian.
machine.kinds = {
  -- The kernel panics if the timer does not tick while it checks it, as on a busy machine.
  x86_64 = {debian = "amd64", console = "ttyS0 no_timer_check",
    images = {usual = "linux-image-cloud-amd64"},
    options = {"-machine", "q35", "-cpu", "max,la57=off"},
    la57 = {"-machine", "q35", "-cpu", "max"}},
  aarch64 = {debian = "arm64", console = "ttyAMA0",
    images = {usual = "linux-image-cloud-arm64", ["16k"] = "linux-image-6.12-arm64-16k"},
    options = {"-machine", "virt", "-cpu", "cortex-a57"},
    -- The architecture's own algorithm of pointer authentication would take most of the time.
    ["16k"] = {"-machine", "virt", "-cpu", "max,pauth-impdef=on"}},
}

local function command_line(self)
  -- When one process dies, it ends the next: this program ends timeout, which ends QEMU.
  local words = {"setpriv", "--pdeathsig", "TERM", "timeout", "-k", "5",
    tostring(life(self.memory, self.tasks)), "setpriv", "--pdeathsig", "KILL",
    "qemu-system-" .. self.arch}
  table.move(self.options, 1, #self.options, #words + 1, words)
  for _, word in ipairs {"-m", (self.memory >> 20) .. "M", "-smp", tostring(self.cpus),
      "-accel", "tcg", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot",
      "-monitor", "none", "-device", "vmcoreinfo",
      "-chardev", "socket,id=console,server=on,wait=off,logfile=serial.log,path="
        .. files.path("console"), "-serial", "chardev:console",
      "-kernel", "kernel", "-initrd", "initramfs", "-append", self.append,
      "-qmp", "pipe:" .. files.path("qmp")} do
    words[#words + 1] = word
  end
  return words
end

-- Starts QEMU in a directory that has "kernel" and "initramfs". memory: in bytes; tasks: how
-- many more sleep in the guest; form: the variant, or nil.
function machine.start(dir, arch, memory, tasks, form)
  local kind = machine.kinds[arch]
  local self = setmetatable({dir = dir, arch = arch, kind = kind, memory = memory,
    tasks = tasks, form = form, options = kind[form] or kind.options}, machine)
  self.append = ("console=%s loglevel=8 printk.devkmsg=on panic=0 qvm_tasks=%d"):format(
    kind.console, tasks)
  for _, name in ipairs {"qmp.in", "qmp.out"} do
    assert(os.execute("mkfifo -m 600 " .. process.quote(files.path(name))))
  end
  self.errors = files.path("qemu.log")
  self.words = command_line(self)
  self.process = process.start(self.words, {cwd = dir, log = self.errors})
  return self
end

function machine:serial()
  local path = self.dir .. "/serial.log"
  return files.exists(path) and files.read(path) or ""
end

-- Raises a message with the last output of QEMU and the guest.
function machine:fail(message)
  local lines = {}
  for line in self:serial():gmatch("[^\r\n]+") do
    lines[#lines + 1] = line
  end
  error(("%s\n%sserial console:\n%s"):format(message, files.read(self.errors),
    table.concat(lines, "\n", math.max(1, #lines - 19))), 0)
end

-- Waits until the init is ready, and connects.
function machine:boot(progress)
  local start, next_report = system.monotime(), 0
  repeat
    local seconds = system.monotime() - start
    if not self.process:is_alive() then
      error("the guest ended before it was ready", 0)
    elseif self:serial():find("Kernel panic", 1, true) then
      error("the guest's kernel panicked", 0)
    elseif seconds > boot_limit(self.tasks) then
      error(("the guest is not ready after %.0f s"):format(seconds), 0)
    elseif seconds >= next_report then
      progress(("booting %s guest, %d s"):format(self.arch, next_report))
      next_report = next_report + 4
    end
    system.sleep(0.1)
  until self:serial():find(machine.ready, 1, true)
  progress(("ready after %.1f s"):format(system.monotime() - start))
  self.qmp = qmp.open(files.path("qmp"))
end

-- Sends a line to the guest's console. While a client is connected, QEMU 7.2 may stall or write
-- bytes of the console twice to its log, so it is closed at once; the line may then be lost.
local function send_line()
  local console = assert(unix())
  assert(console:connect(files.path("console")))
  assert(console:send("\n"))
  console:close()
end

-- Has the guest panic: its init does when it reads a line.
function machine:panic()
  local deadline, next_line = system.monotime() + boot_limit(self.tasks), 0
  local text
  repeat
    if system.monotime() > deadline or not self.process:is_alive() then
      error("the guest did not panic", 0)
    end
    text = self:serial()
    if system.monotime() > next_line and not text:find("Trigger a crash", 1, true) then
      send_line()
      next_line = system.monotime() + 10
    end
    system.sleep(0.1)
  until text:find("end Kernel panic", 1, true)
end

-- What the guest reported: ranges of physical memory by kind, and addresses by symbol.
function machine:reported()
  local ranges, symbols = {}, {}
  for line in self:serial():gmatch("[^\r\n]+") do
    local from, to, what = line:match("iomem: (%x+)-(%x+) : (.*)")
    if from then
      from, to = tonumber(from, 16), tonumber(to, 16)
      ranges[#ranges + 1] = {from = from, size = to - from + 1, what = what}
    end
    local address, name = line:match("symbol: (%x+) %a ([%w_]+)")
    if address then
      symbols[name] = tonumber(address, 16)
    end
  end
  return ranges, symbols
end

function machine:quit()
  self.qmp:quit()
  self.process:wait()
end

return machine
