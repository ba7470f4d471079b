-- What huge files of symbols cost.

local cost = require "support.cost"
local files = require "support.files"
local writer = require "support.dumpwriter"

describe("the cost of symbols of a file", function()
  after_each(files.clean)

  local function answer_of(path, bytes)
    return cost.check(([[local d = assert(qvm.open(%q))
      local s, message, code = d:symbols(%q)
      return s and tostring(s) or code .. " " .. message]]):format(files.write("symbols.gcore",
        writer.small()), path), bytes)
  end

  local function lines(path, count, line)
    local file <close> = assert(io.open(path, "wb"))
    for i = 1, count do
      file:write(line(i))
    end
    return path
  end

  it("is bounded for a System.map that is too large", function()
    assert.matches("^too_large .*more than 393216 symbols", (answer_of(lines(files.path "many",
      3000000, function() return "1 T a\n" end), 50 << 20)))
    assert.matches("^too_large .*names of symbols of more than 16 MiB", (answer_of(lines(
      files.path "names", 20000, function(i)
        return ("%x T %s\n"):format(i, ("n"):rep(4000))
      end), 16 << 20)))
    -- Very long names and lines are skipped and counted.
    assert.matches("2 symbols from .*, 2 skipped: their names are too long", (answer_of(lines(
      files.path "long", 4, function(i)
        return ("%x T %s\n"):format(i, i % 2 == 0 and ("n"):rep(8 << 20) or "name" .. i)
      end))))
    assert.matches("^malformed .*no symbols", (answer_of(lines(files.path "none", 64, function()
      return ("n"):rep(1 << 20)
    end))))
  end)

  it("is small for as many symbols as a kernel has", function()
    assert.matches("^300000 symbols from ", (answer_of(lines(files.path "usual", 300000,
      function(i)
        return ("%x T a_name_of_20_bytes_%d\n"):format(-1 << 40 | i * 16, i)
      end), 30 << 20)))
  end)
end)
