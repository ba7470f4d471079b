-- QEMU's record of a guest at the time of its dump (registers as its monitor prints them),
-- and the output of other programs for the same file.

local files = require "support.files"
local process = require "support.process"

local truth = {}

local function number(digits)
  return tonumber(digits, 16)
end

local names = {RFL = "rflags"} -- other names are the same in capitals

-- "RAX=0123", "R8 =0123", "X00=0123", "CR3=0123"
local function add_plain(cpu, line)
  for name, digits in line:gmatch("(%u%w*) *=(%x+)%f[^%x]") do
    local short = names[name] or name:lower()
    local n = short:match("^x0(%d)$")
    cpu[n and "x" .. n or short] = number(digits)
  end
end

-- "CS =0010 0000000000000000 ffffffff 00a09b00 DPL=0", "GDT=     0123 007f"
local function add_segment(cpu, line)
  local name, selector, base, limit, flags =
    line:match("^(%u%u%u?) *=(%x+) (%x+) (%x+) (%x+)")
  if name then
    name = name:lower()
    cpu[name .. "_selector"], cpu[name .. "_base"] = number(selector), number(base)
    cpu[name .. "_limit"], cpu[name .. "_flags"] = number(limit), number(flags)
    return true
  end
  name, base, limit = line:match("^(%u%u%u)= +(%x+) (%x+)$")
  if name then
    name = name:lower()
    cpu[name .. "_base"], cpu[name .. "_limit"] = number(base), number(limit)
    return true
  end
end

-- The vCPUs in `info registers -a`, as an array of tables from name to value.
function truth.registers(text)
  local cpus = {}
  for line in text:gmatch("[^\n]+") do
    line = line:gsub("^ +", "")
    if line:match("^CPU#") then
      cpus[#cpus + 1] = {}
    elseif cpus[1] and not line:match("^[QZDYXF][%dMP]") or line:match("^X%d%d=") then
      if not add_segment(cpus[#cpus], line) then
        add_plain(cpus[#cpus], line)
      end
    end
  end
  return cpus
end

local function run(words)
  local status, output, errors = process.run(words)
  assert(status == 0, errors)
  return output
end

-- The program headers as readelf prints them.
function truth.segments(path)
  local list = {}
  for line in run {"readelf", "-lW", path}:gmatch("[^\n]+") do
    local kind, offset, vaddr, paddr, filesz, memsz =
      line:match("^ +(%u+) +0x(%x+) 0x(%x+) 0x(%x+) 0x(%x+) 0x(%x+)")
    if kind then
      list[#list + 1] = {type = ({LOAD = 1, NOTE = 4})[kind], offset = number(offset),
        vaddr = number(vaddr), paddr = number(paddr), filesz = number(filesz),
        memsz = number(memsz)}
    end
  end
  return list
end

-- The bytes that drgn reads at each of these physical addresses: 16 in hexadecimal.
function truth.drgn(path, addresses)
  local list = {}
  for i, address in ipairs(addresses) do
    list[i] = ("%#x"):format(address)
  end
  local program = files.write("peer.py", ([[
import drgn
program = drgn.Program()
program.set_core_dump("%s")
for address in [%s]:
    print(program.read(address, 16, True).hex())
]]):format(path, table.concat(list, ",")))
  local result = {}
  for line in run {"/usr/bin/python3", program}:gmatch("%x+") do
    result[#result + 1] = line
  end
  return result
end

return truth
