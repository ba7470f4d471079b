-- A `.qvmconf` file with includes. An input has up to three files and the options,
-- separated by "%%" lines: main, a, b, options. No other file exists.

local conf = require "qvm.host.conf"
local core = require "qvm.core"
local expect = require "expect"
local fuzz = require "fuzz"

local files
local read_file = core.read_file

-- Includes must not lead out of the input.
function core.read_file(path)
  local number = files[path]
  if not number then
    return nil, path .. ": No such file or directory", "not_found"
  end
  local text, message, code = read_file(fuzz.file(number[1], number[2]))
  return text, message and message:gsub("^[^:]*", path), code
end

local function check_place(entry)
  assert(files[entry.file] or entry.file == "options")
  assert(math.type(entry.line) == "integer" and entry.line >= 1)
  expect.escaped(entry)
end

local function check(configuration)
  expect.escaped(configuration)
  for _, list in ipairs {"cpus", "ram", "vdevs", "loggers", "set", "others"} do
    for _, entry in ipairs(configuration[list]) do
      check_place(entry)
    end
  end
  for _, ram in ipairs(configuration.ram) do
    assert(math.type(ram.size) == "integer" and ram.size >= 0)
    assert(ram.address == nil or math.type(ram.address) == "integer" and ram.address >= 0)
  end
  for _, set in ipairs(configuration.set) do
    local of = set.context ~= "global" and configuration[set.context .. "s"][set.index + 1]
    assert(set.context == "global" and not set.index or of.set[set.name])
  end
  if configuration.dump then
    check_place(configuration.dump)
    assert((configuration.dump.directory == nil) ~= (configuration.dump.command == nil))
  end
end

return function(input)
  local parts, from = {}, 1
  while #parts < 3 do
    local first, last = input:find("\n%%\n", from, true)
    if not first then
      break
    end
    parts[#parts + 1], from = input:sub(from, first), last + 1
  end
  parts[#parts + 1] = input:sub(from)
  files = {}
  for i, name in ipairs {"main", "a", "b"} do
    files["/t/" .. name] = parts[i] and {i, parts[i]}
  end
  local configuration = expect.result(parts[4] and "" or "/t/",
    conf.load("/t/main", {options = parts[4]}))
  if configuration then
    check(configuration)
  end
end
