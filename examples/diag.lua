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

-- Sees to it that nothing is loaded from the current directory: lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local begin = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-diag: the qvm library is missing: run `make install`\n") and 1)
local need = begin("qvm-diag", here, 1)

os.exit(need("qvm.diag").run(arg), true)
