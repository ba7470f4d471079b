-- dumps.lua DIRECTORY: writes a dump of each machine there, in both byte orders, one of them
-- compressed as well, and prints their paths.
package.path = "spec/?.lua;" .. package.path
local writer = require "support.dumpwriter"

local directory = arg[1]

local function write(name, bytes)
  local path = directory .. "/" .. name
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  print(path)
  return path
end

local memory = {}
for i = 1, 65536 do
  memory[i] = string.pack(">I4", i * 2654435761 & 0xffffffff)
end
local bytes = table.concat(memory)

for name, bits in pairs {aarch64 = 64, x86_64 = 64, x86 = 32, arm = 32} do
  for order, kind in pairs {["<"] = "little", [">"] = "big"} do
    local path = write(("%s-%s.gcore"):format(name, kind), writer.as(order, bits, function()
      local registers = string.pack("<I8", 0x0123456789abcdef) .. writer[name] {}:sub(9)
      return writer.small {machine = name, registers = registers,
        memory = {{paddr = 0x80000000, bytes = bytes}, {paddr = 0x1000, bytes = "low"}}}
    end))
    if name == "aarch64" then
      assert(os.execute(("gzip -k '%s'"):format(path)))
      print(path .. ".gz")
    end
  end
end
