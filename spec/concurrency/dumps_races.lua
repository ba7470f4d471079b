-- Dump directories that are full, read-only or shared; dumps that are replaced or removed
-- while in use; two scripts that request dumps from one VM.

local files = require "support.files"
local namespace = require "concurrency.namespace"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local it = sim.can_signal and it or pending

local RAM = 0x80000000
local NUMBER = RAM + 0x100 -- where the simulator puts the number of the dump

local function number_of(dump)
  return dump:u64(NUMBER)
end

describe("a dump directory", function()
  local dumps

  local function set_up()
    qvm.root(sim.root())
    dumps = files.mkdir("dumps")
  end

  before_each(set_up)

  after_each(sim.clean)

  local function start()
    return sim.start("linux1", "ram 1M\ncpu\ndump " .. dumps), qvm.vm("linux1")
  end

  local can = namespace.can("--mount", "mount -t tmpfs -o size=1m none /mnt")

  -- Runs a Lua program next to a VM that dumps to a disk of 1 MiB.
  local function on_small_disk(program)
    files.write("program.lua", [[
      local qvm, clock = require "qvm", require "system".monotime
      local dumps = os.getenv "dumps"
      local vm = assert(qvm.vm "linux1")
      local function take(timeout)
        local start = clock()
        local dump, message, code = vm:dump {dir = dumps, timeout = timeout}
        local took = clock() - start
        print(dump and dump.complete or code, dump and "" or message:gsub("%-%d.*%.gcore", "-"),
          took < 2 and "soon" or "late")
      end
    ]] .. program)
    return (namespace.run("--mount", [[
      export dumps="$work/dumps"
      mount -t tmpfs -o size=1m none "$dumps"
      "$build/sim/qvm" system linux1 ram 4M cpu dump "$dumps" </dev/null 2>"$work/log" &
      vm=$!
      trap 'kill $vm; wait' EXIT
      until [ -s "$QVM_ROOT/linux1/env" ]; do sleep 0.01; done
      "$lua" "$work/program.lua"
    ]]):gsub(files.dir():gsub("%p", "%%%0"), ""))
  end

  local function disk_test(what, f)
    local run = can and it or pending
    run(what .. (can and "" or " (needs root)"), f)
  end

  disk_test("on a full disk: nothing is sent, and it works again when there is space", function()
    local out = on_small_disk([[
      os.execute("head -c 2M /dev/zero >" .. dumps .. "/fill 2>/dev/null")
      for _ = 1, 20 do take(10) end
      os.remove(dumps .. "/fill")
      take(10)]])
    assert.are.equal(("io\t/dumps: its disk is full\tsoon\n"):rep(20) .. "true\t\tsoon\n", out)
  end)

  disk_test("on a disk that fills up during a dump: the call says so", function()
    local out = on_small_disk([[
      os.execute("head -c 960K /dev/zero >" .. dumps .. "/fill")
      for _ = 1, 20 do take(10) end]])
    assert.are.equal(("io\tlinux1: /dumps/linux1- was removed by its writer: is the disk full?"
      .. "\tsoon\n"):rep(20), out)
  end)

  disk_test("on a read-only disk: the call times out", function()
    local out = on_small_disk([[
      os.execute("mount -o remount,ro " .. dumps)
      take(0.5)]])
    assert.are.equal("timeout\tlinux1: no dump in /dumps within 0.5 s: "
      .. "does the VM's configuration have a `dump` option, and does it name this directory?"
      .. "\tsoon\n", out)
  end)

  -- Requests a VM's second dump and runs shell text before it answers. The text runs in the
  -- dump directory; $1 is a name that the new dump could get, and $2 the name of the first
  -- dump.
  local function second_dump(text)
    local linux1, vm = start()
    local first = assert(vm:dump {dir = dumps})
    first:close()
    local path = files.path("first.gcore")
    os.rename(first.path, path)
    linux1:signal("STOP")
    local other = process.start({"sh", "-c", ([[
      cd %s
      sleep 0.3
      plant() { %s
      }
      for later in 0 1 2; do plant "linux1-$(date -d "$later sec" +%%Y%%m%%d-%%H%%M%%S).gcore" %s
      done
      sleep 0.3
      kill -CONT %d]]):format(process.quote(dumps), text, process.quote(path), linux1.pid)},
      {log = files.path("planted.log")})
    local dump, message = vm:dump {dir = dumps, timeout = 10}
    other:wait()
    assert.are.equal("", files.read(files.path("planted.log")))
    assert(dump, message)
    assert.are.equal(2, number_of(dump))
    dump:close()
  end

  it("that receives links instead of a dump: they are rejected", function()
    second_dump('ln -s "$2" "$1"')
    sim.clean()
    set_up()
    second_dump('ln -s "$2" new; mv -T new "$1"')
  end)

  it("that receives a file that must not be opened: it is not opened", function()
    second_dump('mkfifo "../$1"; mv "../$1" "$1"; (echo >"$1"; echo opened >&2) &')
    sim.clean()
    set_up()
    second_dump('mkfifo "../$1"; (echo >"../$1"; echo opened >&2) & ln -s "../$1" n; mv -T n "$1"')
  end)

  it("with an incomplete or unreadable dump", function()
    second_dump('head -c 5000 "$2" >new; mv new "$1"')
  end)
end)

describe("a dump that is open", function()
  after_each(sim.clean)

  it("keeps its content when its file is replaced or removed", function()
    qvm.root(sim.root())
    local dumps = files.mkdir("dumps")
    sim.start("linux1", "ram 8M\ncpu\ndump " .. dumps)
    local vm = qvm.vm("linux1")
    local dump = assert(vm:dump {dir = dumps})
    local before = {}
    local pattern = ("\0"):rep(8) -- at each MiB except the first
    for address in dump:find(pattern, {align = 1 << 20}) do
      before[#before + 1] = address
    end
    local half = {}
    for address in dump:find(pattern, {align = 1 << 20}) do
      half[#half + 1] = address
      if #half == 2 then
        local other = assert(vm:dump {dir = dumps})
        other:close()
        os.rename(other.path, dump.path)
      elseif #half == 3 then
        os.remove(dump.path)
      end
    end
    assert.is_true(#before > 3)
    assert.are.same(before, half)
    assert.are.equal(1, number_of(dump))
    assert.are.equal(8 << 20, #dump:read(RAM, 8 << 20))
    dump:close()
  end)
end)

describe("two scripts that request dumps from one VM", function()
  after_each(sim.clean)

  -- Each script takes dumps and prints what it got. Its own dumps have a higher number than
  -- the highest one present at its request.
  local program = [[
    package.path, package.cpath = %q, %q
    local qvm = require "qvm"
    local dumps, remove = %q, %q == "remove"
    local vm = assert(qvm.vm "linux1")
    for _ = 1, 12 do
      local last = 0
      for name in require "lfs".dir(dumps) do
        local dump = name:find("gcore$") and qvm.open(dumps .. "/" .. name)
        last = dump and math.max(last, dump:u64(0x80000100)) or last
      end
      local dump <close>, message, code = vm:dump {dir = dumps, timeout = 20}
      if dump then
        local number = dump:u64(0x80000100)
        print(dump.complete and number > last and "own" or "another", dump:cstring(0x80000000))
        if remove then os.remove(dump.path) end
      else
        print(code, message)
      end
      if not remove then require "system".sleep(0.5) end
    end]]

  local function ask(how)
    local dumps = files.mkdir("dumps")
    sim.start("linux1", "ram 1M\ncpu\nset sim-dump-seconds 0.02\ndump " .. dumps)
    local children, text = {}, program:format(package.path, package.cpath, dumps, how)
    for i = 1, 2 do
      children[i] = process.start({os.getenv("LUA") or "lua5.4", "-e", text},
        {env = {QVM_ROOT = sim.root()}, log = files.path("errors")})
    end
    local got = {}
    for _, child in ipairs(children) do
      child:wait()
      for line in files.read(child.output):gmatch("[^\n]+") do
        got[#got + 1] = line
      end
    end
    assert.are.equal(24, #got, files.read(files.path("errors")))
    return got
  end

  it("get the dump of their own request", function()
    for _, line in ipairs(ask("keep")) do
      assert.are.equal("own\tsimulated guest linux1", line)
    end
  end)

  it("get a dump, or learn that another script removed it", function()
    local own = 0
    for _, line in ipairs(ask("remove")) do
      local is_own = line == "own\tsimulated guest linux1"
      own = own + (is_own and 1 or 0)
      assert(is_own or line:find("^io\tlinux1: .*gcore was removed")
        or line:find("^not_found\t.*/linux1%-.*gcore: No such file"), line)
    end
    assert.is_true(own >= 12)
  end)
end)
