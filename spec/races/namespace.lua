-- Shell text that is run where it can do no harm: in namespaces of its own.

local files = require "support.files"
local process = require "support.process"
local sim = require "support.sim"

local namespace = {}

-- Whether `unshare` with these options works here, and the shell text after it.
function namespace.can(options, text)
  return (os.execute(("env -u LD_PRELOAD unshare %s sh -c %s >/dev/null 2>&1"):format(options,
    process.quote(text or "true"))))
end

-- Runs shell text in namespaces that `unshare` makes by these options. Its
-- positional parameters are `words`, and $work, $build, $lua and $specs are set, as
-- is what a Lua program needs. Returns what it printed; fails where it does.
function namespace.run(options, text, words)
  local setting = ([[
    set -eu
    work=%s build=%s lua=%s specs=%s
    export LUA_PATH=%s LUA_CPATH=%s QVM_ROOT="$work/vms"
  ]]):format(process.quote(files.dir()), process.quote(sim.build),
    process.quote(os.getenv("LUA") or "lua5.4"),
    process.quote(require("lfs").currentdir() .. "/spec"), process.quote(package.path),
    process.quote(package.cpath))
  local line = {}
  for i, word in ipairs(words or {}) do
    line[i] = process.quote(tostring(word))
  end
  local script = files.write("script.sh", setting .. text)
  local out, errors = files.path("out"), files.path("errors")
  local ok = os.execute(("env -u LD_PRELOAD unshare %s sh %s %s >%s 2>%s"):format(options,
    process.quote(script), table.concat(line, " "), process.quote(out), process.quote(errors)))
  assert(ok, files.read(out):sub(1, 2000) .. files.read(errors):sub(1, 4000))
  return files.read(out)
end

return namespace
