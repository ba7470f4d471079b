#!/usr/bin/env lua5.4
-- qvm-dumpdiff: compares two dumps of a VM: registers, and memory by region.
--
--     lua5.4 examples/dumpdiff.lua before.gcore after.gcore
--
-- The command itself is lua/qvm/cli/dumpdiff.lua; --help lists its options.

-- Finds the library, in a checkout or an installation. From then on nothing is loaded from
-- the current directory: see lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local start = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-dumpdiff: the qvm library is missing: run `make install`\n") and 2)

os.exit(start("qvm-dumpdiff", here, 2)("qvm.cli.dumpdiff").run(arg), true)
