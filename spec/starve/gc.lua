-- For $LUA_INIT_5_4: the garbage collector at its most eager, in every interpreter that the
-- specs start. Generational: after each percent of growth. Incremental ($QVM_GC): it never
-- pauses. And, of either, a full collection now and then in the midst of things.

local EVERY = 1000000 -- instructions

if os.getenv("QVM_GC") == "incremental" then
  collectgarbage("incremental", 0, 1000)
else
  collectgarbage("generational", 1, 1)
end
debug.sethook(function() collectgarbage() end, "", EVERY)
