-- The command line of qvmlua:
--
--     qvmlua COMMAND [ARGUMENT...]        one of the commands in examples/
--     qvmlua [OPTION...] [SCRIPT [ARGUMENT...]]   as `lua`, with its options
--
-- It differs from `lua` where docs/security.md demands it: nothing is loaded from the current
-- directory, and no C modules are loaded. Its prompt is that of qvm-explore.

local core = require "qvm.core"
local commands = require "qvmlua.commands"

local function command_names()
  local names = {}
  for name in pairs(commands) do
    names[#names + 1] = name
  end
  table.sort(names)
  return table.concat(names, " ")
end

local USAGE = [[
Usage: qvmlua COMMAND [ARGUMENT]...
       qvmlua [OPTION]... [SCRIPT [ARGUMENT]...]

Lua 5.4 with the qvm library, in one file.

COMMAND: %s
   qvmlua COMMAND --help shows what one does. ./NAME is a script of that name.

Options, as those of lua:
   -e CODE       runs CODE
   -l MODULE     requires MODULE into a global variable; -l NAME=MODULE names it
   -i            shows the prompt, after SCRIPT if there is one
   -v            prints the versions, as --version
   -E            ignores the environment variables of Lua
   -W            turns warnings on
   --            ends the options
   -             runs standard input; so does no argument, if that is no terminal
   --version     prints the versions of what it contains
   --licences    prints the licences of what it contains
   --help        prints this text]]

local function say(message)
  io.stderr:write("qvmlua: ", message, "\n")
end

-- The command line ------------------------------------------------------------------------

local FLAGS = {["-i"] = true, ["-v"] = true, ["-E"] = true, ["--version"] = true,
  ["--licences"] = true, ["--help"] = true}

-- Splits the words. Returns the flags that are set; the steps to do in order, each the letter
-- of an option and its argument; and the index of the script's name, or of the word after the
-- last. Or nil and what is wrong.
local function parse(words)
  local flags, steps, at = {}, {}, 1
  while words[at] and words[at]:find("^%-.") do
    local word = words[at]
    local letter, argument = word:match("^%-([el])(.*)$")
    if letter and argument == "" then
      at = at + 1
      argument = words[at]
    end
    if word == "--" then
      return flags, steps, at + 1
    elseif letter and (not argument or argument:find("^%-")) then
      return nil, ("'%s' needs an argument"):format(word)
    elseif letter or word == "-W" then
      steps[#steps + 1] = {letter or "W", argument}
    elseif FLAGS[word] then
      flags[word] = true
    else
      return nil, ("unrecognized option '%s'"):format(word)
    end
    at = at + 1
  end
  return flags, steps, at
end

-- The global `arg`: the script's name at 0, its arguments after it, all else before it.
local function arguments(words, at)
  local list = {}
  for i = 0, #words do
    list[i - (words[at] and at or 0)] = words[i]
  end
  return list
end

-- Where modules come from -----------------------------------------------------------------

-- An environment variable of Lua, by its name with and without a version.
local function lua_variable(name, flags)
  return not flags["-E"] and (os.getenv(name .. "_5_4") or os.getenv(name)) or nil
end

local function set_paths(flags)
  local default = package.path
  local path = (lua_variable("LUA_PATH", flags) or default):gsub(";;", function()
    return ";" .. default .. ";"
  end)
  package.path = (";" .. path):gsub(";[^;/][^;]*", ""):gsub("^;+", "")
  package.cpath = ""
  package.searchers[3] = function() return "qvmlua loads no C modules" end
  package.searchers[4] = nil
end

-- Adds the directory of a script to the path. Others may be able to put files into it, or it
-- may have a name that cannot be in a path: then the message of `require` says so.
local function look_beside(script, is_safe)
  local directory = script:match("^(.*/)") or ""
  if not directory:find("^/") then
    local current, message = core.current_directory()
    if not current then
      return say(message)
    end
    directory = current .. "/" .. directory
  end
  if is_safe(directory) and not directory:find("[;?]") then
    package.path = ("%s?.lua;%s?/init.lua;%s"):format(directory, directory, package.path)
    return
  end
  table.insert(package.searchers, function()
    return ("no modules beside the script: %s"):format(directory:find("[;?]")
      and "the directory has ';' or '?' in its name" or "others can write to its directory")
  end)
end

-- Running ---------------------------------------------------------------------------------

local function with_traceback(problem)
  local meta = debug.getmetatable(problem)
  if type(problem) ~= "string" and type(problem) ~= "number" then
    if type(meta) == "table" and meta.__tostring then
      return tostring(problem)
    end
    problem = ("(error object is a %s value)"):format(type(problem))
  end
  -- Without the functions of this file, which are below those of the user.
  return (debug.traceback(problem, 2)
    :gsub("\n\t%[C%]: in function 'xpcall'\n\tqvmlua:main%.lua.*", ""))
end

-- Calls a function, or reports why there is none. Returns whether it succeeded.
local function call(f, ...)
  if not f then
    say((...))
    return false
  end
  local ok, problem = xpcall(f, with_traceback, ...)
  if not ok then
    say(problem)
  end
  return ok
end

local function run_init(flags)
  local init = lua_variable("LUA_INIT", flags)
  if not init then
    return true
  elseif init:find("^@") then
    return call(loadfile(init:sub(2)))
  end
  return call(load(init, "=LUA_INIT"))
end

local step = {}

function step.e(code)
  return call(load(code, "=(command line)"))
end

function step.l(word)
  local name, module = word:match("^([^=]*)=(.*)$")
  return call(function()
    _G[name or word] = require(module or word)
  end)
end

function step.W()
  warn "@on"
  return true
end

local function run_steps(steps)
  for _, item in ipairs(steps) do
    if not step[item[1]](item[2]) then
      return false
    end
  end
  return true
end

local function run_script(script, list)
  local chunk, message = loadfile(script ~= "-" and script or nil)
  if not chunk and message:find("^cannot open ") then
    message = ("%s; the commands are: %s"):format(message, command_names())
  end
  if not chunk then
    return call(nil, message)
  end
  return call(chunk, table.unpack(list))
end

local function prompt()
  local repl = require "qvm.prompt.repl"
  local read, kind = require "qvm.prompt.line_editor".open()
  if kind ~= "script" then
    print("Ctrl-D leaves")
  end
  local env = setmetatable({print = repl.print, list = repl.list},
    {__index = _G, __newindex = _G})
  repl.run(read, env, kind == "script")
  return true
end

-- The versions of what the executable contains. The first word after the name is that of the
-- library, which is this executable's own.
local function version(native)
  return ("qvmlua %s: %s, lua-cjson %s, argparse %s, zlib %s"):format(require "qvm".version,
    native.lua, require "cjson"._VERSION, require "argparse".version, native.zlib)
end

local function run_all(words, flags, steps, at, native)
  local script = words[at]
  if not script and not steps[1] and not flags["-v"] then -- nothing to do: input
    flags["-i"] = flags["-i"] or core.is_terminal(0)
    script = not flags["-i"] and "-" or nil
  end
  set_paths(flags)
  if script and script ~= "-" then
    look_beside(script, native.is_safe)
  end
  if flags["-v"] or flags["-i"] then
    print(version(native))
  end
  _G.arg = arguments(words, at)
  local ok = run_init(flags) and run_steps(steps)
    and (not script or run_script(script, _G.arg))
  return ok and (not flags["-i"] or prompt())
end

-- Runs what the words ask for. Returns the exit status.
-- native: what main.c provides.
return function(words, native)
  if commands[words[1]] then
    local status
    set_paths {}
    _G.arg = arguments(words, 1)
    return call(function() status = require(commands[words[1]]).run(_G.arg) end) and status or 1
  end
  local flags, steps, at = parse(words)
  if not flags then
    say(steps .. " (--help shows how)")
    return 1
  elseif flags["--help"] then
    print(USAGE:format(command_names()))
  elseif flags["--version"] then
    print(version(native))
  elseif flags["--licences"] then
    io.write((require "qvmlua.licences"))
  else
    return run_all(words, flags, steps, at, native) and 0 or 1
  end
  return 0
end
