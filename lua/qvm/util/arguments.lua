-- Arguments of the public functions: what is wrong with one is raised at the
-- place of the call into the library.

local check = {}

-- The level of the caller of the function that calls us.
local LEVEL = 3

local function expected(index, name, what, value)
  error(("bad argument #%d to '%s' (%s expected, got %s)")
    :format(index, name, what, value == nil and "no value" or type(value)), LEVEL + 1)
end

function check.string(value, index, name)
  if type(value) ~= "string" then
    expected(index, name, "string", value)
  end
end

-- The path of a file: the system would end it at a NUL.
function check.path(value, index, name)
  if type(value) ~= "string" then
    expected(index, name, "string", value)
  elseif value:find("\0", 1, true) then
    error(("bad argument #%d to '%s' (NUL in a path)"):format(index, name), LEVEL)
  end
end

function check.integer(value, index, name)
  if math.type(value) ~= "integer" then
    expected(index, name, "integer", value)
  end
end

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

-- What an option may be, by the words that a message has for it.
local matches = {
  integer = function(value) return math.type(value) == "integer" end,
  address = function(value)
    return math.type(value) == "integer" or type(value) == "string" and not tonumber(value)
  end,
  ["positive integer"] = function(value)
    return math.type(value) == "integer" and value > 0
  end,
  boolean = function(value) return type(value) == "boolean" end,
  string = function(value) return type(value) == "string" end,
  ["number of seconds"] = function(value)
    return type(value) == "number" and value > 0 and value < 2^31
  end,
  path = is_path,
  ["array of names"] = is_array_of_strings,
  ["string or array of strings"] = function(value)
    return type(value) == "string" or is_array_of_strings(value)
  end,
  ["function"] = is_callable,
  ["path or function"] = function(value)
    return is_path(value) or is_callable(value)
  end,
}

-- An optional table of named options, argument number index (1): kinds maps each
-- known name to one of the kinds above. An unknown name is a slip of the pen and
-- must not pass.
function check.options(options, name, kinds, index)
  if options == nil then
    return
  end
  if type(options) ~= "table" then
    expected(index or 1, name, "table", options)
  end
  for key, value in pairs(options) do
    local kind = kinds[key]
    if not kind then
      error(("'%s' has no option '%s'"):format(name, tostring(key)), LEVEL)
    elseif not matches[kind](value) then
      error(("option '%s' of '%s' is not a%s %s"):format(key, name,
        kind:find("^[aeiou]") and "n" or "", kind), LEVEL)
    end
  end
end

return check
