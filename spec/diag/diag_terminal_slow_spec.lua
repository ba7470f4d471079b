-- qvm-diag on a terminal: --watch, and colours.

local files = require "support.files"
local process = require "support.process"
local sim = require "support.sim"
local system = require "system"
local terminal = require "support.terminal"

local lua = os.getenv("LUA") or "lua5.4"
local script = require("lfs").currentdir() .. "/examples/diag.lua"
local preload = os.getenv("LD_PRELOAD")

-- Too slow under valgrind.
local it = os.getenv("QVM_VALGRIND") and pending or it

-- A shell in which `qvm-diag` is the command.
local function open(rows)
  local bin = files.mkdir("bin")
  files.write("bin/qvm-diag", ('#!/bin/sh\necho $$ >%s\n%sexec %s %s "$@"\n'):format(
    files.path("diag.pid"), preload and ("export LD_PRELOAD='%s'\n"):format(preload) or "", lua,
    process.quote(script)))
  os.execute("chmod +x " .. bin .. "/qvm-diag")
  local tty = terminal.open(rows or 24, {QVM_ROOT = sim.root(), QVM_BUILD = sim.build})
  tty:answer(("PATH=%s:$PATH"):format(bin))
  tty:type("clear", "Enter")
  assert(tty:shows("^%$ *$"))
  return tty
end

local function diag_pid()
  return tonumber(files.read(files.path("diag.pid")):match("%d+"))
end

-- Checks that the terminal's screen, cursor and settings are the shell's again.
local function assert_left(tty, settings, before)
  assert.is_truthy(process.eventually(function()
    return tty:flag("alternate_on") == "0" and tty:flag("cursor_flag") == "1"
      and tty:flag("wrap_flag") == "1"
  end), "the terminal was not put in order")
  assert.is_truthy(process.eventually(function()
    return tty:screen():sub(1, #before) == before
  end), tty:screen())
  assert.are.equal(settings, tty:answer("stty -g"))
end

describe("diag on a terminal", function()
  after_each(function()
    terminal.clean()
    sim.clean()
  end)

  local config = "ram 1M\nset sim-erratum-843419 on\ncpu\ncpu"

  it("--watch refreshes a VM and marks changes", function()
    local linux1 = sim.start("linux1", config)
    local tty = open()
    local settings = tty:answer("stty -g")
    tty:type("echo what was here before", "Enter")
    tty:shows("\nwhat was here before")
    tty:type("qvm-diag --watch 1.5 linux1; echo status $?", "Enter")
    -- A screen is drawn from the top: down to the last line that has changed it is complete.
    local screen = tty:shows("linux1: running.*\n      843419    all  on")
    assert.is_truthy(screen, tty:screen())
    assert.matches("^qvm%-diag linux1  %d%d:%d%d:%d%d  %(every 1.5 s; q quits%)\n", screen)
    assert.matches("\n      linux1: running, process " .. linux1.pid .. "\n", screen, 1, true)
    assert.is_nil(screen:find("what was here before", 1, true))
    assert.are.equal("0", tty:flag("cursor_flag"))
    linux1:tell("suspend")
    screen = tty:shows("\n%* +%d+s linux1: suspended.*\n%* +%d+s    1 +%d+  0x0000000000000000 ")
    assert.is_truthy(screen, tty:screen())
    assert.matches("\n         0 +%d+  0xffff800010081234 ", screen)
    -- The mark stays, with the time since the change.
    assert.is_truthy(tty:shows("\n%*  [1-9]s linux1: suspended"), tty:screen())
    tty:type("C-c")
    screen = tty:shows("\nstatus 0\n")
    assert.is_truthy(screen, tty:screen())
    assert.is_nil(screen:find("suspended", 1, true))
    assert_left(tty, settings, screen:match("^.-what was here before\n.-status %$%?\n"))
  end)

  it("--watch restores the terminal when a signal ends it", function()
    sim.start("linux1", config)
    for _, signal in ipairs {"TERM", "KILL", "HUP"} do
      local tty = open()
      local settings = tty:answer("stty -g")
      local before = tty:screen()
      tty:type("qvm-diag --watch linux1", "Enter")
      assert.is_truthy(tty:shows("linux1: running"))
      os.execute(("kill -%s %d"):format(signal, diag_pid()))
      assert_left(tty, settings, before)
      terminal.clean()
      os.execute("rm -r " .. files.path("bin"))
    end
  end)

  it("--watch waits without work", function()
    sim.start("linux1", config)
    local tty = open()
    tty:type("qvm-diag --watch 60 --list", "Enter")
    assert.is_truthy(tty:shows("linux1"))
    local function ticks()
      local stat = files.read(("/proc/%d/stat"):format(diag_pid())):match("%) (.*)")
      local user, kernel = stat:match(("%S+ "):rep(11) .. "(%d+) (%d+)")
      return user + kernel
    end
    -- Once it has drawn, it is idle for a second.
    assert.is_true(process.eventually(function()
      local before = ticks()
      process.sleep(1)
      return ticks() == before
    end))
  end)

  it("--watch shows VMs that come and go", function()
    sim.start("linux1", config)
    local tty = open()
    tty:type("qvm-diag --list --watch 0.5", "Enter")
    assert.is_truthy(tty:shows("\n      linux1"))
    local linux2 = sim.start("linux2", config)
    assert.is_truthy(tty:shows("\n%*  %ds linux2 +running"))
    linux2:stop()
    assert.is_truthy(tty:shows("\n      linux1[^\n]*\n%-  %ds linux2 +running"), tty:screen())
    sim.start("linux2", config)
    assert.is_truthy(tty:shows("\n%*  %ds linux2 +running[^\n]*\n*$"), tty:screen())
  end)

  it("--watch scrolls, and q quits", function()
    for i = 1, 9 do
      sim.start("linux" .. i, config)
    end
    local tty = open(8)
    local settings = tty:answer("stty -g")
    local before = tty:screen()
    tty:type("qvm-diag --list --watch 60; echo status $?", "Enter")
    local function at(from)
      local screen = tty:shows(("\nlines %d to %d of 10  %%(arrows, PgUp, PgDn%%)$"):format(from,
        from + 4))
      assert.is_truthy(screen, tty:screen())
      assert.matches("^qvm%-diag %-%-list ", screen)
      assert.matches(from == 1 and "\n      system" or "\n      linux" .. from - 1 .. " ", screen)
    end
    at(1)
    for _, step in ipairs {{"j", 2}, {"Down", 3}, {"k", 2}, {"Up", 1}, {"Up", 1}, {"Space", 5},
      {"PPage", 1}, {"NPage", 5}, {"NPage", 6}, {"g", 1}, {"G", 6}, {"Home", 1}, {"End", 6},
      {"b", 2}, {"x", 2}} do
      tty:type(step[1])
      at(step[2])
    end
    tty:type("j", "j", "q")
    assert.is_truthy(tty:shows("\nstatus 0\n"), tty:screen())
    assert_left(tty, settings, before:sub(1, 2))
  end)

  it("--watch quits at once, even while a VM is stuck", function()
    sim.start("linux1", config):tell("hang")
    local tty = open()
    local function seconds_to_quit()
      tty:type("clear; qvm-diag --all --watch; echo status $?", "Enter")
      assert.is_truthy(process.eventually(function() return tty:flag("alternate_on") == "1" end))
      process.sleep(0.5) -- until VMs are asked
      local began = system.monotime()
      tty:type("q")
      assert.is_truthy(tty:shows("^status 0\n"))
      return system.monotime() - began
    end
    -- The VM takes 2 s each time; a busy terminal may take as long once.
    assert.is_true(seconds_to_quit() < 1.8 or seconds_to_quit() < 1.8 or seconds_to_quit() < 1.8)
  end)

  it("--watch works without a keyboard", function()
    sim.start("linux1", config)
    local tty = open()
    tty:type("qvm-diag --list --watch 0.5 </dev/null; echo status $?", "Enter")
    assert.is_truthy(tty:shows("\n      linux1"))
    sim.start("linux2", config)
    assert.is_truthy(tty:shows("\n%*  %ds linux2"))
    tty:type("C-c")
    assert.is_truthy(tty:shows("\nstatus 0\n"))
  end)

  it("--watch shows vCPUs that are starved", function()
    sim.start("linux1", "ram 1M\ncpu")
    local function kernel_says(state, time)
      files.write("stat.new", ("1 (vcpu0) %s 1 1 1 0 -1 4 1 2 3 4 0 0 5 6 20 0\n"):format(state))
      files.write("schedstat", ("%d 0 0\n"):format(time))
      os.rename(files.path("stat.new"), files.path("stat"))
    end
    kernel_says("R", 5000000000)
    preload = (os.getenv("LD_PRELOAD") or "") .. " " .. sim.build .. "/helpers/tasks.so"
    local tty = open()
    preload = os.getenv("LD_PRELOAD")
    tty:type(("QVM_TASKS=%s qvm-diag linux1 --watch 0.5"):format(files.dir()), "Enter")
    local seconds = 5
    local function shows(state)
      local row = ("\n%%* +%%d+s    0 +%%d+  0x%%x+ +%d%%.000    20  %s  vcpu0"):format(seconds,
        state)
      assert.is_truthy(tty:shows(row), tty:screen())
    end
    shows "starved "
    -- A single second more would be seen by one refresh only, which a look may miss.
    assert.is_truthy(process.eventually(function()
      seconds = seconds + 1
      kernel_says("R", seconds * 1000000000)
      return tty:screen():find("\n%* +%d+s    0 +%d+  0x%x+ +%d+%.000    20  running   vcpu0")
    end), tty:screen())
    shows "starved "
    kernel_says("S", seconds * 1000000000)
    shows "sleeping"
    tty:type("q")
    assert.is_truthy(tty:shows("%$ *$"), tty:screen()) -- nobody else reads the next keys
    tty:type(("QVM_TASKS=%s qvm-diag --list --watch 0.5"):format(files.dir()), "Enter")
    kernel_says("R", 6000000000)
    assert.is_truthy(tty:shows("\n[^\n]*linux1[^\n]* 1 starved"), tty:screen())
  end)

  it("--watch continues when its VM is gone, and says so", function()
    local linux1 = sim.start("linux1", config)
    local tty = open()
    tty:type("qvm-diag linux1 --watch 0.3", "Enter")
    assert.is_truthy(tty:shows("linux1: running"))
    linux1:stop()
    assert.is_truthy(tty:shows('qvm%-diag: [^\n]*no VM "linux1"'))
    sim.start("linux1", config)
    assert.is_truthy(tty:shows("linux1: running"))
  end)

  it("--watch needs a terminal with cursor control", function()
    local status, out, errors = process.run({lua, script, "--watch", "linux1"},
      {env = {QVM_ROOT = sim.root(), QVM_BUILD = sim.build, LD_PRELOAD = preload}})
    assert.are.equal(2, status)
    assert.are.equal("", out)
    assert.matches("^qvm%-diag: %-%-watch needs a terminal[^\n]*\n$", errors)
    local tty = open()
    tty:type("TERM=dumb qvm-diag --watch linux1; echo status $?", "Enter")
    assert.matches("%-%-watch needs a terminal", tty:shows("\nstatus 2\n"))
  end)

  it("--watch does not start without its baseline", function()
    sim.start("linux1", config)
    local tty = open()
    tty:type("qvm-diag --watch linux1 --baseline nowhere; echo status $?", "Enter")
    assert.matches("\nqvm%-diag: nowhere: No such file or directory\n", tty:shows("\nstatus 1\n"))
    assert.are.equal("0", tty:flag("alternate_on"))
  end)

  it("has colours on a terminal, unless they are disabled", function()
    sim.start("linux1", config)
    local function colours_of(variables)
      local tty = open()
      tty:type(variables .. " qvm-diag linux1; echo done", "Enter")
      assert.is_truthy(tty:shows("\ndone\n"))
      local screen = tty:screen("-e")
      assert.matches("linux1: ", screen, 1, true)
      terminal.clean()
      os.execute("rm -r " .. files.path("bin"))
      return screen:find("linux1: \27%[32mrunning\27%[") ~= nil, screen:find("\27", 1, true) ~= nil
    end
    assert.is_true((colours_of("TERM=xterm")))
    assert.is_true((colours_of("NO_COLOR=")))
    for _, variables in ipairs {"NO_COLOR=1", "NO_COLOR=0", "TERM=dumb", "TERM="} do
      assert.is_false(select(2, colours_of(variables)), variables)
    end
  end)
end)
