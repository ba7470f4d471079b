local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"

local function make_vm(name, env)
  files.mkdir("vms/" .. name)
  if env then
    files.write("vms/" .. name .. "/env", env)
  end
end

-- The output of an integrator's script for the same file: the fifth field of each line with
-- last_known_ip except the first.
local function shell_state(path)
  local pipe = io.popen(([[
    if [ ! -e '%s' ]; then echo unavailable; exit; fi
    ips=$(grep last_known_ip '%s' | tail -n +2 | awk '{ print $5 }')
    for ip in $ips; do
      if [ "$ip" != 0 ]; then echo running; exit; fi
    done
    echo suspended]]):format(path, path))
  local state = pipe:read()
  pipe:close()
  return state
end

describe("reading an env", function()
  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  it("returns the document, its bytes, and 64-bit values bit for bit", function()
    local text = [[{"vcpus": [{ "tid": 3, "last_known_ip": 18446603336490160692 }],
      "big": 9007199254740993}]]
    make_vm("linux1", text)
    local env = qvm.vm("linux1"):env()
    assert.are.equal(1, select("#", qvm.vm("linux1"):env()))
    assert.are.equal(text, env.text)
    assert.are.equal("0xffff800010081234", qvm.hex(env.raw.vcpus[1].last_known_ip))
    assert.are.equal("9007199254740993", ("%d"):format(env.raw.big))
    for cpu in env:vcpus() do
      assert.are.equal(0xffff800010081234, cpu.last_known_ip)
    end
    assert.matches("^Env .*/linux1/env: 1 vCPU, 0 errata, %d+ bytes$", tostring(env))
  end)

  it("reads to the end, regardless of the file's reported size", function()
    make_vm("linux1")
    -- A kernel file of size 0 that has content, which is not JSON.
    files.symlink("/proc/self/limits", "vms/linux1/env")
    local env, message, code = qvm.vm("linux1"):env()
    assert.is_nil(env)
    assert.are.equal("malformed", code)
    assert.matches("linux1/env:1:1: a value is expected", message, 1, true)
    -- A kernel file whose content is JSON: a number.
    os.remove(files.path("vms/linux1/env"))
    files.symlink("/proc/sys/kernel/pid_max", "vms/linux1/env")
    assert.are.equal("integer", math.type(qvm.vm("linux1"):env().raw))
  end)

  it("reads the file again at every call", function()
    make_vm("linux1", '{"a": 1}')
    local vm = qvm.vm("linux1")
    assert.are.equal(1, vm:env().raw.a)
    files.write("vms/linux1/env", '{"a": 2}')
    assert.are.equal(2, vm:env().raw.a)
  end)

  it("reports file, line and column of a syntax error", function()
    local linux1 = sim.start("linux1")
    files.write("vms/linux1/env", '{\n "a": 01}') -- into the file that it serves
    local vm = qvm.vm("linux1")
    local env, message, code = vm:env()
    assert.is_nil(env)
    assert.are.equal("malformed", code)
    assert.are.equal(vm.path .. "/env:2:7: a number must not have leading zeros", message)
    assert.are.equal("malformed", select(3, vm:state()))
    linux1:stop("KILL")
    assert.are.equal("gone", (vm:state()))
  end)

  it("keeps warnings", function()
    make_vm("linux1", '{"a": 1, "a": 2}')
    assert.are.equal(1, #qvm.vm("linux1"):env().warnings)
  end)

  it("reads up to 16 MiB and refuses more", function()
    local limit = 16 << 20
    make_vm("fits", '"' .. ("x"):rep(limit - 2) .. '"')
    make_vm("large", '"' .. ("x"):rep(limit - 1) .. '"')
    assert.are.equal(limit - 2, #qvm.vm("fits"):env().raw)
    local env, message, code = qvm.vm("large"):env()
    assert.is_nil(env)
    assert.are.equal("too_large", code)
    assert.matches("longer than 16 MiB", message)
  end)

  it("does not open what is not a regular file", function()
    make_vm("device")
    files.symlink("/dev/zero", "vms/device/env")
    make_vm("directory")
    files.mkdir("vms/directory/env")
    for _, name in ipairs {"device", "directory"} do
      assert.are.equal("unsupported", select(3, qvm.vm(name):env()))
    end
  end)

  it("reports a VM that is gone", function()
    make_vm("linux1", "{}")
    local vm = qvm.vm("linux1")
    os.remove(files.path("vms/linux1/env"))
    local env, message, code = vm:env()
    assert.is_nil(env)
    assert.are.equal("not_found", code)
    assert.matches("linux1/env: No such file", message, 1, true)
    assert.are.equal("unavailable", vm:state())
  end)

  it("times out if the process does not answer", function()
    local linux1 = sim.start("linux1")
    linux1:tell("hang")
    local start = os.time()
    local env, message, code = qvm.vm("linux1"):env()
    assert.is_nil(env)
    assert.are.equal("timeout", code)
    assert.matches("may be stuck", message)
    assert.is_true(os.time() - start < 20)
    linux1:tell("resume")
    assert.is_table(qvm.vm("linux1"):env())
  end)

  it("yields the thread IDs of a simulated VM", function()
    local linux1 = sim.start("linux1", "ram 1M\ncpu\ncpu\ncpu")
    local tids = {}
    for cpu in qvm.vm("linux1"):env():vcpus() do
      tids[#tids + 1] = cpu.tid
      assert.are.equal(cpu.index, #tids - 1)
      assert.is_true(files.exists(("/proc/%d/task/%d"):format(linux1.pid, cpu.tid)))
      assert.are_not.equal(linux1.pid, cpu.tid)
    end
    assert.are.equal(3, #tids)
  end)

  it("follows suspend and resume, and agrees with the shell", function()
    local linux1 = sim.start("linux1", "ram 1M\ncpu\ncpu\ncpu")
    local vm = qvm.vm("linux1")
    local steps = {{"resume", "running"}, {"suspend", "suspended"}, {"resume", "running"}}
    for _, step in ipairs(steps) do
      linux1:tell(step[1])
      assert.are.equal(step[2], vm:state())
      assert.are.equal(step[2], shell_state(linux1.env_path))
    end
    linux1:stop()
    assert.are.equal("unavailable", vm:state())
    assert.are.equal("unavailable", shell_state(linux1.env_path))
  end)

  it("cannot determine the state of a VM with one vCPU", function()
    sim.start("linux1", "ram 1M\ncpu")
    assert.are.equal("unknown", qvm.vm("linux1"):state())
  end)

  it("works for a VM that changes all the time", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1.process:write(("suspend\nresume\n"):rep(300))
    for _ = 1, 300 do
      local state, message = vm:state()
      assert(state == "running" or state == "suspended", message)
      assert.are.equal(linux1.pid, vm:pid())
    end
  end)
end)
