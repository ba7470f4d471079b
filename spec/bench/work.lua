-- Runs one benchmark of the library in its own process: work.lua WORK REPEAT ARGUMENT...
-- Prints "time SECONDS" for each repetition, and "result N" (hexadecimal) to compare with
-- others. What a work does before it returns its function is not timed.

package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
package.cpath = (os.getenv("QVM_BUILD") or "build") .. "/?.so;" .. package.cpath

local qvm = require "qvm"
local system = require "system"

local works = {}

local function open(path)
  return assert(qvm.open(path))
end

local function numbers(path)
  local file <close> = assert(io.open(path, "rb"))
  local result = {}
  for bytes in function() return file:read(8) end do
    result[#result + 1] = string.unpack("<i8", bytes)
  end
  return result
end

local function count(next, state, value)
  local total = 0
  for _ in next, state, value do
    total = total + 1
  end
  return total
end

local function read_each(memory, values)
  return function()
    local sum = 0
    for i = 1, #values do
      sum = sum ~ memory:u64(values[i])
    end
    return sum
  end
end

function works.u64(path, addresses)
  return read_each(open(path), numbers(addresses))
end

-- By virtual address, in the kernel's space.
function works.virtual(path, addresses)
  return read_each(assert(open(path):kernel_space()), numbers(addresses))
end

function works.translate(path, addresses)
  local space, values = assert(open(path):kernel_space()), numbers(addresses)
  return function()
    local sum = 0
    for i = 1, #values do
      sum = sum ~ space:translate(values[i])
    end
    return sum
  end
end

function works.array(path, address, length)
  local dump = open(path)
  address, length = math.tointeger(address), math.tointeger(length)
  return function()
    return dump:array(address, "u64", length)[length]
  end
end

-- A member of a structure, read by name.
function works.members(path)
  local task = open(path):variable "init_task"
  return function()
    local length = 0
    for _ = 1, 100000 do
      length = length + #task.comm
    end
    return length
  end
end

function works.symbols(path, addresses)
  local dump, values = open(path), numbers(addresses)
  return function()
    local length = 0
    for i = 1, #values do
      length = length + #dump:symbol(values[i]):match("^[^+]*")
    end
    return length
  end
end

function works.find(path, pattern)
  return function()
    local dump <close> = open(path)
    return count(dump:find(pattern))
  end
end

function works.strings(path)
  return function()
    local dump <close> = open(path)
    return count(dump:strings())
  end
end

function works.diff(path, other)
  return function()
    local a <close> = open(path)
    local b <close> = open(other)
    local bytes = 0
    for _, size in a:diff(b) do
      bytes = bytes + size
    end
    return bytes
  end
end

-- Opens a dump and reads one value.
function works.first(path, address)
  address = math.tointeger(address)
  return function()
    local dump <close> = open(path)
    return dump:u64(address)
  end
end

-- Name, env, state and process of each VM. Returns the number of those that are served.
function works.vms(root)
  qvm.root(root)
  return function()
    local served = 0
    for vm in qvm.survey() do
      local known = #vm.name > 0 and vm:env() and vm:state() and vm:pid()
      served = served + (known and 1 or 0)
    end
    return served
  end
end

local function decoded(path, decode)
  local file <close> = assert(io.open(path, "rb"))
  local text = file:read("a")
  return function()
    return #decode(text).vcpus
  end
end

function works.decode(path)
  return decoded(path, qvm.decode)
end

-- The same by another library.
function works.cjson(path)
  return decoded(path, require("cjson").decode)
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
