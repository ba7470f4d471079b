-- host names.lua: the names of what calls.lua calls.

local build = os.getenv("QVM_BUILD") or "build"
package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = build .. "/?.so;" .. package.cpath

local calls = require "starve.calls"

for _, call in ipairs(calls.list(calls.objects())) do
  print((call.name:match("^[^ ]+")))
end
calls.clean()
