-- What all commands do alike if their output is lost, or if an argument is empty: a message and a
-- failure.

local files = require "support.files"
local process = require "support.process"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local lua = os.getenv("LUA") or "lua5.4"

describe("a command whose output cannot be written", function()
  local dump

  before_each(function()
    sim.start("linux1", "ram 1M\ncpu")
    dump = files.write("one.gcore", writer.small {})
  end)

  after_each(sim.clean)

  -- Runs a command, with its output to a full disk. Returns its status and its messages.
  local function run(name, ...)
    local status, _, errors = process.run({"sh", "-c", 'exec "$0" "$@" >/dev/full', lua,
      ("examples/%s.lua"):format(name), ...}, {env = {QVM_ROOT = sim.root(), QVM_BUILD = sim.build,
      LD_PRELOAD = os.getenv("LD_PRELOAD")}})
    return status, errors
  end

  local function loses(status, name, ...)
    local is, errors = run(name, ...)
    assert.matches("output: No space left on device\n$", errors)
    assert.are.equal(status, is)
  end

  if not files.exists("/dev/full") then
    return pending("needs /dev/full")
  end

  it("fails: qvm-diag", function()
    loses(1, "diag", "linux1")
    loses(1, "diag", "--json", "--list")
  end)

  it("fails: qvm-dumpdiff", function()
    loses(2, "dumpdiff", dump, dump)
  end)

  it("fails: qvm-explore", function()
    loses(1, "explore", "-e", "d", dump)
    loses(1, "explore", "-e", "io.write 'x'", "-e", "exit", dump)
    loses(1, "explore", "-e", "io.write 'x' exit()", dump)
  end)

  it("fails: qvm-firstcontact", function()
    loses(2, "firstcontact", "--look", "--output", files.path "archive", "linux1")
  end)

  it("fails: qvm-watchdog", function()
    loses(1, "watchdog", "--dir", files.path "captures", "--timeout", "0.1", "--capture", "linux1")
  end)
end)

describe("a command with an empty argument", function()
  after_each(sim.clean)

  local function fails(status, pattern, name, ...)
    local is, _, errors = process.run({lua, ("examples/%s.lua"):format(name), ...},
      {env = {QVM_ROOT = sim.root(), QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("LD_PRELOAD")}})
    assert.matches(pattern, errors)
    assert.are.equal(status, is)
  end

  it("says that the path is empty", function()
    local message = "qvm%-%a+: %(an empty path%): No such file or directory\n"
    fails(1, message, "diag", "--read", "")
    fails(2, message, "dumpdiff", "", "")
    fails(1, message, "explore", "-e", "1", "")
    fails(1, message, "gdbserve", "")
    fails(1, message, "watchdog", "--dir", "")
  end)

  it("does not take it for the default of --root", function()
    for name, words in pairs {diag = {"--list"}, explore = {"-e", "1"},
      watchdog = {"--dir", "/no", "--capture", "x"}, firstcontact = {"--look", "x"}} do
      fails(2, "qvm%-%a+: %-%-root: an empty path [^\n]*\n$", name, "--root", "",
        table.unpack(words))
    end
  end)
end)
