-- For $LUA_INIT: the garbage collector at its most eager. $QVM_GC says how.
local how = os.getenv("QVM_GC")
if how == "generational" then
  collectgarbage("generational", 1, 1)
elseif how == "incremental" then
  collectgarbage("incremental", 100, 1000, 1)
  collectgarbage("setpause", 0)
end
if how == "hook" then
  debug.sethook(function() collectgarbage() end, "", tonumber(os.getenv("QVM_GC_EVERY")))
end
