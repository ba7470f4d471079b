local cost = require "support.cost"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local system = require "system"

local it = sim.can_signal and it or pending

describe("vm:status", function()
  before_each(function()
    qvm.root(sim.root())
  end)

  after_each(sim.clean)

  local config = "ram 1M\ncpu\nvdev virtio-net name net0\nvdev pl011\nset debug off\n"

  it("returns the text that the log gained, and no earlier text", function()
    local linux1 = sim.start("linux1", config)
    local vm = qvm.vm("linux1")
    for number = 1, 3 do
      files.append(linux1.log, "noise from before\n")
      local text = assert(vm:status {log = linux1.log})
      assert.matches("^linux1 info: status " .. number .. " %(simulated VM, not QNX%)\n", text)
      assert.are.equal("vdev virtio-net net0\n", text:sub(-21))
      assert.is_nil(text:find("noise", 1, true))
      assert.is_nil(text:find("pl011", 1, true)) -- its debug variable is off
    end
  end)

  it("accepts a function that returns the log so far", function()
    local linux1 = sim.start("linux1", config)
    local text = assert(qvm.vm("linux1"):status {log = function() return linux1:log_text() end})
    assert.matches("^linux1 info: status 1 ", text)
  end)

  it("handles a log that drops its oldest lines", function()
    local linux1 = sim.start("linux1", config)
    local old = {}
    for i = 1, 40 do
      old[i] = ("line %d of the old log, as long as other lines\n"):format(i)
    end
    local function ring()
      local text = table.concat(old) .. linux1:log_text():gsub("^[^\n]*\n", "")
      return text:sub(-1500)
    end
    assert.matches("^linux1 info: status 1 ", (assert(qvm.vm("linux1"):status {log = ring})))
    assert.matches("^linux1 info: status 2 ", (assert(qvm.vm("linux1"):status {log = ring})))
  end)

  it("reads a log from the start if it was replaced meanwhile", function()
    sim.start("linux1", config)
    local log = files.write("other.log", "old\n")
    local calls = 0
    -- The first call precedes the request; then the file is replaced.
    local vm = setmetatable({signal = function(_, kind)
      calls = calls + 1
      files.write("new.log", "fresh " .. kind .. "\n")
      os.rename(files.path("new.log"), log)
      return true
    end}, {__index = qvm.vm("linux1")})
    assert.are.equal("fresh status\n", qvm.vm("linux1").status(vm, {log = log, settle = 0.05}))
    assert.are.equal(1, calls)
  end)

  -- Shell text that waits until the VM was asked for its status.
  local function when_asked(vm, text)
    return {"sh", "-c", ("until grep -q 'status 1' %s; do sleep 0.01; done; %s"):format(
      process.quote(vm.log), text)}
  end

  it("accepts a log that does not exist yet", function()
    local linux1 = sim.start("linux1", config)
    local log = files.path("late.log")
    process.start(when_asked(linux1, "echo late >" .. process.quote(log)))
    assert.are.equal("late\n", qvm.vm("linux1"):status {log = log})
  end)

  it("waits for text that arrives in parts", function()
    local linux1 = sim.start("linux1", config)
    local log = files.write("slow.log", "")
    process.start(when_asked(linux1,
      "for i in 1 2 3 4 5; do echo part $i >>" .. process.quote(log) .. "; sleep 0.1; done"))
    assert.are.equal("part 1\npart 2\npart 3\npart 4\npart 5\n",
      qvm.vm("linux1"):status {log = log, settle = 2, timeout = 20})
  end)

  it("reports a log that gains nothing", function()
    sim.start("linux1", "ram 1M\ncpu\nlogger error stderr")
    local log = files.write("empty.log", "before\n")
    local text, message, code = qvm.vm("linux1"):status {log = log, timeout = 0.2}
    assert.is_nil(text)
    assert.are.equal("timeout", code)
    assert.matches("linux1: .*empty.log gained nothing within 0.2 s: .*level there%? %(vdevs of a "
      .. "7.x host ", message)
  end)

  -- What is reported if the log stays empty, and something happens to the VM after the request.
  local function failure_after(event)
    local reads = 0
    local text, message, code = qvm.vm("linux1"):status {timeout = 0.2, log = function()
      reads = reads + 1
      if reads == 2 then
        event()
      end
      return ""
    end}
    assert.is_nil(text)
    return message, code
  end

  -- Starts linux1 where a killed one left its env.
  local function start_again()
    local linux1 = sim.start("linux1", config)
    assert(process.eventually(function() return qvm.vm("linux1"):pid() == linux1.pid end))
    return linux1
  end

  it("says what became of the VM, where that is why nothing came", function()
    local linux1 = sim.start("linux1", config)
    local message, code = failure_after(function() linux1:tell("hang") end)
    assert.are.equal("linux1: the log gained nothing within 0.2 s: the VM's process does not "
      .. "answer (it is stuck)", message)
    assert.are.equal("timeout", code)
    linux1:tell("resume")
    message = failure_after(function() linux1:signal("STOP") end)
    assert.are.equal("linux1: the log gained nothing within 0.2 s: the VM's process is stopped "
      .. "(SIGSTOP)", message)
    linux1:signal("CONT")
    local old = linux1.pid
    message, code = failure_after(function()
      linux1:stop("KILL")
      linux1 = start_again()
    end)
    assert.are.equal(("linux1: the log gained nothing within 0.2 s: process %d, which was asked, "
      .. "has ended, and process %d serves the VM"):format(old, linux1.pid), message)
    assert.are.equal("gone", code)
    message, code = failure_after(function() linux1:stop("KILL") end)
    assert.are.equal("linux1: the log gained nothing within 0.2 s: the VM's process has ended",
      message)
    assert.are.equal("gone", code)
    linux1 = start_again()
    message, code = failure_after(function() linux1:stop("TERM") end)
    assert.are.equal("linux1: the log gained nothing within 0.2 s: the VM is rebooting or off: "
      .. "it has no env", message)
    assert.are.equal("gone", code)
  end)

  it("warns if the log kept nothing from before the request", function()
    sim.start("linux1", config)
    local reads = 0
    local function ring()
      reads = reads + 1
      return reads == 1 and "old\n" or "end of a long text\n"
    end
    local text, warning = qvm.vm("linux1"):status {log = ring}
    assert.are.equal("end of a long text\n", text)
    assert.matches("beginning of the text may be lost: `set slog-buffer SIZE`", warning, 1, true)
    reads = 0
    text, warning = qvm.vm("linux1"):status {log = function() return "old\n" .. ring() end}
    assert.are.equal("end of a long text\n", text:match("[^\n]*\n$"))
    assert.is_nil(warning)
  end)

  it("sends nothing if the log's directory does not exist", function()
    local linux1 = sim.start("linux1", config)
    local text, message, code = qvm.vm("linux1"):status {log = files.path("nowhere/x.log")}
    assert.is_nil(text)
    assert.are.equal("not_found", code)
    assert.matches("nowhere/: No such file", message)
    assert.is_nil(linux1:log_text():find("status", 1, true))
  end)

  it("sends nothing if the log is not a regular file", function()
    local linux1 = sim.start("linux1", config)
    assert(os.execute("mkfifo " .. process.quote(files.path("fifo"))))
    for _, log in ipairs {files.dir(), files.path("fifo"), "/dev/null"} do
      local text, message, code = qvm.vm("linux1"):status {log = log, timeout = 0.5}
      assert.are.same({nil, "unsupported"}, {text, code})
      assert.matches(log .. ": not a regular file", message, 1, true)
    end
    assert.is_nil(linux1:log_text():find("status", 1, true))
  end)

  it("sends nothing if the VM is gone", function()
    local linux1 = sim.start("linux1", config)
    local vm = qvm.vm("linux1")
    linux1:stop()
    assert.are.equal("not_found", select(3, vm:status {log = linux1.log}))
  end)

  it("handles a log with repeated lines", function()
    sim.start("linux1", config)
    local line = ("again and again\n"):rep(3)
    local texts = {line:rep(20000), line:rep(19999) .. "new\n"}
    local calls = 0
    local text = qvm.vm("linux1"):status {settle = 0.05, log = function()
      calls = calls + 1
      return texts[calls == 1 and 1 or 2]
    end}
    assert.are.equal("new\n", text)
  end)

  it("does not busy-wait for a slow log", function()
    sim.start("linux1", config)
    local began, calls, reading, last = system.monotime(), 0, 0, 0
    local text = qvm.vm("linux1"):status {timeout = 20, log = function()
      local before = system.monotime()
      calls, reading = calls + 1, reading + last
      system.sleep(0.05)
      last = calls > 1 and system.monotime() - before or 0 -- before the request
      return calls > 3 and "new\n" or ""
    end}
    assert.are.equal("new\n", text)
    assert.is_true(calls > 3 and reading * 4 < system.monotime() - began, reading)
  end)

  it("sees changes in a ring buffer of constant size", function()
    sim.start("linux1", config)
    local calls = 0
    local text = qvm.vm("linux1"):status {settle = 0.2, log = function()
      calls = calls + 1
      return ("%08d"):format(math.min(calls, 30))
    end}
    assert.are.equal("00000030", text)
  end)

  it("returns the text so far of a log that grows without pause", function()
    sim.start("linux1", config)
    local count = 0
    local text = qvm.vm("linux1"):status {timeout = 0.5, settle = 0.2, log = function()
      count = count + 1
      return ("x\n"):rep(count)
    end}
    assert.matches("^x\nx\n", text)
  end)

  -- The result when shell text runs at the request; $1 is the log.
  local function status_with(text, options)
    local vm = setmetatable({signal = function()
      assert.are.equal(0, (process.run {"sh", "-c", text, "sh", options.log}))
      return true
    end}, {__index = qvm.vm("linux1")})
    return qvm.vm("linux1").status(vm, options)
  end

  it("contains no NULs if a truncated log is still written at the old offset", function()
    sim.start("linux1", config)
    local log = files.write("plain.log", "")
    local writer = process.start({"sh", "-c", ([[exec 3>'%s'; while read -r line; do
      echo "$line" >&3; echo "$line"; done]]):format(log)})
    writer:write(("old text of this log "):rep(1000) .. "\n")
    assert(writer:line())
    local vm = setmetatable({signal = function()
      writer:write("new text\n")
      assert(writer:line())
      return true
    end}, {__index = qvm.vm("linux1")})
    local function status()
      return qvm.vm("linux1").status(vm, {log = log, settle = 0.05})
    end
    assert.are.equal("new text\n", status())
    assert(os.execute(": >" .. process.quote(log)))
    assert.are.equal("new text\n", status())
  end)

  it("skips a hole of any size before the text", function()
    sim.start("linux1", config)
    local log = files.write("sparse.log", "")
    assert.are.equal("text\n", status_with([[truncate -s 1T "$1"; echo text >>"$1"]],
      {log = log, settle = 0.05}))
  end)

  it("costs little memory and time, however much the log gains", function()
    sim.start("linux1", config)
    local body = [[
      qvm.root("%s")
      local vm, log = assert(qvm.vm("linux1")), "%s"
      local asked = setmetatable({signal = function() return (os.execute("%s " .. log)) end},
        {__index = vm})
      local text, _, code = vm.status(asked, {log = log, settle = 0.1, timeout = 20})
      return text and #text or code]]
    for command, answer in pairs {["truncate -s 4T"] = "timeout",
      ["yes | head -c 16777216 >"] = "16777216", ["yes | head -c 99999999 >"] = "too_large",
      ["head -c 99999999 /dev/zero >"] = "timeout"} do
      local log = files.write("costly.log", "")
      local text = cost.check((body:format(sim.root(), log, command)
        :gsub("timeout = 20", answer == "timeout" and "timeout = 1" or "%0")),
        tonumber(answer))
      assert.are.equal(answer, text)
    end
  end)

  it("reads a log from the start if it was truncated meanwhile", function()
    sim.start("linux1", config)
    local log = files.write("cut.log", "old text\n")
    assert.are.equal("new\n", status_with([[echo new >"$1"]], {log = log, settle = 0.05}))
    assert.are.equal("longer than before\n",
      status_with([[echo longer than before >"$1"]], {log = log, settle = 0.05}))
  end)

  it("reads the rest of a renamed log, then the log that replaced it", function()
    sim.start("linux1", config)
    local log = files.write("turned.log", "old\n")
    assert.are.equal("one\ntwo\n", status_with(
      [[echo one >>"$1"; mv "$1" "$1.1"; echo two >"$1"]], {log = log, settle = 0.05}))
    files.write("turned.log", "old\n")
    assert.are.equal("one\n", status_with(
      [[mv "$1" "$1.1"; echo one >>"$1.1"]], {log = log, settle = 0.05}))
  end)

  it("names a nonexistent log as the cause", function()
    local linux1 = sim.start("linux1", config)
    local log = files.path("nowhere.log")
    local text, message, code = qvm.vm("linux1"):status {log = log, timeout = 0.2}
    assert.are.same({nil, "not_found"}, {text, code})
    assert.are.equal("linux1: " .. log .. " does not exist: does the VM's logger write to "
      .. "another file?", message)
    text, message, code = status_with([[rm "$1"]], {log = linux1.log, timeout = 0.2})
    assert.are.same({nil, "not_found"}, {text, code})
    assert.matches("linux1.log was removed or renamed, and no other file has replaced it", message,
      1, true)
    log = files.write("cut.log", "old\n")
    text, message, code = status_with([[: >"$1"]], {log = log, timeout = 0.2})
    assert.are.same({nil, "timeout"}, {text, code})
    assert.matches("cut.log was truncated, and gained nothing within 0.2 s", message, 1, true)
  end)

  it("refuses a log that gains more than 16 MiB", function()
    sim.start("linux1", config)
    local log = files.write("large.log", "")
    assert.are.equal("too_large", select(3, status_with([[yes | head -c 17000000 >"$1"]],
      {log = log})))
  end)

  it("raises for invalid arguments", function()
    sim.start("linux1", config)
    local vm = qvm.vm("linux1")
    assert.error_matches(function() vm:status() end, "needs the option 'log'")
    assert.error_matches(function() vm:status {timeout = 1} end, "needs the option 'log'")
    assert.error_matches(function() vm:status("x.log") end, "table expected, got string")
    assert.error_matches(function() vm:status {log = "a\0b"} end, "is not a path or function")
    assert.error_matches(function() vm:status {log = function() end} end, "not a string")
    assert.error_matches(function() vm:status {log = 7} end, "is not a path or function")
    assert.error_matches(function() vm:status {log = "a", timeout = 0} end,
      "is not a number of seconds")
    assert.error_matches(function() vm:status {log = "a", timout = 1} end, "no option 'timout'")
  end)
end)
