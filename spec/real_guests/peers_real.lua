-- Compares data inside real guests with the output of other programs for the same files.

local files = require "support.files"
local process = require "support.process"
local qvm = require "qvm"

local root = require "real_guests.guests".root

-- The bytes that libkdumpfile reads at virtual addresses of the kernel: 16 bytes each in
-- hexadecimal, or "-" if it cannot read them.
local kdumpfile = [[
import sys, kdumpfile
dump = kdumpfile.kdumpfile(file=sys.argv[1])
dump.attr["addrxlat.ostype"] = "linux"
for line in open(sys.argv[2]):
    try:
        print(dump.read(kdumpfile.KDUMP_KVADDR, int(line, 16), 16).hex())
    except Exception:
        print("-")
]]

-- Random addresses in the kernel's mapped memory, as far as the dump has it.
local function addresses_of(space, count)
  local ranges, addresses = {}, {}
  for start, size in space:mappings() do
    ranges[#ranges + 1] = {start, size}
  end
  math.randomseed(7)
  while #addresses < count do
    local start, size = table.unpack(ranges[math.random(#ranges)])
    local address = start + math.random(0, math.max(size - 16, 0))
    if space:read(address, 16) then
      addresses[#addresses + 1] = address
    end
  end
  return addresses
end

describe("compared with other programs,", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  for _, guest in ipairs {"x86_64", "x86_64-la57", "aarch64", "aarch64-16k"} do
    it("virtual memory equals what libkdumpfile reads, " .. guest, function()
      local path = root .. guest .. "/first.elf"
      local dump <close> = assert(qvm.open(path))
      local space = assert(dump:kernel_space())
      local addresses, lines = addresses_of(space, 3000), {}
      for i, address in ipairs(addresses) do
        lines[i] = ("%x\n"):format(address)
      end
      local status, output, errors = process.run {"/usr/bin/python3",
        files.write("peer.py", kdumpfile), path, files.write("addresses", table.concat(lines))}
      assert.are.equal(0, status, errors)
      local at, compared = 0, 0
      for digits in output:gmatch("[^\n]+") do
        at = at + 1
        if digits ~= "-" then
          local bytes = space:read(addresses[at], 16)
          local mine = bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
          assert.are.equal(digits, mine, qvm.hex(addresses[at]))
          compared = compared + 1
        end
      end
      assert.are.equal(#addresses, at)
      assert.is_true(compared > 2900, compared)
    end)
  end

  it("the kernel's log equals what vmcore-dmesg prints of a dump with virtual addresses", function()
    local path = root .. "x86_64/paging.elf"
    local dump <close> = assert(qvm.open(path))
    local status, output, errors = process.run {"vmcore-dmesg", path}
    assert.are.equal(0, status, errors)
    local lines = {}
    for m in dump:dmesg() do
      -- It does not indent the later lines of a message.
      lines[#lines + 1] = ("[%12s] %s\n"):format(m.time:sub(1, -4), m.text)
    end
    assert.is_true(#lines > 200)
    assert.are.equal(output, table.concat(lines))
  end)
end)
