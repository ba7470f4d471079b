-- What `qvm set ?` prints: the variables that a build of qvm knows. Seen: a heading, then
-- indented rows of name, type and context, such as
--
--     message-block-timeout          (number, global)
--
-- `set` options are held against it.

local variables = {}

local function is_switch(value)
  return value == "on" or value == "off" or value == "yes" or value == "no" or value == "true"
    or value == "false" or value == "1" or value == "0"
end

local function is_number(value)
  return value:find("^[0-9]+$") or value:find("^0[xX][0-9a-fA-F]+$") or value:find("^0[dD][0-9]+$")
end

-- The documented types of variables: is a value one?
local types = {
  boolean = is_switch,
  tristate = function(value) return is_switch(value) or value == "auto" end,
  number = is_number,
  address = function(value) return is_number((value:gsub("[KMGkmg]$", ""))) end,
  string = function() return true end,
}

-- The rows of those variables that `wanted` has as keys: name to type and contexts.
-- Nil where there is no row at all.
function variables.parse(text, wanted)
  local known, any = {}, false
  for name, kind, contexts in
    text:gmatch("([^ \t\r\n(),]+)[ \t]*%(([a-z]+)[ \t]*,([a-z \t,/|]+)%)") do
    any = true
    if wanted[name] then
      known[name] = {type = kind, contexts = {}, text = kind .. "," .. contexts}
      for context in contexts:gmatch("[a-z]+") do
        known[name].contexts[context] = true
      end
    end
  end
  return any and known or nil
end

-- The verdict on a `set` that `known` has no row of, or this one.
function variables.verdict(set, row)
  if not row then
    return "differs"
  end
  local fits = types[row.type]
  if not row.contexts[set.context] or fits and not fits(set.value) then
    return "differs"
  end
  return fits and "ok" or "cannot tell"
end

return variables
