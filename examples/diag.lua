#!/usr/bin/env lua5.4
-- What the host knows of its virtual machines.
--
--     lua5.4 examples/diag.lua linux1
--     lua5.4 examples/diag.lua linux1 --status /var/log/linux1.log --dump /dumps
--     lua5.4 examples/diag.lua --read linux1-20261122-101500.gcore
--
-- Exit status: 0 found and every step worked, 1 a VM is absent or a step failed,
-- 2 a mistake in the arguments, 3 the errata differ from the baseline. --help has
-- the options; lua/qvm/diag is where the work is done.
--
-- Nothing here is beyond the syntax of Lua 5.1, so that an older `lua` gets as
-- far as saying that it is too old.

-- qvm need not be on the path: look for it from where this file is, in a checkout,
-- below the prefix of `make install`, or in a tree of luarocks.
local here = arg[0]:match("^(.*)/[^/]*$") or "."

local function look_in(lua_directory, c_directory)
  package.path = ("%s;%s/?.lua;%s/?/init.lua"):format(package.path, lua_directory, lua_directory)
  package.cpath = ("%s;%s/?.so"):format(package.cpath, c_directory)
end

look_in(here .. "/../lua", os.getenv("QVM_BUILD") or here .. "/../build")
for _, prefix in ipairs {here .. "/..", here .. "/../../../../../.."} do
  look_in(prefix .. "/share/lua/5.4", prefix .. "/lib/lua/5.4")
end

local function fail(message)
  io.stderr:write("qvm-diag: ", message, "\n")
  os.exit(1)
end

local advice = {
  argparse = "Lua's argparse is missing: install lua-argparse",
  cjson = "lua-cjson is missing: install lua-cjson",
  ["qvm.core"] = "the qvm library is not built: run `make`",
  ["qvm.diag"] = "the qvm library is missing: run `make install`",
}

if _VERSION ~= "Lua 5.4" then
  fail("this is " .. _VERSION .. ": run it with lua5.4")
end
local found, diag = pcall(require, "qvm.diag")
if not found then
  diag = tostring(diag)
  fail(advice[diag:match("module '([^']*)' not found:")] or diag:match("[^\n]*"))
end
os.exit(diag.run(arg), true)
