-- Runtime failures, which functions of this library return as nil, message, code; and errors
-- that are raised.

local core = require "qvm.core"

local errors = {}

-- POSIX does not fix these numbers; they are the same on every system that qvm runs on.
local ENOENT, ENOMEM, EACCES = 2, 12, 13

-- Returns nil, message, code for the message and error number of one of Lua's own functions.
-- Raises if memory is exhausted.
function errors.of_system(message, number)
  if number == ENOMEM then
    error((message:gsub(":[^:]*$", ": not enough memory")), 0)
  end
  return nil, message,
    number == ENOENT and "not_found" or number == EACCES and "permission" or "io"
end

local function is_out_of_memory(problem)
  return type(problem) == "string" and problem:find("not enough memory", 1, true) ~= nil
end

local function except_memory(ok, problem, ...)
  if not ok and is_out_of_memory(problem) then
    error(problem, 0)
  end
  return ok, problem, ...
end

-- Returns pcall's results, re-raising out-of-memory.
function errors.pcall(f, ...)
  return except_memory(pcall(f, ...))
end

-- Was this raised by Ctrl-C?
function errors.is_interrupt(problem)
  return type(problem) == "string" and problem:find("interrupted!$") ~= nil
end

local function only_messages(ok, problem, ...)
  if not ok and (type(problem) ~= "string" or errors.is_interrupt(problem)) then
    error(problem, 0)
  end
  return ok, problem, ...
end

-- Returns pcall's results, where what was raised is a message: out-of-memory, Ctrl-C and
-- values that are not strings are re-raised. For functions that raise runtime failures, such
-- as those that make iterators.
function errors.try(f, ...)
  return only_messages(errors.pcall(f, ...))
end

-- Where this library's files are, as its functions' sources begin.
local LIBRARY = debug.getinfo(1, "S").source:match("^(.*[/\\])util[/\\][^/\\]*$")

-- Is this a function of the library? Those of the C module call back for symbols.
local function is_of_library(info)
  if info.what ~= "C" then
    return LIBRARY and info.source:sub(1, #LIBRARY) == LIBRARY
  end
  for _, methods in ipairs {core.dump, core.space_methods, core.object_meta} do
    for _, method in pairs(methods) do
      if method == info.func then
        return true
      end
    end
  end
  return false
end

-- The message that was raised last, and its code.
local raised_message, raised_code

local function as_failure(ok, ...)
  if ok then
    return ...
  end
  local problem = ...
  if not raised_code or problem:sub(-#raised_message) ~= raised_message then
    error(problem, 0)
  end
  return nil, problem, raised_code
end

-- Returns what f(...) returns, or nil, message, code for what errors.raise has raised with a code.
-- Other errors are re-raised.
function errors.returned(f, ...)
  return as_failure(errors.try(f, ...))
end

-- Raises a message at the position of the script's call into this library, however many
-- functions of the library are between. code: of the failure, if there is one.
function errors.raise(message, code)
  raised_message, raised_code = message, code
  local level = 2
  local info = debug.getinfo(level, "Sf")
  while info and is_of_library(info) do
    level = level + 1
    info = debug.getinfo(level, "Sf")
  end
  error(message, level)
end

-- Failures that leave several calls at once ---------------------------------------------

local Failure = {}

-- Raises a failure, for the errors.catch around the caller.
function errors.fail(message, code)
  error(setmetatable({message = message, code = code}, Failure), 0)
end

local function caught(ok, problem, ...)
  if ok then
    return problem, ...
  elseif getmetatable(problem) == Failure then
    return nil, problem.message, problem.code
  end
  error(problem, 0)
end

-- Returns what f(...) returns, or nil, message, code if it called errors.fail. Other errors
-- are re-raised.
function errors.catch(f, ...)
  return caught(pcall(f, ...))
end

return errors
