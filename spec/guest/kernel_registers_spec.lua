-- The kernel registers of a guest's tasks.

local files = require "support.files"
local example_guest = require "support.example_guest"
local qvm = require "qvm"

describe("the kernel registers of a task", function()
  local guest, dump

  local function open(change)
    guest = example_guest.new()
    if change then
      change(guest)
    end
    dump = assert(qvm.open(example_guest.write(guest)))
  end

  local function registers_of(task)
    local names, values = {}, {}
    for name, value in task:kernel_registers() do
      names[#names + 1] = name
      values[name] = value
    end
    return table.concat(names, " "), values
  end

  after_each(function()
    dump:close()
    files.clean()
  end)

  it("that sleeps are those that the switch kept", function()
    open()
    local names, values = registers_of(dump:task(2))
    assert.are.equal("x19 x20 x21 x22 x23 x24 x25 x26 x27 x28 x29 x30 sp pc", names)
    local pc = guest.symbols.schedule + 0x40
    assert.are.same({2 << 8 | 19, 2 << 8 | 28, values.sp, pc, pc},
      {values.x19, values.x28, values.x29, values.x30, values.pc})
    assert.are.equal(dump:task(2):backtrace()().address, values.pc)
  end)

  it("that runs are those of its vCPU", function()
    open()
    local names, values = registers_of(dump:task(7))
    assert.matches("^x0 x1 .* x30 sp pc pstate$", names)
    assert.are.same({1 << 8 | 5, example_guest.USER}, {values.x5, values.pc})
    assert.are.equal(2 << 8 | 5, select(2, registers_of(dump:vcpu(1):task())).x5)
  end)

  it("are not known if no vCPU is that of a task which runs", function()
    open(function(other)
      other:set(other.leaders[3] + other.types:offset("struct task_struct", "cpu"), "\9")
    end)
    local task = dump:task(7)
    for _, method in ipairs {"kernel_registers", "registers", "backtrace"} do
      local ok, message = pcall(task[method], task)
      assert.is_false(ok)
      assert.matches("the dump has no vCPU that runs process 7 worker", message, 1, true)
    end
  end)

  it("are gone with its stack", function()
    open()
    local ok, message = pcall(dump:task(9).kernel_registers, dump:task(9))
    assert.is_false(ok)
    assert.matches("the kernel stack of process 9 defunct.* was freed", message)
  end)
end)
