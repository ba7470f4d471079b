-- The Makefile and the scripts it uses.

local files = require "support.files"
local process = require "support.process"

-- Runs a command without the variables that a make running these specs sets for its
-- children.
local function run(arguments, env)
  local words = {"env", "-u", "MAKEFLAGS", "-u", "MFLAGS", "-u", "MAKEOVERRIDES", "-u", "MAKELEVEL"}
  table.move(arguments, 1, #arguments, #words + 1, words)
  local status, output, errors = process.run(words, {env = env})
  assert.are.equal(0, status, output .. errors)
  return output
end

describe("make", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  -- A compiler that logs the names of the C files it compiles.
  local function compiler(name, log)
    local path = files.write(name, ([[#!/bin/sh
      for last; do :; done
      case $last in *.c) echo "$last" >>%s ;; esac
      exec cc "$@"]]):format(log))
    assert(os.execute("chmod +x " .. path))
    return path
  end

  -- Makes two object files with the given variables; returns the C files that were compiled.
  local function compiled(objects, ...)
    local log = files.write("log", "")
    local words = {"make", "-s", "BUILD=" .. files.path("build"), ...}
    for _, object in ipairs(objects) do
      words[#words + 1] = files.path("build/obj/" .. object)
    end
    run(words)
    return files.read(log)
  end

  it("rebuilds only what was built with other flags", function()
    local objects = {"csrc/core/util/retry.o", "csrc/sim/vm/main.o"}
    local both = "csrc/core/util/retry.c\ncsrc/sim/vm/main.c\n"
    local cc, other = compiler("cc", files.path("log")), compiler("other", files.path("log"))
    assert.are.equal(both, compiled(objects, "CC=" .. cc, "CFLAGS=-O0"))
    assert.are.equal("", compiled(objects, "CC=" .. cc, "CFLAGS=-O0"))
    assert.are.equal(both, compiled(objects, "CC=" .. cc, "CFLAGS=-O0 -DOTHER='1'"))
    assert.are.equal(both, compiled(objects, "CC=" .. other, "CFLAGS=-O0 -DOTHER='1'"))
    assert.are.equal("", compiled(objects, "CC=" .. other, "CFLAGS=-O0 -DOTHER='1'"))
  end)

  it("rebuilds only the binding for another Lua", function()
    local objects = {"csrc/core/util/retry.o", "csrc/lua/slog2.o"}
    local include = os.getenv("LUA_INCDIR") or "/usr/include/lua5.4"
    local cc, other = compiler("cc", files.path("log")), files.symlink(include, "include")
    compiled(objects, "CC=" .. cc, "LUA_INCDIR=" .. include)
    assert.are.equal("csrc/lua/slog2.c\n", compiled(objects, "CC=" .. cc, "LUA_INCDIR=" .. other))
    assert.are.equal("", compiled(objects, "CC=" .. cc, "LUA_INCDIR=" .. other))
  end)

  it("installs what was built, regardless of the current flags", function()
    local build = "BUILD=" .. (os.getenv("QVM_BUILD") or "build")
    local COMPILED = "%-c %-o [^ ]*/obj/csrc/core/"
    assert.matches("install ", run({"make", "-n", "install", "CFLAGS=-O0", build}))
    assert.is_nil(run({"make", "-n", "install", "CFLAGS=-O0", build}):find(COMPILED))
    assert.is_truthy(run({"make", "-n", "all", "CFLAGS=-O0", build}):find(COMPILED))
  end)
end)

describe("deps", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("runs no package manager if nothing is missing", function()
    files.mkdir("bin")
    local fake = files.write("bin/apt-get", '#!/bin/sh\necho "$@" >>"$0.ran"\nexit 1\n')
    assert(os.execute("chmod +x " .. fake))
    run({"sh", ".ci/deps", "build", "commands", "test"},
      {PATH = files.path("bin") .. ":" .. os.getenv("PATH")})
    assert.is_false(files.exists(fake .. ".ran"))
  end)
end)

describe("run.sh", function()
  it("starts existing files first", function()
    local list = files.read("spec/run.sh"):match('\nslow="(.-)"')
    local missing, found = {}, 0
    for name in list:gmatch("%S+") do
      found = found + 1
      if not files.exists("spec/" .. name .. "_spec.lua") then
        missing[#missing + 1] = name
      end
    end
    assert.are.same({}, missing)
    assert.is_true(found > 10)
  end)
end)
