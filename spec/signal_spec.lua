local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local it = sim.can_signal and it or pending

local bystander_program = sim.build .. "/helpers/bystander"

-- The bystander under another name: the name of its executable is what counts.
local function bystander(name, env, mode)
  local program = files.path(name)
  assert(os.execute(("cp %s %s"):format(process.quote(bystander_program), process.quote(program))))
  local self = process.start({program, env, mode})
  assert(self:line() == "ready")
  return self
end

local function assert_not_sent(code, vm, kind)
  local sent, message, got = vm:signal(kind)
  assert.is_nil(sent)
  assert.are.equal(code, got, message)
  return message
end

describe("vm:signal", function()
  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  it("asks a VM for its status and for a dump", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    assert.is_true(vm:signal("status"))
    assert(process.eventually(function()
      return linux1:log_text():find("linux1 info: status 1", 1, true)
    end))
    assert.is_true(vm:signal("dump"))
    assert(process.eventually(function()
      return linux1:log_text():find("dump", 1, true)
    end))
    assert.is_true(linux1.process:is_alive())
  end)

  it("asks the VM that is meant, and no other", function()
    local linux1, linux2 = sim.start("linux1"), sim.start("linux2")
    assert.is_true(qvm.vm("linux2"):signal("status"))
    assert(process.eventually(function() return linux2:log_text():find("status 1", 1, true) end))
    assert.is_nil(linux1:log_text():find("status", 1, true))
  end)

  it("raises for everything that is not one of the two requests", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    for _, kind in ipairs {"kill", "SIGKILL", "SIGUSR1", "usr1", "Status", "status ", "", 9, 10,
      12, 0, true, {}} do
      assert.error_matches(function() vm:signal(kind) end,
        "bad argument #1 to 'signal' %(\"status\" or \"dump\" expected")
    end
    assert.error_matches(function() vm:signal() end, "got nil")
    assert.is_true(linux1.process:is_alive())
    assert.is_nil(linux1:log_text():find("status", 1, true))
  end)

  it("sends nothing to a process of another name that serves the env", function()
    files.mkdir("vms/linux1")
    local other = bystander("another", files.write("vms/linux1/env", "{}"), "lock")
    local vm = qvm.vm("linux1")
    for _, kind in ipairs {"status", "dump"} do
      local message = assert_not_sent("not_qvm", vm, kind)
      assert.matches(("process %d, which is another, not qvm"):format(other.pid), message, 1, true)
    end
    local pid, message, code = vm:pid()
    assert.is_nil(pid)
    assert.are.equal("not_qvm", code, message)
    assert.is_true(other:is_alive())
  end)

  it("sends nothing to a qvm that does not catch the signal", function()
    files.mkdir("vms/linux1")
    local env = files.write("vms/linux1/env", "{}")
    local deaf = bystander("qvm", env, "lock")
    local vm = qvm.vm("linux1")
    assert.are.equal(deaf.pid, vm:pid())
    for _, kind in ipairs {"status", "dump"} do
      assert.matches("does not catch signal", assert_not_sent("not_qvm", vm, kind))
    end
    assert.is_true(deaf:is_alive())
    deaf:kill()
    deaf:wait()
    local listening = bystander("qvm", env, "catch")
    assert.is_true(vm:signal("status"))
    assert.are.equal("caught 10", listening:line())
    assert.is_true(vm:signal("dump"))
    assert.are.equal("caught 12", listening:line())
  end)

  it("takes a qvm whose file was replaced for a qvm", function()
    files.mkdir("vms/linux1")
    local process_ = bystander("qvm", files.write("vms/linux1/env", "{}"), "catch")
    os.remove(files.path("qvm"))
    assert.is_true(qvm.vm("linux1"):signal("status"))
    assert.are.equal("caught 10", process_:line())
  end)

  it("is not deceived by the name of a file that was not deleted", function()
    files.mkdir("vms/linux1")
    local other = bystander("qvm (deleted)", files.write("vms/linux1/env", "{}"), "catch")
    assert_not_sent("not_qvm", qvm.vm("linux1"), "status")
    assert.is_true(other:is_alive())
  end)

  it("sends nothing when the VM died and left its env behind", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1:stop("KILL")
    assert.is_true(files.exists(linux1.env_path))
    assert_not_sent("gone", vm, "status")
    assert.are.equal("gone", select(3, vm:pid()))
  end)

  it("sends nothing when the VM is gone", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1:stop()
    assert_not_sent("not_found", vm, "dump")
  end)

  it("asks the new process after the VM was started again", function()
    local vm
    for _ = 1, 3 do
      local linux1 = sim.start("linux1")
      vm = vm or qvm.vm("linux1")
      assert.are.equal(linux1.pid, vm:pid())
      assert.is_true(vm:signal("status"))
      linux1:stop()
    end
  end)

  it("finds its VM while the env is replaced all the time", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1.process:write(("suspend\nresume\n"):rep(300))
    for _ = 1, 100 do
      assert(vm:signal("status"))
    end
    assert.is_true(linux1.process:is_alive())
  end)
end)

-- A process id that is given to another process can be forced in a namespace of
-- process ids, which needs root or a kernel that lets users have one.
local unshare = "env -u LD_PRELOAD unshare --pid --fork --mount-proc "
if not os.execute(unshare .. "true 2>/dev/null") then
  unshare = "env -u LD_PRELOAD unshare --user --map-root-user --pid --fork --mount-proc "
end
local can_unshare = os.execute(unshare .. "true 2>/dev/null")

describe("a process id that was given away again", function()
  after_each(sim.clean)

  local function test(what, f)
    if can_unshare then
      it(what, f)
    else
      pending(what .. " (needs a namespace of process ids)")
    end
  end

  -- In the namespace: a VM dies, a bystander gets its process id, and a script
  -- that has known the VM asks for its status.
  local script = [[
    set -eu
    export QVM_ROOT=$1/vms
    mkdir -p "$QVM_ROOT"
    "$2/sim/qvm" system linux1 ram 1M cpu </dev/null 2>"$1/log" &
    old=$!
    until [ -e "$QVM_ROOT/linux1/env" ]; do sleep 0.01; done
    mkfifo "$1/go"
    env LD_PRELOAD="$7" "$3" -e "
      package.path, package.cpath = '$4', '$5'
      local vm = require 'qvm'.vm 'linux1'
      print('before', vm:pid(), vm:signal 'status')
      io.open('$1/go'):read()
      local _, _, code = vm:pid()
      print('pid', code)
      for _, kind in ipairs {'status', 'dump'} do
        local sent, _, code = vm:signal(kind)
        print(kind, sent, code)
      end
    " >"$1/out" &
    script=$!
    until [ -s "$1/out" ] || grep -q before "$1/out"; do sleep 0.01; kill -0 $script; done
    kill -KILL $old
    wait $old || true
    for try in 1 2 3 4 5 6 7 8 9; do
      echo $((old - 1)) >/proc/sys/kernel/ns_last_pid
      $6 >/dev/null &
      new=$!
      [ $new -ne $old ] || break
      kill $new
      wait $new || true
    done
    echo old $old new $new >>"$1/out2"
    sleep 0.2
    echo go >"$1/go"
    wait $script
    kill -0 $new && echo bystander alive >>"$1/out2"
    kill -KILL $new
  ]]

  local function reuse(bystander_command)
    local work = files.dir()
    local file = files.write("reuse.sh", script)
    local lua = os.getenv("LUA") or "lua5.4"
    local command = {"sh", file, work, sim.build, lua, package.path, package.cpath,
      bystander_command, os.getenv("LD_PRELOAD") or ""}
    for i, word in ipairs(command) do
      command[i] = process.quote(word)
    end
    local ok = os.execute(unshare .. table.concat(command, " ") .. " 2>" .. work .. "/errors")
    assert(ok, files.read(work .. "/errors"))
    return files.read(work .. "/out"), files.read(work .. "/out2")
  end

  local function assert_spared(out, out2)
    local old, new = out2:match("old (%d+) new (%d+)")
    assert.are.equal(old, new, "the process id was not given away again")
    assert.matches("before\t" .. old .. "\ttrue\n", out)
    assert.matches("pid\tgone\nstatus\tnil\tgone\ndump\tnil\tgone\n", out)
    assert.matches("bystander alive", out2)
  end

  test("does not get the signal", function()
    assert_spared(reuse("sleep 60"))
  end)

  test("is not looked up in a /proc that counts in another way", function()
    local out = files.path("out")
    local program = ([[
      package.path, package.cpath = %q, %q
      local vm = require "qvm".vm "linux1"
      print(select(3, vm:pid()), select(3, vm:signal "status"))]])
      :format(package.path, package.cpath)
    local command = ([[
      export QVM_ROOT=%s
      %s system linux1 ram 1M </dev/null 2>/dev/null & vm=$!
      until [ -e $QVM_ROOT/linux1/env ]; do sleep 0.01; done
      env LD_PRELOAD=%s %s -e %s >%s
      kill $vm]]):format(process.quote(sim.root()), process.quote(sim.program),
      process.quote(os.getenv("LD_PRELOAD") or ""), os.getenv("LUA") or "lua5.4",
      process.quote(program), process.quote(out))
    assert(os.execute(unshare:gsub(" %-%-mount%-proc", "") .. "sh -c " .. process.quote(command)))
    assert.are.equal("unsupported\tunsupported\n", files.read(out))
  end)

  test("does not get it if it belongs to a qvm of another env", function()
    local qvm_path = files.path("qvm")
    os.execute(("cp %s %s"):format(process.quote(bystander_program), process.quote(qvm_path)))
    assert_spared(reuse(qvm_path .. " " .. files.path("other-env") .. " lock"))
  end)
end)
