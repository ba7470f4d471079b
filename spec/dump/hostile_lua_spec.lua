-- Scripts that modify the objects of a running call: from a finalizer, which Lua may run at any
-- allocation, from a metamethod, or from a callback. Each script runs in its own process, which
-- must end normally.

local files = require "support.files"
local pagetables = require "support.pagetables"
local process = require "support.process"
local writer = require "support.dumpwriter"

-- hostile(change, restore, calls): repeats each call, and runs `change` in the first garbage
-- collection of the first run, in the second collection of the second run, and so on, until a
-- run has no further collection. With these settings every allocation collects garbage.
local HEAD = [[
package.path, package.cpath = %q, %q
local qvm = require "qvm"
local core = require "qvm.core"
local path, other, root = ...
root = math.tointeger(root)
local function open() return assert(qvm.open(path)) end
local left, change_now = 0, nil
local function arm()
  setmetatable({}, {__gc = function()
    left = left - 1
    if left == 0 then change_now() end
    arm()
  end})
end
arm()
collectgarbage("incremental", 1, 1000, 20)
local function hostile(change, restore, calls)
  change_now = change
  for _, call in ipairs(calls) do
    local place = 0
    repeat
      place = place + 1
      collectgarbage("stop")
      restore()
      left = place
      collectgarbage("restart")
      pcall(call)
      local reached = left <= 0
      left = 0
    until not reached or place == 60
  end
end
]]

-- Too much memory for valgrind.
local it_large = os.getenv("QVM_VALGRIND") and pending or it

describe("a hostile script", function()
  local path, other, root

  before_each(function()
    local tables = pagetables.x86_64(0x100000)
    tables:map(0x401000, 0x5000, 0, pagetables.x86.user)
    root = tables.root
    local segments = tables:segments()
    segments[#segments + 1] = {paddr = 0x5000, bytes = ("qvm\0"):rep(1024)}
    path = files.write("a.gcore", writer.file {machine = "x86_64", segments = segments})
    other = files.write("b.gcore", writer.file {machine = "x86_64",
      segments = {{paddr = 0x5000, bytes = ("qvm "):rep(1024)}}})
  end)

  after_each(function()
    process.clean()
    files.clean()
  end)

  local function survives(program)
    local script = files.write("hostile.lua", HEAD:format(package.path, package.cpath)
      .. program .. "\nprint('survived')")
    local status, output, errors = process.run_lua {script, path, other,
      ("%d"):format(root)}
    assert.are.equal("0 survived\n", status .. " " .. output, errors)
  end

  for _, value in ipairs {"5", "nil", "{}", "io.stdout", "open()[1]"} do
    it("may replace a space's handle with " .. value .. " during its methods", function()
      survives(([[
        local d = open()
        local space, handle
        hostile(function() space[1] = %s end, function()
          space = assert(d:space {root = root})
        end, {
          function() space:translate(0x401000) end,
          function() space:walk(0x401000) end,
          function() for a in space:find("qvm", {from = 0x401000, to = 0x402000}) do end end,
          function() for start in space:mappings() do end end,
          function() space:read(0x401000, 64) end,
          function() space:array(0x401000, "u8", 16) end,
          function() space:cstring(0x401000) end,
        })]]):format(value))
    end)

    it("may replace a dump's handle with " .. value .. " during its methods", function()
      survives(([[
        local d, e
        hostile(function() d[1] = %s; if e then e[1] = %s end end, function()
          d, e = open(), assert(qvm.open(other))
        end, {
          function() d:space {root = root} end,
          function() for a in d:find("qvm") do end end,
          function() for a in d:strings() do end end,
          function() for a in d:diff(e) do end end,
          function() d:vcpu(0) end,
          function() d:log() end,
          function() d:read(0x5000, 64) end,
          function() d:array(0x5000, "u8", 16) end,
          function() for s in d:segments() do end end,
          function() for s in d:sections() do end end,
          function() for n in d:notes() do end end,
        })]]):format(value, value))
    end)
  end

  it("may close the dump during a call", function()
    survives [[
      local d, e
      hostile(function() d:close(); e:close() end, function()
        d, e = open(), assert(qvm.open(other))
      end, {
        function() for start in d:space({root = root}):mappings() do end end,
        function() for a in d:space({root = root}):find("qvm") do end end,
        function() for a in d:find("qvm") do end end,
        function() for a in d:diff(e) do end end,
        function() d:vcpu(0) end,
        function() d:read(0x5000, 64) end,
      })]]
  end)

  it("may remove the patterns of a search", function()
    survives [[
      local d, patterns = open(), nil
      hostile(function()
        for i = 1, #patterns do patterns[i] = nil end
        collectgarbage()
      end, function()
        patterns = {}
        for i = 1, 64 do patterns[i] = ("pattern %d "):format(i):rep(40) end
        patterns[65] = 12345678
      end, {function()
        for a in core.dump.find(d, 0, -1, patterns, 1, true) do end
      end})]]
  end)

  it("may close the dump while page-table options are read", function()
    survives [[
      local d = open()
      print(core.space(d, "x86_64", setmetatable({}, {__index = function(_, name)
        if d[1] then d:close() end
        d[1] = nil
        collectgarbage()
        return name == "va_bits" and 48 or name == "page_shift" and 12 or nil
      end})) == nil and "survived" or "opened")
      os.exit(0, true)]]
  end)

  -- More than is unpacked at once, so that progress is called.
  it_large("may close a compressed dump while it is unpacked", function()
    local plain = files.write("large.gcore", writer.file {machine = "x86_64",
      segments = {{paddr = 0x5000, bytes = ("qvm "):rep(40 << 20 >> 1)}}})
    assert(os.execute("gzip -1 " .. process.quote(plain)))
    survives(([[
      local function close_all()
        for level = 1, 20 do
          if not debug.getinfo(level, "f") then break end
          for i = 1, 40 do
            local name, value = debug.getlocal(level, i)
            if not name then break end
            pcall(core.dump.close, value)
          end
        end
        collectgarbage()
      end
      local calls = 0
      for _, options in ipairs {{index = true}, {partial = true}} do
        options.progress = function() calls = calls + 1; close_all() end
        pcall(qvm.open, %q, options)
      end
      assert(calls > 1)]]):format(plain .. ".gz"))
  end)

  -- A coroutine's stack is small, and moves when it grows: here, one slot later each time.
  it("may be at any depth of its stack", function()
    survives [[
      local function at(depth, f)
        local function call(...) return (f()) end
        return coroutine.wrap(function()
          return call(table.unpack({}, 1, depth))
        end)()
      end
      local d, e = open(), assert(qvm.open(other))
      for depth = 0, 100 do
        at(depth, open):close()
        assert(at(depth, d:find("qvm")) == 0x5000)
        assert(at(depth, d:strings(3)) == 0x5000)
        assert(at(depth, d:diff(e)) == 0x5003)
        assert(at(depth, d:space({root = root}):mappings()) == 0x401000)
        assert(at(depth, function() return d:read(0x5000, 4) end) == "qvm\0")
      end]]
  end)

  it("may call the finalizer of a dump in use", function()
    survives [[
      local d = open()
      local meta = getmetatable(d[1])
      for a in d:find("qvm", {progress = function()
        if meta then meta.__gc(d[1]) end
      end}) do end]]
  end)

  it("may call the functions of qvm.core with values of wrong types", function()
    survives [[
      local d, wrong = open(), {false, 1, "x", {}, {1}, {{}}, {io.stdout}, io.stdout, print}
      local space = assert(d:space {root = root})
      local skip = {await_input = true, sleep = true, request = true, catch_interrupts = true,
        interruptible = true, make_directory = true, make_private = true, save = true, close = true,
        resolve_with = true, remove_directory = true, create_file = true,
        compress_file = true}
      local function calls(functions, first)
        for name, f in pairs(functions) do
          if type(f) == "function" and not skip[name] then
            for i = 0, #wrong do
              pcall(f, first or wrong[i], wrong[i], wrong[i], wrong[i], wrong[i], wrong[i])
              pcall(f, first or wrong[i], 0, -1, wrong[i], 1, wrong[i])
              pcall(f, wrong[i], 0, -1, d, 1)
            end
          end
        end
      end
      calls(core)
      calls(core.dump)
      calls(core.dump, d)
      calls(core.dump, space)
      calls(core.space_methods, space)
      calls(core.space_methods, d)
      local e = {open()[1]}
      core.dump.close(e)
      print(core.dump.read(e, 0, 1) == nil and "survived" or "read")
      os.exit(0, true)]]
  end)
end)
