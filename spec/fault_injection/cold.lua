-- host cold.lua [all]: makes allocations fail while the library is loaded and when its
-- parts are used for the first time. Each attempt uses a new Lua state.

local build = os.getenv("QVM_BUILD") or "build"
package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = build .. "/?.so;" .. package.cpath

local calls = require "fault_injection.calls"
local faults = require "faults"

local thorough = ... == "all"
local o = calls.objects()

local head = ("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath)

-- Creates an object of every kind in the C core. Iterators are used in loops, which free what
-- they hold: Lua drops a finalizer that it has no memory to call ("error in __gc (not enough
-- memory)", as a warning), so what is left to the collector at that moment is lost.
local uses = [[
local first = true
return function()
  local texts = {}
  local function note(...)
    assert(..., select(2, ...))
    texts[#texts + 1] = tostring((...)):gsub("0x%x+", "")
  end
  local d = assert(qvm.open(PACKED))
  note(d:vcpu(0))
  note(d:log() == nil)
  note(d:read(0x80000000, 64))
  for address in d:find("the last words") do note(address) end
  for _, text in d:strings(20) do note(text) break end
  for _, size in d:diff(d) do note(size) end
  d:close()
  local e = assert(qvm.open(PLAIN))
  local space = assert(e:space {root = 0x41000, va_bits = 39, granule = 4096})
  for start in space:mappings() do note(start) break end
  for address in space:find("Oops") do note(address) break end
  note(e:log())
  e:close()
  qvm.root(ROOT)
  note(table.concat(assert(qvm.names()), " "))
  note(assert(qvm.vm("linux1")):state())
  return table.concat(texts, "; ")
end
]]

local scripts = {
  {name = "loading", every = 31, chunk = head .. [[
return function() return require "qvm".version end]]},
  -- Loads cjson first: it ends the process if it cannot allocate its buffer.
  {name = "first uses", every = 5, chunk = head
    .. ("require 'cjson'\nlocal qvm = require 'qvm'\n" .. uses)
    :gsub("PACKED", ("%q"):format(o.packed)):gsub("PLAIN", ("%q"):format(o.plain))
    :gsub("ROOT", ("%q"):format(require("support.sim").root()))},
}

local problems, attempts = 0, 0

local function attempt(script, what, at, all, wanted)
  local hit, ok, text, ok_second, second, blocks = faults.fresh(script.chunk, what, at, all)
  attempts = attempts + 1
  local problem
  -- `require` reports a file that it cannot open as missing.
  if not ok and not text:find("not enough memory", 1, true)
    and not (what == "c" and text:find("module '", 1, true)) then
    problem = "raises " .. text
  elseif ok and text ~= wanted then
    problem = "returns " .. text
  elseif not ok_second or second ~= wanted then
    problem = "the second call returns " .. second
  elseif blocks ~= 0 then
    problem = blocks .. " blocks leaked"
  end
  if problem then
    problems = problems + 1
    print(("PROBLEM %s: %s %d %s: %s"):format(script.name, what, at,
      all and "and all after" or "", problem:sub(1, 300)))
  end
  return hit
end

for _, script in ipairs(scripts) do
  local _, ok, wanted = faults.fresh(script.chunk, "lua", 0, false)
  assert(ok, wanted)
  for _, what in ipairs {"lua", "c"} do
    for _, all in ipairs {false, true} do
      local at = 1
      while attempt(script, what, at, all, wanted) do
        at = at + (thorough and 1 or what == "lua" and script.every or 1)
      end
    end
  end
end
calls.clean()
print(("%d attempts, %d problems"):format(attempts, problems))
os.exit(problems == 0 and 0 or 1, true)
