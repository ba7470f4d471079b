-- Checks arguments of the public functions. What is wrong with one is raised at the position
-- of the script's call. `index` is the argument's number, `name` the function's.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

local check = {}

-- Raises that an argument is bad.
function check.bad(index, name, problem)
  errors.raise(("bad argument #%d to '%s' (%s)"):format(index, name, problem))
end

-- Raises that an argument is not what is expected; got: what it is instead, its class or type
-- if not given.
function check.expected(value, index, name, what, got)
  local meta = type(value) == "table" and getmetatable(value)
  local class = type(meta) == "table" and rawget(meta, "__name")
  got = got or value == nil and "no value" or type(class) == "string" and class or type(value)
  check.bad(index, name, ("%s expected, got %s"):format(what, got))
end

function check.string(value, index, name)
  if type(value) ~= "string" then
    check.expected(value, index, name, "string")
  end
end

-- The path of a file, which the system would end at a NUL.
function check.path(value, index, name)
  check.string(value, index, name)
  if value:find("\0", 1, true) then
    check.bad(index, name, "NUL in a path")
  end
end

function check.integer(value, index, name)
  if math.type(value) ~= "integer" then
    check.expected(value, index, name, "integer", math.type(value)) -- "float", or its type
  end
end

-- A table; what: what it is a table of.
function check.table(value, index, name, what)
  if type(value) ~= "table" then
    check.expected(value, index, name, what or "table")
  end
end

-- An object of a class.
function check.object(value, class, index, name)
  if getmetatable(value) ~= class then
    check.expected(value, index, name, class.__name)
  end
end

-- An object that has a method, such as "env" of a VM; what: the kind of object.
function check.method(value, method, what, index, name)
  if type(value) ~= "table" or type(value[method]) ~= "function" then
    check.expected(value, index, name, what)
  end
end

-- Options --------------------------------------------------------------------------------

local function is_callable(value)
  local meta = getmetatable(value)
  return type(value) == "function"
    or type(meta) == "table" and meta.__call ~= nil
end

local function is_path(value)
  return type(value) == "string" and not value:find("\0", 1, true)
end

local function is_array_of_strings(value)
  for _, element in ipairs(type(value) == "table" and value or {}) do
    if type(element) ~= "string" then
      return false
    end
  end
  return type(value) == "table"
end

local function is_array_of_names(value)
  for _, name in ipairs(is_array_of_strings(value) and value or {}) do
    if not core.is_name(name) then
      return false
    end
  end
  return is_array_of_strings(value)
end

-- The kinds of options, named as messages name them.
local matches = {
  integer = function(value) return math.type(value) == "integer" end,
  address = function(value)
    return math.type(value) == "integer" or type(value) == "string" and not tonumber(value)
  end,
  ["positive integer"] = function(value)
    return math.type(value) == "integer" and value > 0
  end,
  number = function(value) return type(value) == "number" end,
  boolean = function(value) return type(value) == "boolean" end,
  string = function(value) return type(value) == "string" end,
  ["integer or string"] = function(value)
    return math.type(value) == "integer" or type(value) == "string"
  end,
  ["number of seconds"] = function(value)
    return type(value) == "number" and value > 0 and value < 2^31
  end,
  path = is_path,
  ["path or Conf"] = function(value)
    local meta = getmetatable(value)
    return is_path(value) or type(value) == "table" and type(meta) == "table"
      and meta.__name == "Conf"
  end,
  ["array of names"] = is_array_of_names,
  ["string or array of strings"] = function(value)
    return type(value) == "string" or is_array_of_strings(value)
  end,
  ["function"] = is_callable,
  ["path or function"] = function(value)
    return is_path(value) or is_callable(value)
  end,
}

-- Raises that there is no such name; what: "'open' has no option". Suggests the nearest of
-- the names that are keys of a table.
function check.unknown(what, unknown, known)
  local names = {}
  for name in pairs(known) do
    names[#names + 1] = name
  end
  local nearest = type(unknown) == "string" and line.nearest(unknown, names)[1]
  errors.raise(("%s '%s'%s"):format(what, line.field(tostring(unknown)),
    nearest and (": is it '%s'?"):format(nearest) or ""))
end

-- An optional table of options; kinds: the kind of each, by its name.
function check.options(options, name, kinds, index)
  if options == nil then
    return
  end
  check.table(options, index or 1, name)
  for key, value in pairs(options) do
    local kind = kinds[key]
    if not kind then
      check.unknown(("'%s' has no option"):format(name), key, kinds)
    elseif not matches[kind](value) then
      errors.raise(("option '%s' of '%s' is not a%s %s"):format(key, name,
        kind:find("^[aeiou]") and "n" or "", kind))
    end
  end
end

return check
