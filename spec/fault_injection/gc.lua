-- For $LUA_INIT_5_4: runs the garbage collector as often as possible in every interpreter
-- that the specs start. In generational mode it runs after each percent of growth; in
-- incremental mode ($QVM_GC) it never pauses. Both modes also do a full collection at
-- regular intervals.

local EVERY = 1000000 -- instructions

if os.getenv("QVM_GC") == "incremental" then
  collectgarbage("incremental", 0, 1000)
else
  collectgarbage("generational", 1, 1)
end
debug.sethook(function() collectgarbage() end, "", EVERY)
