-- Which messages of the kernel's log are wanted: the options of dump:dmesg.

local check = require "qvm.util.arguments"
local errors = require "qvm.util.errors"

local selection = {}

-- The names of the levels, as in dmesg(1).
local LEVELS = {emerg = 0, alert = 1, crit = 2, err = 3, warn = 4, notice = 5, info = 6,
  debug = 7}

-- The number of a level that was given as a number or a name.
local function level_of(value)
  if type(value) == "string" and not LEVELS[value] then
    check.unknown("option 'level' of 'dmesg': no level", value, LEVELS)
  elseif type(value) == "number" and (value < 0 or value > 7) then
    errors.raise(("option 'level' of 'dmesg' is %d, not 0 to 7"):format(value))
  end
  return LEVELS[value] or value
end

-- Checks the options of dmesg. Returns them with the level as a number.
function selection.checked(options)
  check.options(options, "dmesg", {last = "positive integer", level = "integer or string"})
  return {last = options and options.last, level = options and level_of(options.level)}
end

-- Those of a level, or more severe.
function selection.of_level(each, level)
  return function()
    local found = each()
    while found and not (found.level and found.level <= level) do
      found = each()
    end
    return found
  end
end

-- The last `most` ones. At the first call all are read, and only those are kept.
function selection.last_of(each, most)
  local kept, count, at -- the place of message i is i % most
  return function()
    if not kept then
      kept, count = {}, 0
      for found in each do
        kept[count % most], count = found, count + 1
      end
      at = math.max(count - most, 0)
    end
    local found = at < count and kept[at % most] or nil
    at = at + 1
    return found
  end
end

return selection
