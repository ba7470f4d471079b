-- What `make install` writes and `make uninstall` removes, and the version of the packages.

local files = require "support.files"
local process = require "support.process"

local build = "BUILD=" .. (os.getenv("QVM_BUILD") or "build")

-- Runs make without the variables of a make that runs these specs.
local function make(...)
  local status, output, errors = process.run {"env", "-u", "MAKEFLAGS", "-u", "MFLAGS",
    "-u", "MAKEOVERRIDES", "-u", "MAKELEVEL", "make", "-s", build, ...}
  assert.are.equal(0, status, output .. errors)
  return output
end

-- The paths below a directory, sorted. options: what `find` is to print.
local function found(directory, options)
  local pipe <close> = assert(io.popen(("cd '%s' && find . %s | sort"):format(directory, options)))
  local list = {}
  for path in pipe:lines() do
    list[#list + 1] = path
  end
  return list
end

describe("make uninstall", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("removes what make install wrote, and nothing else", function()
    files.mkdir("a root")
    local variables = {"DESTDIR=" .. files.path("a root"), "PREFIX=/usr/x y"}
    make("install", table.unpack(variables))
    local root = files.path("a root/usr/x y")
    local installed = found(root, "-type f")
    assert.is_true(#installed > 100)
    for _, path in ipairs {"./bin/qvm-diag", "./share/lua/5.4/qvm/host/vm.lua",
      "./lib/lua/5.4/qvm/core.so", "./share/man/man1/qvm-diag.1"} do
      assert.is_true(files.exists(root .. "/" .. path), path)
    end
    files.write("a root/usr/x y/bin/other", "kept")
    files.write("a root/usr/x y/share/lua/5.4/qvm/host/other.lua", "kept")
    local output = make("uninstall", table.unpack(variables))
    assert.are.same({"./bin/other", "./share/lua/5.4/qvm/host/other.lua"}, found(root, "-type f"))
    assert.are.same({"./share/lua/5.4/qvm", "./share/lua/5.4/qvm/host"},
      found(root, "-type d -path '*/qvm*'"))
    local _, count = output:gsub("remove ", "")
    assert.are.equal(#installed, count)
  end)

  it("removes nothing a second time, and needs no build", function()
    local output = make("uninstall", "BUILD=" .. files.path("nowhere"),
      "DESTDIR=" .. files.path("nothing"))
    assert.are.equal("", output)
    assert.is_false(files.exists(files.path("nowhere")))
  end)
end)

describe("the version", function()
  local version = require "qvm".version

  it("is the newest in the changelog, with its day", function()
    local newest, day = files.read("CHANGELOG.md"):match("\n## %[(%d[^%]]*)%] %- ([%d-]+)\n")
    assert.are.equal(version, newest)
    assert.matches("^%d%d%d%d%-%d%d%-%d%d$", day)
  end)

  it("is in no other file of the packages", function()
    for _, path in ipairs {"qvm-scm-1.rockspec", "docs/debian/control", "docs/debian/packages.mk",
      "docs/debian/deb.sh", "Makefile"} do
      assert.is_nil(files.read(path):find(version, 1, true), path)
    end
  end)

  it("is that of the source archive", function()
    local variables = {"make", "-s", "-n", "archive", build}
    local _, output = process.run(variables)
    assert.is_truthy(output:find("qvm-" .. version .. ".tar.gz", 1, true), output)
  end)
end)

describe("the changelog", function()
  it("has the form of Keep a Changelog", function()
    local kinds = {Added = true, Changed = true, Deprecated = true, Removed = true, Fixed = true,
      Security = true}
    local text = files.read("CHANGELOG.md")
    for title in text:gmatch("\n## ([^\n]*)") do
      local known = title == "[Unreleased]" or title:match("^%[[%d.]+%] %- %d+%-%d%d%-%d%d$")
      assert.is_truthy(known, title)
    end
    local count = 0
    for title in text:gmatch("\n### ([^\n]*)") do
      assert.is_true(kinds[title] == true, title)
      count = count + 1
    end
    assert.is_true(count >= 1)
  end)
end)
