-- Iterators for a generic `for`. Each has a state of its own, so that loops over one object
-- do not disturb each other. What makes an iterator raises if it cannot start, as io.lines
-- does.

local errors = require "qvm.util.errors"

local iterators = {}

-- Iterates over the elements of an array.
function iterators.values(array)
  local index = 0
  return function()
    index = index + 1
    return array[index]
  end
end

-- Iterates over the members of a table in the order of an array of names: name, value.
function iterators.members(names, values)
  local index = 0
  return function()
    index = index + 1
    local name = names[index]
    if name ~= nil then
      return name, values[name]
    end
  end
end

-- Iterates over a table in the order of its keys, which are strings: key, value.
function iterators.sorted(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return iterators.members(keys, map)
end

-- Iterates over what step() returns, up to nil. A failure (nil, message, code) cannot be
-- returned from inside a loop, and raises there.
function iterators.steps(step)
  return function()
    local value, message, code = step()
    if value == nil and code then
      errors.raise(message)
    end
    return value
  end
end

-- Counts what an iterator returns.
function iterators.count(iterator)
  local count = 0
  for _ in iterator do
    count = count + 1
  end
  return count
end

return iterators
