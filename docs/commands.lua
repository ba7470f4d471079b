-- Makes the manual pages of the commands, and their completion in bash, from the argparse
-- parsers that also make --help:
--
--     lua5.4 docs/commands.lua build diag gdbserve
--
-- It writes build/man/man1/qvm-NAME.1 and build/completions/qvm-NAME for each NAME.

local here = arg[0]:match("^(.*/)[^/]*$") or "./"
package.path = ("%scommands/?.lua;%s../lua/?.lua;%s../lua/?/init.lua;"):format(here, here, here)
  .. (";" .. package.path):gsub(";[^;/][^;]*", "") -- and nothing from the current directory

-- The parsers do not use the C module, which may be for another machine: a stand-in is enough to
-- load what is around them. Each of its members is another one; a call does nothing.
local stand_in = {__call = function() end}
function stand_in.__index()
  return setmetatable({}, stand_in)
end
package.loaded["qvm.core"] = setmetatable({}, stand_in)

if not pcall(require, "argparse") then
  io.stderr:write("no manual pages and no completion: Lua's argparse is missing\n")
  os.exit(0)
end

local bash = require "bash"
local manual = require "manual"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = assert(file:read("a"))
  assert(file:close())
  return text
end

local function save(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- The parser of a command. The last line of its script names the module.
local function parser_of(name)
  local path = here .. "../examples/" .. name .. ".lua"
  local module = read(path):match('%("(qvm%.[%w_.]+)"%)%.run%(arg%)')
    or error(path .. ": it runs no module", 0)
  return require(module).parser()
end

local build = arg[1] or error("give the directory to write to", 0)
local names = table.move(arg, 2, #arg, 1, {})
for _, name in ipairs(names) do
  local command = "qvm-" .. name
  save(("%s/man/man1/%s.1"):format(build, command), manual.page(command, parser_of(name), names))
  save(("%s/completions/%s"):format(build, command), bash.completion(parser_of(name)))
end
