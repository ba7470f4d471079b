-- The other outputs of qvm-diag: HTML pages, metrics, comparisons with a baseline.

local cjson = require "cjson"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local lua = os.getenv("LUA") or "lua5.4"
local script = require("lfs").currentdir() .. "/examples/diag.lua"

local function diag(arguments, env)
  local all = {QVM_ROOT = sim.root(), QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("LD_PRELOAD")}
  for name, value in pairs(env or {}) do
    all[name] = value
  end
  return process.run({lua, script, table.unpack(arguments)}, {env = all})
end

-- Escapes a text for use as a pattern.
local function plain(text)
  return (text:gsub("%p", "%%%0"))
end

-- A VM with this env and no process.
local function write_vm(name, env)
  sim.root()
  files.mkdir("vms/" .. name)
  files.write("vms/" .. name .. "/env", env)
end

local config = [[
  ram 0x80000000,1M
  set sim-erratum-843419 on
  cpu
  cpu
    set sim-erratum-1286807 off
  vdev pl011 name console]]

local function baseline(name, entries)
  local path = files.path(name)
  assert(qvm.errata.save(path, entries))
  return path
end

local equal = {{id = "843419", value = "on"}, {id = "1286807", cpu = 1, value = "off"}}
local other = {{id = "843419", value = "auto"}, {id = "1286807", cpu = 1, value = "off"},
  {id = "99", value = true}}

describe("diag --all", function()
  after_each(sim.clean)

  it("reports every VM in full, one after the other", function()
    local dumps = files.mkdir("dumps")
    sim.start("linux1", config .. "\ndump " .. dumps)
    sim.start("linux2", config .. "\ndump " .. dumps)
    local status, out, errors = diag {"--all"}
    assert.are.equal("", errors)
    assert.are.equal(0, status)
    assert.are.equal(select(2, diag {"linux1"}) .. "\n" .. ("-"):rep(80) .. "\n\n"
      .. select(2, diag {"linux2"}), out)
    status, out = diag {"--all", "--json", "--dump", dumps}
    assert.are.equal(0, status)
    local vms = cjson.decode(out).vms
    assert.are.same({"linux1", "linux2"}, {vms[1].name, vms[2].name})
    assert.matches(dumps .. "/linux2-", vms[2].dump.path, 1, true)
    assert.are.equal("0xffff800010082234", vms[2].dump.vcpus[2].pc)
  end)

  it("continues after a VM that fails", function()
    write_vm("broken", "{")
    sim.start("linux1", config)
    local status, out, errors = diag {"--all"}
    assert.are.equal(1, status)
    assert.matches("^broken: gone, no process serves it\n", out)
    assert.matches("\nlinux1: running", out)
    assert.matches("broken/env:1:2: ", errors)
    status, out, errors = diag {"--all", "--root", files.mkdir("none")}
    assert.are.equal(1, status)
    assert.are.equal("", out)
    assert.matches("none: no VMs", errors)
  end)
end)

describe("diag --baseline", function()
  after_each(sim.clean)

  it("exits with 0 when the errata are those of the baseline", function()
    sim.start("linux1", config)
    local path = baseline("base.json", equal)
    local status, out, errors = diag {"linux1", "--baseline", path}
    assert.are.equal("", errors)
    assert.are.equal(0, status)
    assert.matches("\n\nerrata: equal to the baseline " .. plain(path) .. "\n$", out)
    out = select(2, diag {"linux1", "--baseline", path, "--json"})
    assert.matches('"baseline":{"differences":[],"path":', out, 1, true)
  end)

  it("exits with 3 when errata differ, and shows how", function()
    sim.start("linux1", config)
    local path = baseline("base.json", other)
    local status, out, errors = diag {"linux1", "--baseline", path}
    assert.are.equal("", errors)
    assert.are.equal(3, status)
    assert.are.equal("errata: 2 differences from the baseline " .. path .. "\n"
      .. "erratum  vCPU  expected      actual\n"
      .. "99        all  true          -             removed\n"
      .. "843419    all  auto          on            changed\n", out:match("\n(errata: .*)$"))
    status, out = diag {"linux1", "--baseline", path, "--json"}
    assert.are.equal(3, status)
    assert.are.same({{kind = "removed", id = "99", expected = true},
      {kind = "changed", id = "843419", expected = "auto", actual = "on"}},
      cjson.decode(out).baseline.differences)
    local page = files.path("page.html")
    assert.are.equal(3, (diag {"linux1", "--baseline", path, "--html", page}))
    assert.matches('2 differences from the baseline .*<th class="text" scope="row">843419</th>'
      .. "<td>all</td><td class=\"text\">auto</td><td class=\"text\">on</td><td>changed</td>",
      files.read(page))
  end)

  it("compares every VM with --all", function()
    sim.start("linux1", config)
    sim.start("linux2", (config:gsub("843419 on", "843419 off")))
    local status, out = diag {"--all", "--baseline", baseline("base.json", equal)}
    assert.are.equal(3, status)
    assert.matches("\nerrata: equal to the baseline .*\nlinux2: .*\nerrata: 1 difference from", out)
  end)

  it("exits with 1 if a step failed, even if errata differ", function()
    write_vm("gone", '{"errata": {"1": "on"}}')
    local status, out, errors = diag {"gone", "--baseline", baseline("base.json", equal)}
    assert.are.equal(1, status)
    assert.matches("3 differences", out)
    assert.matches("no process serves it", errors)
    sim.start("linux1", config)
    for _, path in ipairs {files.path("nowhere.json"), files.write("no.json", "{}")} do
      status, out, errors = diag {"linux1", "--baseline", path}
      assert.are.equal(1, status)
      assert.matches("^linux1: running", out)
      assert.is_nil(out:find("baseline", 1, true))
      assert.matches("^qvm%-diag: " .. plain(path) .. ": [^\n]+\n$", errors)
    end
  end)

  it("does not compare unknown errata with a baseline", function()
    sim.start("linux1", config)
    files.write("vms/linux1/env", "{}") -- into the served file
    local path = baseline("base.json", equal)
    local status, out, errors = diag {"linux1", "--baseline", path}
    assert.are.equal(1, status)
    assert.is_nil(out:find("difference", 1, true))
    assert.matches("linux1/env: no errata or vCPUs found: not compared with " .. plain(path),
      errors)
  end)

  it("distinguishes large integers that differ in one bit", function()
    write_vm("large", '{"errata": {"1": 9007199254740993}}')
    local path = baseline("base.json", {{id = "1", value = 9007199254740992}})
    local out = select(2, diag {"large", "--baseline", path})
    assert.matches("0x0020000000000000  0x0020000000000001  changed", out, 1, true)
  end)
end)

describe("diag --html", function()
  after_each(sim.clean)

  it("shows as many errata and vCPUs as fit a page, and counts the rest", function()
    write_vm("many", '{"v":[' .. ('{"tid":3,"last_known_ip":5},'):rep(4996)
      .. '{"tid":3}],"errata":[' .. ("8,"):rep(4999) .. "8]}")
    local page = files.path("page.html")
    diag {"many", "--html", page}
    local html = files.read(page)
    assert.matches("901 more rows are left out here: --json has all of them.", html, 1, true)
    assert.matches("904 more rows are left out here: --json has all of them.", html, 1, true)
    local _, rows = html:gsub("<tr>", "")
    assert.are.equal(2 * 4097, rows)
  end)

  it("writes one self-contained page", function()
    local dumps = files.mkdir("dumps")
    local linux1 = sim.start("linux1", config .. "\ndump " .. dumps)
    local page = files.path("page.html")
    local status, out, errors = diag {"linux1", "--html", page, "--dump", dumps, "--status",
      linux1.log}
    assert.are.equal("", out .. errors)
    assert.are.equal(0, status)
    local html = files.read(page)
    local dump = assert(qvm.open(dumps .. "/" .. files.list(dumps)[1]))
    for cpu in dump:vcpus() do
      for name, value in cpu:registers() do
        assert.matches(("<dt>%s</dt><dd>%s</dd>"):format(name, qvm.hex(value)), html, 1, true)
      end
    end
    local status_text = "linux1 info: status 1 (simulated VM, not QNX)\n"
    for line in (status_text .. dump:log()):gmatch("[^\n]+") do
      assert.matches(line, html, 1, true)
    end
    for _, text in ipairs {'<html lang="en">', "<h1>VM linux1</h1>",
      "host " .. require "qvm.core".host_name(), "qvm " .. qvm.version,
      '<svg aria-labelledby=',
      'role="img"', '<th scope="col">last known ip</th>', '<dd>console</dd>',
      ">0x0000000080000000</text>", "default-src 'none'", '<meta content="width=device-width'} do
      assert.matches((text:gsub("'", "&#39;")), html, 1, true)
    end
    assert.matches("<time datetime=\"" .. os.date("!%Y-%m-%dT"), html, 1, true)
    html = html:gsub('xmlns="http://www.w3.org/2000/svg"', "")
    for _, text in ipairs {"://", "src=", "url(", "@import", "<script", "<link", "javascript"} do
      assert.is_nil(html:find(text, 1, true), text)
    end
  end)

  it("marks what is unknown", function()
    sim.start("linux1", config):tell("hang")
    local page = files.path("page.html")
    assert.are.equal(1, (diag {"linux1", "--html", page}))
    local html = files.read(page)
    assert.matches('<span class="state stuck">stuck</span>', html, 1, true)
    assert.matches("<dt>reason</dt><dd>[^<]*no answer", html)
    assert.matches("vCPUs</h2><p>Unknown: its env was not read.</p>", html, 1, true)
    assert.matches("Errata</h2><p>Unknown: its env was not read.</p>", html, 1, true)
    assert.are.equal(1, (diag {"--list", "--html", page}))
    assert.matches('<td class="number">-</td><td class="number">1</td><td class="number">-</td>',
      files.read(page), 1, true)
  end)

  it("includes errors, and works together with --json", function()
    write_vm("gone", "{}")
    local page = files.path("page.html")
    local status, out, errors = diag {"gone", "--html", page, "--json"}
    assert.are.equal(1, status)
    local message = cjson.decode(out).errors[1]
    assert.matches(message, errors, 1, true)
    assert.matches("<h2>What went wrong</h2><ul><li>" .. message .. "</li>", files.read(page), 1,
      true)
  end)

  it("has all VMs, as a list or in full", function()
    sim.start("linux1", config)
    sim.start("linux2", config)
    local page = files.path("page.html")
    assert.are.equal(0, (diag {"--list", "--html", page}))
    assert.matches('scope="row">linux2</th><td><span class="state running">', files.read(page))
    assert.is_nil(files.read(page):find("0xffff800010081234", 1, true))
    assert.are.equal(0, (diag {"--all", "--html", page}))
    assert.matches('<a href="#vm2">linux2</a>.*<section id="vm2"><h2>VM linux2</h2>.*'
      .. "0xffff800010081234", files.read(page))
  end)

  it("is written completely or not at all", function()
    sim.start("linux1", config)
    local page = files.write("page.html", "the old one")
    local status, _, errors = diag {"linux9", "--html", page}
    assert.are.equal(1, status)
    assert.matches("no VM \"linux9\"", errors)
    assert.are.equal("the old one", files.read(page))
    -- The old file is replaced, not overwritten: a reader that has it open can read it to
    -- the end.
    local old = io.open(page)
    assert.are.equal(0, (diag {"linux1", "--html", page}))
    assert.are.equal("the old one", old:read("a"))
    old:close()
    assert.matches("</html>\n$", files.read(page))
    for _, name in ipairs(files.list(files.dir())) do
      assert.is_nil(name:find("^page.html."))
    end
    local out
    status, out, errors = diag {"linux1", "--html", files.path("nowhere/page.html")}
    assert.are.equal(1, status)
    assert.are.equal("", out)
    assert.matches("^qvm%-diag: [^\n]*nowhere/page.html: No such file or directory\n$", errors)
  end)

  it("draws memory to scale, enlarges tiny parts and shortens huge ones, and says so", function()
    local page = files.path("page.html")
    local function draw(memory)
      local dump = files.write("map.gcore", writer.small {memory = memory})
      assert.are.equal(0, (diag {"--read", dump, "--html", page}))
      local heights = {}
      for height in files.read(page):gmatch('<rect class="[^"]*" height="([%d.]+)"') do
        heights[#heights + 1] = tonumber(height)
      end
      return heights, files.read(page)
    end
    local heights, html = draw {{paddr = 0, bytes = ("M"):rep(30000)},
      {paddr = 40000, bytes = ("M"):rep(10000)}}
    assert.are.same({180, 60, 60}, heights)
    assert.matches("Drawn to scale. The table", html, 1, true)
    heights, html = draw {{paddr = 0, bytes = ("M"):rep(30000)}, {paddr = 1 << 50, bytes = "x"},
      {paddr = -1, bytes = "x"}}
    assert.is_true(heights[3] >= 20 and heights[3] < heights[1])
    assert.is_true(heights[2] < heights[1] and heights[4] < heights[1])
    assert.are.equal(2, select(2, html:gsub("%(cut short%)", "")))
    assert.matches("blocks with a dashed edge are smaller", html, 1, true)
    assert.matches("holes with a jagged line are longer", html, 1, true)
    assert.matches('<code>0x0004000000000001</code> – <code>0xfffffffffffffffe</code></th>'
      .. '<td>hole</td><td class="number">16 EiB</td>', html, 1, true)
  end)
end)

describe("diag --prometheus", function()
  after_each(sim.clean)

  local function check(metrics)
    if not os.execute("command -v promtool >/dev/null") then
      return
    end
    local status, out, errors = process.run {"sh", "-c", "exec promtool check metrics <'"
      .. files.write("metrics.prom", metrics) .. "'"}
    assert.are.equal("0", tostring(status), out .. errors)
  end

  it("writes metrics of all VMs, or of one", function()
    sim.start("linux1", config)
    local linux2 = sim.start("linux2", "ram 1M\ncpu\ncpu\ncpu")
    linux2:tell("suspend")
    local status, out, errors = diag {"--prometheus"}
    assert.are.equal("", errors)
    assert.are.equal(0, status)
    check(out)
    for _, line in ipairs {'# HELP qvm_up Whether a qvm process serves the VM and answers.',
      '# TYPE qvm_up gauge', 'qvm_up{vm="linux1"} 1', 'qvm_state{vm="linux1",state="running"} 1',
      'qvm_state{vm="linux1",state="suspended"} 0', 'qvm_state{vm="linux2",state="running"} 0',
      'qvm_state{vm="linux2",state="suspended"} 1', 'qvm_vcpus{vm="linux1"} 2',
      'qvm_vcpus{vm="linux2"} 3',
      'qvm_erratum_info{vm="linux1",cpu="all",erratum="843419",value="on"} 1',
      'qvm_erratum_info{vm="linux1",cpu="1",erratum="1286807",value="off"} 1'} do
      assert.matches("\n" .. line .. "\n", "\n" .. out, 1, true)
    end
    for _, pattern in ipairs {'# TYPE qvm_vcpu_cpu_seconds_total counter',
      'qvm_vcpu_cpu_seconds_total{vm="linux1",vcpu="1"} 0%.%d%d%d%d%d%d%d%d%d',
      'qvm_vcpu_priority{vm="linux2",vcpu="2"} %d+', 'qvm_vcpu_ready{vm="linux1",vcpu="0"} [01]'} do
      assert.matches("\n" .. pattern .. "\n", out)
    end
    local function constant(metrics)
      return (metrics:gsub("(\nqvm_vcpu_[^\n]*) [%d.]+", "%1"))
    end
    assert.are.equal(constant(out), constant(select(2, diag {"--prometheus", "--all"})))
    out = select(2, diag {"linux2", "--prometheus"})
    check(out)
    assert.matches('\nqvm_vcpus{vm="linux2"} 3\n', out, 1, true)
    assert.is_nil(out:find("linux1", 1, true))
  end)

  it("reports a VM that is down in its metrics, and exits with 0", function()
    local linux1 = sim.start("linux1", config)
    linux1:stop("KILL")
    local status, out = diag {"--prometheus"}
    assert.are.equal(0, status)
    check(out)
    assert.matches('qvm_up{vm="linux1"} 0\n', out, 1, true)
    assert.matches('qvm_state{vm="linux1",state="gone"} 1\n', out, 1, true)
    assert.is_nil(out:find("qvm_vcpu_cpu_seconds_total{", 1, true)) -- unknown
    local linux2 = sim.start("linux2", config)
    linux2:tell("hang")
    status, out = diag {"--prometheus", "linux2"}
    assert.are.equal(0, status)
    check(out)
    assert.matches('qvm_up{vm="linux2"} 0\n', out, 1, true)
    assert.matches('qvm_state{vm="linux2",state="stuck"} 1\n', out, 1, true)
    assert.is_nil(out:find("qvm_vcpus{", 1, true))
    assert.is_nil(out:find("qvm_erratum_info{", 1, true))
    status, out = diag {"--prometheus", "linux9"}
    assert.are.equal(0, status)
    check(out)
    assert.matches('qvm_up{vm="linux9"} 0\n', out, 1, true)
    assert.matches('qvm_state{vm="linux9",state="unavailable"} 1\n', out, 1, true)
    assert.is_nil(out:find("qvm_vcpus{", 1, true))
  end)

  it("does not call a VM down that this process cannot examine", function()
    sim.start("linux1", config)
    -- The env and one more file can be open: too few to find the process.
    local function with_few_files(...)
      return process.run({"sh", "-c", 'exec 3>&- 4>&-; ulimit -n 5; exec "$0" "$@"', lua, script,
        ...}, {env = {QVM_ROOT = sim.root(), QVM_BUILD = sim.build,
        LD_PRELOAD = os.getenv("LD_PRELOAD")}})
    end
    local status, out, errors = with_few_files "--prometheus"
    assert.are.equal(0, status)
    assert.matches("linux1/env: Too many open files\n", errors, 1, true)
    assert.is_nil(out:find("\nqvm_up{", 1, true))
    assert.matches('\nqvm_state{vm="linux1",state="unknown"} 1\n', out, 1, true)
    check(out)
    status, out = with_few_files "linux1"
    assert.are.equal(1, status)
    assert.matches("^linux1: unknown, process unknown\n.*\n  reason [^\n]*: Too many open files\n",
      out)
    assert.is_nil(out:find("no process", 1, true))
  end)

  it("exits with 1 if there is nothing to write", function()
    local status, out, errors = diag {"--prometheus", "--root", files.path("nowhere")}
    assert.are.equal(1, status)
    assert.are.equal("", out)
    assert.matches("nowhere: No such file or directory", errors)
  end)

  it("accepts any name and value as a label, and writes a series once", function()
    local name = 'a\\b"c\nd\255e'
    write_vm(name, [[{"errata": [{"id": "x\\\"\n", "value": "}\u0007 ü"},
      {"id": "1", "value": "on"}, {"id": "1", "value": "on"}, {"id": "2", "value": null},
      {"id": "3", "value": 18446744073709551615}, {"id": "4", "value": 1, "cpu": "first"}]}]])
    local _, out = diag {"--prometheus"}
    check(out)
    local label = [[vm="a\\b\"c\nd]] .. "\u{fffd}" .. [[e"]]
    assert.matches("\nqvm_up{" .. label .. "} 0\n", "\n" .. out, 1, true)
    assert.matches("{" .. label .. [[,cpu="all",erratum="x\\\"\n",value="}\\x07 ü"} 1]]
      .. "\n", out, 1, true)
    assert.are.equal(1, select(2, out:gsub('erratum="1"', "")))
    assert.matches('erratum="2",value="null"', out, 1, true)
    assert.matches('erratum="3",value="0xffffffffffffffff"', out, 1, true)
    assert.matches('cpu="unknown",erratum="4",value="1"', out, 1, true)
  end)

  it("shows when the newest dump in $QVM_DUMP_DIR was requested, according to its name", function()
    local dumps = files.mkdir("dumps")
    sim.start("linux1", config)
    sim.start("linux1-20300101-000000", config)
    for _, name in ipairs {"linux1-20261122-101500.gcore", "linux1-20261122-101502-1.gcore",
      "linux1-20261122-101501.gcore", "linux1-20261322-000000.gcore", "linux1-late.gcore",
      "other-20270101-000000.gcore", "linux1-20300101-000000-x.gcore"} do
      files.write("dumps/" .. name, "")
    end
    local _, out = diag({"--prometheus"}, {QVM_DUMP_DIR = dumps, TZ = "UTC"})
    check(out)
    local time = os.time {year = 2026, month = 11, day = 22, hour = 10, min = 15, sec = 2}
    local zone = os.time(os.date("!*t", time)) - time -- of this process
    assert.are.equal(("\nqvm_last_dump_timestamp_seconds{vm=\"linux1\"} %d\n"):format(time - zone),
      out:match("\nqvm_last_dump[^\n]*\n$"))
    _, out = diag({"--prometheus"}, {QVM_DUMP_DIR = dumps, TZ = "XXX-3"})
    assert.matches((" %d\n$"):format(time - zone - 3 * 3600), out)
    local status, _, errors = diag({"--prometheus"}, {QVM_DUMP_DIR = files.path("nowhere")})
    assert.are.equal(1, status)
    assert.matches("nowhere: No such file", errors)
  end)

  it("knows the time of a dump in the hour that the end of DST repeats", function()
    sim.start("linux1", config)
    local dumps = files.mkdir("dumps")
    -- 2026-10-25 in Berlin: 03:00 +02:00 (01:00 UTC) becomes 02:00 +01:00.
    local zone = "CET-1CEST,M3.5.0,M10.5.0/3"
    local change = 1792890000
    local function time_by(name, touched)
      local path = files.write("dumps/linux1-" .. name .. ".gcore", "")
      assert.is_true(require("lfs").touch(path, touched, touched))
      local _, out = diag({"--prometheus"}, {QVM_DUMP_DIR = dumps, TZ = zone})
      os.remove(path)
      return math.tointeger(tonumber(out:match("\nqvm_last_dump[^\n]* (%d+)\n$")))
    end
    assert.are.equal(change - 1800, time_by("20261025-023000", change - 1700))
    assert.are.equal(change + 1800, time_by("20261025-023000", change + 1900))
    assert.are.equal(change - 3601, time_by("20261025-015959", change + 9999)) -- once only
    assert.are.equal(change + 3600, time_by("20261025-030000", change + 9999))
    -- The hour that is skipped in spring: no clock here showed 02:30.
    assert.are.equal(1774747000, time_by("20260329-023000", 1774747000))
    assert.are.equal(1774745999, time_by("20260329-015959", 1774747000))
    -- The newest dump is not the one with the last name.
    files.write("dumps/linux1-20261025-025900.gcore", "")
    files.write("dumps/linux1-20261025-020100.gcore", "")
    local lfs = require "lfs"
    lfs.touch(dumps .. "/linux1-20261025-025900.gcore", change, change)
    lfs.touch(dumps .. "/linux1-20261025-020100.gcore", change + 100, change + 100)
    local _, out = diag({"--prometheus"}, {QVM_DUMP_DIR = dumps, TZ = zone})
    assert.matches((" %d\n$"):format(change + 60), out)
  end)

  it("is accepted by promtool", function()
    if not os.execute("command -v promtool >/dev/null") then
      pending("promtool is not installed: sh .ci/deps metrics")
      return
    end
    assert.has_error(function() check("a_metric{without=\"help\"} 1\n") end)
    sim.start("linux1", config)
    check((select(2, diag {"--prometheus"})))
  end)
end)

describe("diag", function()
  after_each(sim.clean)

  it("exits with 2 for conflicting options", function()
    for _, arguments in ipairs {{"--all", "a"}, {"--all", "--list"}, {"--list", "--baseline", "x"},
      {"--read", "x", "--baseline", "y"}, {"--prometheus", "--list"}, {"--prometheus", "--json"},
      {"a", "--prometheus", "--dump", "x"}, {"a", "--prometheus", "--html", "x"},
      {"a", "--watch", "--json"}, {"--read", "x", "--watch"}, {"a", "--watch", "--dump", "x"},
      {"a", "--watch", "0"}, {"a", "--watch", "0.001"}, {"a", "--watch", "5s"}, {"--watch"},
      {"--watch", "3"}, {"--html", "x"}, {"a", "--dmesg"}, {"--dmesg"},
      {"--read", "x", "--dmesg", "--html", "y"}} do
      local status, out, errors = diag(arguments)
      assert.are.equal(2, status, table.concat(arguments, " "))
      assert.are.equal("", out)
      assert.matches("^qvm%-diag: [^\n]+\n$", errors)
    end
  end)
end)
