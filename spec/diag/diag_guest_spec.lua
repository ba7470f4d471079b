-- What a report of qvm-diag says of a Linux guest in a dump, and what it says where the dump
-- cannot provide it.

local cjson = require "cjson"
local example_guest = require "support.example_guest"
local files = require "support.files"
local kernel_log = require "support.kernel_log"
local linux_guest = require "support.linux_guest"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local function diag(path, ...)
  return process.run_lua {"examples/diag.lua", "--read", path, ...}
end

-- The reports of a dump: text, JSON (decoded) and HTML, then the messages and the exit status.
local function reports(path)
  local page = files.path "page.html"
  local status, text, errors = diag(path)
  local report = cjson.decode((select(2, diag(path, "--json"))))
  diag(path, "--html", page)
  return text, report, files.read(page), errors, status
end

-- The reasons of what is missing, by name.
local function missing_of(report)
  local reasons = {}
  for _, missing in ipairs(report.dump.guest.missing) do
    reasons[missing.what] = missing.reason
  end
  return reasons
end

local BOOT = "0 T0 5 Linux version 6.1.0\n0.3 T1 6 Run /init as init process\n"

local function boot()
  return kernel_log.parse(BOOT)
end

describe("a report on a guest", function()
  after_each(files.clean)

  it("has no sign of a crash if the log has none", function()
    local text, report, page, errors, status = reports(kernel_log.dump(boot()).path)
    assert.are.same({0, ""}, {status, errors})
    assert.matches("\ncrash: no sign of one\n", text, 1, true)
    assert.matches("No sign of one.", page, 1, true)
    assert.is_false(report.dump.guest.crash)
    assert.are.equal(2, #report.dump.guest.log)
  end)

  it("does not know whether it crashed if its log is empty", function()
    local dump = kernel_log.dump {{time = 1, caller = "T1", level = 6, text = "x", free = true}}
    local text, report, page, errors, status = reports(dump.path)
    assert.are.equal(0, status)
    assert.matches("log.gcore: the kernel log is empty\n", errors, 1, true)
    assert.is_nil(text:find("\ncrash:"))
    assert.is_nil(text:find("the end of the kernel's log", 1, true))
    assert.matches("\nnot in this dump\n  the crash: the kernel log is empty\n", text, 1, true)
    assert.matches("\n  the kernel's log: the kernel log is empty\n", text, 1, true)
    assert.is_nil(report.dump.guest.crash)
    assert.is_nil(report.dump.guest.log)
    assert.are.equal("the kernel log is empty", missing_of(report)["the crash"])
    assert.are.equal("the kernel log is empty", missing_of(report)["the kernel's log"])
    assert.is_nil(page:find("No sign of one", 1, true))
    assert.matches("<li>the crash: the kernel log is empty</li>", page, 1, true)
  end)

  it("does not know the number of vCPUs of a dump that has no records of them", function()
    local log = BOOT .. "1 T1 0 Kernel panic - not syncing: it\n"
      .. "1 T1 4 CPU: 1 PID: 1 Comm: init Not tainted\n"
    local dump = kernel_log.dump(kernel_log.parse(log), "x86_64", nil, false)
    assert.is_nil(dump:guest().vcpus)
    assert.are.equal("Linux 6.1.0-x86 on x86_64, number of vCPUs unknown, "
      .. "last message at 1.000000000 s", tostring(dump:guest()))
    local text, report, page = reports(dump.path)
    local why = "the dump has no readable records of vCPUs, so it does not say how many "
      .. "the guest had"
    assert.matches("on x86_64, number of vCPUs unknown, up 1.000 s or more\n", text, 1, true)
    assert.matches("\ncrash: panic at 1.000000 s on vCPU 1 in init (1)\n", text, 1, true)
    assert.matches("\n  vCPUs: the dump has no readable records of vCPUs", text, 1, true)
    assert.are.equal(cjson.null, report.dump.vcpus)
    assert.are.equal(cjson.null, report.dump.guest.identity.vcpus)
    assert.is_nil(report.dump.guest.vcpus)
    assert.are.equal(why, missing_of(report).vCPUs)
    assert.matches("<dt>vCPUs</dt><dd>-</dd>", page, 1, true)
    assert.matches("<li>vCPUs: " .. why, page, 1, true)
    assert.is_nil(page:find("What the vCPUs did", 1, true))
  end)

  it("has all lines of a crash, and counts those that the library leaves out", function()
    local function crash(count)
      local lines = {"1 T1 1 BUG: unable to handle page fault for address: 0"}
      for i = 2, count do
        lines[i] = "1 T1 4  f+0x1/0x2"
      end
      return kernel_log.dump(kernel_log.parse(table.concat(lines, "\n"))).path
    end
    local path = crash(226)
    local text, report, page = reports(path)
    assert.matches("\n  ... and 220 more lines: --full\n", text, 1, true)
    assert.are.equal(226, #report.dump.guest.crash.lines)
    assert.is_nil(report.dump.guest.crash.lines_left_out)
    assert.is_nil(page:find("leaves out", 1, true))
    path = crash(600)
    text, report, page = reports(path)
    assert.are.same({512, 88}, {#report.dump.guest.crash.lines,
      report.dump.guest.crash.lines_left_out})
    assert.matches("\n  ... and 506 more lines: --full\n"
      .. "  ... and 88 more lines, which the report leaves out\n", text, 1, true)
    assert.matches("88 more lines, which the report leaves out.", page, 1, true)
    assert.matches("\n  ... and 88 more lines, which the report leaves out\n",
      (select(2, diag(path, "--full"))), 1, true)
  end)

  it("counts the vCPUs and frames that it leaves out", function()
    local guest = linux_guest.new()
    local text = guest:place(string.pack("<I4", 0x94000000):rep(256)) -- bl
    local frame = guest:reserve(16 * 100) -- records of frames, each of which leads to the next
    for i = 0, 98 do
      guest:set(frame + 16 * i, guest:pack("i8i8", frame + 16 * (i + 1), text + 64 + 4 * i))
    end
    local vcpus = {}
    for i = 1, 70 do
      vcpus[i] = {pc = text + 16, sp = frame, fp = i == 1 and frame or 0}
    end
    guest:add_vcpus(vcpus)
    local out, report, page = reports(guest:write())
    local found = report.dump.guest
    assert.are.same({64, 6}, {#found.vcpus, found.vcpus_left_out})
    assert.are.same({64, 36}, {#found.vcpus[1].stack, found.vcpus[1].stack_left_out})
    assert.is_nil(found.vcpus[2].stack_left_out)
    assert.matches("\n  ... and 54 more frames: --full\n"
      .. "  ... and 36 more frames, which the report leaves out\n", out, 1, true)
    assert.matches("\n  ... and 6 more vCPUs, which the report leaves out\n", out, 1, true)
    assert.matches("36 more frames, which the report leaves out.", page, 1, true)
    assert.matches("6 more vCPUs, which the report leaves out.", page, 1, true)
  end)

  it("says that it lacks symbols, and which memory hides frames of stacks", function()
    for _, machine in ipairs {"x86_64", "aarch64"} do
      local guest = linux_guest.new {machine = machine}
      local text = guest:place(string.pack("<I4", 0x94000000):rep(64)) -- bl
      -- The dump has the beginning of what is mapped. A frame leads to code in the rest.
      local gone = guest.base + (1 << 20)
      local frame = guest:place(guest:pack("i8i8", 0, gone + 0x800))
      guest:reserve(0x10000)
      guest:add_vcpus {{pc = text + 16, sp = gone + 0x40}, {pc = text + 16, sp = frame, fp = frame}}
      local path = guest:write()
      local each, missing = assert(qvm.open(path)):vcpu(0):backtrace()
      assert.are.equal(text + 16, each().address)
      assert.matches(qvm.hex(gone + 0x40), missing, 1, true)
      local out, report, page = reports(path)
      local reasons = missing_of(report)
      assert.matches("^VMCOREINFO has no SYMBOL%(_stext%).*: pass a System.map or a vmlinux to ",
        reasons.symbols)
      assert.matches("^virtual address " .. qvm.hex(gone + 0x40) .. " .*not .*in the dump",
        reasons["a part of the stack of vCPU 0"])
      assert.matches("^virtual address " .. qvm.hex(gone + 0x7f8) .. " .*not .*in the dump",
        reasons["a part of the stack of vCPU 1"])
      for what, reason in pairs(reasons) do
        assert.matches("\n  " .. what .. ": " .. reason:match "^%S+", out, 1, true)
        assert.matches("<li>" .. what:gsub("'", "&#39;") .. ": ", page, 1, true)
      end
    end
  end)

  it("counts the stuck tasks that it leaves out", function()
    local guest = example_guest.new()
    local stack = guest:stack()
    for pid = 100, 169 do
      guest:task {pid = pid, name = "stuck", state = 2, stack = stack}
    end
    guest:link()
    local text, report, page = reports(example_guest.write(guest))
    local tasks = report.dump.guest.tasks
    assert.are.same({64, tasks.states.D - 64}, {#tasks.stuck, tasks.stuck_left_out})
    local more = ("%d more stuck tasks, which the report leaves out"):format(tasks.stuck_left_out)
    assert.matches("\n  ... and " .. more .. "\n", text, 1, true)
    assert.matches(more, page, 1, true)
  end)

  it("says why the guest is unknown", function()
    local path = files.write("damaged.gcore", writer.file {machine = "x86_64",
      segments = {{type = 4, bytes = string.pack("<I4I4I4", 4, 1 << 30, 0)}}})
    local text, report = reports(path)
    local reason = "no VMCOREINFO, neither as a note nor in memory: the notes are damaged: "
    assert.matches("\n  guest unknown: " .. reason, (text:gsub("%s+", " ")
      :gsub(" guest unknown", "\n  guest unknown")), 1, true)
    assert.are.equal(reason, missing_of(report)["the guest"]:sub(1, #reason))
    assert.is_nil(missing_of(report)["the guest"]:find("damaged.gcore", 1, true))
    text = reports(files.write("plain.gcore", writer.small {}))
    assert.matches("\n  guest unknown: no VMCOREINFO of a Linux kernel in its notes or memory\n",
      text, 1, true)
  end)

  it("counts the records of the log that were skipped", function()
    local messages = boot()
    messages[3] = {time = 1, caller = "T1", level = 6, text = "x", corrupt = true}
    local path = kernel_log.dump(messages).path
    local text, report, page, errors, status = reports(path)
    local what = "1 record of the kernel log corrupt, and left out"
    assert.are.equal(1, status)
    assert.are.equal(select(3, diag(path, "--dmesg")), errors)
    assert.matches("log.gcore: " .. what .. "\n$", errors)
    assert.matches("\n  a part of the kernel's log: " .. what .. "\n", text, 1, true)
    assert.are.equal(2, #report.dump.guest.log)
    assert.are.same({path .. ": " .. what}, report.errors)
    assert.are.equal(what, missing_of(report)["a part of the kernel's log"])
    assert.matches("^no sign of a crash in the kernel log, but 1 of",
      missing_of(report)["the crash"])
    assert.matches("<li>a part of the kernel&#39;s log: " .. what .. "</li>", page, 1, true)
  end)
end)
