-- examples/fleet/report.lua on gathered data; gathering is tested in spec/fleet.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local sim = require "support.sim"

local lua = os.getenv("LUA") or "lua5.4"
local here = lfs.currentdir()

describe("the report on a fleet", function()
  before_each(function()
    files.mkdir("gathered")
    files.mkdir("baselines")
  end)
  after_each(sim.clean)

  local function run(...)
    return process.run({lua, ...}, {env = {QVM_BUILD = sim.build, QVM_ROOT = sim.root(),
      LD_PRELOAD = os.getenv("LD_PRELOAD")}})
  end

  -- Returns exit status, output and errors; checks that every line fits.
  local function report()
    local status, out, errors = run(here .. "/examples/fleet/report.lua",
      files.path("gathered"), files.path("baselines"))
    for line in out:gmatch("[^\n]+") do
      assert.is_true(utf8.len(line) <= 80, line)
      assert.is_nil(line:find("[%z\1-\31\127]"), line)
    end
    return status, out, errors
  end

  local function board(name, text)
    files.write("gathered/" .. name .. ".json", text)
  end

  local function vm(name, errata)
    return ('{"name": "%s", "errata": [%s]}'):format(name, errata)
  end

  local function vms(...)
    return ('{"errors": [], "vms": [%s]}'):format(table.concat({...}, ", "))
  end

  local function baseline(name, errata)
    files.write("baselines/" .. name .. ".json",
      ('{"kind": "qvm errata baseline", "version": 1, "errata": [%s]}'):format(errata))
  end

  local ON, OFF = '{"id": "843419", "value": "on"}', '{"id": "843419", "value": "off"}'

  it("of one board says that it is equal, or lists what differs", function()
    baseline("linux1", ON)
    board("board1", vms(vm("linux1", ON)))
    local status, out, errors = report()
    assert.are.equal("", errors)
    assert.are.equal("1 board: 1 equal, 0 differ, 0 failed\n\nequal: board1\n", out)
    assert.are.equal(0, status)

    board("board1", vms(vm("linux1", OFF .. ', {"id": "7", "cpu": 1, "value": true}')))
    status, out = report()
    assert.are.equal([[
1 board: 0 equal, 1 differ, 0 failed

VM      erratum  vCPU  expected  is
linux1  7        1     -         true
    on 1 board: board1
linux1  843419   all   on        off
    on 1 board: board1
]], out)
    assert.are.equal(3, status)
  end)

  it("lists missing and unexpected VMs", function()
    baseline("linux1", ON)
    baseline("qnx1", "")
    board("board1", vms(vm("linux1", ON), vm("other", "")))
    local status, out = report()
    assert.are.equal(3, status)
    assert.matches("\nqnx1   -        -     a VM      missing\n    on 1 board: board1\n", out, 1,
      true)
    assert.matches("\nother  -        -     no VM     a VM\n    on 1 board: board1\n", out, 1, true)
  end)

  it("does not count a board that lost all its VMs as equal", function()
    baseline("linux1", ON)
    board("board1", vms())
    local status, out = report()
    assert.are.equal(3, status)
    assert.matches("^1 board: 0 equal, 1 differ, 0 failed\n", out)
    assert.matches("\nlinux1  -        -     a VM      missing\n    on 1 board: board1\n", out, 1,
      true)
    local errors
    status, out, errors = run(here .. "/examples/diag.lua", "--list", "--json")
    assert.are.equal(1, status)
    assert.matches("no VMs", errors)
    board("board1", out)
    status, out = report()
    assert.are.equal(1, status)
    assert.matches("linux1  -        -     a VM      missing\n", out, 1, true)
    assert.matches("board1: .*: no VMs", out)
  end)

  it("does not count an unknown VM as equal", function()
    baseline("linux1", "")
    for name, text in pairs {
      gone = '"state": "gone", "errata": []', stuck = '"state": "stuck", "errata": null',
      unavailable = '"state": "unavailable", "errata": []',
      unknown = '"state": "unknown", "errata": null'} do
      board("board1", vms(('{"name": "linux1", %s}'):format(text)))
      local status, out = report()
      assert.are.equal(3, status)
      assert.matches(("\nlinux1  -        -     a VM      %s\n"):format(name), out, 1, true)
    end
    for name, how in pairs {gone = function(linux1) linux1:stop("KILL") end,
      stuck = function(linux1) linux1:tell("hang") end} do
      local linux1 = sim.start("linux1")
      how(linux1)
      local _, out = run(here .. "/examples/diag.lua", "--list", "--json")
      linux1:stop("KILL")
      board("board1", out)
      local status
      status, out = report()
      assert.are.equal(1, status)
      assert.matches("^1 board: 0 equal, 0 differ, 1 failed\n", out)
      assert.matches(("\nlinux1  -        -     a VM      %s\n"):format(name), out, 1, true)
    end
  end)

  it("of hundreds of boards groups those with the same difference", function()
    baseline("linux1", ON)
    for i = 1, 200 do
      board(("rack-%d"):format(i), vms(vm("linux1", (i == 7 or i > 120) and OFF or ON)))
    end
    local status, out = report()
    assert.are.equal(3, status)
    assert.are.equal([[
200 boards: 119 equal, 81 differ, 0 failed

VM      erratum  vCPU  expected  is
linux1  843419   all   on        off
    on 81 boards: rack-7, rack-121 - rack-200

equal: rack-1 - rack-6, rack-8 - rack-120
]], out)
  end)

  it("compares all bits", function()
    -- 2^53 + 1, 2^63 + 1, 2^64 - 1: doubles represent none of them exactly.
    baseline("linux1", [[{"id": "1", "integer": "9007199254740993"},
      {"id": "2", "integer": "-9223372036854775807"}, {"id": "3", "value": -1},
      {"id": "4", "value": "0x0020000000000001"}]])
    local list = [[{"id": "1", "value": "0x002000000000000%s"},
      {"id": "2", "value": "0x8000000000000001"}, {"id": "3", "value": "0xffffffffffffffff"},
      {"id": "4", "value": "0x0020000000000001"}]]
    board("board1", vms(vm("linux1", list:format("1"))))
    board("board2", vms(vm("linux1", list:format("0"))))
    local status, out = report()
    assert.are.equal(3, status)
    assert.are.equal([[
2 boards: 1 equal, 1 differ, 0 failed

VM      erratum  vCPU  expected            is
linux1  1        all   0x0020000000000001  0x0020000000000000
    on 1 board: board2

equal: board1
]], out)
  end)

  it("keeps errata of an unknown vCPU apart from those of all", function()
    baseline("linux1", '{"id": "1", "cpu": "unknown", "value": "on"}, {"id": "2", "value": 1}')
    board("board1", vms(vm("linux1",
      '{"id": "1", "cpu": "unknown", "value": "off"}, {"id": "2", "value": 1}')))
    local status, out = report()
    assert.are.equal(3, status)
    assert.matches("\nlinux1  1        ...   on        off\n    vCPU: unknown\n", out, 1, true)
    assert.is_nil(out:find("all", 1, true))
  end)

  it("distinguishes text from integers, and compares tables", function()
    baseline("linux1",
      '{"id": "1", "integer": "9007199254740993"}, {"id": "2", "value": {"a": [1]}}')
    local list = '{"id": "1", "value": "0x0020000000000001", "exact": %s}, '
      .. '{"id": "2", "value": "(a table: see the env)", "exact": "{\\"a\\": [%d]}"}'
    board("board1", vms(vm("linux1", list:format('"9007199254740993"', 1))))
    board("board2", vms(vm("linux1", list:format([["\"0x0020000000000001\""]], 2))))
    local status, out = report()
    assert.are.equal(3, status)
    assert.matches("^2 boards: 1 equal, 1 differ, 0 failed\n", out)
    assert.matches('\n    is: "0x0020000000000001"\n', out, 1, true)
    assert.matches('\nlinux1  2        all   {"a": [1]}          {"a": [2]}\n', out, 1, true)
  end)

  it("fails for each board without a report, and gives the reason", function()
    baseline("linux1", ON)
    board("board1", vms(vm("linux1", OFF)))
    board("board2", '{"unreachable": true, "errors": ["unreachable: No route to host"]}')
    board("board3", "{")
    board("board4", '{"vms": 3, "errors": []}')
    board("board5", '{"errors": [], "vms": [{"name": 1}]}')
    board("board6", ('{"errors": ["no process serves linux1"], "vms": [%s]}'):format(
      vm("linux1", "")))
    files.write("gathered/boards",
      "board1\nboard2\nboard3\nboard4\nboard5\nboard6\nboard7\n")
    board("left over", vms())
    local status, out = report()
    assert.are.equal(1, status)
    assert.matches("^7 boards: 0 equal, 1 differ, 6 failed\n", out)
    assert.matches("\n    on 1 board: board1\n", out, 1, true)
    assert.matches("\n  board2: unreachable: No route to host\n", out, 1, true)
    assert.matches("\n  board3: [^\n]+:1:2: ", (out:gsub("\n      ", " ")))
    local unwrapped = out:gsub("\n +", " ")
    assert.matches("board4.json: not a report of `qvm-diag --list --json`", unwrapped, 1, true)
    assert.matches("board5.json: not a report", unwrapped, 1, true)
    assert.matches("\n  board6: no process serves linux1\n", out, 1, true)
    assert.matches("\n  board7: missing: ", out, 1, true)
    assert.is_nil(out:find("on        -\n", 1, true)) -- board6's errata could not be read
    assert.is_nil(out:find("left over", 1, true))
  end)

  it("fails if the list of boards cannot be read", function()
    baseline("linux1", ON)
    board("board1", vms(vm("linux1", ON)))
    files.mkdir("gathered/boards")
    local status, out, errors = report()
    assert.are.same({1, ""}, {status, out})
    assert.matches("^fleet: [^\n]*gathered/boards: [^\n]+\n$", errors)
  end)

  it("fails for a board whose report is a FIFO, and reports the others", function()
    baseline("linux1", ON)
    board("board1", vms(vm("linux1", ON)))
    assert(os.execute(("mkfifo '%s'"):format(files.path "gathered/board2.json")))
    local status, out = report()
    assert.are.equal(1, status)
    assert.matches("^2 boards: 1 equal, 0 differ, 1 failed\n", out)
    assert.matches("board2.json: not a regular file", out:gsub("\n +", " "), 1, true)
  end)

  it("fails for a board whose report has a value nested too deep to show", function()
    baseline("linux1", ON)
    board("board1", vms(vm("linux1", ON)))
    local deep = ("["):rep(505) .. "1" .. ("]"):rep(505)
    board("board2", vms(vm("linux1", ('{"id": "x", "value": %s}'):format(deep))))
    board("board3", vms(vm("linux1", ('{"id": "x", "value": "-", "exact": "%s"}'):format(deep))))
    local status, out, errors = report()
    assert.are.same({1, ""}, {status, errors})
    assert.matches("^3 boards: 1 equal, 0 differ, 2 failed\n", out)
    assert.matches("\nequal: board1\n", out, 1, true)
    -- The same value in a baseline is said to be one that cannot be shown.
    baseline("linux1", ON .. ', {"id": "x", "value": ' .. deep .. "}")
    status, out, errors = report()
    assert.are.same({1, ""}, {status, errors})
    assert.matches("^3 boards: 0 equal, 1 differ, 2 failed\n", out)
  end)

  it("fails for a board whose report has an object in place of an array", function()
    baseline("linux1", "")
    for i, text in ipairs {'{"errors": {"a": "boom"}, "vms": [%s]}',
      '{"errors": {"a": "boom"}, "vms": [%s]}', '{"errors": ["x"], "vms": {"a": 1}}',
      '{"errors": [], "vms": [{"name": "linux1", "errata": {"a": 1}}]}'} do
      board("board1", (text:gsub("%%s", (vm("linux1", "")))))
      local status, out = report()
      assert.are.equal(1, status, i)
      assert.matches("board1.json: not a report", out:gsub("\n +", " "), 1, true)
    end
  end)

  it("fails if a baseline cannot be read", function()
    board("board1", vms(vm("linux1", ON)))
    local status, _, errors = report()
    assert.are.equal(1, status)
    assert.matches("baselines: no baselines (VM.json)", errors, 1, true)
    files.write("baselines/linux1.json", "[]")
    local out
    status, out = report()
    assert.are.equal(1, status)
    assert.matches("\n  baseline: [^\n]*linux1.json: ", out:gsub("\n      ", " "))
    assert.are.equal(2, (run(here .. "/examples/fleet/report.lua", files.path("gathered"))))
  end)

  it("escapes and wraps any text from boards", function()
    baseline("linux1", ON)
    board("board1", vms(vm("linux1", ON), vm(("n\\u001b[2J"):rep(30), "")))
    board("b\27[2Jd2", ('{"errors": ["%s\\u001b[2J \\u202e%s"]}'):format(("x"):rep(500),
      ("word "):rep(100)))
    board("board3", vms(vm("linux1", ('{"id": "%s", "value": "%s"}'):format(("1"):rep(90),
      ("v w"):rep(90)))))
    local status, out = report()
    assert.are.equal(1, status)
    assert.is_nil(out:find("\27", 1, true))
    assert.is_nil(out:find("\u{202e}", 1, true))
    assert.matches("\n  b\\x1b[2Jd2:\n", out, 1, true)
  end)

  it("reads the output of qvm-diag", function()
    local integer = sim.start("linux1", "set sim-erratum-9 9223372036854775809\nram 1M\ncpu")
    local status, out = run(here .. "/examples/diag.lua", "--list", "--json")
    assert.are.equal(0, status)
    board("board1", out)
    baseline("linux1", '{"id": "9", "integer": "-9223372036854775807"}')
    assert.are.equal(0, (report()))
    integer:stop()
    files.write("env",
      [[{"errata": {"9": "0x8000000000000001", "1530923": {"b": [2]}}}]])
    sim.start("linux1", "ram 1M\ncpu\nset sim-env-template " .. files.path("env"))
    status, out = run(here .. "/examples/diag.lua", "--list", "--json")
    assert.are.equal(0, status)
    board("board2", out)
    status, out = report()
    assert.are.equal(3, status)
    assert.matches("\n    on 1 board: board2\n.*\n    on 1 board: board2\n", out)
    baseline("linux1", [[{"id": "1530923", "value": {"b": [2]}},
      {"id": "9", "value": "0x8000000000000001"}]])
    status, out = report()
    assert.matches("\nequal: board2\n", out, 1, true)
    assert.are.equal(3, status)
  end)
end)
