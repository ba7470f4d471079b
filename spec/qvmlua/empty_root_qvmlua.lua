-- qvmlua in a root directory that contains nothing but itself, what it reads, and /proc.

local example_guest = require "support.example_guest"
local files = require "support.files"
local namespace = require "concurrency.namespace"
local process = require "support.process"
local qvmlua = require "support.qvmlua"
local sim = require "support.sim"

describe("qvmlua in an empty root", function()
  local function can_enter()
    files.mkdir("proc")
    local can = namespace.can("-m",
      ("mount --bind /proc %s/proc && chroot / true"):format(files.dir()))
    files.clean()
    return can
  end
  local it = can_enter() and it or pending

  -- The root is the directory of the test: the simulated VMs are in it.
  before_each(function()
    files.mkdir("proc")
    files.mkdir("dumps")
    assert(os.execute(("cp %s %s"):format(process.quote(qvmlua.path), files.path("qvmlua"))))
    if qvmlua.emulator then
      local copy = "cp " .. process.quote(qvmlua.emulator) .. " " .. files.path("emulator")
      assert(os.execute(copy))
    end
  end)

  after_each(function()
    process.clean()
    files.clean()
  end)

  -- Runs it in the root; returns its output. It must succeed with no messages but those.
  local function run(arguments, input, messages)
    local words = {"QVM_ROOT=/vms", "/usr/sbin/chroot", files.dir()}
    words[#words + 1] = qvmlua.emulator and "/emulator"
    words[#words + 1] = "/qvmlua"
    table.move(arguments, 1, #arguments, #words + 1, words)
    for i, word in ipairs(words) do
      words[i] = process.quote(word)
    end
    local status, output, errors = process.run {"unshare", "-m", "sh", "-c",
      ("mount --bind /proc %s/proc && env -i %s <%s"):format(files.dir(), table.concat(words, " "),
        files.write("input", input or ""))}
    assert.are.equal(0, status, errors)
    assert.matches(messages or "^$", errors)
    return output
  end

  it("lists VMs, gets status text and dumps", function()
    local vm = sim.start("linux1", "ram 1M\ncpu\ncpu\ndump " .. files.path("dumps"))
    assert.matches(("\nlinux1 +running +%d +2 "):format(vm.pid), run {"diag", "--list"})
    local report = run {"diag", "linux1", "--status", "/linux1.log", "--dump", "/dumps"}
    assert.matches(("^linux1: running, process %d\n"):format(vm.pid), report)
    assert.matches("\nstatus text %(%d+ lines%)\n  linux1 info: status 1 ", report)
    assert.matches("\ndump /dumps/linux1%-[%d-]+%.gcore\n  qnx aarch64,", report)
    assert.matches("^VM linux1 ", run({"explore"}, "vms.linux1\n",
      "linux1 +running +2 vCPUs"))
    assert.is_true(vm.process:is_alive())
  end)

  it("triages a dump of a Linux guest", function()
    example_guest.write()
    local report = run {"diag", "--read", "/tasks.gcore"}
    assert.matches("\n  Linux [%d.]+[^\n]* on aarch64, 2 vCPUs", report)
    assert.matches("\nvCPU 0: ", report)
    assert.matches("\n%d+ tasks: ", report)
    local script = [[local d = assert(require "qvm".open "/tasks.gcore")
      for t in d:tasks() do print(t.pid, t.state) end]]
    files.write("script.lua", script)
    assert.matches("^1\tS\n.*\n9\tZ\n$", run {"/script.lua"})
  end)

  it("has its prompt", function()
    assert.matches("\n0x0000000000000010\n$", run({"-l", "qvm", "-i"}, "qvm.hex(16)\n"))
  end)
end)
