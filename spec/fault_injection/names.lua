-- host names.lua: prints the names of the calls in calls.lua.

local build = os.getenv("QVM_BUILD") or "build"
package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = build .. "/?.so;" .. package.cpath

local calls = require "fault_injection.calls"

for _, call in ipairs(calls.list(calls.objects())) do
  print((call.name:match("^[^ ]+")))
end
calls.clean()
