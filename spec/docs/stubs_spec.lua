-- The stubs for lua-language-server: they declare exactly the public API.

local api = require "support.api"
local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"

local main, assertions = sim.build .. "/luacats/qvm.lua", sim.build .. "/luacats/qvm/assertions.lua"

local function lines_of(path)
  return (files.read(path) .. "\n"):gmatch("(.-)\n")
end

-- The classes in a stub, by name: `fields`, `functions` (with their annotations), the name
-- of the `local`, and the base class.
local function parse(path)
  local classes, notes = {}, {}
  local class, kind
  for line in lines_of(path) do
    local name, parent = line:match("^%-%-%-@class ([%w_.]+):? ?([%w_.]*)$")
    local field = line:match("^%-%-%-@field ([%w_]+)%?? %S")
    local variable = line:match("^local ([%w_]+) = {}$")
    local owner, method, parameters = line:match("^function ([%w_]+)[.:]([%w_]+)%((.*)%) end$")
    if name then
      class = {name = name, parent = parent, fields = {}, functions = {}}
      assert(not classes[name], "duplicate class: " .. name)
      classes[name] = class
    elseif line:find("^%-%-%-@field") then
      class.fields[assert(field, line)] = line
    elseif variable then
      class.variable, kind = variable, class
    elseif line:find("^%-%-%-@") then
      notes[#notes + 1] = line
    elseif owner then
      assert.are.equal(kind.variable, owner)
      kind.functions[method] = {notes = notes, parameters = parameters}
      notes = {}
    end
  end
  return classes
end

-- The names in the stubs, in the form of api.names.
local function declared()
  local names = {}
  for name, class in pairs(parse(main)) do
    local prefix = name:match("^qvm%.(%u.*)$")
    for method in pairs(class.functions) do
      names[prefix and prefix .. ":" .. method or name .. "." .. method] = "function"
    end
    if class.variable then
      for field in pairs(class.fields) do
        names[(prefix or name) .. "." .. field] = "field"
      end
    end
  end
  for method in pairs(parse(assertions).luassert.functions) do
    names["assert." .. method] = "function"
  end
  return names
end

-- The names in the first set that are missing from the second.
local function missing(from, where)
  local list = {}
  for _, name in ipairs(api.sorted(from)) do
    if where[name] ~= from[name] then
      list[#list + 1] = name
    end
  end
  return list
end

describe("the stubs for the editor", function()
  after_each(sim.clean)

  local function real()
    local names = api.names(api.objects())
    for name in pairs(names) do -- a Replay and an Answer have the same methods as a VM
      local kind = name:match("^(%a+):")
      if kind == "Replay" or kind == "Answer" then
        assert.are.equal("qvm.VM", parse(main)["qvm." .. kind].parent)
        assert.is_truthy(names[name:gsub("^" .. kind, "VM")], name)
        names[name] = nil
      end
    end
    return names
  end

  it("are valid Lua", function()
    for _, path in ipairs {main, assertions} do
      assert(loadfile(path, "t", {}))
      assert.matches("^%-%-%-@meta qvm", files.read(path))
    end
    assert.is_table(loadfile(main, "t", {})())
  end)

  it("declare all public names", function()
    assert.are.same({}, missing(real(), declared()))
  end)

  it("declare no other names", function()
    assert.are.same({}, missing(declared(), real()))
  end)

  it("use only declared types", function()
    local known = {["qvm.code"] = true}
    local classes = parse(main)
    for name in pairs(classes) do
      known[name] = true
    end
    for _, path in ipairs {main, assertions} do
      for line in lines_of(path) do
        for name in (line:match("^%-%-%-@%a+ ([^#]*)") or ""):gmatch("qvm%.[%u%l][%w_.]*") do
          assert.is_true(line:find("@meta") ~= nil or known[name] ~= nil, line)
        end
      end
    end
  end)

  it("have a type for each parameter, in the order of the function", function()
    for name, class in pairs(parse(main)) do
      for method, entry in pairs(class.functions) do
        local list = {}
        for _, note in ipairs(entry.notes) do
          list[#list + 1] = note:match("^%-%-%-@param ([%w_]+)%?? %S+")
        end
        assert.are.equal(entry.parameters, table.concat(list, ", "), name .. "." .. method)
      end
    end
  end)

  it("list the error codes of the guide", function()
    local codes = {}
    for names in files.read("docs/guide.md"):match("| code | meaning |\n(.-)\n\n")
      :gmatch("|%s*(`[^|]*`)%s*|") do
      for code in names:gmatch("`([%w_]+)`") do
        codes[code] = "code"
      end
    end
    local alias = {}
    for code in files.read(main):match("@alias qvm.code ([^\n]*)"):gmatch('"([%w_]+)"') do
      alias[code] = "code"
    end
    assert.are.same(codes, alias)
  end)

  it("document each function's parameters and failures", function()
    local vm = parse(main)["qvm.VM"]
    assert.are.same({"integer?", "string?", "qvm.code?"}, (function()
      local types = {}
      for _, note in ipairs(vm.functions.pid.notes) do
        types[#types + 1] = note:match("^%-%-%-@return (%S+)")
      end
      return types
    end)())
    assert.are.equal("---@param options? qvm.VM.dump.options", vm.functions.dump.notes[1])
    assert.matches('^%-%-%-@param kind "status"|"dump" ', vm.functions.signal.notes[1])
    local find = parse(main)["qvm.Dump"].functions.find.notes
    assert.matches("^%-%-%-@return fun%(%): integer # iterator", find[3])
  end)

  -- Functions raise an error for an unknown option and for an invalid value, so calls
  -- reveal the options they accept.
  it("list the options of each function", function()
    local objects = api.objects()
    local dump, vm = objects.Dump[1], objects.VM[1]
    local calls = {
      ["qvm.open.options"] = function(o) return qvm.open("x", o) end,
      ["qvm.record.options"] = function(o) return qvm.record(vm, "x", o) end,
      ["qvm.survey.options"] = function(o) return qvm.survey(o) end,
      ["qvm.watch.options"] = function(o) return qvm.watch(o) end,
      ["qvm.VM.wait.options"] = function(o) return vm:wait("running", o) end,
      ["qvm.VM.dump.options"] = function(o) return vm:dump(o) end,
      ["qvm.VM.status.options"] = function(o) return vm:status(o) end,
      ["qvm.slog2.options"] = function(o) return qvm.slog2(vm, o) end,
      ["qvm.SystemLog.follow.options"] = function(o) return objects.SystemLog[1]:follow(o) end,
      ["qvm.Dump.find.options"] = function(o) return dump:find("x", o) end,
      ["qvm.Dump.strings.options"] = function(o) return dump:strings(4, o) end,
      ["qvm.Dump.diff.options"] = function(o) return dump:diff(dump, o) end,
      ["qvm.Dump.dmesg.options"] = function(o) return dump:dmesg(o) end,
      ["qvm.Dump.space.options"] = function(o) return dump:space(dump:vcpu(0), o) end,
      ["qvm.Space.strings.options"] = function(o) return objects.Space[1]:strings(4, o) end,
      ["qvm.Space.find.options"] = function(o) return objects.Space[1]:find("x", o) end,
      ["qvm.conf.load.options"] = function(o) return qvm.conf.load("x", o) end,
      ["qvm.conf.check.options"] = function(o) return qvm.conf.check(objects.Conf[1], vm, o) end,
      ["qvm.schema.schema"] = function(o) return qvm.schema(o) end,
    }
    for name, class in pairs(parse(main)) do
      if not class.variable then
        assert.is_truthy(calls[name], name .. " is not tried")
        for field in pairs(class.fields) do
          local ok, message = pcall(calls[name], {[field] = coroutine.create(print)})
          assert.is_false(ok)
          assert.matches("option '" .. field .. "' of .* is not an? ", (message:gsub(
            "%f[%w](%w+): string expected, got thread", "option '%1' of it is not a string")))
        end
      end
    end
  end)
end)
