-- What the library costs, with what it is measured against in the same run:
-- `make bench`. Median of five. Trust the ratios, not the times.

package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = (os.getenv("QVM_BUILD") or "build") .. "/?.so;" .. package.cpath

local cjson = require "cjson"
local dkjson = require "dkjson"
local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local system = require "system"

local lua = os.getenv("LUA") or "lua5.4"

local function time(f)
  local times = {}
  for i = 1, 5 do
    collectgarbage()
    local start = system.monotime()
    f()
    times[i] = system.monotime() - start
  end
  table.sort(times)
  return times[3]
end

local function row(what, seconds, base)
  print(("  %-46s %10.3f ms%s"):format(what, seconds * 1000,
    base and ("  %6.2f x"):format(seconds / base) or ""))
end

local function shell(command)
  assert(os.execute(command .. " >/dev/null"))
end

local function bench_names()
  print("\n1000 VMs")
  for i = 1, 1000 do
    local name = ("vms/vm%04d"):format(i)
    files.mkdir(name)
    files.write(name .. "/env", "{}")
  end
  local program = ("package.path=%q;package.cpath=%q;"):format(package.path, package.cpath)
  local function run(script)
    return time(function()
      shell(("QVM_ROOT=%s %s -e %s"):format(sim.root(), lua, process.quote(program .. script)))
    end)
  end
  local base = time(function() shell("ls -d " .. sim.root() .. "/*/env") end)
  row("ls -d */env, whole process", base)
  row("lua alone, whole process", run(""), base)
  row('require "qvm", whole process', run("require 'qvm'"), base)
  row("require and qvm.names(), whole process", run("assert(#require'qvm'.names()==1000)"), base)
  row("qvm.names()", time(function() assert(#qvm.names() == 1000) end), base)
end

local function dump_of(name, ram)
  local dumps = files.mkdir(name .. "-dumps")
  local vm = sim.start(name, ("ram 0,%s\ncpu\ncpu\ndump %s"):format(ram, dumps))
  vm:tell("dump")
  vm:stop()
  return dumps .. "/" .. files.list(dumps)[1]
end

local function bench_open(paths)
  print("\nopening a dump, listing segments and registers, 100 times")
  local base
  for _, size in ipairs {"16M", "1G", "8G"} do
    local path = paths[size]
    local seconds = time(function()
      for _ = 1, 100 do
        local dump <close> = assert(qvm.open(path))
        for _ in dump:segments() do end
        for _ in dump:vcpus() do end
      end
    end)
    base = base or seconds
    row(size .. (" (%.1f MiB on the disk)"):format(
      require("lfs").attributes(path, "blocks") / 2048), seconds, base)
  end
end

local function bench_read(path)
  print("\nreading, cached")
  local dump <close> = assert(qvm.open(path))
  local file <close> = assert(io.open(path, "rb"))
  local offset
  for s in dump:segments() do
    offset = offset or s.offset - s.paddr
  end
  local count = 200000
  local places = {}
  for i = 1, count do
    places[i] = math.random(0, (16 << 20) - 8)
  end
  local base = time(function()
    for i = 1, count do
      file:seek("set", places[i] + offset)
      local _ = string.unpack("<i8", file:read(8))
    end
  end)
  row("200000 u64: file:seek, read, unpack", base)
  row("200000 u64: d:u64()", time(function()
    for i = 1, count do
      local _ = dump:u64(places[i])
    end
  end), base)
  row("200000 u64: empty loop", time(function()
    for i = 1, count do
      local _ = places[i]
    end
  end), base)
  base = time(function()
    file:seek("set", offset)
    assert(#file:read(15 << 20) == 15 << 20)
  end)
  row("15 MiB: file:read", base)
  row("15 MiB: d:read()", time(function() assert(dump:read(0, 15 << 20)) end), base)
end

local function bench_decode()
  print("\ndecoding 1 MiB of JSON, as env documents have it")
  local records = {}
  for i = 1, 20000 do
    records[i] = ('{ "tid": %d, "last_known_ip": 18446603336490160692 }'):format(i)
  end
  local text = '{"vcpus": [\n' .. table.concat(records, ",\n") .. "]}"
  local base = time(function() cjson.decode(text) end)
  row("lua-cjson (C, numbers as floats)", base)
  row("qvm.decode (C, exact)", time(function() assert(qvm.decode(text)) end), base)
  row("dkjson (Lua)", time(function() dkjson.decode(text) end), base)
end

qvm.root(sim.root())
bench_names()
local paths = {}
for _, size in ipairs {"16M", "1G", "8G"} do
  paths[size] = dump_of("dump" .. size, size)
end
bench_open(paths)
bench_read(paths["16M"])
bench_decode()
sim.clean()
