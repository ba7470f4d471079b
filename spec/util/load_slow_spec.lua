-- Where commands load their modules from: never from the current directory, which is full
-- of another user's files with the right names here.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local sim = require "support.sim"
local terminal = require "support.terminal"

local lua = os.getenv("LUA") or "lua5.4"
local checkout = lfs.currentdir()
local quote = process.quote

-- A command's name, its arguments, its output, its name in a checkout, and its exit status if it
-- cannot start (1 if not given).
local commands = {
  {"qvm-diag", "--help", "^Usage: qvm%-diag", "examples/diag.lua"},
  {"qvm-dumpdiff", "--help", "^Usage: qvm%-dumpdiff", "examples/dumpdiff.lua", 2},
  {"qvm-explore", "-evms", "^no VMs", "examples/explore.lua"},
  {"qvm-firstcontact", "--help", "^Usage: qvm%-firstcontact", "examples/firstcontact.lua", 2},
  {"qvm-gdbserve", "--help", "^Usage: qvm%-gdbserve", "examples/gdbserve.lua"},
  {"qvm-watchdog", "--help", "^Usage: qvm%-watchdog", "examples/watchdog.lua"},
}
local fleet = "examples/fleet/report.lua"

local NAMES = {"qvm", "argparse", "cjson", "lfs", "readline", "socket", "luarocks", "layout",
  "qvm/start", "qvm/core", "qvm/diag", "qvm/line", "qvm/editor", "qvm/help_text", "cjson/safe",
  "socket/core", "luarocks/loader"}
local PLACES = {"", "lua/", "build/", "share/lua/5.4/", "lib/lua/5.4/", "examples/", "csrc/",
  "here/", "here/lua/", "here/build/", "here/share/lua/5.4/", "here/lib/lua/5.4/"}

local function make_directories(path)
  local at = files.dir()
  for name in path:gmatch("[^/]+") do
    at = at .. "/" .. name
    lfs.mkdir(at)
  end
end

-- Another user's directory; returns its path. Each Lua file in it prints that it was
-- loaded.
local function hostile_directory()
  local code = ("local f = io.open(%q, 'a') f:write((...) or arg[0], '\\n') f:close() return {}\n")
    :format(files.path("loaded"))
  for _, place in ipairs(PLACES) do
    for _, name in ipairs(NAMES) do
      local base = "hostile/" .. place .. name
      make_directories(base)
      files.write(base .. ".lua", code)
      files.write(base .. "/init.lua", code)
      files.write(base .. ".so", "not a library")
    end
  end
  return files.path("hostile/here")
end

describe("a command", function()
  local here

  before_each(function() here = hostile_directory() end)
  after_each(function()
    terminal.clean()
    sim.clean()
  end)

  -- Runs words in the hostile directory; returns status, output and errors.
  local function run(words, env)
    local all = {LD_PRELOAD = os.getenv("LD_PRELOAD"), QVM_BUILD = os.getenv("QVM_BUILD"),
      QVM_ROOT = sim.root()}
    for name, value in pairs(env or {}) do
      all[name] = value
    end
    local input = files.write("no input", "")
    return process.run({"sh", "-c", 'exec "$0" "$@" <' .. quote(input), table.unpack(words)},
      {cwd = here, env = all})
  end

  local function loaded()
    return files.exists(files.path("loaded")) and files.read(files.path("loaded")) or "nothing"
  end

  local function works(words, pattern, env)
    local status, output, errors = run(words, env)
    assert.are.equal("nothing", loaded())
    assert.are.equal("0 ", status .. " " .. errors)
    assert.matches(pattern, output)
  end

  local DEFAULTS = {LUA_PATH = ";;", LUA_CPATH = ";;"}

  -- The environment of a machine that has only these modules.
  local function only(...)
    files.mkdir("modules")
    for _, name in ipairs {...} do
      local path = package.searchpath(name, package.path) or package.searchpath(name, package.cpath)
      files.symlink(path, "modules/" .. name .. path:match("%.%a+$"))
    end
    return {LUA_PATH = files.path("modules/?.lua") .. ";./?.lua;./?/init.lua;../lua/?.lua",
      LUA_CPATH = files.path("modules/?.so") .. ";./?.so;../build/?.so"}
  end

  local function install(prefix)
    local status, _, errors = process.run({"make", "-s", "install", "PREFIX=" .. prefix,
      "BUILD=" .. (os.getenv("QVM_BUILD") or "build"), "LUA=" .. lua},
      {env = {MAKEFLAGS = "", MAKELEVEL = ""}})
    assert.are.equal("0 ", status .. " " .. errors)
    return prefix .. "/bin/"
  end

  it("in a checkout loads nothing from the current directory", function()
    for _, command in ipairs(commands) do
      local _, argument, pattern, path = table.unpack(command)
      works({lua, checkout .. "/" .. path, argument}, pattern, DEFAULTS)
      works({lua, checkout .. "/" .. path, argument}, pattern, {QVM_BUILD = sim.build})
      works({lua, checkout .. "/" .. path, argument}, pattern, only("argparse", "cjson"))
      os.execute("rm -r " .. quote(files.path("modules")))
    end
  end)

  it("in a checkout with a relative path loads nothing from there, now or later", function()
    files.symlink(checkout, "repository")
    for _, command in ipairs(commands) do
      works({lua, "../../repository/" .. command[4], command[2]}, command[3], DEFAULTS)
    end
    local words = quote(lua) .. " ../../repository/examples/explore.lua"
    local _, output = run({"sh", "-c", "echo 'print(package.path .. \";\" .. package.cpath)' | "
      .. words}, DEFAULTS)
    local path = output:match("/[^\n]*%.so")
    assert.is_string(path, output)
    for entry in path:gmatch("[^;]+") do
      assert.matches("^/", entry)
    end
    assert.are.equal("nothing", loaded())
  end)

  it("that is installed loads nothing from there and ignores QVM_BUILD", function()
    make_directories("a b")
    local bin = install(files.path("a b/prefix"))
    for _, command in ipairs(commands) do
      local path = bin .. command[1]
      works({path, command[2]}, command[3], DEFAULTS)
      works({path, command[2]}, command[3], {QVM_BUILD = "build"})
      works({path, command[2]}, command[3], {QVM_BUILD = files.path("hostile/build")})
      works({"sh", "-c", ('cd "$0"; exec %s ./%s %s'):format(lua, command[1], command[2]), bin},
        command[3], DEFAULTS)
      works({"sh", "-c", ('cd "$0"; exec %s %s %s'):format(lua, command[1], command[2]), bin},
        command[3], DEFAULTS)
    end
  end)

  it("loads nothing from there, and names a required module that is missing", function()
    local env = only()
    local bin = install(files.path("prefix"))
    local argparse = "Lua's argparse is missing: install lua-argparse\n"
    for _, command in ipairs(commands) do
      for _, words in ipairs {{lua, checkout .. "/" .. command[4]}, {bin .. command[1]}} do
        local status, _, errors = run(words, env)
        assert.are.equal(command[5] or 1, status)
        assert.matches(command[1] == "qvm-diag" and "^qvm%-diag: .* is missing: install lua%-"
          or "^" .. (command[1] .. ": " .. argparse):gsub("%p", "%%%0") .. "$", errors)
      end
    end
    local status, _, errors = run({lua, checkout .. "/" .. fleet, "a", "b"}, env)
    assert.are.equal("1 fleet: LuaFileSystem is missing: install lua-filesystem\n",
      status .. " " .. errors)
    assert.are.equal("nothing", loaded())
  end)

  it("loads nothing from there if the library is missing, and says so", function()
    local bin = install(files.path("prefix"))
    os.execute("rm -r " .. quote(files.path("prefix/share")))
    if files.exists("/usr/local/share/lua/5.4/qvm/start.lua") then
      pending("the library is installed here")
      return
    end
    for _, command in ipairs(commands) do
      local _, _, errors = run({bin .. command[1]}, DEFAULTS)
      assert.are.equal(command[1] .. ": the qvm library is missing: run `make install`\n", errors)
    end
    assert.are.equal("nothing", loaded())
  end)

  it("loads nothing from there if the library is not built, and says so", function()
    local status, _, errors = run({lua, checkout .. "/examples/explore.lua"},
      {QVM_BUILD = files.dir()})
    if package.searchpath("qvm.core", "/usr/local/lib/lua/5.4/?.so;/usr/lib/lua/5.4/?.so") then
      pending("the library is installed here")
      return
    end
    assert.are.equal("1 qvm-explore: the qvm library is not built: run `make`\n",
      status .. " " .. errors)
    assert.are.equal("nothing", loaded())
  end)

  it("loads nothing from there if an optional module is missing", function()
    local env = only("argparse", "cjson")
    local dump = files.write("small.gcore", require("support.dumpwriter").small {})
    local status, _, errors = run({lua, checkout .. "/examples/gdbserve.lua", "--port=0", dump},
      env)
    assert.are.equal(1, status)
    assert.matches("\nqvm%-gdbserve: %-%-port needs LuaSocket %(lua%-socket%), which is not "
      .. "installed\n$", "\n" .. errors)
    local tty = terminal.open(24, {QVM_ROOT = sim.root(), QVM_BUILD = os.getenv("QVM_BUILD"),
      LUA_PATH = env.LUA_PATH, LUA_CPATH = env.LUA_CPATH})
    tty:enter(("cd %s && LD_PRELOAD=%s %s %s/examples/explore.lua"):format(quote(here),
      quote(os.getenv("LD_PRELOAD") or ""), lua, quote(checkout)), "Enter")
    tty:has("lua-readline is not installed")
    assert.are.equal("nothing", loaded())
  end)

  it("of the fleet loads nothing from there", function()
    files.mkdir("gathered")
    files.mkdir("baselines")
    files.write("gathered/board1.json", '{"errors": [], "vms": []}')
    files.write("baselines/linux1.json",
      '{"kind": "qvm errata baseline", "version": 1, "errata": []}')
    local _, output, errors = run({lua, checkout .. "/" .. fleet, files.path("gathered"),
      files.path("baselines")}, DEFAULTS)
    assert.matches("1 board", output, 1, errors)
    assert.are.equal("nothing", loaded())
  end)

  it("reports an older Lua", function()
    if not os.execute("command -v lua5.1 >/dev/null") then
      pending("needs an older Lua")
      return
    end
    for _, command in ipairs(commands) do
      local status, _, errors = run({"lua5.1", checkout .. "/" .. command[4]})
      assert.are.equal(command[5] or 1, status)
      assert.are.equal(command[1] .. ": this is Lua 5.1: run it with lua5.4\n", errors)
    end
    assert.are.equal("nothing", loaded())
  end)
end)
