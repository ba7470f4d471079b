#!/usr/bin/env lua5.4
-- qvm-firstcontact: compares a host with what is documented of it.
--
--     lua5.4 examples/firstcontact.lua linux1 --log /var/log/linux1.log --dir /dumps
--
-- The command itself is lua/qvm/firstcontact; --help lists its options.

-- Finds the library, in a checkout or an installation. From then on nothing is loaded from
-- the current directory: see lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local start = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-firstcontact: the qvm library is missing: run `make install`\n") and 2)

os.exit(start("qvm-firstcontact", here, 2)("qvm.firstcontact").run(arg), true)
