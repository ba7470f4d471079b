-- Checks the dependencies between rooms: the includes of the C core and the requires of the
-- Lua layer, as specified in docs/design.md.

local files = require "support.files"

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do
    list[#list + 1] = line
  end
  return list
end

local function set(words)
  local members = {}
  for word in words:gmatch("%S+") do
    members[word] = true
  end
  return members
end

-- Lists the forbidden dependencies of files on other rooms, as "file: what". found: the
-- number of all dependencies, so that the test fails if the search finds nothing.
local function violations(allowed, uses)
  local list, found = {}, 0
  for _, use in ipairs(uses) do
    found = found + 1
    if use.from ~= use.to and not (allowed[use.from] or {})[use.to] then
      list[#list + 1] = use.file .. ": " .. use.what
    end
  end
  return list, found
end

local c_rooms = {
  util = set "",
  json = set "util",
  host = set "util",
  dump = set "util",
  scan = set "util",
  paging = set "util dump",
  guest = set "util dump paging",
}

-- Rooms of the simulator. Registers are part of the configuration, and requests trigger
-- dumps. "core" is the library's C core.
local sim_rooms = {
  util = set "",
  guest = set "util conf core",
  conf = set "util dump guest",
  dump = set "util conf guest vm",
  vm = set "util conf guest dump",
}

-- The includes below csrc/core or csrc/sim.
local function includes(tier)
  local uses = {}
  local command = [[grep -E '# *include "' csrc/%s/*/*.[ch] ]]
  for _, line in ipairs(lines_of(command:format(tier))) do
    local file, room, what = line:match '^(csrc/%w+/(%w+)/[^:]+):# *include "([^"]+)"'
    uses[#uses + 1] = {file = file, from = room, what = what, to = what:match "^(%w+)/" or "none"}
  end
  return uses
end

-- "api" is `require "qvm"`, which loads the rest. Commands use the public API. The prompt
-- does so too, but it also reads the classes for the names of their methods.
local lua_rooms = {
  start = set "core",
  init = set "core util host dump prompt",
  assertions = set "host util",
  util = set "core",
  host = set "core util dump",
  scan = set "core util",
  paging = set "core util scan",
  guest = set "core util paging",
  dump = set "core util scan paging guest",
  prompt = set "util host dump guest paging api",
  cli = set "util prompt api",
  diag = set "util cli api",
  gdb = set "util cli api",
  firstcontact = set "util cli api",
}

-- The start of qvmlua, in csrc/qvmlua, is part of the prompt: it also uses the C module.
local qvmlua_rooms = {qvmlua = set "core prompt api"}

-- The forms in which a line loads a module: require "x", require("x"), pcall(require, "x"),
-- need "x", start(...)("x").
local LOADS = {"require%s*[(,]?", "need%s*%(?", "%)%("}

-- The library modules that files load by `require` or `need`, outside comments. paths: the
-- files; room_of(file): the room of a file.
local function modules(paths, room_of)
  local uses = {}
  for _, line in ipairs(lines_of([[grep -rnE '"qvm[a-z_.]*"' --include=*.lua ]] .. paths)) do
    local file, text = line:match "^([^:]+):%d+:(.*)$"
    text = text:gsub("%-%-.*", "")
    for _, load in ipairs(LOADS) do
      for name in text:gmatch(load .. '%s*"(qvm[%w_.]*)"') do
        uses[#uses + 1] = {file = file, from = room_of(file), what = name,
          to = name == "qvm" and "api" or name:match "^qvm%.(%w+)" or name:match "^(qvmlua)%."}
      end
    end
  end
  return uses
end

local function room_of_module(file)
  return file:match "^lua/qvm/(%w+)"
end

-- The public modules, and the one module that each command starts.
local public = {["qvm"] = true, ["qvm.assertions"] = true}
local started = {diag = "qvm.diag", dumpdiff = "qvm.cli.dumpdiff", explore = "qvm.cli.explore",
  firstcontact = "qvm.firstcontact", gdbserve = "qvm.gdb", watchdog = "qvm.cli.watchdog"}

describe("the rooms", function()
  it("of the C core have only allowed dependencies", function()
    local list, found = violations(c_rooms, includes "core")
    assert.are.same({}, list)
    assert.is_true(found > 50)
  end)

  it("of the simulator have only allowed dependencies", function()
    local list, found = violations(sim_rooms, includes "sim")
    assert.are.same({}, list)
    assert.is_true(found > 50)
    assert.are.same({}, lines_of "ls csrc/sim | grep '[.]'")
  end)

  it("of the simulator, and the helpers, have files that start with a description", function()
    for _, path in ipairs(lines_of "ls csrc/sim/*/*.c spec/helpers/*.c") do
      assert.matches("^/%*", files.read(path), 1, false, path)
    end
  end)

  it("of the C core do not use Lua", function()
    assert.are.same({}, lines_of "grep -lE 'lua\\.h|lauxlib\\.h' csrc/core/*/*.[ch]")
  end)

  it("of the Lua layer have only allowed dependencies", function()
    local list, found = violations(lua_rooms, modules("lua/qvm", room_of_module))
    assert.are.same({}, list)
    assert.is_true(found > 100)
  end)

  it("of the start of qvmlua have only allowed dependencies", function()
    local list, found = violations(qvmlua_rooms,
      modules("csrc/qvmlua", function() return "qvmlua" end))
    assert.are.same({}, list)
    assert.is_true(found >= 4)
  end)

  it("are private to the library: examples use the public API", function()
    local list, found = {}, 0
    for _, use in ipairs(modules("examples", function() return "examples" end)) do
      found = found + 1
      if not public[use.what] and started[use.file:match "^examples/(%w+)%.lua$"] ~= use.what then
        list[#list + 1] = use.file .. ": " .. use.what
      end
    end
    assert.are.same({}, list)
    assert.is_true(found >= 7)
  end)

  it("contain the commands' logic: the scripts only start it", function()
    for name, module in pairs(started) do
      local path = ("examples/%s.lua"):format(name)
      local count = #lines_of("cat " .. path)
      assert.is_true(count <= 20, path .. ": " .. count .. " lines")
      assert.matches(('%%("%s"%%)%%.run%%(arg%%)'):format(module), files.read(path))
    end
  end)

  it("exist at the paths in documents and comments", function()
    local missing, found = {}, 0
    for _, line in ipairs(lines_of [[grep -rnoE \
      '(csrc/|lua/qvm/|docs/|spec/)[a-z0-9_./-]+\.(c|h|lua|md|sh|mk)\b' \
      csrc lua docs README.md examples spec --include=*.[ch] --include=*.lua --include=*.md]]) do
      local from, path = line:match "^(.-):%d+:(.*)$"
      found = found + 1
      if not (io.open(path) or io.open("spec/" .. path)) then
        missing[#missing + 1] = from .. ": " .. path
      end
    end
    assert.are.same({}, missing)
    assert.is_true(found > 30)
  end)
end)
