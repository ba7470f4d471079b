-- Runs eight simulated VMs under mixed load: `make soak TIME=600`. Every answer is checked:
-- no status or dump may be lost or belong to another request. Prints figures, and fails if
-- something was lost or the caller's memory grew.
--
-- soak.lua SECONDS [SEED]
--
-- The seed, which it prints, chooses the operations; without one it differs from run to run.
--
-- Run it with MALLOC_MMAP_THRESHOLD_ set: otherwise, once glibc has freed a block of the
-- size of the read buffers, it allocates such blocks on its heap, and free space there
-- counts as the script's memory.

package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = (os.getenv("QVM_BUILD") or "build") .. "/?.so;" .. package.cpath

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local clock = require("system").monotime

local SECONDS = tonumber(arg[1] or 20)
local SEED = tonumber(arg[2] or os.time())
local VMS, RAM, SAMPLES = 8, 0x80000000, 10

math.randomseed(SEED)
print(("seed %d"):format(SEED))

local dumps = files.mkdir("dumps")
qvm.root(sim.root())

local guests = {}
for i = 1, VMS do
  local name = "linux" .. i
  local simulator = sim.start(name, ("set sim-erratum-843419 on\nset sim-dump-seconds %g\n"
    .. "ram 4M\ncpu\ncpu\ncpu\ndump %s\nvdev pl011 name console\n"):format(i % 2 * 0.1, dumps))
  guests[i] = {name = name, simulator = simulator, vm = assert(qvm.vm(name)), statuses = 0,
    dumps = 0, state = "running", pid = simulator.pid}
end

local operations = {}

function operations.status(guest)
  local text = assert(guest.vm:status {log = guest.simulator.log, settle = 0.02})
  guest.statuses = guest.statuses + 1
  local first = ("%s info: status %d "):format(guest.name, guest.statuses)
  assert(text:sub(1, #first) == first, text)
  assert(select(2, text:gsub("info: status ", "")) == 1, text)
  assert(text:find("vdev pl011 console\n$"), text)
end

function operations.dump(guest)
  if guest.dump then
    guest.dump:close()
    os.remove(guest.dump.path)
  end
  guest.dump = assert(guest.vm:dump {dir = dumps, timeout = 30})
  guest.dumps = guest.dumps + 1
  assert(guest.dump:cstring(RAM) == "simulated guest " .. guest.name)
  assert(guest.dump:u64(RAM + 0x100) == guest.dumps)
  assert(guest.dump.complete and guest.dump:vcpu(2))
  local said = ("info: dump %d written"):format(guest.dumps)
  assert(process.eventually(function() -- or the line would be part of a status
    return guest.simulator:log_text():find(said, 1, true)
  end))
end

function operations.read(guest)
  local dump = guest.dump
  if dump then
    local address = RAM + 0x108 + math.random(0, 1000) * 8
    assert(dump:u64(address) == address)
    assert(#assert(dump:read(RAM, 4 << 20)) == 4 << 20)
  end
end

function operations.search(guest)
  local found = 0
  if guest.dump then
    for address in guest.dump:find(guest.name) do
      found = found + (address >= RAM and 1 or 0)
    end
    assert(found > 1) -- in the memory, and in the report text
  end
end

function operations.env(guest)
  assert(guest.vm:state() == guest.state)
  assert(guest.vm:pid() == guest.pid)
  assert(#assert(qvm.errata.snapshot(guest.vm)) == 1)
end

for command, state in pairs {suspend = "suspended", resume = "running", reboot = "running"} do
  operations[command] = function(guest)
    guest.simulator:tell(command)
    guest.state = state
    operations.env(guest)
  end
end

local names = {}
for name in pairs(operations) do
  names[#names + 1] = name
end
table.sort(names)

-- Another script that lists all VMs continuously, also while they reboot.
local function start_watcher()
  return process.start({os.getenv("LUA") or "lua5.4", "-e", ([[
    package.path, package.cpath = %q, %q
    local qvm, clock = require "qvm", require "system".monotime
    local listings, missing, deadline = 0, 0, clock() + %g
    repeat
      for vm in qvm.vms() do
        local env, message, code = vm:env()
        assert(env or code == "not_found", message)
        local state = vm:state()
        assert(state == "running" or state == "suspended" or state == "unavailable"
          or state == "gone", state)
        listings, missing = listings + 1, missing + (env and 0 or 1)
      end
      require "system".sleep(0.02)
    until clock() > deadline
    print(listings, missing)]]):format(package.path, package.cpath, SECONDS)},
    {env = {QVM_ROOT = sim.root()}, log = files.path("watcher.log")})
end

local function usage()
  collectgarbage()
  collectgarbage()
  local file <close> = assert(io.open("/proc/self/status"))
  local descriptors = 0
  for _ in require("lfs").dir("/proc/self/fd") do
    descriptors = descriptors + 1
  end
  return math.tointeger(file:read("a"):match("VmRSS:%s*(%d+)")), descriptors,
    collectgarbage("count") // 1 | 0
end

local counts, samples = {}, {}
local watcher = start_watcher()
local start = clock()
repeat
  local guest = guests[math.random(VMS)]
  local name = names[math.random(#names)]
  operations[name](guest)
  counts[name] = (counts[name] or 0) + 1
  if clock() - start > (#samples + 0.9) * SECONDS / SAMPLES then
    samples[#samples + 1] = table.pack(usage())
  end
until clock() - start > SECONDS

watcher:wait()
local listings, missing = files.read(watcher.output):match("(%d+)\t(%d+)")
assert(listings, files.read(files.path("watcher.log")))

print(("%d VMs, %d s"):format(VMS, SECONDS))
for _, name in ipairs(names) do
  print(("  %-8s %6d"):format(name, counts[name] or 0))
end
print(("  another script listed the VMs %d times, %d of them during a reboot")
  :format(listings, missing))
local resident, lua = {}, {}
for i, sample in ipairs(samples) do
  resident[i], lua[i] = sample[1], sample[3]
end
print("  memory of this script, KiB: " .. table.concat(resident, " "))
print("  of that, Lua's:             " .. table.concat(lua, " "))

-- The minimum over several samples, since a single one may include garbage. The first
-- samples are skipped, because not every VM has an open dump yet.
local function least(first, last)
  local memory, descriptors = math.huge, math.huge
  for i = first, last do
    memory = math.min(memory, samples[i][1])
    descriptors = math.min(descriptors, samples[i][2])
  end
  return memory, descriptors
end

local memory, descriptors = least(SAMPLES // 2 - 1, SAMPLES // 2 + 1)
local memory_then, descriptors_then = least(#samples - 2, #samples)
for _, guest in ipairs(guests) do
  local log = guest.simulator:log_text()
  assert(select(2, log:gsub("info: status %d+ ", "")) == guest.statuses)
  assert(select(2, log:gsub("info: dump %d+ written", "")) == guest.dumps)
end
assert(memory_then < memory * 1.1 + 1024, "the script's memory grew")
assert(descriptors_then <= descriptors + VMS, "descriptors leaked")
sim.clean()
