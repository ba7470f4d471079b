-- Command lines, by argparse: mistakes are one line and the exit status 2.

local line = require "qvm.util.text"

local arguments = {}

-- What a command line says; nil and the mistake in it. words: those of `arg`, unless given.
function arguments.parse(parser, words)
  local ok, options = parser:pparse(words)
  if ok then
    return options
  end
  local mistake = tostring(options):gsub("%s+", " "):gsub("([^.])( Did you)", "%1.%2")
  return nil, mistake .. " (--help shows how)"
end

-- What a command line says, or the end of the program.
function arguments.of(parser, name)
  local options, mistake = arguments.parse(parser)
  if not options then
    io.stderr:write(line.harmless(name .. ": " .. mistake), "\n")
    os.exit(2, true)
  end
  return options
end

return arguments
