-- Measures listing VMs and decoding env documents, with a reference in the same run: `make
-- bench`. Medians of five. Trust the ratios.

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
bench_decode()
sim.clean()
