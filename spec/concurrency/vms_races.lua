-- Broken or short-lived VMs: every call ends soon with a documented code, and its message
-- names the VM.

local files = require "support.files"
local namespace = require "concurrency.namespace"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local clock = require("system").monotime

local codes = {not_found = true, permission = true, not_qvm = true, gone = true,
  malformed = true, truncated = true, too_large = true, timeout = true, unsupported = true,
  io = true, busy = true}

-- Calls a method that may fail; returns its results.
local function call(vm, method, ...)
  local start = clock()
  local result, message, code = vm[method](vm, ...)
  assert.is_true(clock() - start < 5, method .. " took too long")
  if result == nil then
    assert.is_true(codes[code], ("%s: %s: %s"):format(method, code, message))
    assert(message:find(vm.name, 1, true), method .. " does not name the VM: " .. message)
  end
  return result, message, code
end

local function code_of(...)
  return select(3, call(...))
end

-- Whether a loop that must see all that another process does may end: after the deadline. On a
-- busy machine the process may need longer for all of it.
local function is_over(deadline, has_all)
  return clock() > deadline and (has_all or clock() > deadline + 30)
end

local function each_node(vm)
  local names = {}
  for name in vm:nodes() do
    names[#names + 1] = name
  end
  return names
end

describe("an env", function()
  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  -- Returns what env, state, pid and signal report for a VM whose env is created by the
  -- shell text, in which $1 is the path of the env.
  local function assert_codes(expected, text)
    files.mkdir("vms/odd")
    local path = files.path("vms/odd/env")
    local maker = process.start({"sh", "-c", text .. "; echo made; exec sleep 100", "sh", path})
    assert.are.equal("made", maker:line())
    local vm = assert(qvm.vm("odd"))
    local start = clock()
    assert.are.same(expected, {code_of(vm, "env"), vm:state() or code_of(vm, "state"),
      code_of(vm, "pid"), code_of(vm, "signal", "status")})
    assert.is_true(clock() - start < 10)
    assert.are.same({}, each_node(vm))
    return vm
  end

  it("that never ends is refused as too large", function()
    assert_codes({"too_large", "gone", "gone", "gone"},
      -- Once nothing can read from the FIFO, `yes` ends: it must not be able to itself.
      'mkfifo "$1"; exec 3<>"$1"; yes >"$1" 3>&- & :')
  end)

  it("that grows slowly without end: reading it times out", function()
    local vm = assert_codes({"timeout", "gone", "gone", "gone"},
      'mkfifo "$1"; exec 3<>"$1"; (while kill -0 $$; do echo "{" >&3; sleep 0.05; done) 2>&- & :')
    local start = clock()
    assert.matches("may be stuck", (select(2, vm:env())))
    assert.is_true(clock() - start > 1 and clock() - start < 4) -- in total, not for each part
  end)

  it("that is a FIFO without a writer is empty", function()
    assert_codes({"malformed", "gone", "gone", "gone"}, 'mkfifo "$1"')
  end)

  it("that is not a regular file is refused", function()
    for _, text in ipairs {'mkdir "$1"', 'ln -s /dev/zero "$1"', 'ln -s . "$1"',
      [[at="$1" "${LUA:-lua5.4}" -e 'require "socket.unix"():bind(os.getenv "at")']]} do
      assert_codes({"unsupported", "unsupported", "unsupported", "unsupported"}, text)
      os.execute("rm -r " .. process.quote(files.path("vms/odd")))
    end
  end)

  it("that is a dangling or circular link is reported", function()
    for _, target in ipairs {"env", "/nowhere", "../odd/env"} do
      files.mkdir("vms/odd")
      files.symlink(target, "vms/odd/env")
      local vm, message, code = qvm.vm("odd")
      assert.are.same({nil, "not_found"}, {vm, code})
      assert.matches('no VM "odd"', message)
      assert.are.same({}, qvm.names())
      os.execute("rm -r " .. process.quote(files.path("vms/odd")))
    end
  end)

  it("that keeps changing its file type causes only documented errors", function()
    files.mkdir("vms/odd")
    process.start({"sh", "-c", [[
      cd "$1"; mkfifo fifo; printf '{"a": 1}' >good; printf '{' >bad; mkdir directory
      while :; do
        for what in ../good ../bad ../fifo /dev/null ../directory /nowhere; do
          ln -sfn "$what" new; mv -T new odd/env
        done
        rm -f odd/env
      done]], "sh", sim.root()})
    local seen = {}
    local vm = process.eventually(function() return qvm.vm("odd") end)
    local deadline = clock() + 2
    repeat
      local env, _, code = call(vm, "env")
      seen[env and "env" or code] = true
      local again, message, kind = qvm.vm("odd")
      assert(again or kind == "not_found", message)
      for _, method in ipairs {"state", "pid"} do
        call(vm, method)
      end
      code = code_of(vm, "signal", "dump")
      assert.is_true(code == "gone" or code == "not_found" or code == "unsupported", code)
    until is_over(deadline, seen.env and seen.malformed and seen.unsupported and seen.not_found)
    assert.are.same({env = true, malformed = true, unsupported = true, not_found = true}, seen)
  end)
end)

describe("a VM that does not answer", function()
  local it = sim.can_signal and it or pending

  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  local function start()
    local dumps = files.mkdir("dumps")
    return sim.start("linux1", "ram 1M\ncpu\ncpu\ndump " .. dumps), qvm.vm("linux1"), dumps
  end

  it("because it is stopped: calls that need its answer time out", function()
    local linux1, vm, dumps = start()
    linux1:signal("STOP")
    assert.are.equal("running", vm:state()) -- here the file is locked; on QNX, qvm would answer
    assert.are.equal(linux1.pid, vm:pid())
    assert.are.same({}, each_node(vm))
    assert.are.equal("timeout", code_of(vm, "status", {log = linux1.log, timeout = 0.3}))
    assert.are.equal("timeout", code_of(vm, "dump", {dir = dumps, timeout = 0.3}))
    linux1:signal("CONT") -- the requested answers arrive late
    assert(process.eventually(function() return #files.list(dumps) == 1 end))
    assert.matches("status 2 ", (assert(vm:status {log = linux1.log, settle = 1})))
  end)

  it("because it hangs: reading env times out as well", function()
    local linux1, vm, dumps = start()
    linux1:tell("hang")
    assert.are.equal("timeout", code_of(vm, "env"))
    assert.are.equal("stuck", (vm:state()))
    assert.are.equal(linux1.pid, vm:pid())
    assert.are.equal("timeout", code_of(vm, "status", {log = files.write("log", ""),
      timeout = 0.3}))
    assert.are.equal("timeout", code_of(vm, "dump", {dir = dumps, timeout = 0.3}))
    assert.are.equal("timeout", select(3, qvm.errata.snapshot(vm)))
    linux1:tell("resume")
    assert.are.equal("running", vm:state())
  end)
end)

describe("a root that changes while it is in use", function()
  after_each(sim.clean)

  it("yields what exists and reports what is missing", function()
    for _, name in ipairs {"one", "two"} do
      files.mkdir(name)
      for i = 1, 50 do
        files.mkdir(("%s/%s%d"):format(name, name, i))
        files.write(("%s/%s%d/env"):format(name, name, i), '{"vcpus": []}')
        files.write(("%s/%s%d/node"):format(name, name, i), "")
      end
    end
    process.start({"sh", "-c", [[
      cd "$1"; mkdir three
      while :; do
        for root in one two three /nowhere; do
          ln -sfn "$root" new; mv -T new vms
        done
        mv one/one5 one/other; mv one/other one/one5
        mv two/two5 two/away; ln -s node two/two5; rm two/two5
        : >two/two5; rm two/two5; mv two/away two/two5
      done]], "sh", files.dir()})
    qvm.root(files.path("vms"))
    local listed, deadline = {}, clock() + 3
    repeat
      local names, message, code = qvm.names()
      assert(names or code == "not_found", message)
      listed[names and #names or code] = true
      for vm in qvm.vms() do
        local env = call(vm, "env")
        assert(not env or env.text == '{"vcpus": []}')
        call(vm, "state")
        code = code_of(vm, "pid")
        assert(code == "gone" or code == "not_found", code)
        each_node(vm)
      end
    until is_over(deadline, listed[50] and listed[0] and listed.not_found)
    assert.is_true(listed[50] and listed[0] and listed.not_found)
  end)
end)

-- Runs as user "nobody": the library and the simulator are copied to a place that this user
-- can read.
describe("a user who is not root", function()
  after_each(sim.clean)

  local options = "--mount"
  local can = namespace.can(options, "setpriv --reuid nobody --regid nogroup --clear-groups true")

  local function test(what, f)
    local run = can and sim.can_signal and it or pending
    run(what .. (can and "" or " (needs root)"), f)
  end

  local prelude = [[
    cp -R lua "$build/qvm" "$build/sim" "$work"
    mkdir "$QVM_ROOT" "$work/dumps" "$work/own"
    chmod 777 "$QVM_ROOT" "$work/dumps" "$work/own"
    export LUA_PATH="$work/lua/?.lua;$work/lua/?/init.lua" LUA_CPATH="$work/?.so;;"
    started=
    nobody="setpriv --reuid nobody --regid nogroup --clear-groups"
    start() { # start NAME [as]: a VM, its log NAME.log
      name=$1; shift
      [ $# -eq 0 ] || set -- $nobody # not the function: its process would not be the VM's
      "$@" "$work/sim/qvm" system "$name" ram 1M cpu cpu dump "$work/dumps" \
        </dev/null 2>"$work/own/$name.log" &
      started="$started $!"
      until [ -s "$QVM_ROOT/$name/env" ]; do sleep 0.01; done
    }
    as() { $nobody "$@"; }
    finish() { [ -z "$started" ] || kill $started; wait; }
    trap finish EXIT
    cd "$work"
  ]]

  -- Runs shell text with that setup, and the Lua program as nobody or with more rights.
  local function run(text, program)
    files.dir()
    files.write("program.lua", [[
      local qvm = require "qvm"
      local function say(what, result, message, code)
        io.write(what, ": ", result ~= nil and tostring(result) or code .. " | " .. message, "\n")
      end
    ]] .. program)
    local out = namespace.run(options, prelude .. text)
    return out:gsub(files.dir():gsub("%p", "%%%0"), ""):gsub("process %d+", "process N")
  end

  test("sees the VMs of root but may not signal them", function()
    local out = run([[start linux1; chmod 644 own/linux1.log; as "$lua" program.lua
      grep -c -e status -e written own/linux1.log || :]], [[
      local vm = assert(qvm.vm "linux1")
      say("names", table.concat(qvm.names(), " "))
      say("state", vm:state())
      say("pid", vm:pid())
      say("signal", vm:signal "status")
      say("status", vm:status {log = "own/linux1.log"})
      say("dump", vm:dump {dir = "dumps"})]])
    local refused = "permission | /vms/linux1/env: process N cannot be looked at: "
      .. "run as its user or as root\n"
    assert.are.equal("names: linux1\nstate: running\npid: " .. refused .. "signal: " .. refused
      .. "status: " .. refused .. "dump: " .. refused .. "0\n", out)
  end)

  test("may do everything with VMs of the same user", function()
    local out = run([[start linux1 as; as "$lua" program.lua]], [[
      local vm = assert(qvm.vm "linux1")
      say("state", vm:state())
      say("pid", math.type(vm:pid()))
      say("status", #assert(vm:status {log = "own/linux1.log"}) > 100)
      say("dump", assert(vm:dump {dir = "dumps"}).complete)]])
    assert.are.equal("state: running\npid: integer\nstatus: true\ndump: true\n", out)
  end)

  test("does not accept another user's file with the name of the dump", function()
    local out = run([[start linux1 as
      vm=$("$lua" -e 'print(assert(require "qvm".vm "linux1":pid()))'); kill -STOP $vm
      (sleep 0.3
      for later in 0 1 2; do
        (umask 077
        echo other >"dumps/linux1-$(date -d "$later sec" +%Y%m%d-%H%M%S).gcore")
      done
      kill -CONT $vm) &
      as "$lua" program.lua; ls dumps | wc -l]], [[
      local dump = assert(qvm.vm "linux1":dump {dir = "dumps", timeout = 10})
      say("dump", dump.complete and dump:cstring(0x80000000))]])
    assert.are.equal("dump: simulated guest linux1\n4\n", out)
  end)

  test("learns which VM may be inspected but not signalled", function()
    local out = run([[start linux1
      caps=+sys_ptrace,+dac_read_search # what its open files may be listed with
      as --inh-caps $caps --ambient-caps $caps "$lua" program.lua]], [[
      local vm = assert(qvm.vm "linux1")
      say("pid", math.type(vm:pid()))
      say("signal", vm:signal "dump")]])
    assert.are.equal("pid: integer\nsignal: permission | /vms/linux1/env: process N may not "
      .. "be signalled: run as its user or as root\n", out)
  end)

  test("learns that a process is hidden", function()
    local out = run([[start linux1
      mount -t proc -o hidepid=invisible proc /proc; as "$lua" program.lua]], [[
      say("signal", qvm.vm "linux1":signal "status")]])
    assert.are.equal("signal: permission | /vms/linux1/env: process N is hidden: run as root\n",
      out)
  end)

  test("learns the names of what may not be read", function()
    local out = run([[start open as; start closed as
      mkdir "$QVM_ROOT/dark"; echo "{}" >"$QVM_ROOT/dark/env"; chmod 0 "$QVM_ROOT/dark"
      chmod 0 "$QVM_ROOT/closed/env"; chmod 0 own/open.log; chmod 0 dumps
      as "$lua" program.lua; grep -c -e status -e written own/open.log || :
      chmod 0 "$QVM_ROOT"; as "$lua" -e 'qvm = require "qvm"
        print(select(3, qvm.names())); print(pcall(qvm.vms))'
      chmod 755 "$QVM_ROOT"]], [[
      say("names", table.concat(qvm.names(), " "))
      say("dark", qvm.vm "dark":env())
      local closed, open = qvm.vm "closed", qvm.vm "open"
      say("env", closed:env())
      say("state", closed:state())
      say("pid", closed:pid())
      say("signal", closed:signal "status")
      say("snapshot", qvm.errata.snapshot(closed))
      say("record", qvm.record(closed, "own/record"))
      say("status", open:status {log = "own/open.log"})
      say("dump", open:dump {dir = "dumps"})]])
    local closed = "permission | /vms/closed/env: Permission denied\n"
    assert.are.equal("names: closed dark open\n"
      .. "dark: permission | /vms/dark/env: Permission denied\nenv: " .. closed .. "state: "
      .. closed .. "pid: " .. closed .. "signal: " .. closed .. "snapshot: " .. closed
      .. "record: " .. closed .. "status: permission | own/open.log: Permission denied\n"
      .. "dump: permission | dumps: Permission denied\n0\n"
      .. "permission\nfalse\t/vms: Permission denied\n", out)
  end)

  test("cannot use a device as an env", function()
    local out = run([[mkdir "$QVM_ROOT/odd"; : >"$QVM_ROOT/odd/env"
      mount --bind /dev/zero "$QVM_ROOT/odd/env"; as "$lua" program.lua]], [[
      local vm = assert(qvm.vm "odd")
      say("env", vm:env())
      say("signal", vm:signal "status")]])
    local refused = "unsupported | /vms/odd/env: not a file\n"
    assert.are.equal("env: " .. refused .. "signal: " .. refused, out)
  end)
end)
