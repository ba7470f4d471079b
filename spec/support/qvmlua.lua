-- The executable that the specs in spec/qvmlua test.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"

local qvmlua = {}

-- The executable: $QVMLUA, or that of the build. $QVMLUA_RUN is a static program that runs it,
-- if this machine cannot: an emulator.
qvmlua.path = os.getenv("QVMLUA") or lfs.currentdir() .. "/build/qvmlua/qvmlua"
qvmlua.emulator = os.getenv("QVMLUA_RUN")

-- The words of a command that runs it with these arguments and no environment but `env`.
function qvmlua.words(arguments, env)
  local words = {"env", "-i"}
  for name, value in pairs(env or {}) do
    words[#words + 1] = name .. "=" .. value
  end
  words[#words + 1] = qvmlua.emulator
  words[#words + 1] = qvmlua.path
  return table.move(arguments, 1, #arguments, #words + 1, words)
end

-- Runs it in a directory of the test. options: input (text), cwd, env. Returns status, output
-- and errors.
function qvmlua.run(arguments, options)
  options = options or {}
  local words = qvmlua.words(arguments, options.env)
  for i, word in ipairs(words) do
    words[i] = process.quote(word)
  end
  local input = files.write("input", options.input or "")
  return process.run({"sh", "-c", table.concat(words, " ") .. " <" .. process.quote(input)},
    {cwd = options.cwd or files.dir()})
end

return qvmlua
