-- Suggests the name that a line of the prompt means by one that does not exist. As completion
-- does, it calls nothing: the names are those that Tab offers at that place.

local complete = require "qvm.prompt.complete"
local line = require "qvm.util.text"

local suggest = {}

local SHORT = 2 -- letters: any name is near to such a one

-- The nearest name that may follow a text; nil if none is near.
local function nearest(name, before, env)
  if #name <= SHORT then
    return nil
  end
  local _, names = complete(before, env)
  for _, known in ipairs(names) do
    if known == name then
      return nil -- it exists, and is only nil now
    end
  end
  return line.nearest(name, names)[1]
end

-- The same for a member after a dot or a colon, which may have been confused.
local function member(name, owner, separator, env)
  local found = nearest(name, owner .. separator, env)
  if found then
    return found
  end
  local other = separator == "." and ":" or "."
  found = nearest(name, owner .. other, env)
  return found and other .. found
end

local function hint(name)
  return name and ("(is it '%s'?)"):format(name)
end

-- A hint for an error that Lua raised in a line; nil if there is none. `problem` is its message.
function suggest.for_error(problem, text, env)
  local kind, name = problem:match("attempt to %a+ a nil value %((%a+) '([%a_][%w_]*)'%)")
  if kind == "global" then
    return hint(nearest(name, "", env))
  elseif kind ~= "field" and kind ~= "method" then
    return nil
  end
  local separator = kind == "method" and ":" or "."
  local owner = text:match("^(.-)%s*%" .. separator .. "%s*" .. name .. "%f[^%w_]")
  return owner and hint(member(name, owner, separator, env))
end

-- A hint for a line whose value is nil.
function suggest.for_nil(text, env)
  local owner, name = text:match("^(.*[^%s.])%s*%.%s*([%a_][%w_]*)%s*$")
  if owner then
    return hint(member(name, owner, ".", env))
  end
  name = text:match("^%s*([%a_][%w_]*)%s*$")
  return name and name ~= "nil" and hint(nearest(name, "", env)) or nil
end

return suggest
