-- Help at the prompt: complete, correct, and found under any likely name.

local api = require "support.api"
local files = require "support.files"
local lfs = require "lfs"
local example_guest = require "support.example_guest"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

-- The pages, by name.
local function documented()
  local pages = {}
  for _, entry in ipairs(dofile(sim.build .. "/qvm/help_text.lua")) do
    pages[entry.name] = entry.page
  end
  return pages
end

-- The lines of a page below "Example".
local function examples(page)
  local lines = {}
  for line in (page:match("\nExample\n(.*)$") or ""):gmatch("[^\n]+") do
    local code = line:match("^  (.+)$")
    if not code then
      break
    end
    lines[#lines + 1] = code
  end
  return lines
end

describe("help is complete:", function()
  after_each(sim.clean)

  it("every name has a page with a summary, and each function an example", function()
    local names = api.names(api.objects())
    local incomplete = {}
    for _, name in ipairs(api.sorted(names)) do
      local page = qvm.help(name)
      if not page then
        incomplete[#incomplete + 1] = name .. ": no page"
      elseif names[name] == "function" and not page:find("^[^\n]+\n\n%u[^\n]+%.") then
        incomplete[#incomplete + 1] = name .. ": no summary"
      elseif names[name] == "function" and not examples(page)[1] then
        incomplete[#incomplete + 1] = name .. ": no example"
      end
    end
    assert.are.same({}, incomplete)
  end)

  it("every page belongs to an existing name", function()
    local objects = api.objects()
    local names = api.names(objects)
    local gone = {}
    for _, name in ipairs(api.sorted(documented())) do
      if not names[name] and not objects[name] and name ~= "qvm.assertions" then
        gone[#gone + 1] = name
      end
    end
    assert.are.same({}, gone)
  end)

  it("every kind of object has a page, which the object itself leads to", function()
    for kind, instances in pairs(api.objects()) do
      local page = qvm.help(kind)
      assert.matches("^" .. kind .. ": %u", page)
      assert.is_truthy(examples(page)[1], kind)
      if getmetatable(instances[1]) then
        assert.are.equal(page, qvm.help(instances[1]), kind)
      else -- a plain table has no kind
        assert.are.equal("not_found", select(3, qvm.help(instances[1])))
      end
    end
  end)

  it("the overview has one line for each function and each kind of object", function()
    local overview = qvm.help()
    for name, page in pairs(documented()) do
      local is_function = (name:find("^qvm%.") or name:find("^assert%.")) and examples(page)[1]
      if is_function or not name:find("[.:]") then
        local line = "\n  (" .. name:gsub("%p", "%%%0") .. "  +%u[^\n]*)\n"
        assert.is_truthy(overview:match(line), name .. " is not in the overview")
      end
    end
    for line in overview:match('^[^\n]+\n(.*)\nqvm.help "VM"'):gmatch("[^\n]+") do
      assert.is_truthy(line:find("^%u%l+$") or line:find("^  %a[%w_.]+  +%u"), line)
    end
  end)

  it("the text fits 80 columns and has no terminal controls", function()
    local pages = documented()
    pages.overview = qvm.help()
    for name, page in pairs(pages) do
      for line in (page .. "\n"):gmatch("(.-)\n") do
        assert.is_true(#line <= 80, name .. ": " .. line)
        assert.is_nil(line:find("[^ -~]"), name .. ": " .. line)
        assert.is_nil(line:find(" $"), name .. ": " .. line)
      end
    end
  end)
end)

describe("help's examples", function()
  after_each(sim.clean)

  local function absolute(templates)
    return (templates:gsub("[^;]+", function(template)
      return template:sub(1, 1) == "/" and template or lfs.currentdir() .. "/" .. template
    end))
  end

  -- Gives the examples a working directory with the files that they use.
  local function enter(objects)
    files.write("second.gcore", api.dump_bytes("second"))
    example_guest.write() -- tasks.gcore
    files.write("cut.gcore", api.dump_bytes("first"):sub(1, -5))
    assert(os.execute("gzip " .. files.write("linux1.gcore", api.dump_bytes("first"))))
    assert(os.rename(files.path("linux1.record"), files.path("recorded")))
    assert(qvm.errata.save(files.path("linux1.json"), objects.Setting))
    local here, path, cpath = lfs.currentdir(), package.path, package.cpath
    package.path, package.cpath = absolute(path), absolute(cpath)
    assert(lfs.chdir(files.dir()))
    finally(function()
      lfs.chdir(here)
      package.path, package.cpath = path, cpath
      qvm.schema(nil)
    end)
  end

  -- The variables that the examples use.
  local function scope(objects, name)
    local of_record = name:find("^Replay") or name:find("^Manifest")
    -- Again each time: an example of vm:dump deletes old dumps.
    files.write("linux1-20261122-101500.gcore", api.dump_bytes("first"))
    local dump = assert(qvm.open("linux1-20261122-101500.gcore"))
    assert(dump:symbols(files.path("System.map")))
    local objects_dump, guest = dump, assert(qvm.open "tasks.gcore")
    if name:find "^Task" or name:find "tasks?$" or name:find "[mM]odule" or name:find "^Mapping"
        or name:find "^Symbol" then
      dump = guest
    end
    return setmetatable({qvm = qvm, vm = (of_record and objects.Replay or objects.VM)[1],
      env = objects.Env[1], dump = dump, other = assert(qvm.open("second.gcore")),
      cpu = dump:vcpu(0), conf = objects.Conf[1], findings = objects.Finding,
      text = "debug (boolean, vdev)\n", variables = objects.Variable,
      snapshot = objects.Setting, baseline = objects.Setting, differences = objects.Difference,
      space = assert(dump:space {root = 0x41000, va_bits = 39}), steps = objects.Step,
      symbols = guest:symbols(), type = objects.Type[1],
      task = objects_dump:variable "init_task", task_type = objects_dump:type "struct task_struct",
      head = objects_dump:variable("task_hash", "struct hlist_head"),
      wake_list = objects_dump:variable("wake_list", "struct llist_head"),
      root = objects_dump:variable "vmap_area_root",
      array = objects_dump:variable("page_array", "struct xarray"),
      idr = objects_dump:variable("task_idr", "struct idr"),
      tree = objects_dump:variable("task_ids", "struct maple_tree"),
      assert = assert, print = function(...) return tostring((...)) end}, {__index = _G})
  end

  local function run(objects, name, line)
    local code = line:gsub("/dumps", files.dir()):gsub("/var/log/linux1.log",
      files.path("linux1.log"))
    if line:find("qvm.record", 1, true) then -- it creates the directory
      os.execute("rm -rf linux1.record")
    end
    local chunk = assert(load(code, "=" .. name, "t", scope(objects, name)))
    qvm.root(sim.root())
    qvm.schema(nil)
    local ok, message = pcall(chunk)
    assert(ok, ("%s: %s: %s"):format(name, line, message))
  end

  local function needs_signals(line)
    return line:find("vm:signal", 1, true) or line:find("vm:status", 1, true)
      or line:find("vm:dump", 1, true)
  end

  it("can all be run unchanged", function()
    local objects = api.objects()
    enter(objects)
    local count = 0
    for name, page in pairs(documented()) do
      for _, line in ipairs(not name:find("^Replay:") and examples(page) or {}) do
        if line:find("qvm.replay", 1, true) then
          os.execute("rm -rf linux1.record; cp -r recorded linux1.record")
        end
        if sim.can_signal or not needs_signals(line) then
          run(objects, name, line)
          count = count + 1
        end
      end
    end
    assert.is_true(count > 60)
  end)
end)

describe("help", function()
  after_each(sim.clean)

  local function is_page(title, about)
    assert.are.equal(title, (assert(qvm.help(about)):match("^[^\n]+")))
  end

  it("is found by a name in any case, with or without qvm.", function()
    for _, name in ipairs {"VM:dump", "vm.dump", "Vm:DUMP", "qvm.VM:dump", " vm:dump() "} do
      is_page("VM:dump([options])", name)
    end
    is_page("Dump:find(bytes [, options])", "dump.find")
    is_page("qvm.open(path [, options])", "open")
    is_page("Dump:i32(address)", "dump:i32")
    is_page("qvm.errata.diff(baseline, current)", "errata.diff")
    is_page("Dump.machine", "dump.machine")
  end)

  it("shows all meanings of a name, unless it matches exactly", function()
    local both = qvm.help "vm"
    assert.matches("^qvm.vm%(name%)\n.*\n\nVM: A virtual machine", both)
    assert.are.equal(both, qvm.help "Vm")
    assert.are.equal(both, qvm.help("qvm.vm") .. "\n\n" .. qvm.help("VM"))
  end)

  it("is found by an object, also a closed one", function()
    files.mkdir("linux1")
    files.write("linux1/env", "{}")
    qvm.root(files.dir())
    is_page("VM: A virtual machine of this host.", assert(qvm.vm("linux1")))
    local dump = assert(qvm.open(files.write("d.gcore", api.dump_bytes("x"))))
    dump:close()
    assert.matches("^Dump: ", qvm.help(dump))
    assert.matches("^qvm.conf: ", qvm.help(qvm.conf))
    assert.are.equal(qvm.help(), qvm.help(qvm))
  end)

  it("is found by a function", function()
    is_page("qvm.open(path [, options])", qvm.open)
    is_page("qvm.conf.check(configuration, vm [, options])", qvm.conf.check)
    local dump = assert(qvm.open(files.write("d.gcore", api.dump_bytes("x"))))
    is_page("Dump:u16(address)", dump.u16)
    is_page("Dump:diff(other [, options])", dump.diff)
    is_page("Vcpu:registers()", dump:vcpu(0).registers)
    dump:close()
  end)

  it("is found by the last part of an unambiguous name", function()
    is_page("Space:translate(address)", "translate")
    is_page("Dump:dmesg([options])", "dmesg")
    assert.matches("is it Dump:read, ", select(2, qvm.help "read"), 1, true)
  end)

  it("suggests similar names for an unknown one", function()
    for name, message in pairs {
      ["VM:dmup"] = 'no help for "VM:dmup": is it VM:dump',
      ["find"] = 'no help for "find": is it Dump:find',
      ["qvm.opne"] = 'no help for "qvm.opne": is it qvm.open',
      ["zzzzzzzz"] = 'no help for "zzzzzzzz": qvm.help() lists all names',
    } do
      local page, text, code = qvm.help(name)
      assert.is_nil(page)
      assert.are.equal(message, text:sub(1, #message))
      assert.are.equal("not_found", code)
    end
  end)

  it("has nothing for other values, of any kind", function()
    local strange = {print, 5, true, {}, io.stdout, setmetatable({}, {__name = "Nothing"}),
      setmetatable({}, {__name = {}}), setmetatable({}, {__metatable = "no"}), "", ".", "qvm.",
      "a\27[31m\n\0b", ("x"):rep(1 << 20), (" x"):rep(1 << 19), "%b()[", "\255"}
    for _, value in ipairs(strange) do
      local page, message, code = qvm.help(value)
      assert.is_nil(page)
      assert.matches("^no help for ", message)
      assert.is_nil(message:find("[^ -~]"))
      assert.is_true(#message < 400)
      assert.are.equal("not_found", code)
    end
  end)

  it("is found with README's two variables, even if another qvm is installed", function()
    files.mkdir("qvm")
    files.write("qvm/help_text.lua", 'return {overview = "old", {name = "VM:dump", page = "old"}}')
    local script = files.write("help.lua", 'print(require "qvm".help "VM:dump")')
    local root = lfs.currentdir()
    local status, output = process.run({os.getenv("LUA") or "lua5.4", script}, {cwd = files.dir(),
      env = {LUA_PATH = root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua;"
        .. files.dir() .. "/?.lua;;", LUA_CPATH = sim.build .. "/?.so;;",
        LD_PRELOAD = os.getenv("LD_PRELOAD")}})
    assert.are.equal(0, status)
    assert.are.equal(qvm.help("VM:dump") .. "\n", output)
  end)

  it("explains what to do if its text was not built", function()
    local cpath = package.cpath
    finally(function() package.cpath = cpath end)
    package.cpath = "/nowhere/?.so"
    local page, message, code = qvm.help()
    assert.is_nil(page)
    assert.matches("`make`", message, 1, true)
    assert.are.equal("not_found", code)
  end)
end)
