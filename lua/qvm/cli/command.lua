-- What all commands share: how they parse arguments, write messages and use a terminal.
--
-- A command is a module with `run(words)`, which returns the exit status, and `parser()`, of which
-- --help, the manual page and the completion are made (docs/commands.lua). Scripts use the public
-- API instead: modules of commands are private.

local argparse = require "argparse"
local qvm = require "qvm"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local command = {}

command.WIDTH = 80 -- columns of a report

-- Arguments -------------------------------------------------------------------------------

-- Makes an argparse parser, with --help and --version. usage: the line without the command's
-- name; notes: examples and exit statuses, at the end of the help.
function command.parser(name, summary, usage, notes)
  local parser = argparse(name, summary, notes):help_max_width(command.WIDTH)
    :help_description_margin(22)
    :usage(("Usage: %s %s"):format(name, usage))
  parser:flag("--version", "Show the version and exit."):action(function()
    print(("%s %s"):format(name, qvm.version))
    os.exit(0)
  end)
  return parser
end

-- Adds the option --root to a parser or a group of its options.
function command.add_root(parser)
  return parser:option("--root", "Directory of the VMs (default: $QVM_ROOT or /dev/qvm).")
    :argname("DIR"):convert(function(word)
      return word ~= "" and word or nil, "--root: an empty path"
    end)
end

-- Returns the options in an array of words (`arg` if nil), or nil and the mistake in it.
function command.parse(parser, words)
  local ok, options = parser:pparse(words)
  if ok then
    return options
  end
  local mistake = tostring(options):gsub("%s+", " "):gsub("([^.])( Did you)", "%1.%2")
  return nil, mistake .. " (--help shows how)"
end

-- Messages --------------------------------------------------------------------------------

-- Writes a message of a command to stderr.
function command.say(name, message)
  io.stderr:write(name, ": ", text.escape_controls(message), "\n")
end

-- Writes the warnings of a dump that was opened.
function command.say_warnings(name, dump)
  for _, warning in ipairs(dump.warnings) do
    command.say(name, dump.path .. ": " .. warning)
  end
end

-- Output ----------------------------------------------------------------------------------

local write_error

-- Like io.write and io.flush, but these remember that writing failed, as when the disk is full:
-- see `finish`.
function command.write(...)
  local ok, why = io.stdout:write(...)
  write_error = write_error or not ok and why
end

function command.flush()
  local ok, why = io.stdout:flush()
  write_error = write_error or not ok and why
end

-- Writes a line, as `write` does.
function command.print(line)
  command.write(line or "", "\n")
end

-- Ends a command's output. Returns its exit status, or `failed`, after a message, if output was
-- lost.
function command.finish(name, status, failed)
  command.flush()
  if not write_error then
    return status
  end
  command.say(name, "output: " .. write_error)
  return failed
end

-- Running ---------------------------------------------------------------------------------

local FAILED = 2 -- exit status of commands for which 1 is "something differs"

-- Runs a command whose work(options) returns an exit status; nil and a message, an error, or lost
-- output is a failure. Returns the exit status.
function command.run(name, parser, work, words)
  local options, mistake = command.parse(parser, words)
  if not options then
    command.say(name, mistake)
    return FAILED
  end
  local ok, status, message = pcall(work, options)
  if not (ok and status) then
    command.say(name, tostring(ok and message or status))
    status = FAILED
  end
  return command.finish(name, status, FAILED)
end

local Problems = {}
Problems.__index = Problems

-- Collects what goes wrong while a command runs. put, if given, receives the messages that
-- would otherwise go to stderr.
function command.problems(name, put)
  return setmetatable({name = name, put = put, list = {}, failed = false, _reported = {}}, Problems)
end

-- Writes a message without keeping it.
function Problems:report(message)
  message = text.escape_controls(message)
  if self.put then
    return self.put(message)
  end
  self._paint = self._paint or command.painter(2)
  io.stderr:write(self._paint(self.name .. ":", "bad"), " ", message, "\n")
end

-- Notes that a step failed; the other steps go on. A message is written once.
function Problems:add(message)
  self.failed = true
  self:warn(message)
end

-- Notes something that is unusual or left out of a report. No step failed.
function Problems:warn(message)
  if not self._reported[message] then
    self._reported[message] = true
    self.list[#self.list + 1] = message
    self:report(message)
  end
end

-- The terminal ----------------------------------------------------------------------------

-- Whether a descriptor (0, 1 or 2) is a terminal.
command.is_terminal = system.is_terminal

-- Whether the terminal cannot move its cursor.
function command.is_dumb()
  local kind = os.getenv("TERM")
  return not kind or kind == "" or kind == "dumb"
end

-- Whether to write colours to a descriptor (https://no-color.org).
local function has_colours(descriptor)
  local refused = os.getenv("NO_COLOR")
  return not (refused and refused ~= "") and not command.is_dumb()
    and system.is_terminal(descriptor)
end

local CODES = {good = "32", bad = "31", odd = "33", changed = "7"}

-- Returns a function that paints a text in one of these ways, if the descriptor has colours. In
-- other ways, and in none, the text stays as it is.
function command.painter(descriptor)
  if not has_colours(descriptor) then
    return function(plain)
      return plain
    end
  end
  return function(plain, way)
    return CODES[way] and ("\27[%sm%s\27[0m"):format(CODES[way], plain) or plain
  end
end

-- Progress on stderr: a line that is written again and again in place. Nothing is written to
-- a pipe or a file.
function command.show_progress(line)
  if system.is_terminal(2) then
    io.stderr:write("\r\27[K", line)
  end
end

return command
