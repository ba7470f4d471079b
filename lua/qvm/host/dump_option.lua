-- What a VM's configuration says about its dumps: the global option `dump <directory>` or
-- `dump "|command"`. Without it qvm writes no dump, and nothing reports that.
--
-- A script can name the configuration. Otherwise it is searched for in the command line of the
-- VM's process (`qvm @file...`). That is only a guess, since a file may have changed since qvm
-- read it: it makes messages more precise, and never prevents a request.

local core = require "qvm.core"
local conf = require "qvm.host.conf"
local line = require "qvm.util.text"

local dump_option = {}

local function place_of(option)
  return ("%s:%d"):format(option.file, option.line)
end

-- The path without its slashes at the end.
local function bare(path)
  return (path:gsub("(.)/+$", "%1"))
end

-- Are two paths certainly different directories? Unknown if the first is relative, since it
-- counts from where qvm was started, or does not exist for this process.
local function are_different(configured, directory)
  if configured:sub(1, 1) ~= "/" or bare(configured) == bare(directory) then
    return false
  end
  local is_there, id = core.stat(configured)
  local _, other = core.stat(directory)
  return is_there ~= nil and id ~= other
end

-- Why a configuration causes no dump in the directory (nil: in any): a message without the
-- VM's name, and a code; nil if nothing is known against it.
local function problem_of(configuration, directory)
  local option = configuration.dump
  if not option then
    return ("%s has no `dump` option: this VM writes no dumps"):format(
      table.concat(configuration.paths, " ")), "unsupported"
  elseif option.command then
    return ("its dumps go to a command, not to a file that could be waited for (%s)"):format(
      place_of(option)), "unsupported"
  elseif directory and are_different(option.directory, directory) then
    return ("its dumps go to %s (%s), not to %s"):format(option.directory, place_of(option),
      directory), "not_found"
  end
end

local function memory_of(configuration)
  local size = 0
  for _, ram in ipairs(configuration.ram) do
    size = size + ram.size
  end
  return size > 0 and size or nil
end

-- Returns the directory of a VM's dumps according to a configuration (a Conf, or the path of
-- one), and the bytes of its memory, nil if they are unknown; or nil, message, code. directory:
-- where the script expects the dump, if it says so.
function dump_option.directory(vm, configuration, directory)
  local message, code
  if type(configuration) == "string" then
    configuration, message, code = conf.load(configuration)
    if not configuration then
      return nil, message, code
    end
  end
  local system = configuration.system
  if system and system ~= vm.name then
    message, code = ("%s is the configuration of another VM, %s"):format(
      table.concat(configuration.paths, " "), line.quoted(system)), "not_found"
  else
    message, code = problem_of(configuration, directory)
  end
  local configured = configuration.dump and configuration.dump.directory
  if not message and not directory and configured:sub(1, 1) ~= "/" then
    message, code = ("the directory of its dumps, %s, is relative (%s): pass it as `dir`"):format(
      line.quoted(configured), place_of(configuration.dump)), "not_found"
  end
  if message then
    return nil, line.escape_controls(("%s: %s"):format(vm.name, message)), code
  end
  return directory or configured, memory_of(configuration)
end

-- The configuration that the command line of the VM's process names; nil if unknown. The
-- arguments in /proc/PID/cmdline are documented to end with NULs; relative paths count from
-- where qvm was started, which is not known.
local function running_configuration(vm)
  local pid = vm:pid()
  local bytes = pid and core.read_file(("/proc/%d/cmdline"):format(pid))
  local files, words = {}, {}
  for argument in (bytes or ""):gsub("^[^\0]*\0", ""):gmatch("([^\0]*)\0") do
    local path = argument:match("^@(.*)")
    if path and path:sub(1, 1) ~= "/" then
      return nil
    end
    table.insert(path and files or words, path or argument)
  end
  return files[1] and conf.load(files, {options = words}) or nil
end

-- What to check if no dump appears in a directory.
function dump_option.advice(vm, directory)
  local configuration = running_configuration(vm)
  return configuration and problem_of(configuration, directory)
    or "does the VM's configuration have a `dump` option, and does it name this directory?"
end

return dump_option
