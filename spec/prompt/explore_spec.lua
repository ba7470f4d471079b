-- examples/explore.lua, run like a user runs it: from a pipe, and in a terminal.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local sim = require "support.sim"
local terminal = require "support.terminal"
local writer = require "support.dumpwriter"

local lua = os.getenv("LUA") or "lua5.4"
local quote = process.quote

local ENV = '{"vcpus": [{"tid": 3, "last_known_ip": 18446603336490160692}, '
  .. '{"tid": 4, "last_known_ip": 1}], "errata": {"843419": "on"}}'

-- A VM with a process that serves this env, which is written into the served file.
local function vm_called(name, env)
  sim.start(name)
  files.write("vms/" .. name .. "/env", env or ENV)
end

local function dump_file(memory)
  return files.write("one.gcore", writer.small {machine = "x86_64", memory = memory or
    {{paddr = 0x80000000, bytes = "hello\0\27[2J world\0" .. ("x"):rep(100)}}})
end

-- Runs it with lines as input; returns status, output and errors.
local function explore(lines, ...)
  local input = files.write("input", lines)
  local words = {}
  for i, word in ipairs {lua, "examples/explore.lua", "--root", files.path("vms"), ...} do
    words[i] = quote(word)
  end
  return process.run({"sh", "-c", table.concat(words, " ") .. " <" .. quote(input)},
    {env = {LD_PRELOAD = os.getenv("LD_PRELOAD"), QVM_BUILD = os.getenv("QVM_BUILD")}})
end

-- Its response to a line, without the text at the start; and the status.
local function answer(line, ...)
  local begin = "do io.stderr:write('begin\\n') end\n"
  local status, output, errors = explore(begin .. line .. "\n", ...)
  assert.is_true(status == 0 or status == 1, errors)
  return output, errors:match("begin\n(.*)$"), status
end

describe("explore, from a pipe,", function()
  before_each(function()
    files.mkdir("vms")
    vm_called "linux1"
  end)

  after_each(function()
    process.clean()
    files.clean()
  end)

  it("lists the VMs and opens the given dumps", function()
    vm_called("broken", "{")
    vm_called("single", '{"vcpus": [{"tid": 1}]}')
    vm_called("empty", "{}")
    sim.start("hung"):tell("hang")
    sim.start("killed"):stop("KILL")
    local status, results, output = explore("", dump_file(), dump_file())
    assert.are.same({0, ""}, {status, results})
    assert.matches("^broken +unknown +.*1:2.*\nempty +unknown +.*no vCPUs found: see qvm.schema\n"
      .. "hung +stuck +.*no answer.*\nkilled +gone +.*no process serves it.*\n"
      .. "linux1 +running +2 vCPUs\nsingle +unknown +1 vCPU\n", output)
    assert.matches("\ndumps%[1%]  one.gcore: qnx x86_64, 1 vCPU, .*\ndumps%[2%]  one.gcore",
      output)
    assert.is_nil(output:find("> ", 1, true))
  end)

  it("aligns columns with names of wide characters", function()
    vm_called "\u{65e5}\u{672c}"
    local _, _, output = explore ""
    assert.matches("^linux1               running    2 vCPUs\n"
      .. "\u{65e5}\u{672c}                 running    2 vCPUs\n", output)
    assert.are.equal("\u{65e5}\u{672c}            7\n",
      (answer "list(pairs {['\u{65e5}\u{672c}'] = 7})"))
  end)

  it("reports failures and continues", function()
    local status, output, errors = explore("1 + 1\n", files.path("nothing"))
    assert.are.equal(1, status)
    assert.are.equal("2\n", output)
    assert.matches("\nqvm%-explore: .*nothing: ", errors)
    local path = files.write("cut.gcore", files.read(dump_file()):sub(1, 300))
    status, output, errors = explore("d.complete\n", path)
    assert.are.equal(0, status)
    assert.are.equal("false\n", output)
    assert.matches("cut.gcore: %d+ of %d+ bytes are missing\n", errors)
    status, output, errors = explore("", "--nonsense")
    assert.are.same({2, "", "qvm-explore: unknown option '--nonsense' (--help shows how)\n"},
      {status, output, errors})
    os.execute("rm -r " .. quote(files.path("vms")))
    assert.matches("^no VMs below ", select(3, explore("")))
  end)

  it("prints the values of expressions", function()
    for line, expected in pairs {
      ["1 + 1"] = "2\n",
      ["0x80000000"] = "2147483648  0x0000000080000000\n",
      ["-1"] = "0xffffffffffffffff  (-1)\n",
      ["nil"] = "nil\n",
      ["1, 'a', nil"] = "1\ta\tnil\n",
      ["1.5"] = "1.5\n",
      ["'one\\ntwo\\n'"] = "one\ntwo\n",
      ["('x'):rep(70000):sub(-1), #('x'):rep(70000)"] = "x\t70000\n",
      ["x = 5\nx"] = "5\n",
      ["-- nothing"] = "",
      [""] = "",
      ["{b = 1, a = {2}}"] = "table\n  a:\n    [1]: 2\n  b: 1\n",
      ["for i = 1, 2 do\nprint(i)\nend"] = "1\n2\n",
      ["vms.linux1:state()"] = "running\n",
      ["hex(5)"] = "0x0000000000000005\n",
      ["vms.linux1:env():get('vcpus[1].tid')"] = "3\n",
      ["for name in pairs(vms) do print(name) end"] = "linux1\n",
    } do
      local output, errors = answer(line)
      assert.are.equal(expected, output, line)
      assert.are.equal("", errors)
    end
    assert.matches("^VM linux1 %(.*%)\n$", (answer "vms.linux1"))
    assert.matches("^VM linux1 [^\n]*\nEnv [^\n]*\n$",
      (answer "{vms.linux1, vms.linux1:env()}"))
    assert.matches("^linux1 +running +2 vCPUs\n$", (answer "vms"))
    assert.matches("^VM linux1 %(.*\n  nodes: none\n", (answer "show(vms.linux1)"))
    assert.matches("list%(x, n%)", (answer "help"))
    assert.matches("list%(x, n%)", (answer "help()"))
    assert.are.equal("page of VM:dump\n",
      (answer("function qvm.help(x) return 'page of ' .. x end\nhelp 'VM:dump'")))
  end)

  it("gives help for common words", function()
    assert.matches("^list%(x, n%) +prints what an iterator returns", (answer "help list"))
    assert.matches("^list%(x, n%) +", (answer 'help "list"'))
    assert.matches("^vms +the VMs;", (answer "help vms"))
    assert.matches("^d, dumps ", (answer "help d"))
    assert.matches("^Dump:find%(bytes", (answer "help dump.find"))
    assert.matches("^Dump:find%(bytes", (answer "help Dump:find"))
    assert.matches("^qvm.show%(value", (answer "help show"))
    assert.matches("no help for \"nosuch\"", select(2, answer "help nosuch"))
    assert.matches("attempt to index a nil value %(local 'self'%)\n"
      .. "%(methods are called with a colon: object:method%(%)%)\n",
      select(2, answer "vms.linux1.state()"))
  end)

  it("shows the results of iterators, forty at first", function()
    local path = dump_file()
    assert.are.equal("vCPU 0: tid 3, last known ip 0xffff800010081234\n"
      .. "vCPU 1: tid 4, last known ip 0x0000000000000001\n", (answer "vms.linux1:env():vcpus()"))
    assert.are.equal("0x0000000080000000\n", (answer('d:find "hello"', path)))
    assert.are.equal("(none)\n", (answer('d:find("nothing")', path)))
    assert.matches("^0x0000000080000000  %d+\n$", (answer("d:ranges()", path)))
    local output = answer('d:find "x"', path)
    assert.are.equal(41, select(2, output:gsub("\n", "")))
    assert.matches("\n%.%.%. %(the first 40; list%(x, n%)", output)
    output = answer('list(d:find("x"), 30)', path)
    assert.are.equal(30, select(2, output:gsub("\n", "")))
    output = answer('list(d:find("x"))', path)
    assert.are.equal(100, select(2, output:gsub("\n", "")))
    -- As a loop does: with all values that the iterator needs.
    assert.are.equal("name            7\n", (answer("list(pairs {name = 7})")))
    for _, count in ipairs {'"30"', "-5", "0", "2.5", "0/0", "1e400"} do
      local shown, problem = answer(('list(d:find("x"), %s)'):format(count), path)
      assert.are.equal("", shown)
      assert.matches("^error: bad argument #2 to 'list' %(a number of items expected, got ",
        problem)
    end
    output = answer('x = qvm.open(d.path)\nlist(d:diff_registers(x))', path)
    assert.are.equal("(none)\n", output)
    assert.matches("^rdi             0x0000000000000000\nrsi ",
      (answer("list(d:vcpu(0):registers(), 2)", path)))
    assert.matches("^rdi             0x0000000000000000\n", (answer("d:vcpu(0):registers()", path)))
    output = answer("d:strings(100)", path)
    assert.are.equal(("0x0000000080000011  %s... (100 bytes)\n"):format(("x"):rep(44)), output)
    local nothing, errors = answer("d:close()\nlist(d:vcpus())", path)
    assert.are.equal("", nothing)
    assert.are.equal("error: the dump is closed\n", errors)
    assert.matches("^function: ", (answer("print", path)))
    assert.matches("^function: ", (answer("x = d:find('x')\nx", path)))
  end)

  it("shows a part of long values, and how much is omitted", function()
    for line, pattern in pairs {
      ["('x'):rep(5000000)"] = "^x+%.%.%. %(4998000 more bytes%)\n$",
      ["('x\\n'):rep(5000000)"]
        = "x\n%.%.%. %(9998800 more bytes, 10000000 in all; print shows them%)\n$",
      ["setmetatable({}, {__tostring = function() return ('x'):rep(5000000) end})"]
        = "^x+%.%.%. %(4998000 more bytes%)\n$",
      ["t = {} for i = 1, 5000 do t[i] = vms.linux1 end\nt"] = "\n%.%.%. and 4400 more\n$",
      ["list(pairs {[('x'):rep(5000000)] = 1})"] = "^x+%.%.%. %(5000000 bytes%) +1\n$",
    } do
      local output, errors = answer(line)
      assert.are.equal("", errors)
      assert.is_true(#output < 100000, line)
      assert.matches(pattern, output)
    end
    local _, errors = answer "error(('x'):rep(5000000))"
    assert.is_true(#errors < 3000)
    local output = answer "print(('\u{20ac}\\n'):rep(3000) .. ('\u{20ac}'):rep(5000))"
    assert.are.equal(("\xe2\x82\xac\n"):rep(3000) .. ("\xe2\x82\xac"):rep(5000) .. "\n", output)
  end)

  it("reports failures, errors and mistakes in a line each", function()
    for line, expected in pairs {
      ["qvm.vm 'nope'"] = "^failed: .*no VM \"nope\".*%(not_found%)\n$",
      ["vms.nope"] = "^error: .*no VM \"nope\": it does not exist, or is rebooting\n$",
      ["nil + 1"] = "^error: attempt to perform arithmetic on a nil value\n$",
      ["qvm.open(5)"] = "^error: bad argument #1 to 'open' %(string expected, got number%)\n$",
      ["error({1})"] = "^table\n  %[1%]: 1\n$",
      ["x ="] = "^the last line is not complete\n$",
      ["x = = 1"] = "^error: unexpected symbol near '='\n$",
      ["for i = 1, 2 do\nx x\nend"] = "^error: prompt:2: syntax error near 'x'\n",
      ["local y = 5\nlocal z"] = "^%(a local ends with its line[^\n]*\n$",
    } do
      local output, errors = answer(line)
      assert.are.equal("", output)
      assert.matches(expected, errors)
    end
    assert.are.equal("(empty)\n", (answer "{}"))
    assert.are.equal((answer "help()"), (answer "?"))
    -- It continues afterwards.
    assert.are.equal("3\n", (answer "nil + 1\n1 + 2"))
  end)

  it("prints no terminal controls", function()
    vm_called("bad\27]0;x\7", '{"a": "\\u001b[2J", "errata": {"\\u001b[31m": 1}}')
    local path = dump_file()
    local _, output, errors = explore([[
vms
vms["bad\27]0;x\7"]
vms["bad\27]0;x\7"]:env().raw
vms["bad\27]0;x\7"]:env():errata()
vms["no\27such"]
qvm.vm "no\27such"
d:read(0x80000000, 32)
print(d:read(0x80000000, 32), "\27")
d:strings()
list(d:strings())
error("\27[2J")
setmetatable({}, {__tostring = function() return "\27" end})
("\194\155"):rep(2)
]], path, files.path("no\27such"))
    assert.is_nil((output .. errors):find("[^\n\t -~]"), output .. errors)
    assert.matches("hello\\x00\\x1b%[2J world", output)
  end)

  it("ends with its input, or when the script says so", function()
    assert.are.equal(3, (explore("os.exit(3)\nprint('no')\n")))
    local _, output = explore("1\n2") -- no newline at the end
    assert.are.equal("1\n2\n", output)
    for _, line in ipairs {"exit", "quit", " quit  ", "exit()", "quit()"} do
      local status, rest = explore("1\n" .. line .. "\nprint 'still here'\n")
      assert.are.same({0, "1\n"}, {status, rest}, line)
    end
    assert.are.equal("5\n", (answer "exit = 5\nexit"))
  end)

  it("fails if a line fails, after all lines", function()
    for _, line in ipairs {"nil + 1", "error 'x'", "x = = 1", "qvm.vm 'nope'",
      "list(d:find())", "vms.nope"} do
      local status, output = explore(line .. "\n2\n")
      assert.are.equal(1, status, line)
      assert.are.equal("2\n", output, line)
    end
    assert.are.equal(0, (explore "nil\nlocal x = 5\n"))
  end)

  it("fails if a line fails before exit, or exit(), wherever that is called", function()
    for _, line in ipairs {"exit", "exit()", "pcall(exit)",
      "coroutine.wrap(function() exit() end)()", "for _ in pairs {1} do exit() end",
      "list(function() exit() end)", "if true then quit() end",
      "setmetatable({}, {__tostring = exit})"} do
      local status, output, errors = explore("error 'x'\n" .. line .. "\nprint 'still here'\n")
      assert.are.equal(1, status, line)
      assert.is_nil(output:find("still here", 1, true), line)
      assert.is_truthy(errors:find("error: x\n$"), line .. errors)
      assert.are.equal(0, (explore(line .. "\n")), line)
    end
    assert.are.equal(1, (explore("", "-e", "error 'x'", "-e", "exit()")))
    assert.are.equal(1, (explore("", "-e", "exit()", files.path "nothing")))
    assert.are.equal(1, (explore("pcall(exit) error 'x'\n1\n")))
  end)

  it("runs lines of its command line, and says nothing else", function()
    local path = dump_file()
    assert.are.same({0, "\"x86_64\"\n3\n", ""},
      {explore("5\n", "-e", "('%q'):format(d.machine)", path, "-e", "y = 1 + 1", "-e", "y + 1")})
    local status, output, errors = explore("", "-e", "x =", "-e", "1")
    assert.are.same({1, "", "the last line is not complete\n"}, {status, output, errors})
    status, output, errors = explore("", "-e", "vms.nope", "-e", "1")
    assert.are.same({1, "1\n"}, {status, output})
    assert.matches("^error: ", errors)
    status = explore("", "-e", "1", files.path("nothing"))
    assert.are.equal(1, status)
  end)

  it("keeps the last value in _", function()
    assert.are.equal("5\n6\n", (answer "5\n_ + 1"))
    assert.are.equal("5\nnil\n5\n", (answer "5\nx = 7\nnil\n_"))
    assert.are.equal("2\n", (answer("d:vcpu(0)\n_ = 2\n_", dump_file()):match("[^\n]*\n$")))
    assert.are.equal("error: y\n5\n",
      (select(2, answer "5\nerror 'y'") .. answer("6\nqvm.vm 'no'\n_ - 1"):match("5\n")))
  end)

  it("suggests what a mistyped name means", function()
    local path = dump_file()
    for line, expected in pairs {
      ["d:fnd 'x'"] = "error: attempt to call a nil value %(method 'fnd'%)\n%(is it 'find'%?%)\n",
      ["d.raed(0, 1)"] = "%(is it ':read'%?%)\n$",
      ["d.machin"] = "^%(is it 'machine'%?%)\n$",
      ["d:vcpu(0).reg.pc"] = "^error: .*\n%(is it 'regs'%?%)\n$",
      ["qvm.opne(d.path)"] = "%(is it 'open'%?%)\n$",
      ["qvm.erata"] = "^%(is it 'errata'%?%)\n$",
      ["hexdum(d, 0)"] = "%(is it 'hexdump'%?%)\n$",
      ["dumsp"] = "^%(is it 'dumps'%?%)\n$",
      ["vms.linx1"] = "no VM \"linx1\": .*; is it 'linux1'%?\n$",
      ["qvm.vm 'linux'"] = "; is it 'linux1'%? %(not_found%)\n$",
      ["d:find('x', {form = 1})"] = "no option 'form': is it 'from'%?\n$",
      ["'a' .. d.nosuchthing"] = "^error: [^\n]*\n$",
      ["nosuchthing"] = "^$",
      ["e"] = "^$",
      ["x = {}\nx.y"] = "^$",
      ["d.warnings"] = "^$",
    } do
      assert.matches(expected, select(2, answer(line, path)), line)
    end
    -- It calls nothing to find names.
    assert.are.equal("1\n", (answer("n = 0 f = function() n = n + 1 return d end\nf().machin\nn",
      path):match("[^\n]*\n$")))
  end)
end)

describe("explore, in a terminal,", function()
  local screen

  -- Runs it in a terminal, which must be restored afterwards. more: the words to run it
  -- with.
  local function start(more, environment)
    local preload = os.getenv("LD_PRELOAD")
    -- lua-readline keeps the offered words, which is not a leak of this library.
    local sanitizer = preload and "LD_PRELOAD=" .. quote(preload) .. " ASAN_OPTIONS=detect_leaks=0 "
      or ""
    screen = terminal.run(("cd %s; stty -g >%s\n"
      .. "env -u XDG_STATE_HOME HOME=%s INPUTRC=/dev/null QVM_BUILD=%s %s %s%s "
      .. "examples/explore.lua --root %s %s\n"
      .. "echo left $?; stty -g >%s; sleep 100\n"):format(quote(lfs.currentdir()),
      quote(files.path("before")), quote(files.path("home")),
      quote(os.getenv("QVM_BUILD") or "build"), environment or "", sanitizer, lua,
      quote(files.path("vms")), more or "", quote(files.path("after"))))
    screen:has("\n>")
  end

  -- It has ended normally and restored the terminal.
  local function ended()
    screen:has("left 0")
    process.eventually(function()
      return files.exists(files.path("after")) and #files.read(files.path("after")) > 10
    end)
    assert.are.equal(files.read(files.path("before")), files.read(files.path("after")))
  end

  local function history()
    return files.path("home/.local/state/qvm/explore_history")
  end

  before_each(function()
    files.mkdir("home")
    files.mkdir("vms")
    vm_called "linux1"
    vm_called "qnx1"
  end)

  after_each(function()
    terminal.clean()
    process.clean()
    files.clean()
  end)

  it("completes words", function()
    start(quote(dump_file()))
    screen:enter("vms.l", "Tab")
    screen:has("> vms.linux1")
    screen:enter(":sta", "Tab", "Tab", "Tab")
    screen:has("vms.linux1:state   vms.linux1:status")
    screen:enter("e()", "Enter")
    screen:has("\nrunning\n")
    screen:enter("d:vcpu(0).regs.rfl", "Tab", "Enter")
    screen:has("> d:vcpu(0).regs.rflags\n0\n")
    screen:enter('qvm.vm "q', "Tab", "Enter")
    screen:has('> qvm.vm "qnx1"\nVM qnx1 (')
    screen:enter('help "Dump:re', "Tab", "Enter")
    screen:has('> help "Dump:read"\nDump:read(address, n)')
    screen:enter(('#qvm.open "%s'):format(files.path "one"), "Tab")
    screen:has(('> #qvm.open "%s"'):format(files.path "one.gcore"))
    screen:enter("", "C-c")
    files.mkdir("folder")
    files.write("folder/one.gcore", "")
    files.write("folder/two.gcore", "")
    screen:enter(('#qvm.open "%s'):format(files.path "fol"), "Tab", "tw", "Tab", "Enter")
    screen:has(('> #qvm.open "%s"\n'):format(files.path "folder/two.gcore"))
    vm_called("a b-c")
    screen:enter("vms.a", "Tab", ".name", "Enter")
    screen:has('> vms["a b-c"].name\na b-c\n')
    screen:enter("nosuchthing", "Tab", "Enter")
    screen:has("> nosuchthing\nnil\n")
    screen:enter("", "C-d")
    ended()
  end)

  it("leaves by a word", function()
    start()
    screen:enter("nil + 1", "Enter")
    screen:has("\nerror: ")
    screen:enter("exit", "Enter")
    ended()
  end)

  it("keeps its history between sessions", function()
    start()
    screen:enter("111 + 222", "Enter")
    screen:has("\n333\n")
    screen:enter("444 + 111", "Enter")
    screen:has("\n555\n")
    screen:enter("", "C-d")
    ended()
    assert.are.equal("111 + 222\n444 + 111\n", files.read(history()))
    assert.are.equal("rw-------", lfs.attributes(history(), "permissions"))
    assert.are.equal("rwx------",
      lfs.attributes(files.path("home/.local/state/qvm"), "permissions"))
    terminal.clean()
    start()
    screen:enter("", "Up", "Up", "Enter")
    screen:has("> 111 + 222\n333\n")
    screen:enter("666 + 333", "Enter")
    screen:has("\n999\n")
    screen:enter("", "C-d")
    ended()
    assert.are.equal("111 + 222\n444 + 111\n111 + 222\n666 + 333\n", files.read(history()))
    assert.are.equal("rw-------", lfs.attributes(history(), "permissions"))
  end)

  it("keeps its history when it is killed, and that of another session", function()
    for count, signal in ipairs {"HUP", "TERM", "KILL"} do
      start()
      screen:enter(("%d + 100"):format(count), "Enter")
      screen:has(("\n%d\n"):format(count + 100))
      local first = screen
      start()
      screen:enter(("%d + 200"):format(count), "Enter")
      screen:has(("\n%d\n"):format(count + 200))
      for _, one in ipairs {first, screen} do
        -- The child of its shell. pkill hangs under a sanitizer's preload.
        os.execute(("env -u LD_PRELOAD pkill -%s -P %s"):format(signal, one:flag "pane_pid"))
        one:has("left ")
      end
      terminal.clean()
    end
    assert.are.equal("1 + 100\n1 + 200\n2 + 100\n2 + 200\n3 + 100\n3 + 200\n",
      files.read(history()))
    assert.are.equal("rw-------", lfs.attributes(history(), "permissions"))
  end)

  it("keeps the last thousand lines of a long history", function()
    start()
    screen:enter("", "C-d")
    ended()
    files.write(history(), ("old\n"):rep(1500) .. ("new\n"):rep(1000))
    terminal.clean()
    start()
    screen:enter("1 + 2", "Enter")
    screen:has("\n3\n")
    screen:enter("", "C-d")
    ended()
    assert.are.equal(("new\n"):rep(1000) .. "1 + 2\n", files.read(history()))
    assert.are.equal("rw-------", lfs.attributes(history(), "permissions"))
    assert.are.same({"explore_history"}, files.list(history():match("^(.*)/")))
  end)

  it("makes a history private that others can read", function()
    start()
    screen:enter("", "C-d")
    ended()
    terminal.clean()
    files.write(history(), "1 + 1\n")
    assert(os.execute("chmod 666 " .. quote(history())))
    start()
    screen:enter("", "Up", "Enter")
    screen:has("> 1 + 1\n2\n")
    screen:enter("", "C-d")
    ended()
    assert.are.equal("rw-------", lfs.attributes(history(), "permissions"))
    assert.are.equal("1 + 1\n1 + 1\n", files.read(history()))
  end)

  it("does not use a history that is no regular file, and says so", function()
    start()
    screen:enter("", "C-d")
    ended()
    files.write("target", "1 + 1\n")
    for _, how in ipairs {"ln -s /dev/zero ", "mkfifo ", "mkdir ",
      "ln -s " .. quote(files.path "target") .. " "} do
      terminal.clean()
      assert(os.execute(("rm -f %s; %s%s"):format(quote(history()), how, quote(history()))))
      start()
      screen:has("explore_history: not a regular file: no history")
      screen:enter("222 + 333", "Enter")
      screen:has("\n555\n")
      screen:enter("", "C-d")
      ended()
      assert(os.execute(("rmdir %s 2>/dev/null || rm %s"):format(quote(history()),
        quote(history()))))
    end
    assert.are.equal("1 + 1\n", files.read(files.path "target"))
  end)

  it("does not use a history that is too large to read, and says so", function()
    start()
    screen:enter("", "C-d")
    ended()
    terminal.clean()
    assert(os.execute("truncate -s 8G " .. quote(history())))
    start()
    screen:has("explore_history: ")
    screen:has(": no history")
    screen:enter("", "C-d")
    ended()
  end)

  it("starts without a writable history", function()
    files.write("home/.local", "a file")
    start()
    screen:enter("1 + 1", "Enter")
    screen:has("\n2\n")
    screen:enter("", "C-d")
    ended()
    assert.are.equal("a file", files.read(files.path("home/.local")))
    terminal.clean()
    start(nil, "HOME=")
    screen:enter("", "C-d")
    ended()
  end)

  it("clears the line at Ctrl-C, and exits at Ctrl-D", function()
    start()
    screen:enter("nonsense")
    screen:has("> nonsense")
    screen:enter("", "C-c")
    screen:has("> nonsense^C\n>")
    screen:enter("for i = 1, 2 do", "Enter")
    screen:has("\n>>")
    screen:enter("", "C-c")
    screen:has("\n>> ^C\n>")
    screen:enter("", "C-c", "C-c", "C-c")
    screen:enter("1 + 1", "Enter")
    screen:has("> 1 + 1\n2\n>")
    screen:enter("", "C-d")
    ended()
  end)

  it("interrupts running code at Ctrl-C, repeatedly", function()
    files.write("large.gcore", writer.header {machine = 183, phnum = 1}
      .. writer.program_header {offset = 120, filesz = 0, memsz = 1 << 50})
    start(quote(files.path("large.gcore")))
    for i, line in ipairs {"while true do end",
      [[while true do for _ in d:find("\0", {align = 1 << 49, from = 1}) do end end]],
      "d:read(0, 1 << 32)", "while true do print(1) end"} do
      -- Ctrl-C must not precede the output of the running line, so the echo of the line
      -- must not contain that output.
      screen:enter(('print("be".."gun %d") '):format(i) .. line, "Enter")
      screen:has(i < 4 and "\nbegun " .. i or "\n1\n1\n1\n")
      screen:enter("", "C-c")
      screen:enter(("%d + 100"):format(i), "Enter")
      screen:has(("> %d + 100\n%d\n>"):format(i, i + 100))
    end
    screen:enter("", "C-d")
    ended()
  end)

  it("exits at a second Ctrl-C if the first does not reach the running code", function()
    start()
    screen:enter('f = coroutine.wrap(function() print("be".."gun") while true do end end)', "Enter")
    screen:enter("f()", "Enter")
    screen:has("\nbegun")
    -- Two signals at the same time can count as one.
    assert.is_truthy(process.eventually(function()
      screen:enter("", "C-c")
      process.sleep(0.1)
      return screen:text():find("left 130", 1, true) -- by SIGINT
    end))
  end)

  it("works without lua-readline, and says so", function()
    files.write("readline.lua", "error 'none'")
    start(nil, ("LUA_PATH=%s"):format(quote(files.dir() .. "/?.lua;;")))
    screen:has("lua-readline is not installed")
    screen:enter("111 + 222", "Enter")
    screen:has("> 111 + 222\n333\n>")
    screen:enter("nonsense")
    screen:has("> nonsense")
    screen:enter("", "C-c")
    screen:enter('print("be".."gun") while true do end', "Enter")
    screen:has("\nbegun")
    screen:enter("", "C-c")
    screen:has("interrupted!")
    screen:enter("222 + 222", "Enter")
    screen:has("> 222 + 222\n444\n>")
    screen:enter("", "C-d")
    ended()
    assert.is_false(files.exists(history()))
  end)
end)
