-- Completion by Tab at the prompt: the words that may come next, determined without a call.

local api = require "support.api"
local complete = require "qvm.prompt.complete"
local files = require "support.files"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

describe("Tab", function()
  local env, called

  before_each(function()
    called = 0
    local vms = setmetatable({}, {__index = function() called = called + 1 end})
    env = setmetatable({qvm = qvm, vms = vms, number = 5, text = "t",
      danger = setmetatable({}, {
        __index = function() called = called + 1 end,
        __call = function() called = called + 1 end}),
      make = function() called = called + 1 return {field = 1} end}, {__index = _G})
    for _, name in ipairs {"linux1", "linux2", "qnx-1", "bad\27"} do
      files.mkdir(name)
      files.write(name .. "/env", "{}")
    end
    qvm.root(files.dir())
  end)

  after_each(function()
    qvm.root("/dev/qvm")
    files.clean()
  end)

  -- The whole lines that are offered.
  local function offers(text)
    local at, list = complete(text, env)
    local lines = {}
    for i, candidate in ipairs(list) do
      lines[i] = text:sub(1, at - 1) .. candidate
    end
    return table.concat(lines, " | ")
  end

  local function open(path)
    env.d = assert(qvm.open(path or files.write("a.gcore", writer.small())))
    return env.d
  end

  it("offers globals, keywords, and the prompt's own functions at first", function()
    assert.are.equal("number", offers("num"))
    assert.are.equal("x = repeat | x = require | x = return", offers("x = re"))
    assert.are.equal("danger | make | number | qvm | text | vms", offers(""))
    assert.are.equal("print(tonumber", offers("print(tonu"))
    assert.are.equal("", offers("nosuch"))
  end)

  it("takes no longer for a long line", function()
    local limit = os.getenv "QVM_VALGRIND" and 30 or 1 -- seconds of CPU time
    for _, link in ipairs {"a.", "a[1].", "a().", "f(", "x = a; ", " "} do
      local started = os.clock()
      assert.are.equal("", offers(link:rep(40000 // #link) .. "nosuch."))
      assert.is_true(os.clock() - started < limit, link)
    end
    local line = ("x = 1; "):rep(1000) .. "qvm.errata.d"
    assert.are.equal(line .. "iff", offers(line))
  end)

  it("offers the pages of the help", function()
    assert.are.equal('help "Dump:cstring', offers('help "Dump:cs'))
    assert.are.equal("help 'qvm.errata.diff", offers("help 'qvm.errata.d"))
    assert.are.equal('qvm.help("VM:wait', offers('qvm.help("VM:w'))
    assert.are.equal("help VM:wait", offers("help VM:w"))
    assert.are.equal("help qvm.errata.diff", offers("help qvm.errata.d"))
    assert.are.equal('x = "VM:w', offers('x = "VM:w') .. 'x = "VM:w')
  end)

  it("offers the functions of a module, loaded or not", function()
    assert.are.equal("qvm.vm | qvm.vms", offers("qvm.vm"))
    assert.are.equal("qvm.errata.save | qvm.errata.snapshot", offers("qvm.errata.s"))
    assert.are.equal("qvm.conf", offers("qvm.con"))
    assert.are.equal("string.format", offers("string.form"))
    assert.are.equal("text:format", offers("text:form"))
  end)

  it("offers VMs by name, and their members", function()
    assert.are.equal('vms["linux1"] | vms["linux2"] | vms["qnx-1"]', offers("vms."))
    assert.are.equal("vms.linux1:signal | vms.linux1:state | vms.linux1:status",
      offers("vms.linux1:s"))
    assert.are.equal("print(vms.linux1.name | print(vms.linux1.path", offers("print(vms.linux1."))
    assert.are.equal("", offers("vms.nosuch:"))
    assert.are.equal('vms["qnx-1', offers('vms["q'))
    assert.are.equal('vms["qnx-1"]:env', offers('vms["qnx-1"]:e'))
    assert.are.equal('qvm.vm "linux1 | qvm.vm "linux2', offers('qvm.vm "l'))
    assert.are.equal("qvm.vm('qnx-1", offers("qvm.vm('q"))
    assert.are.equal('"', select(3, complete('qvm.vm "q', env)))
    assert.are.equal("", offers('qvm.vm "b')) -- its name contains terminal controls
  end)

  it("offers VMs with unusual names in a form that is valid Lua", function()
    local names = {"a b", "it's", 'say "x"', "back\\slash", "end", "\u{fc}ml", "1st"}
    for _, name in ipairs(names) do
      files.mkdir(name)
      files.write(name .. "/env", "{}")
    end
    assert.are.equal("vms.linux1 | vms.linux2", offers("vms.l"))
    assert.are.equal('vms["end"]', offers("vms.en"))
    assert.are.equal('vms["qnx-1"]', offers("vms.q"))
    local _, all = complete("vms.", env)
    assert.are.equal(#names + 3, #all)
    for _, name in ipairs(names) do
      for _, line in ipairs {"vms." .. (name:match("^[%a]") or ""), 'vms["', "vms['", 'qvm.vm "',
        "qvm.vm('"} do
        local at, list, close = complete(line, env)
        local found = false
        for _, candidate in ipairs(list) do
          local whole = line:sub(1, at - 1) .. candidate
          local quote = line:match("[\"']$")
          whole = whole .. (quote or "") .. (line:find("%[.$") and "]" or "")
            .. (line:find("%(.$") and ")" or "")
          local seen
          local chunk = assert(load("return " .. whole, "=line", "t", {
            vms = setmetatable({}, {__index = function(_, key) seen = key end}),
            qvm = {vm = function(key) seen = key end}}))
          chunk()
          found = found or seen == name
        end
        assert.is_true(found, line .. " " .. name .. close)
      end
    end
    assert.are.equal("", offers("vms . q"))
    assert.are.equal('vms["it\'s"]:status | vms["it\'s"]:state', (offers('vms["it\'s"]:stat')
      :gsub("^(.*) | (.*)$", "%2 | %1")))
  end)

  it("offers the members of a call's result, without calling", function()
    assert.are.equal("vms.linux1:env():errata", offers("vms.linux1:env():er"))
    assert.are.equal('qvm.vm("linux1"):pid', offers('qvm.vm("linux1"):p'))
    assert.are.equal('qvm.open "x".bits', offers('qvm.open "x".bi'))
    assert.are.equal("vms.linux1:dump{dir = '/x'}:vcpu | vms.linux1:dump{dir = '/x'}:vcpus",
      offers("vms.linux1:dump{dir = '/x'}:vc"))
    env.qvm = setmetatable({vm = function() called = called + 1 end}, {__index = qvm})
    for _, text in ipairs {"make().", "make():", "danger().x", "danger.x.", "danger:x",
      "vms.linux1:signal('dump'):", "vms.linux1:dump().", "qvm.vm('linux1').", "make{}.f",
      "vms.x.y", "danger[1].", "danger.x().", "(make()).f", "a[make()].x", "make()."} do
      offers(text)
    end
    assert.are.equal(0, called)
  end)

  it("offers methods of a dump after a colon, fields after a dot", function()
    local dump = open()
    assert.are.equal("d:find", offers("d:fi"))
    assert.are.equal("", offers("d.fin"))
    assert.are.equal("d.path", offers("d.pa"))
    assert.are.equal("", offers("d:pat"))
    env.dumps = {dump}
    assert.are.equal("dumps[1]:close", offers("dumps[1]:clo"))
  end)

  it("offers the registers of a vCPU", function()
    open(files.write("b.gcore", writer.small {machine = "x86_64"}))
    assert.are.equal("d:vcpu(0).regs.rax", offers("d:vcpu(0).regs.ra"))
    assert.are.equal("d:vcpu(0).process", offers("d:vcpu(0).pr"))
    assert.are.equal("d:vcpu(0):registers", offers("d:vcpu(0):reg"))
    assert.are.equal("", offers("d:vcpu(7).regs.r"))
    assert.are.equal("", offers("d:vcpu(make()).regs.r"))
    assert.are.equal(0, called)
    offers("d:close(0).x")
    assert.is_nil(tostring(env.d):find("closed", 1, true))
    env.d:close()
    assert.are.equal("", offers("d:vcpu(0).regs.r"))
  end)

  it("leaves the quote open after a directory, and escapes names if needed", function()
    files.mkdir('dir "x"')
    files.write('dir "x"/one', "")
    files.write('dir "x"/two', "")
    local start = ('qvm.open "%s'):format(files.path "dir")
    local at, list, close = complete(start, env)
    assert.are.same({files.path('dir \\"x\\"/one'), files.path('dir \\"x\\"/two')}, list)
    assert.are.same({#'qvm.open "' + 1, ""}, {at, close})
    at, list, close = complete(start:sub(1, at - 1) .. list[1]:sub(1, -3), env)
    assert.are.same({files.path('dir \\"x\\"/one')}, list)
    assert.are.same({#'qvm.open "' + 1, '"'}, {at, close})
  end)

  it("offers file names where a function takes a file", function()
    files.write("one two.gcore", "")
    files.write("other", "")
    local directory = files.dir()
    local base = ('qvm.open "%s/'):format(directory)
    assert.are.equal(base .. "one two.gcore", offers(base .. "one t"))
    assert.are.equal(base .. "one two.gcore | " .. base .. "other", offers(base .. "o"))
    assert.are.equal(base .. "linux1/ | " .. base .. "linux2/", offers(base .. "lin"))
    assert.are.equal("", select(3, complete(base .. "linux1", env)))
    assert.are.equal('"', select(3, complete(base .. "other", env)))
    assert.are.equal("", offers(base .. "nosuch/"))
    assert.are.equal(("qvm.conf.load('%s/other"):format(directory),
      offers(("qvm.conf.load('%s/ot"):format(directory)))
  end)

  it("offers nothing for unknown values", function()
    for _, text in ipairs {"5.", "x..", "goto ::", "nil.", "f('num", "-- num", "x.y.z.",
      "number.", "number:", ".", ":", "d.", ")(:", '"abc":', "end.", "return.", "]]."} do
      assert.are.equal("", offers(text), text)
    end
  end)

  it("accepts any line", function()
    local bytes = {"a", ".", ":", "(", ")", "[", "]", '"', "'", " ", "{", "}", "d", "vms", "\\",
      "qvm", "-", "1", "\0", "\255", "vcpu", "regs"}
    open()
    math.randomseed(1)
    for _ = 1, 3000 do
      local text = {}
      for i = 1, math.random(12) do
        text[i] = bytes[math.random(#bytes)]
      end
      local line = table.concat(text)
      local at, list, close = complete(line, env)
      assert.is_true(at >= 1 and at <= #line + 1 and #list <= 500 and #close <= 1)
    end
  end)

  describe("with a dump of a Linux guest", function()
    before_each(function()
      env.d = assert(qvm.open(files.write("linux.gcore", api.dump_bytes("first"))))
      assert(env.d:symbols(files.write("System.map", api.map)))
      env.task = assert(env.d:variable "init_task")
    end)

    it("offers the types of its kernel", function()
      assert.are.equal('d:type "struct task_struct', offers('d:type "struct task_'))
      assert.are.equal('d:type "struct hlist_head | d:type "struct hlist_node',
        offers('d:type "struct hl'))
      assert.are.equal("d:object('unsigned char | d:object('unsigned int", offers("d:object('uns"))
      assert.are.equal('x = d:type "pid_t', offers('x = d:type "pid'))
      assert.are.equal('d:type "enum pid_type', offers('d:type "enum '))
      assert.are.equal("", offers('d:type "struct nothing'))
      assert.are.equal("", offers('qvm.type "struct task_'))
      assert.are.equal('d:type "int".kind', offers('d:type "int".k'))
      assert.are.equal('d:type("int"):members', offers('d:type("int"):m'))
      env.d:close()
      assert.are.equal("", offers('d:type "struct task_'))
    end)

    it("offers the members of Objects, through pointers too", function()
      assert.are.equal("task.comm", offers("task.co"))
      assert.are.equal("print(task.tasks.next | print(task.tasks.prev", offers("print(task.tasks."))
      assert.are.equal("task.mm.start_code", offers("task.mm.st"))
      assert.are.equal('d:variable("init_task").mm.mm_mt', offers('d:variable("init_task").mm.mm'))
      assert.are.equal('d:variable "init_task".comm', offers('d:variable "init_task".co'))
      assert.are.equal("", offers("task.parent.")) -- NULL
      assert.are.equal("", offers("task.nothing."))
      assert.are.equal("", offers("task:"))
      assert.are.equal("qvm.c.list", offers("qvm.c.li"))
      env.far = assert(env.d:object("struct task_struct", 0x5000))
      assert.are.equal("far.comm", offers("far.co"))
      assert.are.equal("", offers("far.mm.")) -- it cannot be read
    end)

    it("offers files to types and symbols, and symbols to what takes an address", function()
      assert.matches("System.map", offers('d:symbols "' .. files.path "Sys"), 1, true)
      assert.matches("System.map", offers('d:types "' .. files.path "Sys"), 1, true)
      if not env.d:symbols(files.path "System.map").all then
        pending "symbols cannot be listed"
      end
      assert.are.equal('d:address "schedule', offers('d:address "sch'))
      assert.are.equal('d:u64("saved_command_line', offers('d:u64("sav'))
    end)
  end)
end)
