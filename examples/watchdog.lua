#!/usr/bin/env lua5.4
-- qvm-watchdog: captures status text and a dump when a VM is suspended, restarted or stuck.
--
--     lua5.4 examples/watchdog.lua --dir /captures --log '/var/log/{vm}.log' --dump /dumps
--
-- The command itself is lua/qvm/cli/watchdog.lua; --help lists its options.

-- Finds the library, in a checkout or an installation. From then on nothing is loaded from
-- the current directory: see lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local start = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-watchdog: the qvm library is missing: run `make install`\n") and 1)

os.exit(start("qvm-watchdog", here, 1)("qvm.cli.watchdog").run(arg), true)
