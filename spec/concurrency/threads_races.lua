-- Lua states in several threads of one process: see host.c and thread.lua.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local script = require("lfs").currentdir() .. "/spec/concurrency/thread.lua"

describe("Lua states in threads of one process", function()
  local it = sim.can_signal and it or pending

  after_each(sim.clean)

  -- Runs the host of a build; returns its output.
  local function run(build, threads, rounds)
    qvm.root(sim.root())
    local directory = files.mkdir("dumps")
    -- A small dump, and two without holes that are large enough for two worker threads.
    for _, one in ipairs {{"small", 1}, {"shared", 16}, {"other", 16}} do
      local vm = sim.start("linux1", ("ram %dM\ncpu\ncpu\ndump %s"):format(one[2], directory))
      local dump <close> = assert(qvm.vm("linux1"):dump {dir = directory})
      assert(os.execute(("cp --sparse=never %s %s/%s.gcore"):format(dump.path, directory, one[1])))
      if one[1] ~= "other" then
        vm:stop()
      end
    end
    assert(os.execute(("gzip -c %s/shared.gcore >%s/shared.gz"):format(directory, directory)))
    local program = process.start({build .. "/concurrency/host", script, tostring(threads),
      ("%s %d"):format(directory, rounds)}, {log = files.path("errors"), env = {
        QVM_ROOT = sim.root(), LUA_PATH = package.path,
        LUA_CPATH = package.cpath:gsub("^[^;]*", build .. "/?.so"),
        TSAN_OPTIONS = "exitcode=66 halt_on_error=0"}})
    local how_ended, status = program:wait()
    return ("%s %d %s%s"):format(how_ended, status, files.read(program.output),
      files.read(files.path("errors")):sub(1, 6000))
  end

  it("do not interfere with each other or with the program's signals", function()
    assert.are.equal("exit 0 ok\n", run(sim.build, 6, 20))
  end)

  local sanitized = os.getenv("QVM_TSAN")
  local test = sanitized and it or pending

  test("have no data races according to ThreadSanitizer", function()
    assert.are.equal("exit 0 ok\n", run(sanitized, 4, 3))
  end)
end)
