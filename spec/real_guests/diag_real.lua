-- The report of qvm-diag on dumps of real guests: of one that panicked, and of healthy ones.

local cjson = require "cjson"
local files = require "support.files"
local guests = require "real_guests.guests"
local process = require "support.process"

local function diag(...)
  local status, output, errors = process.run {"lua5.4", "examples/diag.lua", "--read", ...}
  return output, status, errors
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  return lines
end

guests.each({"x86_64", "aarch64", "x86_64-testing", "aarch64-testing", "x86_64-bullseye"},
  "the report on a %s guest", function(_, directory, record)
    after_each(files.clean)

    it("says on its first screen that it panicked, where and why", function()
      local output, status = diag(directory .. "panic.elf")
      assert.are.equal(0, status)
      local lines = lines_of(output)
      local screen = table.concat(lines, "\n", 1, 24)
      assert.matches("  Linux %S+ on " .. record.arch .. ", 2 vCPUs, up [%d.]+ s or more", screen)
      assert.matches("crash: panic at [%d.]+ s on vCPU %d in %w+ %(1%)\n"
        .. "  sysrq triggered crash\n", screen)
      assert.matches("\nvCPU 0: ", screen)
      assert.matches("\n%d+ tasks: .*%d+ sleeping, %d stuck %(D%).* 1 stopped,%s+%d%s+zombies?"
        .. "[^\n]*\n", output)
      assert.matches("\nstuck: %l+ %(%d+%)\n  [%w_]+%+0x", output)
      for _, line in ipairs(lines) do
        assert.is_true(#line <= 80, line)
      end
      assert.matches("more lines: --full\n", output, 1, true)
      local full = diag(directory .. "panic.elf", "--full")
      assert.is_nil(full:find("--full", 1, true))
      assert.matches("\n  sysrq_handle_crash%+0x", full)
    end)

    it("says that a healthy one has not crashed", function()
      local output = diag(directory .. "first.elf")
      assert.matches("\ncrash: no sign of one\n", output, 1, true)
      assert.is_nil(output:find("not in this dump", 1, true))
    end)

    it("has the same in JSON", function()
      local report = cjson.decode((diag(directory .. "panic.elf", "--json")))
      local guest = report.dump.guest
      assert.are.same({1, "Linux", 2, "panic", "sysrq triggered crash", 1, {}}, {report.schema,
        guest.identity.os, guest.identity.vcpus, guest.crash.kind, guest.crash.message,
        guest.crash.task.pid, guest.missing})
      local stack
      for _, cpu in ipairs(guest.vcpus) do
        stack = cpu.task.pid == 1 and cpu.stack or stack
      end
      local symbols = {}
      for i, frame in ipairs(stack) do
        symbols[i] = frame.symbol or frame.address
      end
      assert.matches("\nsysrq_handle_crash+0x", table.concat(symbols, "\n"), 1, true)
      assert.are.same({1, 20}, {guest.tasks.states.T, #guest.log})
      assert.are.equal(guest.tasks.states.D, #guest.tasks.stuck)
      assert.is_true(#guest.tasks.stuck >= 1)
      local healthy = cjson.decode((diag(directory .. "first.elf", "--json")))
      assert.is_false(healthy.dump.guest.crash)
    end)

    it("has the same as a page", function()
      local path = files.path "page.html"
      assert.are.equal(0, select(2, diag(directory .. "panic.elf", "--html", path)))
      local page = files.read(path)
      for _, text in ipairs {">panic</span>", "sysrq triggered crash", "sysrq_handle_crash+0x",
          "What the vCPUs did", " tasks</h2>", "<summary>"} do
        assert.matches(text, page, 1, true)
      end
    end)
  end)
