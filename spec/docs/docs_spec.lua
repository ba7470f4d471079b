-- Runs the code blocks of the documents, so that they stay correct.
--
-- Each chapter (`## `) has a shell in a clone of this checkout, and an interpreter
-- (`lua5.4 -l qvm`); its blocks run in order and share state. The start of a
-- block determines how it is run:
--
--   ```lua         a script. It must raise nothing and reach each line that prints.
--   ```sh          commands, which must all succeed. Their output is ignored.
--   ``` and `$ `   a session: commands, each followed by its exact output (none: it
--                  succeeds and prints nothing).
--   ``` and `> `   lines typed at Lua's prompt, likewise followed by the output. `$
--                  lua5.4 -l qvm` before them starts a new interpreter.
--
-- `...` on a line of its own stands for any number of lines, and at the end of a line for the
-- rest of it. Process and thread IDs, times, and in real guests' dumps addresses
-- and versions, may differ: the rules are in spec/docs/compare.lua. /tmp, /dumps,
-- /var/log and /usr/local are in the test's directory, and the root of VMs is
-- /tmp/vms.
--
-- Before a block, hidden comments at the left margin can say:
--
--   <!-- given        a session to run before it: `$ simulate linux1` starts a
--   $ ...             simulated VM (spec/docs/prelude.sh); `> vm = qvm.vm "linux1"`
--   -->
--   <!-- output -->   the block is the output of the one before it, a script or
--                     commands
--   <!-- not run: why -->
--
-- A block with `build/guests/` in it, or in what is given, needs dumps of a real guest, and is run
-- by `make test-real`. A block that is neither run nor marked is a failure.
--
-- `busted -o TAP spec/docs/docs_spec.lua` lists the blocks.

local sim = require "support.sim"
local suite = require "docs.suite"

for _, document in ipairs(require "docs.documents") do
  suite.define(document, false, not sim.can_signal and "not run under valgrind")
end
