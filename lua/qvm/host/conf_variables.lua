-- Parses the output of `qvm set ?`: the variables that a build of qvm knows. Seen: a heading,
-- followed by indented rows of name, type and context, such as
--
--     message-block-timeout          (number, global)
--
-- `set` options are checked against them.

local errors = require "qvm.util.errors"
local with_tostring = require "qvm.host.conf_text"

local variables = {}

local ROWS_MAX = 65536

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

-- Iterates over the rows of a text: name, type, contexts. The pattern is anchored, so that a
-- line of any length is read in one pass. Fails if there are too many.
local function rows(text)
  local next_line, count = text:gmatch("[^\r\n]+"), 0
  return function()
    for row in next_line do
      local name, kind, contexts =
        row:match("^[ \t]*([^ \t(),]+)[ \t]*%(([a-z]+)[ \t]*,([a-z \t,/|]+)%)[ \t]*$")
      if name then
        count = count + 1
        if count > ROWS_MAX then
          errors.fail(("variables: more than %d rows"):format(ROWS_MAX), "too_large")
        end
        return name, kind, contexts
      end
    end
  end
end

local function variable_of(name, kind, contexts)
  local list, is_of = {}, {}
  for context in contexts:gmatch("[a-z]+") do
    list[#list + 1], is_of[context] = context, true
  end
  return {name = name, type = kind, context = table.concat(list, ", ")}, is_of
end

-- Fails for a text without rows.
local function check_any(any)
  if not any then
    errors.fail("variables: no row 'name (type, context)' as `qvm set ?` prints them",
      "malformed")
  end
end

-- Returns the variables of a text as an array. Fails if there are none.
function variables.list(text)
  local list = {}
  for name, kind, contexts in rows(text) do
    list[#list + 1] = with_tostring("variable", (variable_of(name, kind, contexts)))
  end
  check_any(list[1])
  return list
end

-- Returns the variables that wanted(name) selects, as an array and by name. Each has `is_of`, the
-- set of its contexts. Fails if the text has no rows.
function variables.select(text, wanted)
  local list, by_name, any = {}, {}, false
  for name, kind, contexts in rows(text) do
    any = true
    if not by_name[name] and wanted(name) then
      local variable, is_of = variable_of(name, kind, contexts)
      variable.is_of = is_of
      list[#list + 1], by_name[name] = variable, variable
    end
  end
  check_any(any)
  return list, by_name
end

-- The verdict on a `set`; variable: what `select` returned, nil if it is not known.
function variables.verdict(set, variable)
  if not variable then
    return "differs"
  end
  local fits = types[variable.type]
  if not variable.is_of[set.context] or fits and not fits(set.value) then
    return "differs"
  end
  return fits and "ok" or "cannot tell"
end

return variables
