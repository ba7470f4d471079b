#!/usr/bin/env lua5.4
-- qvm-diag: reports what the host knows about its virtual machines.
--
--     lua5.4 examples/diag.lua linux1
--     lua5.4 examples/diag.lua linux1 --status /var/log/linux1.log --dump /dumps
--     lua5.4 examples/diag.lua --read linux1-20261122-101500.gcore
--
-- The command itself is lua/qvm/diag; --help lists its options.

-- Finds the library, in a checkout or an installation. From then on nothing is loaded from
-- the current directory: see lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local start = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-diag: the qvm library is missing: run `make install`\n") and 1)

os.exit(start("qvm-diag", here, 1)("qvm.diag").run(arg), true)
