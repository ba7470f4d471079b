-- The script of each thread of host.c: uses all parts of the library repeatedly. Arguments:
-- the thread's number, and "DIRECTORY ROUNDS".

local number, argument = ...
local directory, rounds = argument:match("^(.*) (%d+)$")
local unchanged = unchanged -- luacheck: globals unchanged

local qvm = require "qvm"

-- Returns the results of a call after checking that the program's signals are unchanged.
local function checked(...)
  unchanged()
  return ...
end

local function count(...)
  local n = 0
  for _ in ... do
    n = n + 1
  end
  return checked(n)
end

local function look_at_vms()
  assert(#checked(assert(qvm.names())) == 1)
  for vm in qvm.vms() do
    local env = checked(assert(vm:env()))
    assert(count(env:vcpus()) == 2)
    assert(checked(vm:state()) == "running")
    assert(math.type(checked(assert(vm:pid()))) == "integer")
    assert(checked(vm:signal("status")))
    assert(#checked(assert(qvm.errata.snapshot(vm))) == 0)
  end
  local none, _, code = qvm.vm("none")
  assert(none == nil and code == "not_found")
end

-- A dump that all threads read. The simulator writes the dump's identity into its memory.
local function read(dump)
  for address = 0x80000108, 0x8000f000, 0x1008 & ~7 do
    assert(dump:u64(address) == address)
  end
  unchanged()
  assert(#checked(assert(dump:read(0x80000000, 1 << 20))) == 1 << 20)
  assert(checked(dump:cstring(0x80000000)) == "simulated guest linux1")
  assert(count(dump:find("simulated guest")) > 0)
  assert(count(dump:vcpus()) == 2)
end

-- A file of its own, truncated while its mapping is read.
local function cut(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes):close()
  local dump <close> = checked(assert(qvm.open(path)))
  assert(dump:u64(0x80000108) == 0x80000108)
  assert(io.open(path, "wb")):close()
  local value, _, code = dump:u64(0x80008000)
  assert(value == nil and code == "truncated", tostring(value))
  unchanged()
end

local file <close> = assert(io.open(directory .. "/small.gcore", "rb"))
local bytes = file:read("a")
local other = assert(qvm.open(directory .. "/other.gcore"))

for round = 1, math.tointeger(rounds) do
  look_at_vms()
  local dump <close> = checked(assert(qvm.open(directory .. "/shared.gcore")))
  read(dump)
  assert(count(dump:diff(other)) > 0) -- the thread ids in the text
  cut(("%s/cut.%d"):format(directory, number), bytes)
  if round % 2 == 0 then -- occasionally all of them are closed
    other:close()
    other = assert(qvm.open(directory .. "/other.gcore"))
  end
  local packed <close> = checked(assert(qvm.open(directory .. "/shared.gz")))
  assert(packed:u64(0x80000108) == 0x80000108)
  assert(qvm.decode('{"a": [1, 2, {"b": null}]}').a[2] == 2)
  unchanged()
end
other:close()
unchanged()
