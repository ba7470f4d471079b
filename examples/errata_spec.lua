-- Checks the errata settings of a board against a baseline: a suite for busted.
--
--     busted --lua=$(command -v lua5.4) examples/errata_spec.lua
--
-- QVM_VM        system name of the VM
-- QVM_BASELINE  file of the expected errata; qvm.errata.save writes such files
-- QVM_RECORD    1: if the baseline file does not exist, record what the VM reports
--               now. An existing file is never changed.

local qvm = require "qvm"
require "qvm.assertions"

local name, baseline = os.getenv("QVM_VM"), os.getenv("QVM_BASELINE")

local function exists(path)
  local file = io.open(path)
  return file ~= nil and file:close()
end

describe("the errata of " .. (name or "a VM"), function()
  local vm

  setup(function()
    assert(name, "QVM_VM is not set: the system name of a VM")
    assert(baseline, "QVM_BASELINE is not set: the file of the expected errata")
    vm = assert(qvm.vm(name))
  end)

  it("can be compared with a baseline", function()
    if exists(baseline) then
      return
    end
    assert(os.getenv("QVM_RECORD") == "1", baseline .. ": no such baseline. "
      .. "QVM_RECORD=1 records what the VM reports now; check it before you trust it")
    assert(qvm.errata.save(baseline, assert(qvm.errata.snapshot(vm))))
    pending("recorded " .. baseline .. ": check it, and run again")
  end)

  it("are those of a VM that runs", function()
    assert.vm_running(vm)
  end)

  it("are those of the baseline", function()
    assert.same_errata(baseline, vm)
  end)
end)
