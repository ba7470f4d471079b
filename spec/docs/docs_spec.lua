-- The code blocks of the documents, run: so that they stay true.
--
-- Each chapter (`## `) has a shell in a clone of this checkout, and an interpreter
-- (`lua5.4 -l qvm`); its blocks run in order and share what they make. Where a
-- block begins decides how it is run:
--
--   ```lua         a script. It must not raise, and get to each line that prints.
--   ```sh          commands, which must all succeed. What they print does not count.
--   ``` and `$ `   a session: commands, each with exactly what it prints below it
--                  (nothing: it succeeds and prints nothing). Lines that begin
--   ``` and `> `   with `> ` are typed at Lua's prompt, and the same holds. `$
--                  lua5.4 -l qvm` before them starts a new interpreter.
--
-- `...` on a line of its own stands for any lines, and at the end of a line for the
-- rest of it. Process and thread ids, times, and in real guests' dumps addresses
-- and versions, may differ: the rules are in docs/compare.lua. /tmp, /dumps,
-- /var/log and /usr/local are in the test's directory, and the root of VMs is
-- /tmp/vms.
--
-- Before a block, hidden comments at the left margin may say:
--
--   <!-- given        a session that goes before it: `$ simulate linux1` starts a
--   $ ...             simulated VM (docs/prelude.sh); `> vm = qvm.vm "linux1"`
--   -->
--   <!-- output -->   the block is what the one before it printed, a script or
--                     commands
--   <!-- not run: why -->
--
-- A block with `build/guests/` in it needs dumps of a real guest, and is run by
-- `make test-real`. A block that is neither run nor marked is a failure.
--
-- `busted -o TAP spec/docs/docs_spec.lua` lists the blocks.

local sim = require "support.sim"
local suite = require "docs.suite"

for _, document in ipairs(require "docs.documents") do
  suite.define(document, false, not sim.can_signal and "nothing of it runs under valgrind")
end
