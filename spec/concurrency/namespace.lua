-- Runs shell text in its own namespaces, where it cannot affect the host.

local files = require "support.files"
local process = require "support.process"
local sim = require "support.sim"

local namespace = {}

-- Tests whether `unshare` works here with these options; returns the command prefix.
function namespace.can(options, text)
  return (os.execute(("env -u LD_PRELOAD unshare %s sh -c %s >/dev/null 2>&1"):format(options,
    process.quote(text or "true"))))
end

-- Runs shell text in namespaces that `unshare` creates with these options. Its positional
-- parameters are `words`; $work, $build, $lua and $specs are set, as are the variables that
-- a Lua program needs. Returns its output; fails if it fails.
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
