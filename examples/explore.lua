#!/usr/bin/env lua5.4
-- qvm-explore: a Lua prompt for the VMs of this host, and for dumps.
--
--     lua5.4 examples/explore.lua
--     lua5.4 examples/explore.lua linux1-20261122-101500.gcore
--
-- The command itself is lua/qvm/cli/explore.lua; --help lists its options.

-- Finds the library, in a checkout or an installation. From then on nothing is loaded from
-- the current directory: see lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local start = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-explore: the qvm library is missing: run `make install`\n") and 1)

os.exit(start("qvm-explore", here, 1)("qvm.cli.explore").run(arg), true)
