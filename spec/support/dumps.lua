-- Opens dumps that a spec has written, and collects results of iterators.

local files = require "support.files"
local qvm = require "qvm"

local dumps = {}

-- Opens these bytes as a dump.
function dumps.open(bytes)
  return assert(qvm.open(files.write("test.gcore", bytes)))
end

-- Formats the values of each call of an iterator; returns the list of strings.
function dumps.collect(iterator, format)
  local list = {}
  for a, b, c in iterator do
    list[#list + 1] = format(a, b, c)
  end
  return list
end

-- The extents that an iterator returns: "start+size" in hexadecimal, with the third value after
-- a space if there is one.
function dumps.extents(iterator)
  return dumps.collect(iterator, function(start, size, kind)
    return ("%x+%x"):format(start, size) .. (kind and " " .. kind or "")
  end)
end

function dumps.ranges(dump)
  return dumps.extents(dump:ranges())
end

-- The addresses that an iterator returns, in hexadecimal: "address", or "address:value" if
-- there is a second value.
function dumps.addresses(iterator)
  return dumps.collect(iterator, function(address, value)
    return ("%x"):format(address) .. (value and ":" .. value or "")
  end)
end

return dumps
