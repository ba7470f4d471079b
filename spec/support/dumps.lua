-- Dumps that a spec writes and opens.

local files = require "support.files"
local qvm = require "qvm"

local dumps = {}

-- Opens these bytes as a dump.
function dumps.open(bytes)
  return assert(qvm.open(files.write("test.gcore", bytes)))
end

-- What an iterator gives, each call's values as one string.
function dumps.collect(iterator, format)
  local list = {}
  for a, b in iterator do
    list[#list + 1] = format(a, b)
  end
  return list
end

function dumps.ranges(dump)
  return dumps.collect(dump:ranges(), function(start, size)
    return ("%x+%x"):format(start, size)
  end)
end

return dumps
