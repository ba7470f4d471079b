local cjson = require "cjson"
local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local lua = os.getenv("LUA") or "lua5.4"
local script = require("lfs").currentdir() .. "/examples/diag.lua"

-- Runs diag like a user; returns exit status, output and errors.
local function diag(arguments, options)
  options = options or {}
  local env = {QVM_ROOT = sim.root(), QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("LD_PRELOAD")}
  return process.run({options.lua or lua, script, table.unpack(arguments)}, {env = env})
end

local function assert_fits(text)
  for line in text:gmatch("[^\n]+") do
    assert.is_true(#line <= 80 or line:find("/tmp/", 1, true) ~= nil, line)
    assert.is_nil(line:find(" $"), "trailing blanks")
  end
end

describe("diag", function()
  after_each(sim.clean)

  local config = [[
    ram 0x80000000,1M
    set sim-erratum-843419 on
    cpu
    cpu
      set sim-erratum-1286807 off
    vdev virtio-net name guest_to_host loc 0x1c0c0000 intr gic:40 peer /dev/vdevpeers/vp0
    vdev pl011 name console]]

  it("reports on a VM", function()
    local linux1 = sim.start("linux1", config)
    local status, out, errors = diag {"linux1"}
    assert.are.equal("", errors)
    assert.are.equal(0, status)
    assert_fits(out)
    assert.matches("^linux1: running, process " .. linux1.pid .. "\n", out)
    assert.matches("\nvCPU      tid  last known ip        cpu time  prio  state     thread\n"
      .. "   0 +%d+  0xffff800010081234  +0%.%d%d%d  +%d+  %a+ +vcpu0\n"
      .. "   1 +%d+  0xffff800010082234  +0%.%d%d%d  +%d+  %a+ +vcpu1\n", out)
    assert.matches("\nvdev nodes %(not opened%)\n  console\n  guest_to_host\n", out)
    assert.matches("\nerratum  vCPU  value\n843419    all  on\n1286807     1  off\n", out)
  end)

  it("shows the state", function()
    local linux1 = sim.start("linux1", config)
    linux1:tell("suspend")
    local status, out = diag {"linux1"}
    assert.are.equal(0, status)
    assert.matches("^linux1: suspended, process ", out)
  end)

  it("requests and shows the status text and a dump", function()
    local dumps = files.mkdir("dumps")
    local linux1 = sim.start("linux1", config .. "\ndump " .. dumps)
    local status, out, errors = diag {"linux1", "--status", linux1.log, "--dump", dumps}
    assert.are.equal("", errors) -- no progress on a pipe
    assert.are.equal(0, status)
    assert_fits(out)
    assert.matches("\nstatus text %(8 lines%)\n  linux1 info: status 1 ", out)
    assert.matches("\ndump " .. dumps .. "/linux1-", out, 1, true)
    assert.matches("\n  qnx aarch64, 64%-bit little%-endian, 1[%d.]* MiB\n", out)
    assert.matches("\n0x0000000080000000 - 0x00000000800fffff  1 MiB\n", out, 1, true)
    assert.matches("\n   1  0xffff800010082234  0xffff80001101f000  0x0000000080042000  vcpu1\n",
      out, 1, true)
    assert.matches("text in the dump %(%d+ lines%)\n  linux1 info: dump 1 ", out)
    local file = dumps .. "/" .. files.list(dumps)[1]
    local read_status, read_out = diag {"--read", file}
    assert.are.equal(0, read_status)
    assert.are.equal(out:sub(out:find("dump " .. file, 1, true), -1), read_out)
  end)

  it("takes the status text from the system log, which only QNX has", function()
    sim.start("linux1", config)
    local status, _, errors = diag {"linux1", "--status", "slog"}
    assert.are.equal(1, status)
    assert.are.equal("qvm-diag: slog2: only QNX has it: give the path of a log, or a function\n",
      errors)
  end)

  it("keeps the newest dumps, and says which it deleted", function()
    local dumps = files.mkdir("dumps")
    sim.start("linux1", config .. "\ndump " .. dumps)
    local old = files.write("dumps/linux1-20201122-101500.gcore", writer.small {})
    assert(lfs.touch(old, 0, 0))
    local status, out, errors = diag {"linux1", "--dump", dumps, "--keep", "2", "--json"}
    assert.are.equal(0, status, errors)
    assert.matches('"deleted":[],', out, 1, true)
    status, out = diag {"linux1", "--dump", dumps, "--keep", "2"}
    assert.are.equal(0, status)
    assert.matches("\nolder dump deleted: " .. old .. "\n", out, 1, true)
    assert.is_false(files.exists(old))
    assert.are.equal(2, #files.list(dumps))
  end)

  it("says why the threads of vCPUs are unknown", function()
    sim.start("linux1"):stop("KILL")
    sim.start("linux2")
    files.write("vms/linux2/env", [[{"vcpus": [{"tid": 1, "last_known_ip": 5},
      {"last_known_ip": 6}, {"tid": 2, "last_known_ip": 7}]}]]) -- into the served file
    local _, out = diag {"linux1"}
    assert.matches("\n   1 +%d+  0xffff800010082234          %-     %-  %-\n"
      .. "  thread unknown: [^\n]+linux1/env: no process serves it", out)
    local found
    out, found = select(2, diag {"linux2"}):gsub("\n  thread unknown: ", "%0")
    assert.are.equal(3, found, out)
    assert.matches("linux2/env: vCPU 1 has no thread id ", (out:gsub("%s+", " ")), 1, true)
    local report = cjson.decode((select(2, diag {"linux1", "--json"})))
    assert.is_nil(report.vcpus[1].thread)
    assert.matches("linux1/env: no process serves it", report.vcpus[2].thread_unknown, 1, true)
  end)

  it("lists all VMs, one per line", function()
    sim.start("linux1", config)
    sim.start("a-very-long-system-name", "ram 1M")
    local status, out = diag {"--list"}
    assert.are.equal(0, status)
    assert_fits(out)
    local lines = {}
    for line in out:gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    assert.are.equal(3, #lines)
    assert.matches("^system                   state           pid  vCPUs  nodes  errata$", lines[1])
    assert.matches("^a%-very%-long%-system%-name  unknown     +%d+ +1 +0 +0$", lines[2])
    assert.matches("^linux1                   running     +%d+ +2 +2 +2$", lines[3])
  end)

  it("writes JSON with addresses as strings and empty lists as lists", function()
    local dumps = files.mkdir("dumps")
    sim.start("linux1", "set sim-erratum-9 18446744073709551615\ndump " .. dumps .. "\n" .. config)
    sim.start("bare", "ram 1M")
    local status, out = diag {"linux1", "--json", "--dump", dumps}
    assert.are.equal(0, status)
    local report = cjson.decode(out)
    assert.are.equal("running", report.state)
    assert.are.equal("0xffff800010081234", report.vcpus[1].last_known_ip)
    assert.matches("^0%.%d%d%d%d%d%d%d%d%d$", report.vcpus[2].thread.cpu_time)
    assert.are.equal("integer", math.type(math.tointeger(report.vcpus[2].thread.priority)))
    assert.are.equal("vcpu1", report.vcpus[2].thread.name)
    assert.are.equal("0xffffffffffffffff", report.errata[1].value)
    assert.are.same({start = "0x0000000080000000", last = "0x00000000800fffff", size = 1 << 20},
      report.dump.ranges[1])
    assert.are.equal("0xffff800010082234", report.dump.vcpus[2].registers.pc)
    assert.are.equal("0xe000000000010001", report.dump.vcpus[2].extra.ttbr1_el1)
    out = select(2, diag {"--list", "--json"})
    assert.matches('"errata":[],', out, 1, true)
    assert.matches('"nodes":[],', out, 1, true)
    assert.are.equal("bare", cjson.decode(out).vms[1].name)
  end)

  it("exits with 1 and suggests a fix if a VM is absent", function()
    local status, out, errors = diag {"linux9"}
    assert.are.equal(1, status)
    assert.are.equal("", out)
    assert.matches("^qvm%-diag: .*no VM \"linux9\".*%-%-list[^\n]*\n$", errors)
    status, out, errors = diag {"--list", "--root", files.path("nowhere")}
    assert.are.equal(1, status)
    assert.are.equal("", out)
    assert.matches("nowhere: No such file or directory", errors)
    assert.are.equal(1, (diag {"--list"}))
  end)

  it("exits with 1 if a step fails, and continues with the others", function()
    local dumps = files.mkdir("dumps")
    local linux1 = sim.start("linux1", config)
    local status, out, errors = diag {"linux1", "--status", linux1.log, "--dump", dumps,
      "--timeout", "0.5"}
    assert.are.equal(1, status)
    assert.matches("^qvm%-diag: linux1: no dump in [^\n]* within 0.5 s[^\n]*\n$", errors)
    assert.matches("status text", out)
    linux1:stop("KILL")
    status, out, errors = diag {"linux1"}
    assert.are.equal(1, status)
    assert.matches("^linux1: gone, no process serves it\n", out)
    assert.matches("^qvm%-diag: [^\n]*linux1/env: no process serves it: the VM is gone\n$", errors)
    status, out, errors = diag {"--read", files.write("x.gcore", "\127ELF")}
    assert.are.equal(1, status)
    assert.are.equal("", out)
    assert.matches("^qvm%-diag: .*x.gcore: ends after 4 bytes[^\n]*\n$", errors)
  end)

  it("shows the available parts of a truncated dump", function()
    local bytes = writer.small()
    local status, out, errors = diag {"--read", files.write("cut.gcore", bytes:sub(1, -2))}
    assert.are.equal(1, status)
    assert.matches("cut.gcore: 1 of %d+ bytes are missing\n", errors)
    assert.matches("the registers of 1 vCPUs are missing", errors)
    assert.matches("0x0000000080000000 - 0x00000000800000ff  256 bytes", out, 1, true)
    local what = ("1 of %d bytes are missing"):format(#bytes)
    assert.matches("\n  incomplete: " .. what .. ": the memory listed below may not all be there\n",
      (out:gsub("\n      ", " ")), 1, true)
    local page = files.path("page.html")
    local report = cjson.decode((select(2, diag {"--read", files.path("cut.gcore"), "--json",
      "--html", page})))
    assert.is_false(report.dump.complete)
    assert.are.equal(what, report.dump.incomplete)
    assert.matches("<dt>incomplete</dt><dd><span[^>]*>" .. what, files.read(page))
    out = select(2, diag {"--read", files.write("whole.gcore", bytes), "--json", "--html", page})
    assert.is_true(cjson.decode(out).dump.complete)
    assert.is_nil(files.read(page):find("incomplete", 1, true))
    assert.is_nil((select(2, diag {"--read", files.path("whole.gcore")})):find("incomplete"))
  end)

  it("says if it finds no vCPUs, and refers to the help", function()
    sim.root()
    files.mkdir("vms/odd")
    files.write("vms/odd/env", '{"foo": 1}')
    assert.matches("no vCPUs found in its env: see qvm.schema", (select(2, diag {"odd"})), 1, true)
  end)

  it("does not count what is unknown", function()
    sim.start("dead", config):stop("KILL")
    sim.start("empty", config)
    files.write("vms/empty/env", "{}") -- into the served file
    local hung = sim.start("hung", config)
    hung:tell("hang")
    local status, out, errors = diag {"--list"}
    assert.are.equal(1, status)
    assert.matches("^system [^\n]*\ndead +gone +%- +2 +2 +2\n"
      .. "empty +unknown +%d+ +%- +2 +%-\nhung +stuck +%d+ +%- +2 +%-\n$", out)
    assert.matches("hung/env: no answer", errors, 1, true)
    out = select(2, diag {"hung"})
    assert.matches("^hung: stuck, process " .. hung.pid .. "\n", out)
    assert.matches("\n  reason  .*no answer", out)
    assert.matches("\nvCPUs and errata unknown: its env was not read\n", out)
    assert.is_nil(out:find("qvm.schema", 1, true))
    local report = cjson.decode((select(2, diag {"--list", "--json"})))
    local vms = {}
    for _, vm in ipairs(report.vms) do
      vms[vm.name] = vm
    end
    assert.are.same({"stuck", cjson.null, cjson.null, cjson.null, hung.pid},
      {vms.hung.state, vms.hung.vcpus, vms.hung.errata, vms.hung.facts, vms.hung.pid})
    assert.are.same({"unknown", cjson.null, cjson.null},
      {vms.empty.state, vms.empty.vcpus, vms.empty.errata})
    assert.matches("no vCPUs found: see qvm.schema", vms.empty.reason)
    assert.are.equal("gone", vms.dead.state)
  end)

  it("writes one JSON document, including errors", function()
    local status, out = diag {"linux9", "--json"}
    assert.are.equal(1, status)
    assert.matches("no VM", cjson.decode(out).errors[1])
    status, out = diag {"--list", "--json", "--root", files.mkdir("none")}
    assert.are.equal(1, status)
    assert.matches("none: no VMs", cjson.decode(out).errors[1])
    out = select(2, diag {"--read", files.path("nothing"), "--json"})
    assert.matches("No such file", cjson.decode(out).errors[1])
    local linux1 = sim.start("linux1", config)
    linux1:stop("KILL")
    out = select(2, diag {"linux1", "--json"})
    assert.are.equal("gone", cjson.decode(out).state)
    assert.are.equal(1, #cjson.decode(out).errors)
  end)

  it("exits with 2 for invalid arguments", function()
    for _, arguments in ipairs {{}, {"a", "b", "--record", "x"}, {"a", "--list"},
      {"--list", "--read", "x"},
      {"--frobnicate"}, {"a", "--timeout", "soon"}, {"a", "--timeout", "-1"}, {"a", "--dump"},
      {"../x"}, {""}, {"a", "--timeout", "nan"}, {"a", "--keep", "2"},
      {"a", "--dump", "x", "--keep", "0"}, {"a", "--dump", "x", "--keep", "1.5"},
      {"--list", "--dump", "x"}, {"--read", "x", "--status", "y"}, {"a", "b/c"},
      {"a", "b", "--conf", "x"}, {"--all", "--save-baseline", "x"}, {"--list", "--record", "x"},
      {"a", "--variables", "x"}, {"a", "--prometheus", "--conf", "x"}} do
      local status, out, errors = diag(arguments)
      assert.are.equal(2, status, table.concat(arguments, " "))
      assert.are.equal("", out)
      assert.matches("^qvm%-diag: [^\n]+\n$", errors)
    end
  end)

  it("has a help text of 80 columns", function()
    local status, out = diag {"--help"}
    assert.are.equal(0, status)
    assert_fits(out)
    assert.matches("%-%-status", out)
  end)

  it("says its version", function()
    assert.are.same({0, "qvm-diag " .. require "qvm".version .. "\n", ""}, {diag {"--version"}})
  end)

  it("reports on several VMs, as with --all", function()
    sim.start("linux1", config)
    sim.start("qnx1", "ram 1M")
    sim.start("other", "ram 1M")
    local status, out, errors = diag {"qnx1", "linux1"}
    assert.are.same({0, ""}, {status, errors})
    assert_fits(out)
    assert.matches("^qnx1: .*\n%-+\n\nlinux1: running", out)
    assert.is_nil(out:find("other", 1, true))
    status, out, errors = diag {"qnx1", "nope", "linux1", "--json"}
    assert.are.equal(1, status)
    assert.matches("nope", errors)
    local report = cjson.decode(out)
    assert.are.same({"qnx1", "linux1", nil}, {report.vms[1].name, report.vms[2].name,
      report.vms[3]})
    assert.are.equal(1, #report.errors)
    status, out = diag {"nope", "linux1", "--prometheus"}
    assert.are.equal(0, status)
    assert.matches('qvm_up{vm="nope"} 0\n', out, 1, true)
    assert.matches('qvm_up{vm="linux1"} 1\n', out, 1, true)
    assert.is_nil(out:find('vm="other"', 1, true))
    local page = files.path("vms.html")
    assert.are.equal(0, (diag {"qnx1", "linux1", "--html", page}))
    assert.matches("VM linux1</h2>", files.read(page), 1, true)
    status, out = diag {"nope", "neither"}
    assert.are.same({1, ""}, {status, out})
  end)

  it("saves a baseline that --baseline accepts", function()
    local linux1 = sim.start("linux1", config)
    local path = files.path("linux1.json")
    local status, out, errors = diag {"linux1", "--save-baseline", path}
    assert.are.same({0, ""}, {status, errors})
    assert.matches("\nerrata saved as a baseline: " .. path .. "\n", out, 1, true)
    assert.are.equal(0, (diag {"linux1", "--baseline", path}))
    -- The old baseline is compared before it is replaced.
    linux1:stop()
    sim.start("linux1", (config:gsub("843419 on", "843419 off")))
    status, out = diag {"linux1", "--baseline", path, "--save-baseline", path, "--json"}
    assert.are.equal(3, status)
    assert.are.equal(path, cjson.decode(out).saved_baseline)
    assert.are.equal(0, (diag {"linux1", "--baseline", path}))
  end)

  it("saves no baseline of an env in which it finds nothing", function()
    sim.root()
    files.mkdir("vms/odd")
    files.write("vms/odd/env", "{}")
    local path = files.path("odd.json")
    local status, _, errors = diag {"odd", "--save-baseline", path}
    assert.are.equal(1, status)
    assert.matches("odd.json: not saved: no errata or vCPUs found in ", errors, 1, true)
    assert.is_false(files.exists(path))
  end)

  it("saves a record, with the configuration", function()
    sim.start("linux1", config)
    local path = files.path("record")
    local status, out, errors = diag {"linux1", "--record", path, "--conf",
      files.path("linux1.qvmconf")}
    assert.are.same({0, ""}, {status, errors})
    assert.matches("\nrecord saved: " .. path .. "\n", out, 1, true)
    assert.are.equal(files.read(files.path("linux1.qvmconf")),
      files.read(path .. "/vm.qvmconf"))
    status, out, errors = diag {"linux1", "--record", path}
    assert.are.equal(1, status)
    assert.is_nil(out:find("record saved", 1, true))
    assert.matches("record: exists already", errors, 1, true)
  end)

  it("says that it saves no record of a VM that cannot be read", function()
    sim.start("stuck", config):tell("hang")
    files.mkdir("vms/garbage")
    files.write("vms/garbage/env", "{")
    local path = files.path("record")
    for name, why in pairs {stuck = "stuck/env: no answer", garbage = "garbage/env:1:2: "} do
      local status, out, errors = diag {name, "--record", path}
      assert.are.equal(1, status)
      assert.is_false(files.exists(path))
      assert.is_nil(out:find("record saved", 1, true))
      assert.matches("qvm-diag: " .. path .. ": not saved: " .. sim.root() .. "/" .. why, errors,
        1, true)
    end
  end)

  it("compares a VM with its configuration, by file and line", function()
    sim.start("linux1", config)
    local path = files.path("linux1.qvmconf")
    local status, out = diag {"linux1", "--conf", path}
    assert.are.equal(0, status)
    assert.matches("\nconfiguration: 0 differences from [^;]+;%s+%d%s+equal, %d%s+cannot be seen\n",
      out)
    local other = files.write("other.qvmconf", "system linux1\ncpu\nset no-such 1\n"
      .. "vdev pl011\n  name gone\ndump /tmp\n")
    local variables = files.write("variables", "  debug (boolean, vdev)\n")
    status, out = diag {"linux1", "--conf", other, "--variables", variables}
    assert.are.equal(3, status)
    for _, line in ipairs {":2: vCPUs: expected 1, is 2\n",
      ":4: node gone: expected there, is not%s+there\n",
      ":3: set no%-such: expected 1 %(cpu%),%s+is%s+not a variable of this qvm\n"} do
      assert.matches(other:gsub("%p", "%%%0") .. line, out)
    end
    assert.is_nil(out:find(": system: ", 1, true))
    status, out = diag {"linux1", "--conf", other, "--json", "--html", files.path("vm.html")}
    assert.are.equal(3, status)
    local about = cjson.decode(out).configuration
    assert.are.same({4, 2, 4}, {about.differences, about.equal, about.differences})
    assert.are.same({what = "vCPUs", expected = "1", actual = "2", verdict = "differs",
      file = other, line = 2}, about.findings[2])
    assert.matches("<td[^>]*>" .. other:gsub("%p", "%%%0") .. ":2</td>",
      files.read(files.path("vm.html")))
    assert.matches(": system: expected linux1, is linux1\n",
      (select(2, diag {"linux1", "--conf", other, "--full"})))
  end)

  it("reports a configuration that cannot be read", function()
    sim.start("linux1", config)
    local status, out, errors = diag {"linux1", "--conf", files.path("nothing")}
    assert.are.equal(1, status)
    assert.matches("^linux1: running", out)
    assert.matches("nothing: No such file", errors)
    status, out, errors = diag {"linux1", "--conf", files.path("linux1.qvmconf"), "--variables",
      files.write("odd", "command not found\n")}
    assert.are.equal(1, status)
    assert.is_nil(out:find("configuration:", 1, true))
    assert.matches("odd: variables: no row", errors, 1, true)
  end)

  it("escapes terminal controls in a VM's text", function()
    sim.root()
    files.mkdir("vms/evil")
    files.write("vms/evil/env", [[{"title": "\u001b[2J\u009b1mhello", "vcpus": [
      {"tid": 1, "last_known_ip": 0}], "errata": {"\u001b]0;x\u0007": "\r\n\u007f"}}]])
    local _, out = diag {"evil"}
    assert.is_nil(out:find("[\27\7\127\r]"))
    assert.is_nil(out:find("\u{9b}", 1, true))
    assert.matches("\\x1b[2J", out, 1, true)
    local dump = files.write("evil.gcore", writer.small {memory = {{paddr = 0,
      bytes = writer.dumpinfo("a\27[31mred\n")}}, note = {dumpinfo = 0},
      cpus = {{registers = writer.aarch64 {}, process = "\27[1m"}}})
    out = select(2, diag {"--read", dump})
    assert.is_nil(out:find("\27", 1, true))
    assert.matches("a\\x1b[31mred", out, 1, true)
  end)

  it("escapes terminal controls in directory names and errors", function()
    local name = "a\27[31mred\nspoof: running, process 1"
    sim.root()
    files.mkdir("vms/" .. name)
    files.write("vms/" .. name .. "/env", "{}")
    for _, arguments in ipairs {{"--list"}, {name}, {"nod\155\u{202e}e"}} do
      local _, out, errors = diag(arguments)
      assert.is_nil((out .. errors):find("[\27\155]"))
      assert.is_nil((out .. errors):find("\nspoof", 1, true))
      assert.is_nil((out .. errors):find("\u{202e}", 1, true))
    end
  end)

  it("aligns columns with wide and combining characters", function()
    sim.root()
    for _, name in ipairs {"plain", "\u{65e5}\u{672c}\u{8a9e}", "e\u{301}t", "\u{1f600}"} do
      files.mkdir("vms/" .. name)
      files.write("vms/" .. name .. "/env", ('{"errata": {"%s1": 1, "x": 2}}'):format(name))
    end
    local _, out = diag {"--list"}
    assert.matches("\nplain   gone ", out)
    assert.matches("\n\u{65e5}\u{672c}\u{8a9e}  gone ", out)
    assert.matches("\ne\u{301}t      gone ", out)
    assert.matches("\n\u{1f600}      gone ", out)
    _, out = diag {"\u{65e5}\u{672c}\u{8a9e}"}
    assert.matches("\n\u{65e5}\u{672c}\u{8a9e}1   all  1\nx         all  2\n", out)
  end)

  it("wraps a text between two characters", function()
    local words = ("\u{65e5}"):rep(1000)
    local dump = files.write("wide.gcore", writer.small {memory = {{paddr = 0,
      bytes = writer.dumpinfo(words)}}, note = {dumpinfo = 0}})
    local _, out = diag {"--read", dump}
    assert.is_truthy(utf8.len(out))
    assert.are.equal(words, (out:match("%(1 line%)\n(.*)$"):gsub("%s", "")))
  end)

  it("lists VMs with very long names", function()
    files.write(sim.root() .. "-", "")
    files.mkdir("vms/" .. ("x"):rep(200))
    files.write("vms/" .. ("x"):rep(200) .. "/env", "{}")
    local status, out = diag {"--list"}
    assert.are.equal(1, status) -- no process serves it
    assert.matches("\n" .. ("x"):rep(200) .. "  gone ", out)
  end)

  it("writes numbers that JSON lacks as strings", function()
    sim.root()
    files.mkdir("vms/odd")
    files.write("vms/odd/env", '{"errata": {"a": 1e999, "b": -1e999, "c": 0.1, "d": null}}')
    local _, out = diag {"odd", "--json"}
    local errata = cjson.decode(out).errata
    assert.are.same({"inf", "-inf", 0.1, cjson.null}, {errata[1].value, errata[2].value,
      errata[3].value, errata[4].value})
    assert.matches('"value":0.10000000000000001', out, 1, true)
  end)

  it("accepts a text of blanks", function()
    sim.root()
    files.mkdir("vms/blank")
    files.write("vms/blank/env", '{"f": "x' .. (" "):rep(1 << 20) .. 'y"}')
    assert.matches("\n  f  +x +%.%.%. %(1048578 bytes%)\n", (select(2, diag {"blank"})))
  end)

  it("wraps a text that is one long line", function()
    local words = ("word "):rep(1 << 16) .. ("x"):rep(1 << 19)
    local dump = files.write("long.gcore", writer.small {memory = {{paddr = 0,
      bytes = writer.dumpinfo(words)}}, note = {dumpinfo = 0}})
    local _, out = diag {"--read", dump}
    assert_fits(out)
    assert.are.equal(select(2, words:gsub("word", "")), select(2, out:gsub("word", "")))
    assert.are.equal((words:gsub(" ", "")), (out:match("%(1 line%)\n(.*)$"):gsub("%s", "")))
  end)

  it("runs from any directory of a checkout, without qvm on the path", function()
    sim.start("linux1", config)
    local status, out = process.run({lua, script, "linux1"}, {cwd = "/", env = {
      QVM_ROOT = sim.root(), QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("LD_PRELOAD"),
      LUA_PATH = ";;", LUA_CPATH = ";;"}})
    assert.are.equal(0, status)
    assert.matches("^linux1: running", out)
  end)

  it("reports an older Lua", function()
    if not os.execute("command -v lua5.1 >/dev/null") then
      pending("needs an older Lua")
      return
    end
    local status, _, errors = diag({"linux1"}, {lua = "lua5.1"})
    assert.are.equal(1, status)
    assert.are.equal("qvm-diag: this is Lua 5.1: run it with lua5.4\n", errors)
  end)
end)
