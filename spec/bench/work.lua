-- Runs one benchmark of the library in its own process: work.lua WORK REPEAT FILE... Prints
-- "time SECONDS" for each repetition, and "result N" (hexadecimal) to compare with others.

package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
package.cpath = (os.getenv("QVM_BUILD") or "build") .. "/?.so;" .. package.cpath

local qvm = require "qvm"
local system = require "system"

local works = {}

function works.list(path)
  return function()
    local dump <close> = assert(qvm.open(path))
    local registers = 0
    for _ in dump:segments() do end
    for cpu in dump:vcpus() do
      for _ in cpu:registers() do
        registers = registers + 1
      end
    end
    return registers
  end
end

function works.open(path)
  return function()
    assert(qvm.open(path)):close()
    return 0
  end
end

-- The first numbers in a file of numbers, or all.
local function numbers(path, count)
  local file <close> = assert(io.open(path, "rb"))
  local result = {}
  for bytes in function() return file:read(8) end do
    result[#result + 1] = string.unpack("<i8", bytes)
    if #result == count then
      break
    end
  end
  return result
end

function works.random(path, addresses)
  local dump, values = assert(qvm.open(path)), numbers(addresses)
  return function()
    local sum = 0
    for i = 1, #values do
      sum = sum ~ dump:u64(values[i])
    end
    return sum
  end
end

-- A member of a structure, read by name.
function works.members(path)
  local task = assert(qvm.open(path)):variable "init_task"
  return function()
    local length = 0
    for _ = 1, 100000 do
      length = length + #task.comm
    end
    return length
  end
end

-- By virtual address, in the kernel's space.
function works.virtual(path, addresses)
  local dump, values = assert(qvm.open(path)), numbers(addresses)
  local space = assert(dump:kernel_space())
  return function()
    local sum = 0
    for i = 1, #values do
      sum = sum ~ space:u64(values[i])
    end
    return sum
  end
end

function works.mappings(path)
  local space = assert(assert(qvm.open(path)):kernel_space())
  return function()
    local ranges = 0
    for _ in space:mappings() do
      ranges = ranges + 1
    end
    return ranges
  end
end

function works.translate(path, addresses)
  local dump, values = assert(qvm.open(path)), numbers(addresses)
  local space = assert(dump:kernel_space())
  return function()
    local sum = 0
    for i = 1, #values do
      sum = sum ~ space:translate(values[i])
    end
    return sum
  end
end

-- The loop alone.
function works.loop(_, addresses)
  local values = numbers(addresses)
  return function()
    local sum = 0
    for i = 1, #values do
      sum = sum ~ values[i]
    end
    return sum
  end
end

-- Opens a dump and reads one of five values, in turn.
function works.first(path, addresses)
  local values, at = numbers(addresses, 5), 0
  return function()
    at = at % #values + 1
    local dump <close> = assert(qvm.open(path))
    return dump:u64(values[at])
  end
end

function works.array(path, address, count)
  local dump = assert(qvm.open(path))
  address, count = math.tointeger(address), math.tointeger(count)
  return function()
    return dump:array(address, "u64", count)[count]
  end
end

function works.find(path, pattern)
  return function()
    local dump <close> = assert(qvm.open(path))
    local found = 0
    for _ in dump:find(pattern) do
      found = found + 1
    end
    return found
  end
end

function works.strings(path)
  return function()
    local dump <close> = assert(qvm.open(path))
    local found = 0
    for _ in dump:strings() do
      found = found + 1
    end
    return found
  end
end

function works.diff(path, other, granularity)
  granularity = math.tointeger(granularity)
  return function()
    local a <close> = assert(qvm.open(path))
    local b <close> = assert(qvm.open(other))
    local bytes = 0
    for _, size in a:diff(b, {granularity = granularity}) do
      bytes = bytes + size
    end
    return bytes
  end
end

-- Peak memory, in KiB, of a process that reads at random offsets.
function works.peak(path, addresses)
  local dump, values = assert(qvm.open(path)), numbers(addresses, 1000)
  return function()
    for i = 1, #values do
      assert(dump:u64(values[i]))
    end
    for line in io.lines("/proc/self/status") do
      local size = line:match("^VmHWM:%s*(%d+) kB")
      if size then
        return math.tointeger(size)
      end
    end
  end
end

local name = arg[1]
local run = works[name](table.unpack(arg, 3))
local result
for _ = 1, math.tointeger(arg[2]) do
  collectgarbage()
  local start = system.monotime()
  result = run()
  print(("time %.9f"):format(system.monotime() - start))
end
print(("result %x"):format(result))
