#!/usr/bin/env lua5.4
-- qvm-gdbserve: shows a dump to gdb: vCPUs as threads, registers, virtual memory.
--
--     gdb -ex 'target remote | lua5.4 examples/gdbserve.lua linux1-20261122-101500.gcore'
--     lua5.4 examples/gdbserve.lua --port 1234 linux1-20261122-101500.gcore
--
-- The command itself is lua/qvm/gdb; --help lists its options.

-- Finds the library, in a checkout or an installation. From then on nothing is loaded from
-- the current directory: see lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local start = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-gdbserve: the qvm library is missing: run `make install`\n") and 1)

os.exit(start("qvm-gdbserve", here, 1)("qvm.gdb").run(arg), true)
