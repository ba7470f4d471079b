local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local it = sim.can_signal and it or pending

local bystander_program = sim.build .. "/helpers/bystander"

-- The bystander under another name, since the name of its executable matters.
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

  it("requests a status or a dump from a VM", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    assert.is_true(vm:signal("status"))
    assert(process.eventually(function()
      return linux1:log_text():find("linux1 info: status 1", 1, true)
    end))
    assert.are.same({true, linux1.pid}, {vm:signal("dump")})
    assert(process.eventually(function()
      return linux1:log_text():find("dump", 1, true)
    end))
    assert.is_true(linux1.process:is_alive())
  end)

  it("reaches the given VM and no other", function()
    local linux1, linux2 = sim.start("linux1"), sim.start("linux2")
    assert.is_true(qvm.vm("linux2"):signal("status"))
    assert(process.eventually(function() return linux2:log_text():find("status 1", 1, true) end))
    assert.is_nil(linux1:log_text():find("status", 1, true))
  end)

  it("raises for any other request", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    for _, kind in ipairs {"kill", "SIGKILL", "SIGUSR1", "usr1", "Status", "status ", "", 9, 10,
      12, 0, true, {}} do
      assert.error_matches(function() vm:signal(kind) end,
        "bad argument #1 to 'signal' %(\"status\" or \"dump\" expected")
    end
    assert.error_matches(function() vm:signal() end, "got no value")
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

  it("accepts a qvm whose executable was replaced", function()
    files.mkdir("vms/linux1")
    local process_ = bystander("qvm", files.write("vms/linux1/env", "{}"), "catch")
    os.remove(files.path("qvm"))
    assert.is_true(qvm.vm("linux1"):signal("status"))
    assert.are.equal("caught 10", process_:line())
  end)

  it("is not misled by an executable whose name ends in (deleted)", function()
    files.mkdir("vms/linux1")
    local other = bystander("qvm (deleted)", files.write("vms/linux1/env", "{}"), "catch")
    assert_not_sent("not_qvm", qvm.vm("linux1"), "status")
    assert.is_true(other:is_alive())
  end)

  it("sends nothing to a VM that died and left its env", function()
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

  it("reaches the new process after a restart", function()
    local vm
    for _ = 1, 3 do
      local linux1 = sim.start("linux1")
      vm = vm or qvm.vm("linux1")
      assert.are.equal(linux1.pid, vm:pid())
      assert.is_true(vm:signal("status"))
      linux1:stop()
    end
  end)

  it("finds the VM while its env is replaced continuously", function()
    local linux1 = sim.start("linux1")
    local vm = qvm.vm("linux1")
    linux1.process:write(("suspend\nresume\n"):rep(300))
    for _ = 1, 100 do
      assert(vm:signal("status"))
    end
    assert.is_true(linux1.process:is_alive())
  end)
end)

-- Reuse of a process ID can be forced in a pid namespace, which needs root or a kernel that
-- allows unprivileged namespaces.
local unshare = "env -u LD_PRELOAD unshare --pid --fork --mount-proc "
if not os.execute(unshare .. "true 2>/dev/null") then
  unshare = "env -u LD_PRELOAD unshare --user --map-root-user --pid --fork --mount-proc "
end
local can_unshare = os.execute(unshare .. "true 2>/dev/null")

-- Needs the first pid namespace: there the kernel reports the ID of a lock's owner even
-- after the process has ended, in others only while it lives.
local is_first = os.execute("[ \"$(readlink /proc/self/ns/pid)\" = 'pid:[4026531836]' ]")
local can_choose = is_first
  and os.execute("[ -w /proc/sys/kernel/ns_last_pid ] && [ $(id -u) = 0 ]")

describe("a reused process ID", function()
  after_each(sim.clean)

  local function test(what, f, can, needs)
    if can == nil and can_unshare or can then
      it(what, f)
    else
      pending(("%s (needs %s)"):format(what, needs or "a namespace of process ids"))
    end
  end

  -- Shell functions to use in the namespace: one starts a VM as $old, another gives its
  -- process ID to a bystander ($bystander) after the VM died.
  local prelude = [[
    set -eu
    work=$1 build=$2 lua=$3 bystander=$4
    export QVM_ROOT=$work/vms
    mkdir -p "$QVM_ROOT"
    start_vm() {
      "$build/sim/qvm" system linux1 ram 1M cpu </dev/null 2>"$work/log" &
      old=$!
      until [ -e "$QVM_ROOT/linux1/env" ]; do sleep 0.01; done
    }
    give_away() {
      kill -KILL $old
      wait $old || true
      tries=0
      while [ $((tries += 1)) -le 600 ]; do # others start processes, too
        if [ -e /proc/$old ]; then sleep 0.1; continue; fi
        echo $((old - 1)) >/proc/sys/kernel/ns_last_pid
        $bystander >"$work/bystander" &
        new=$!
        [ $new -ne $old ] || break
        kill $new
        wait $new || true
      done
      echo old $old new $new >"$work/ids"
      sleep 0.2
    }
    wait_for() { until grep -q "$1" "$work/out" 2>/dev/null; do sleep 0.01; done; }
    see_bystander() { kill -0 $new && echo alive >>"$work/ids"; kill -KILL $new; }
    mkfifo "$work/go"
  ]]

  -- Runs shell text after the prelude in a new namespace; the script's output is in "out".
  -- prefix: the command to use instead of unshare.
  local function in_namespace(text, bystander_command, program, prefix)
    local work = files.dir()
    files.write("program.lua", ("package.path, package.cpath = %q, %q\n"):format(package.path,
      package.cpath) .. program)
    local words = {"sh", files.write("reuse.sh", prelude .. text), work, sim.build,
      os.getenv("LUA") or "lua5.4", bystander_command}
    for i, word in ipairs(words) do
      words[i] = process.quote(word)
    end
    local ok = os.execute(("%s env ASAN=%s %s 2>%s/errors"):format(prefix or unshare,
      process.quote(os.getenv("LD_PRELOAD") or ""), table.concat(words, " "), work))
    assert(ok, files.read(work .. "/errors"))
    local ids = files.read(work .. "/ids")
    local old, new = ids:match("old (%d+) new (%d+)")
    assert.are.equal(old, new, "the process ID was not reused")
    assert.matches("alive", ids)
    return files.read(work .. "/out"), old, files.read(work .. "/bystander")
  end

  -- The worst bystander: a qvm that serves another env and catches both signals.
  local function another_qvm()
    local path = files.path("qvm")
    os.execute(("cp %s %s"):format(process.quote(bystander_program), process.quote(path)))
    return path .. " " .. files.path("other-env") .. " catch"
  end

  local after = [[
    start_vm
    env LD_PRELOAD="$ASAN" "$lua" "$work/program.lua" >"$work/out" &
    script=$!
    wait_for before
    give_away
    echo >"$work/go"
    wait $script
    see_bystander
  ]]

  local function program_after(work)
    return ([[
      local vm = require "qvm".vm "linux1"
      print("before", vm:pid(), (vm:signal "status"))
      io.stdout:flush()
      io.open(%q):read()
      print("pid", select(3, vm:pid()))
      for _, kind in ipairs {"status", "dump"} do
        local sent, _, code = vm:signal(kind)
        print(kind, sent, code)
      end]]):format(work .. "/go")
  end

  test("does not receive the signal", function()
    for _, bystander_command in ipairs {"sleep 60", another_qvm()} do
      local out, old, heard = in_namespace(after, bystander_command, program_after(files.dir()))
      assert.matches("^before\t" .. old .. "\ttrue\npid\tgone\nstatus\tnil\tgone\n"
        .. "dump\tnil\tgone\n$", out)
      assert.is_nil(heard:find("caught", 1, true))
      -- Waits for the process's output as well, since the next process writes there too.
      os.execute("rm -rf " .. process.quote(files.dir()) .. "/[gov]*")
    end
  end)

  test("does not receive the signal if the reuse happens during the check", function()
    local out, _, heard = in_namespace([[
      start_vm
      cp "$build/helpers/pause.so" "$work" # LD_PRELOAD is split at spaces
      env LD_PRELOAD="$ASAN $work/pause.so" QVM_PAUSE="$work/go" \
        "$lua" "$work/program.lua" >"$work/out" &
      script=$!
      wait_for paused
      give_away
      echo >"$work/go"
      wait $script
      see_bystander
    ]], another_qvm(), [[
      local sent, _, code = require "qvm".vm "linux1":signal "status"
      print(sent, code)]])
    assert.are.equal("paused\nnil\tgone\n", out)
    assert.is_nil(heard:find("caught", 1, true))
  end)

  -- A process that shares the descriptors of a dead VM keeps its lock alive. The lock names
  -- the dead process's ID, which now belongs to another VM's qvm.
  test("does not receive the signal through a lock that outlived its process", function()
    local out, old, heard = in_namespace([[
      start_vm() {
        mkdir -p "$QVM_ROOT/linux1"
        "$work/qvm" "$QVM_ROOT/linux1/env" share >"$work/ready" &
        old=$!
        until grep -q ready "$work/ready"; do sleep 0.01; done
      }
    ]] .. after .. [[
      kill $(sed -n 's/^child //p' "$work/ready")
    ]], another_qvm(), program_after(files.dir()), "env -u LD_PRELOAD")
    assert.matches("^before\t" .. old .. "\ttrue\npid\tgone\nstatus\tnil\tgone\n"
      .. "dump\tnil\tgone\n$", out)
    assert.is_nil(heard:find("caught", 1, true))
  end, can_choose, "root, in the first namespace of process ids")

  test("is not looked up in the /proc of another pid namespace", function()
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
end)
