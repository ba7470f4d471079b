-- qvm-diag on a terminal: --watch, and colours.

local files = require "support.files"
local process = require "support.process"
local sim = require "support.sim"
local terminal = require "support.terminal"

local lua = os.getenv("LUA") or "lua5.4"
local script = require("lfs").currentdir() .. "/examples/diag.lua"
local preload = os.getenv("LD_PRELOAD")

-- Changes are marked only until the next refresh, too short a time under valgrind.
local it = os.getenv("QVM_VALGRIND") and pending or it

-- A shell in which `qvm-diag` is the command.
local function open(rows)
  local bin = files.mkdir("bin")
  files.write("bin/qvm-diag", ('#!/bin/sh\necho $$ >%s\n%sexec %s %s "$@"\n'):format(
    files.path("diag.pid"), preload and "export LD_PRELOAD=" .. preload .. "\n" or "", lua,
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
    local screen = tty:shows("linux1: running")
    assert.matches("^qvm%-diag linux1  %d%d:%d%d:%d%d  %(every 1.5 s; Ctrl%-C ends%)\n", screen)
    assert.matches("\n  linux1: running, process " .. linux1.pid .. "\n", screen, 1, true)
    assert.matches("\n  843419    all  on", screen, 1, true)
    assert.is_nil(screen:find("what was here before", 1, true))
    assert.are.equal("0", tty:flag("cursor_flag"))
    linux1:tell("suspend")
    screen = tty:shows("\n%* linux1: suspended")
    assert.is_truthy(screen, tty:screen())
    assert.matches("\n*    1 +%d+  0x0000000000000000\n", screen)
    assert.is_truthy(tty:shows("\n  linux1: suspended"))
    tty:type("C-c")
    screen = tty:shows("\nstatus 0\n")
    assert.is_truthy(screen, tty:screen())
    assert.is_nil(screen:find("suspended", 1, true))
    assert_left(tty, settings, screen:match("^.-what was here before\n.-status %$%?\n"))
  end)

  it("--watch restores the terminal when a signal ends it", function()
    sim.start("linux1", config)
    for _, signal in ipairs {"TERM", "KILL"} do
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
      local user, system = stat:match(("%S+ "):rep(11) .. "(%d+) (%d+)")
      return user + system
    end
    -- Once it has drawn, it is idle for a second.
    assert.is_true(process.eventually(function()
      local before = ticks()
      process.sleep(1)
      return ticks() == before
    end))
  end)

  it("--watch shows VMs that come and go, as far as they fit the screen", function()
    sim.start("linux1", config)
    local tty = open(8)
    tty:type("qvm-diag --list --watch 1.5", "Enter")
    assert.is_truthy(tty:shows("\n  linux1"))
    local linux2 = sim.start("linux2", config)
    assert.is_truthy(tty:shows("\n%* linux2 +running"))
    linux2:stop()
    assert.is_truthy(tty:shows("\n%- linux2 +running"))
    for i = 3, 9 do
      sim.start("linux" .. i)
    end
    assert.matches("\n  ... %d more lines$", tty:shows("more lines"))
    assert.matches("^qvm%-diag %-%-list ", tty:screen())
    tty:type("C-c")
    assert.is_truthy(tty:shows("^%$ "))
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
