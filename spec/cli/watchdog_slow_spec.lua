-- qvm-watchdog, as a user runs it.

local cjson = require "cjson"
local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local sim = require "support.sim"

local script = lfs.currentdir() .. "/examples/watchdog.lua"

local it = sim.can_signal and it or pending

local function environment()
  return {QVM_ROOT = sim.root(), QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("LD_PRELOAD")}
end

local function words(...)
  return {process.lua, script, "--dir", files.path("captures"), ...}
end

local function run(...)
  return process.run(words(...), {env = environment()})
end

-- Starts a VM that dumps into the directory "dumps".
local function start(name, options)
  if not files.exists(files.path("dumps")) then
    files.mkdir("dumps")
  end
  return sim.start(name, "ram 1M\ncpu\ncpu\ndump " .. files.path("dumps"), options)
end

local function log_and_dump()
  return "--log", files.dir() .. "/{vm}.log", "--dump", files.path("dumps")
end

local function captured()
  local list = files.list(files.path("captures"))
  table.sort(list)
  return list
end

local function event_of(name)
  return cjson.decode(files.read(files.path("captures/" .. name .. "/event.json")))
end

-- Whether all captures have the form of their names, without their times.
local function names_of(list)
  local names = {}
  for i, name in ipairs(list) do
    names[i] = name:gsub("%-%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d%-", " ")
  end
  return names
end

local function unpacked(path)
  local status, out = process.run {"gzip", "-dc", path}
  assert.are.equal(0, status)
  return out
end

describe("qvm-watchdog", function()
  after_each(sim.clean)

  -- Starts the watchdog. Returns it, and a function that waits until its output matches a pattern.
  local function watch(...)
    local watchdog = process.start(words("--interval", "0.05", ...),
      {env = environment(), log = files.path("watchdog.log")})
    local function text()
      local all = ""
      for _, path in ipairs {watchdog.output, files.path("watchdog.log")} do
        all = all .. (files.exists(path) and files.read(path) or "") -- it may not run yet
      end
      return all
    end
    return watchdog, function(pattern)
      assert.is_truthy(process.eventually(function()
        return text():find(pattern)
      end, 40), pattern .. " is not in\n" .. text())
      return text()
    end
  end

  it("captures VMs that are suspended, restarted or stuck, and does not wait for one", function()
    local killed, hangs, naps, reborn = start "killed", start "hangs", start "naps", start "reborn"
    local watchdog, says = watch("--timeout", "6", log_and_dump())
    says "reborn appeared: running"
    hangs:tell("hang")
    says "hangs state: running to stuck"
    killed:stop("KILL")
    naps:tell("suspend")
    reborn:stop("KILL")
    reborn = start("reborn", {wait = false})
    says(" killed state: running to gone, process " .. killed.pid .. "\n")
    says(" reborn restarted: [^\n]*, process " .. reborn.pid .. "\n")
    says(" naps captured: [^\n]*suspended: env %([%d.]+ %a+%), status text %(6 lines%), "
      .. "dump %([%d.]+ KiB%)\n")
    local text = says " reborn captured: [^\n]*restarted: env %b(), status text %(6 lines%), dump "
    -- By now the capture of the stuck VM, which began first, is not finished.
    assert.is_nil(text:find("hangs captured", 1, true), text)
    says " hangs captured: [^\n]*stuck: nothing but the event; without env, status text, dump\n"
    watchdog:kill("INT")
    assert.are.same({"exit", 0}, {watchdog:wait()})

    local list = captured()
    assert.are.same({"hangs stuck", "naps suspended", "reborn restarted"}, names_of(list))
    assert.are.same({}, files.list(files.path("dumps")))
    local event = event_of(list[1])
    assert.are.same({"hangs", "stuck", "stuck", hangs.pid, 3},
      {event.vm, event.trigger, event.state, event.pid, #event.missing})
    assert.matches("no answer", event.missing[1].reason)
    assert.matches("gained nothing within 6 s", event.missing[2].reason)
    event = event_of(list[2])
    assert.are.same({"naps", "suspended", "suspended", naps.pid, 0},
      {event.vm, event.trigger, event.state, event.pid, #event.missing})
    event = event_of(list[3])
    assert.are.same({"restarted", reborn.pid}, {event.trigger, event.pid})
    local naps_path = files.path("captures/" .. list[2])
    assert.matches("naps info: state suspended", unpacked(naps_path .. "/status.txt.gz"))
    local stored = {}
    for _, name in ipairs(files.list(naps_path)) do
      stored[#stored + 1] = name:gsub("%d+%-%d+", "TIME")
    end
    table.sort(stored)
    assert.are.same({"env.json", "event.json", "naps-TIME.gcore.gz", "status.txt.gz"}, stored)
    local qvm = require "qvm"
    for _, name in ipairs(files.list(naps_path)) do
      if name:find("gcore") then
        assert(qvm.open(naps_path .. "/" .. name)):close()
      end
    end
  end)

  it("captures a VM that is suspended when it starts", function()
    start("naps"):tell("suspend")
    local watchdog, says = watch(log_and_dump())
    says " watching all VMs in [^\n]*/vms\n"
    says " naps captured: "
    watchdog:kill("INT")
    watchdog:wait()
    assert.are.same({"naps suspended"}, names_of(captured()))
  end)

  it("captures VMs whose names look like options or values", function()
    local odd = {start "--dir", start "-x=y"}
    local watchdog, says = watch("--log=" .. files.dir() .. "/{vm}.log")
    for _, vm in ipairs(odd) do
      says((vm.name:gsub("%-", "%%-")) .. " appeared")
      vm:tell("suspend")
    end
    says " %-%-dir captured: [^\n]*/%-%-dir%-%d+%-%d+%-suspended: env %b(), status text"
    says " %-x=y captured: [^\n]*/%-x=y%-%d+%-%d+%-suspended: env %b(), status text"
    watchdog:kill("INT")
    watchdog:wait()
  end)

  it("captures a VM that was dead from the start when it is back", function()
    start("linux1"):stop("KILL")
    local watchdog, says = watch()
    says "linux1 appeared: gone\n"
    start("linux1", {wait = false})
    says "linux1 captured: [^\n]*restarted: env %b(); without status text, dump\n"
    watchdog:kill("INT")
    watchdog:wait()
  end)

  it("takes a VM that disappears and appears again for restarted", function()
    local linux1 = start "linux1"
    local watchdog, says = watch()
    says "linux1 appeared: running"
    linux1:stop()
    says "linux1 disappeared: running to unavailable"
    start "linux1"
    says "linux1 captured: [^\n]*restarted: env %b(); without status text, dump\n"
    watchdog:kill("INT")
    watchdog:wait()
    local event = event_of(captured()[1])
    assert.are.equal("running", event.state)
    assert.are.same({{what = "status text", reason = "without --log its place is not known"},
      {what = "dump", reason = "without --dump its place is not known"}}, event.missing)
  end)

  it("watches only the given VMs", function()
    local linux1, linux2 = start "linux1", start "linux2"
    local watchdog, says = watch("linux2")
    says "linux2 appeared"
    linux1:tell("suspend")
    linux2:tell("suspend")
    local text = says "linux2 captured"
    watchdog:kill("INT")
    watchdog:wait()
    assert.is_nil(text:find("linux1", 1, true))
  end)

  it("finishes a capture that has begun before it ends", function()
    local linux1 = start "linux1"
    local watchdog, says = watch("--timeout", "2", "--log", files.dir() .. "/nowhere.log")
    says "linux1 appeared"
    linux1:tell("suspend")
    assert.is_truthy(process.eventually(function()
      local name = captured()[1]
      return name and #files.list(files.path("captures/" .. name)) > 0
    end), "no capture has begun")
    assert.matches("%.partial$", captured()[1])
    watchdog:kill("TERM")
    watchdog:wait()
    assert.is_truthy(process.eventually(function()
      return captured()[1] and not captured()[1]:find("partial")
    end))
    assert.are.equal("suspended", event_of(captured()[1]).trigger)
  end)

  describe("--capture", function()
    it("captures a VM now", function()
      start "linux1"
      local status, out, errors = run("--capture", "linux1", log_and_dump())
      assert.are.equal("", errors)
      assert.are.equal(0, status)
      assert.matches(" linux1 captured: [^\n]+%-asked: env %b(), status text %(6 lines%), "
        .. "dump %b()\n$", out)
      status, out = run("--capture", "linux9", "--reason", "because")
      assert.are.equal(1, status)
      assert.matches("because: nothing but the event; without VM\n", out)
    end)

    it("keeps the newest captures of each VM, and removes nothing else", function()
      start "linux1"
      files.mkdir("captures")
      files.mkdir("captures/linux1-20200101-000000-notes")
      files.write("captures/linux1-20200101-000000-notes/mine", "")
      files.write("captures/file", "")
      for i = 1, 4 do
        for _, name in ipairs {"linux1", "linux2-20200101-000000-x"} do
          local path = ("captures/%s-2020010%d-000000-stuck"):format(name, i)
          files.mkdir(path)
          files.write(path .. "/event.json", "{}")
        end
      end
      local status = run("--capture", "linux1", "--keep", "2")
      assert.are.equal(1, status) -- nothing was asked for
      local list = captured()
      assert.are.equal("file", list[1])
      assert.are.equal("linux1-20200101-000000-notes", list[2])
      assert.are.equal("linux1-20200104-000000-stuck", list[3])
      assert.matches("^linux1%-20%d+%-%d+%-asked$", list[4])
      assert.are.same({"linux2-20200101-000000-x-20200103-000000-stuck",
        "linux2-20200101-000000-x-20200104-000000-stuck"}, {list[5], list[6]})
      assert.are.equal(6, #list)
    end)

    it("keeps within a size, and gives up a dump that alone is larger", function()
      start "linux1"
      files.mkdir("captures")
      for i = 1, 3 do
        local path = ("captures/linux1-2020010%d-000000-stuck"):format(i)
        files.mkdir(path)
        files.write(path .. "/event.json", ("x"):rep(100000))
      end
      run("--capture", "linux1", "--max-size", "210000")
      assert.are.equal(3, #captured())
      run("--capture", "linux1", "--max-size", "1K", "--reason", "small", log_and_dump())
      local list = captured()
      assert.are.same({"linux1 small"}, names_of(list))
      assert.are.same({{what = "dump", reason = "larger than --max-size, compressed"}},
        event_of(list[1]).missing)
      assert.are.same({}, files.list(files.path("dumps")))
    end)

    it("is refused while the VM is being captured", function()
      start "linux1"
      files.mkdir("captures")
      files.mkdir("captures/linux1-20200101-000000-stuck.partial")
      local status, _, errors = run("--capture", "linux1")
      assert.are.equal(1, status)
      assert.matches("another capture of linux1 is not finished: .*linux1%-20200101%-000000%-stuck"
        .. ".partial\n$", errors)
    end)

    it("removes a capture that was interrupted, in which nothing has changed for long", function()
      start "linux1"
      files.mkdir("captures")
      local partial = files.mkdir("captures/linux1-20200101-000000-stuck.partial")
      local left = files.write("captures/linux1-20200101-000000-stuck.partial/status.txt", "x")
      for _, path in ipairs {left, partial} do
        assert(lfs.touch(path, os.time() - 1000, os.time() - 1000))
      end
      assert.are.equal(0, (run("--capture", "linux1", log_and_dump())))
      assert.are.same({"linux1 asked"}, names_of(captured()))
    end)

    it("removes nothing that a symbolic link leads to, and no directory in a capture", function()
      start "linux1"
      files.mkdir("captures")
      files.mkdir("victim")
      for _, name in ipairs {"precious", "event.json"} do
        files.write("victim/" .. name, "x")
      end
      for _, path in ipairs {files.path("victim/precious"), files.path("victim/event.json"),
          files.path("victim")} do
        assert(lfs.touch(path, os.time() - 1000, os.time() - 1000))
      end
      files.symlink(files.path("victim"), "captures/linux1-20200101-000000-asked.partial")
      files.symlink(files.path("victim"), "captures/linux1-20200102-000000-stuck")
      files.mkdir("captures/linux1-20200103-000000-stuck")
      files.write("captures/linux1-20200103-000000-stuck/event.json", "{}")
      files.symlink(files.path("victim"), "captures/linux1-20200103-000000-stuck/link")
      files.mkdir("captures/linux1-20200104-000000-stuck")
      files.write("captures/linux1-20200104-000000-stuck/event.json", "{}")
      files.write(files.mkdir("captures/linux1-20200104-000000-stuck/notes") .. "/mine", "")
      local status, _, errors = run("--capture", "linux1", "--keep", "1")
      assert.are.equal(1, status) -- nothing was asked for
      assert.are.same({"event.json", "precious"}, files.list(files.path("victim")))
      assert.matches("not removed: [^\n]*linux1%-20200104%-000000%-stuck: ", errors)
      local list = captured()
      assert.are.same({"linux1-20200101-000000-asked.partial", "linux1-20200102-000000-stuck",
        "linux1-20200104-000000-stuck"}, table.move(list, 1, 3, 1, {}))
      assert.matches("^linux1%-20%d+%-%d+%-asked$", list[4])
      assert.are.equal(4, #list)
      assert.are.same({"notes"}, files.list(files.path("captures/" .. list[3])))
    end)

    it("is refused in a directory that other users can write to", function()
      files.mkdir("captures")
      for _, mode in ipairs {"1777", "775", "777"} do
        assert(os.execute(("chmod %s '%s'"):format(mode, files.path("captures"))))
        local status, _, errors = run("--capture", "linux1")
        assert.are.equal(1, status)
        assert.matches("captures: other users can write to it: ", errors, 1, true)
        assert.are.same({}, captured())
      end
    end)

    -- Captures linux1, with a shell command that is run when the dump was checked; the dump is $1.
    local function capture_while(command)
      local path = files.write("child.lua", ([[
        local VM = getmetatable(require "qvm".vm "linux1").__index
        local dump = VM.dump
        VM.dump = function(...)
          local made = assert(dump(...))
          local line = (%q):gsub("$1", made.path)
          assert(os.execute(line))
          return made
        end
        os.exit(require "qvm.cli.watchdog".run(arg), true)]]):format(command))
      local variables = environment()
      variables.LUA_PATH, variables.LUA_CPATH = package.path, package.cpath
      return process.run({"timeout", "30", process.lua, path, "--dir", files.path("captures"),
        "--capture", "linux1", "--dump", files.path("dumps")}, {env = variables})
    end

    it("takes the dump that was checked, whatever its name means by then", function()
      start "linux1"
      files.write("victim", "secret")
      for _, exchange in ipairs {"mv $1 $1.old; ln -s ../victim $1", "mv $1 $1.old; mkfifo $1"} do
        local status, out, errs = capture_while(exchange)
        assert.are.equal("", errs)
        assert.are.equal(1, status) -- there is no status text
        assert.matches("dump %([%d.]+ KiB%); without status text; not removed: [^\n]*gcore: is "
          .. "another file by now\n$", out)
        local list = captured()
        local taken
        for _, name in ipairs(files.list(files.path("captures/" .. list[1]))) do
          taken = name:find("gcore") and name or taken
        end
        local kept = files.path("dumps/" .. taken:gsub("%.gz$", ""))
        assert.are.equal(files.read(kept .. ".old"),
          unpacked(files.path("captures/" .. list[1] .. "/" .. taken)))
        assert.is_true(files.exists(kept))
        assert(os.execute(("rm -r '%s' '%s' '%s.old'"):format(files.path("captures"), kept, kept)))
      end
      assert.are.equal("secret", files.read(files.path("victim")))
    end)

    it("leaves nothing of a capture that fails", function()
      start "linux1"
      files.mkdir("captures")
      local path = files.path("captures/linux1-20200101-000000-stuck")
      files.mkdir("captures/linux1-20200101-000000-stuck")
      files.write(path .. "/other", "")
      files.mkdir("captures/linux1-20200101-000000-stuck.partial")
      local status, _, errors = run("--capture", "linux1", "--into", path)
      assert.are.equal(1, status)
      assert.matches("linux1%-20200101%-000000%-stuck", errors)
      assert.is_false(files.exists(path .. ".partial"))
      assert.are.same({"other"}, files.list(path))
    end)
  end)

  it("rejects wrong arguments", function()
    for _, case in ipairs {{"--keep", "0", "%-%-keep: not a number from 1 on"},
      {"--max-size", "1T", "%-%-max%-size: not a number of bytes"},
      {"--interval", "x", "%-%-interval: not a number"},
      {"--timeout", "0", "%-%-timeout: not a number"},
      {"--reason", "a/b", "%-%-reason: not a word"},
      {"--capture", "../x", "is no system name"}} do
      local status, _, errors = run(case[1], case[2])
      assert.are.equal(2, status)
      assert.matches(case[3], errors)
    end
    local status, _, errors = process.run({process.lua, script}, {env = environment()})
    assert.are.equal(2, status)
    assert.matches("missing option '%-%-dir'", errors)
  end)
end)
