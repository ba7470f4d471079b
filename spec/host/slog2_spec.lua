-- QNX's system log. There is no slogger2 on this host: the library's reader for QNX runs on a
-- fake of libslog2parse, with rings of messages as the documentation describes them.

local core = require "qvm.core"
local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"
local slog2 = require "support.slog2"
local clock = require("system").monotime

local function texts(iterator)
  local list = {}
  for line in iterator do
    list[#list + 1] = line.kind == "message" and line.text or ("lost %s"):format(line.lost)
  end
  return list
end

describe("qvm.slog2", function()
  before_each(function()
    slog2.stop()
    qvm.root(sim.root())
  end)

  after_each(function()
    slog2.stop()
    sim.clean()
  end)

  it("is unsupported without slogger2", function()
    local log, message, code = qvm.slog2()
    assert.is_nil(log)
    assert.are.equal("slog2: only QNX has it: give the path of a log, or a function", message)
    assert.are.equal("unsupported", code)
  end)

  it("reports a VM without a process before it reads any log", function()
    files.mkdir("vms/linux1")
    files.write("vms/linux1/env", "{}")
    slog2.start()
    slog2.fail()
    assert.are.equal("gone", select(3, qvm.slog2(assert(qvm.vm("linux1")))))
  end)

  it("raises for arguments that are not VMs, and for wrong options", function()
    for _, value in ipairs {"linux1", 7, {}, {pid = 1}, print} do
      assert.error_matches(function() qvm.slog2(value) end, "bad argument #1 to 'slog2'")
    end
    for message, options in pairs {
      ["no option 'levle': is it 'level'?"] = {levle = 3},
      ["option 'level' of 'slog2': no level 'warnin': is it 'warning'?"] = {level = "warnin"},
      ["option 'level' of 'slog2' is 8, not 0 to 7"] = {level = 8},
      ["option 'level' of 'slog2' is -1, not 0 to 7"] = {level = -1},
      ["option 'since' of 'slog2' is not a number"] = {since = "now"},
      ["option 'vcpu' of 'slog2' is not an integer"] = {vcpu = 0.5},
      ["option 'vcpu' of 'slog2' needs a VM"] = {vcpu = 0},
    } do
      assert.error_matches(function() qvm.slog2(nil, options) end, message, 1, true)
    end
    slog2.start()
    assert.error_matches(function() qvm.slog2():follow {timeout = 0} end,
      "option 'timeout' of 'follow' is not a number of seconds")
  end)

  it("has the messages of the VM's process, or of all, with their fields", function()
    local linux1 = sim.start("linux1")
    local log = slog2.start()
    log:log(linux1.pid, "vdev pl011: ok\n", {tid = 3, severity = 2, code = 7, buffer = "vdevs"})
    log:log(1, "of procnto")
    log:log(linux1.pid, "second")
    local vm = qvm.vm("linux1")
    local lines = assert(qvm.slog2(vm)):lines()
    local first = lines()
    assert.are.same({kind = "message", text = "vdev pl011: ok", pid = linux1.pid, tid = 3,
      severity = 2, code = 7, buffer = "vdevs", sequence = 0,
      nanoseconds = slog2.START * 1000000000,
      time = os.date("%Y-%m-%d %H:%M:%S.000", slog2.START)}, setmetatable(first, nil))
    assert.are.equal("second", lines().text)
    assert.is_nil(lines())
    assert.are.same({"vdev pl011: ok", "of procnto", "second"}, texts(qvm.slog2():lines()))
    assert.are.equal(("SystemLog of linux1 (process %d)"):format(linux1.pid),
      tostring(qvm.slog2(vm)))
    assert.are.equal("SystemLog of all processes", tostring(qvm.slog2()))
    assert.are.equal("vdev pl011: ok\nsecond\n", qvm.slog2(vm)())
  end)

  it("shows a line as slog2info does, and escapes it", function()
    local log = slog2.start()
    log:log(4099, "a\27[2J", {tid = 5, severity = 2})
    log:log(4099, "b", {severity = 9, sequence = 1})
    log:log(4099, "c", {sequence = 5})
    local lines = qvm.slog2():lines()
    local time = os.date("%Y-%m-%d %H:%M:%S", slog2.START)
    assert.are.equal(time .. ".000 4099:5 error a\\x1b[2J", tostring(lines()))
    assert.are.equal(time .. ".001 4099:1 message b", tostring(lines()))
    assert.are.equal(time .. ".002 4099:- loss 3 messages lost: overwritten before they were read "
      .. "(`set slog-buffer SIZE` enlarges a VM's buffer)", tostring(lines()))
  end)

  it("selects by vCPU, level and time", function()
    local linux1 = sim.start("linux1")
    local log = slog2.start()
    local vm = qvm.vm("linux1")
    local tids = {}
    for cpu in vm:env():vcpus() do
      tids[cpu.index] = cpu.tid
    end
    log:log(linux1.pid, "main", {tid = 1, severity = 3})
    log:log(linux1.pid, "cpu 0", {tid = tids[0], severity = 4})
    log:log(linux1.pid, "cpu 1", {tid = tids[1], severity = 7})
    log:log(1, "other", {tid = tids[1], severity = 0})
    log:log(linux1.pid, "since boot", {severity = 5, nanoseconds = 5123456789, is_monotonic = 1})
    local function got(options)
      return texts(qvm.slog2(vm, options):lines())
    end
    assert.are.same({"cpu 0"}, got {vcpu = 0})
    assert.are.same({"cpu 1"}, got {vcpu = 1})
    assert.are.same({"main", "cpu 0"}, got {level = "notice"})
    assert.are.same({"main", "cpu 0"}, got {level = 4})
    assert.are.same({}, got {level = "shutdown"})
    assert.are.same({"main", "cpu 0", "cpu 1", "since boot"}, got {since = slog2.START})
    assert.are.same({"cpu 1", "since boot"}, got {since = slog2.START + 0.002})
    assert.are.same({"since boot"}, got {since = slog2.START + 1})
    assert.are.same({"since boot"}, got {since = math.huge})
    assert.are.equal(4, #got {since = -math.huge})
    assert.are.equal("cpu 0\n", qvm.slog2(vm, {vcpu = 0})())
    assert.are.equal(tids[1], qvm.slog2(vm, {vcpu = 1}).tid)
    for line in qvm.slog2(vm, {since = math.huge}):lines() do
      assert.are.equal("5.123", line.time)
    end
    local none, message, code = qvm.slog2(vm, {vcpu = 2})
    assert.is_nil(none)
    assert.are.equal("not_found", code)
    assert.matches("linux1/env: no vCPU 2$", message)
  end)

  it("says that the env has no thread id of a vCPU", function()
    local vm = setmetatable({}, {__index = {name = "linux1", pid = function() return 7 end,
      env = function()
        return {vcpu = function() return {index = 0} end}
      end}})
    slog2.start()
    assert.are.same({"linux1: the env has no thread id of vCPU 0", "not_found"},
      {select(2, qvm.slog2(vm, {vcpu = 0}))})
  end)

  it("shows times of any size", function()
    local log = slog2.start()
    log:log(1, "last", {nanoseconds = -1})
    log:log(1, "zero", {nanoseconds = 0})
    local lines = qvm.slog2():lines()
    assert.matches("%.709$", lines().time) -- 2^64 - 1 ns
    assert.are.equal(os.date("%Y-%m-%d %H:%M:%S.000", 0), lines().time)
  end)

  it("returns or raises failures to read", function()
    slog2.start()
    local log = assert(qvm.slog2())
    slog2.fail()
    local _, message, code = qvm.slog2()
    assert.matches("^slog2: the logs cannot be read: does slogger2 run", message)
    assert.are.equal("io", code)
    assert.are.equal("io", select(3, log()))
    assert.error_matches(function() log:lines() end, "slog2: the logs cannot be read")
    assert.error_matches(function() log:follow() end, "slog2: the logs cannot be read")
  end)

  local it = sim.can_signal and it or pending

  it("can serve as the log for vm:status", function()
    local linux1 = sim.start("linux1")
    local log = slog2.start()
    log:log(linux1.pid, "before")
    local vm = qvm.vm("linux1")
    local count = 0
    local signalled = setmetatable({signal = function()
      count = count + 1
      log:log(1, "of another process")
      log:log(linux1.pid, count .. ": status")
      log:log(linux1.pid, count .. ": end")
      return true
    end}, {__index = vm})
    local text, warning = vm.status(signalled, {log = assert(qvm.slog2(vm))})
    assert.are.equal("1: status\n1: end\n", text)
    assert.is_nil(warning)
    log.capacity = 2
    text, warning = vm.status(signalled, {log = assert(qvm.slog2(vm))})
    assert.are.equal("2: status\n2: end\n", text)
    assert.matches("beginning of the text may be lost", warning)
  end)
end)

describe("losses of the system log", function()
  local log

  after_each(slog2.stop)

  local function lines()
    return texts(qvm.slog2():lines())
  end

  it("are gaps in the numbers of a process", function()
    log = slog2.start()
    for _, number in ipairs {65533, 65534, 2, 3, 7} do
      log:log(4099, tostring(number), {sequence = number})
      log:log(8201, "other", {sequence = 100 + number})
    end
    log = texts(qvm.slog2():lines())
    assert.are.same({"65533", "other", "65534", "other", "lost 3", "2", "lost 3", "other", "3",
      "other", "lost 3", "7", "lost 3", "other"}, log)
  end)

  it("are no numbers that are in another ring or out of order", function()
    log = slog2.start()
    for _, number in ipairs {1, 3, 2, 5, 4, 4, 6} do
      log:log(4099, "x", {sequence = number, buffer = number % 2 == 0 and "even" or "odd"})
    end
    assert.are.same({"x", "x", "x", "x", "x", "x", "x"}, lines())
  end)

  it("are seen where one ring of several was overwritten", function()
    log = slog2.start {capacity = 3}
    log:log(4099, "quiet", {buffer = "quiet"})
    for i = 1, 10 do
      log:log(4099, "busy " .. i, {buffer = "busy"})
    end
    assert.are.same({"quiet", "lost 7", "busy 8", "busy 9", "busy 10"}, lines())
  end)

  it("are marks of the logger, of an unknown number", function()
    log = slog2.start()
    log:log(4099, "a")
    log:put {pid = 4099, type = "unsync", buffer = "log"}
    log:put {pid = 4099, type = "online", buffer = "log"}
    log:log(4099, "b")
    local found = qvm.slog2(nil, {level = 0}):lines()()
    assert.are.equal("loss", found.kind)
    assert.is_nil(found.lost)
    assert.are.equal("log", found.buffer)
    assert.matches("^messages lost: overwritten before they were read", found.text)
    assert.are.same({"a", "lost nil", "b"}, lines())
    assert.are.equal("a\nb\n", qvm.slog2()())
  end)

  it("are not seen in numbers that all processes share", function()
    log = slog2.start {system_wide = true}
    for i = 1, 12 do
      log:log(i % 3 + 1, tostring(i))
    end
    local linux1 = setmetatable({name = "linux1", pid = function() return 2 end},
      {__index = {env = error}})
    assert.are.same({"1", "4", "7", "10"}, texts(qvm.slog2(linux1):lines()))
  end)

  it("count numbers exactly, also many", function()
    log = slog2.start()
    log:log(4099, "a", {sequence = 0})
    log:log(4099, "b", {sequence = 32767})
    log:log(4099, "c", {sequence = 65000})
    assert.are.same({"a", "lost 32766", "b", "lost 32232", "c"}, lines())
  end)
end)

describe("following the system log", function()
  local log

  before_each(function()
    qvm.root(sim.root())
  end)

  local now = core.now

  after_each(function()
    core.now = now
    slog2.stop()
    sim.clean()
  end)

  -- Takes the lines that come when `steps` are done, one before each read after the first. Two
  -- reads after the last step the time is over, however long they took.
  local function followed(options, steps, vm)
    local read, step, last = core.slog2, 0, 0
    for number in pairs(steps) do
      last = math.max(last, number)
    end
    core.slog2 = function(pid)
      local result = table.pack(read(pid))
      step = step + 1
      if steps[step] then
        steps[step]()
      elseif step > last + 2 then
        core.now = function() return math.maxinteger end
      end
      return table.unpack(result, 1, result.n)
    end
    -- The first read is that of qvm.slog2, the second that of follow.
    local lines = qvm.slog2(vm, options):follow {interval = 0.01, timeout = 60}
    local found = texts(lines)
    core.now = now
    return found
  end

  local function logs(...)
    local all = {...}
    return function()
      for _, text in ipairs(all) do
        log:log(4099, text)
      end
    end
  end

  it("gives what comes after the call, each line once", function()
    log = slog2.start()
    log:log(4099, "old")
    assert.are.same({"new 1", "new 2", "new 3"},
      followed(nil, {[2] = logs("new 1", "new 2"), [4] = logs("new 3")}))
  end)

  it("begins earlier with since", function()
    log = slog2.start()
    log:log(4099, "too old")
    log:log(4099, "old")
    assert.are.same({"old", "new"}, followed({since = slog2.START + 0.001}, {[2] = logs("new")}))
  end)

  it("selects", function()
    log = slog2.start()
    assert.are.same({"bad"}, followed({level = "error"}, {[2] = logs("good"), [3] = function()
      log:log(4099, "bad", {severity = 2})
    end}))
  end)

  it("reports what was overwritten between two reads", function()
    log = slog2.start {capacity = 3}
    assert.are.same({"1", "lost 2", "4", "5", "6"},
      followed(nil, {[2] = logs("1"), [3] = logs("2", "3", "4", "5", "6")}))
  end)

  it("reports an overwritten ring where all processes share numbers", function()
    log = slog2.start {capacity = 3, system_wide = true}
    local function both(...)
      local all = {...}
      return function()
        for _, text in ipairs(all) do
          log:log(4099, text)
          for pid = 1, 4 do
            log:log(pid, "other", {severity = 7})
          end
        end
      end
    end
    both("0")()
    assert.are.same({"1", "lost nil", "3", "4", "5"}, followed({level = "info"},
      {[2] = both("1"), [3] = both("2", "3", "4", "5")},
      {name = "linux1", pid = function() return 4099 end, env = error}))
  end)

  it("reports each mark of a loss once", function()
    log = slog2.start()
    local function unsync()
      log:put {pid = 4099, type = "unsync"}
      log:refill()
    end
    assert.are.same({"a", "lost nil", "lost nil", "b"},
      followed(nil, {[2] = logs("a"), [3] = unsync, [5] = unsync, [7] = logs("b")}))
    slog2.stop()
    log = slog2.start()
    unsync()
    assert.are.same({"a"}, followed(nil, {[2] = logs("a")}))
  end)

  it("does not depend on the clock", function()
    log = slog2.start()
    log:log(4099, "old")
    assert.are.same({"new", "newer"}, followed(nil, {[2] = function()
      log.now = 0
      log:log(4099, "new")
    end, [4] = logs("newer")}))
  end)

  it("goes on after the log was cleared", function()
    log = slog2.start()
    log:log(4099, "old")
    assert.are.same({"new", "newer"}, followed(nil, {[2] = function()
      log.rings = {}
      log:log(4099, "new")
    end, [4] = function()
      log.rings = {}
      log:refill()
    end, [5] = logs("newer")}))
  end)

  it("raises when the log cannot be read any more", function()
    slog2.start()
    local lines = qvm.slog2():follow {interval = 0.01}
    slog2.fail()
    assert.error_matches(lines, "slog2: the logs cannot be read")
  end)

  it("ends in time", function()
    slog2.start()
    local began = clock()
    assert.is_nil(qvm.slog2():follow {interval = 10, timeout = 0.2}())
    assert.is_true(clock() - began >= 0.2 and clock() - began < 5)
  end)

  it("ends after the last lines of the VM's process", function()
    log = slog2.start()
    local linux1 = sim.start("linux1")
    local lines = qvm.slog2(qvm.vm("linux1")):follow {interval = 0.05, timeout = 60}
    log:log(linux1.pid, "first")
    assert.are.equal("first", lines().text)
    linux1:stop()
    log:log(linux1.pid, "last")
    assert.are.equal("last", lines().text)
    local began = clock()
    assert.is_nil(lines())
    assert.is_true(clock() - began < 30)
  end)
end)

describe("vm:status with a log function", function()
  local it = sim.can_signal and it or pending

  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  it("sends nothing if the function fails at once", function()
    sim.start("linux1")
    local function log()
      return nil, "no log", "permission"
    end
    local vm = setmetatable({signal = error}, {__index = qvm.vm("linux1")})
    assert.are.same({nil, "no log", "permission"}, {vm:status {log = log}})
  end)

  it("returns a later failure of the function without waiting further", function()
    sim.start("linux1")
    local calls = 0
    local function log()
      calls = calls + 1
      if calls < 3 then
        return "text " .. calls
      end
      return nil, "log lost", "io"
    end
    local result = {qvm.vm("linux1"):status {log = log, timeout = 20}}
    assert.are.same({nil, "log lost", "io"}, result)
    assert.are.equal(3, calls)
  end)
end)
