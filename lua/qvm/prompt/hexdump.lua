-- Shows bytes of a string, or of memory: qvm.hexdump. A line has at most 76 columns.

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local Dump = require "qvm.dump"

local LINE = 16          -- bytes
local SIZE_MAX = 1 << 20 -- bytes; their text takes five times as many

-- One line: the address, 16 bytes in pairs, and the printable ones as text.
local function hex_line(address, bytes)
  local hex = bytes:gsub("..?", function(pair)
    return ("%02x"):rep(#pair):format(pair:byte(1, 2)) .. " "
  end)
  return ("%016x: %-40s|%s|"):format(address, hex, (bytes:gsub("[^ -~]", ".")))
end

local function lines_of(bytes, address)
  local lines = {}
  for at = 1, #bytes, LINE do
    lines[#lines + 1] = hex_line(address + at - 1, bytes:sub(at, at + LINE - 1))
  end
  return table.concat(lines, "\n")
end

-- A script that has a Space has loaded its class.
local function is_memory(source)
  local meta = type(source) == "table" and getmetatable(source)
  return meta and (meta == Dump or meta == package.loaded["qvm.paging.address_space"])
end

local function of_memory(memory, address, n)
  local start, message, code = addresses.of(memory, address, 2, "hexdump")
  local bytes
  if start then
    bytes, message, code = memory:read(start, n or 256)
  end
  if not bytes then
    return nil, message, code
  end
  return lines_of(bytes, start)
end

-- The arguments and results of qvm.hexdump.
return function(source, address, n)
  local in_memory = is_memory(source)
  if address ~= nil and not in_memory then
    check.integer(address, 2, "hexdump")
  end
  if n ~= nil then
    check.integer(n, 3, "hexdump")
  end
  if not in_memory then
    check.string(source, 1, "hexdump")
    n = math.max(0, math.min(n or #source, #source))
  end
  if (n or 0) > SIZE_MAX then
    return nil, ("hexdump: %d bytes, more than %d at once"):format(n, SIZE_MAX), "too_large"
  elseif in_memory then
    return of_memory(source, address, n)
  end
  return lines_of(source:sub(1, n), address or 0)
end
