-- Short runs of the two load programs; `make soak TIME=600` runs them in full.

local process = require "support.process"
local sim = require "support.sim"

describe("under load", function()
  local it = sim.can_signal and it or pending

  after_each(sim.clean)

  local function run(...)
    local status, out, errors = process.run({os.getenv("LUA") or "lua5.4", ...},
      {env = {QVM_BUILD = sim.build, MALLOC_MMAP_THRESHOLD_ = "65536"}})
    assert.are.equal(0, status, out .. errors)
    return out
  end

  it("1000 VMs are listed, read and signalled", function()
    assert.matches("1000 directories.*errata snapshot of each.*20 simulators.*signal to each",
      run("spec/concurrency/many.lua", "1000", "20"))
  end)

  it("8 VMs lose no answer, and the script's memory does not grow", function()
    assert.matches("8 VMs, 10 s.*memory of this script", run("spec/concurrency/soak.lua", "10"))
  end)
end)
