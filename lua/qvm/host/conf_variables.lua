-- Parses the output of `qvm set ?`: the variables that a build of qvm knows. Seen: a heading,
-- followed by indented rows of name, type and context, such as
--
--     message-block-timeout          (number, global)
--
-- `set` options are checked against them.

local variables = {}

local function is_switch(value)
  return value == "on" or value == "off" or value == "yes" or value == "no" or value == "true"
    or value == "false" or value == "1" or value == "0"
end

local function is_number(value)
  return value:find("^[0-9]+$") or value:find("^0[xX][0-9a-fA-F]+$") or value:find("^0[dD][0-9]+$")
end

-- Tests for values, by the documented types of variables.
local types = {
  boolean = is_switch,
  tristate = function(value) return is_switch(value) or value == "auto" end,
  number = is_number,
  address = function(value) return is_number((value:gsub("[KMGkmg]$", ""))) end,
  string = function() return true end,
}

-- Returns the rows of the variables that are keys of `wanted`: type and contexts by name. nil
-- if the text has no rows.
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

-- The verdict on a `set`; row: its variable, nil if it is not known.
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
