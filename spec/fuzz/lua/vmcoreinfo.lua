-- VMCOREINFO as text, in a dump's note, or in a dump's memory. The first byte selects
-- which.

local expect = require "expect"
local fuzz = require "fuzz"
local qvm = require "qvm"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"
local writer = require "support.dumpwriter"

local function check(info)
  for _, group in ipairs {"symbols", "sizes", "offsets", "lengths", "numbers"} do
    for name, value in pairs(info[group]) do
      assert(type(name) == "string" and math.type(value) == "integer")
    end
  end
  for name, value in pairs(info.values) do
    assert(type(name) == "string" and type(value) == "string")
    assert(info.text:find(name .. "=" .. value, 1, true))
  end
  assert(info.page_size == nil or math.type(info.page_size) == "integer")
  for _, warning in ipairs(info.warnings) do
    assert(type(warning) == "string" and #warning > 0)
  end
  expect.escaped(info)
end

-- Each value must be the number in the text.
local function check_symbol(info)
  for name, value in pairs(info.symbols) do
    local found = false
    for digits in info.text:gmatch("SYMBOL%(" .. name:gsub("%W", "%%%0") .. "%)=0?x?(%x+)") do
      found = found or tonumber(digits, 16) == value
    end
    assert(found, name)
  end
end

local function of_dump(segments)
  local path = fuzz.file(0, writer.file {machine = "x86_64", segments = segments})
  local dump = expect.result(path, qvm.open(path))
  if not dump then
    return
  end
  local info = expect.result(path, dump:vmcoreinfo())
  if info then
    check(info)
    expect.result(path, dump:kernel_space())
    local ok, messages = pcall(dump.dmesg, dump)
    if ok then
      expect.each(path, 20, messages, expect.escaped)
    else
      assert(messages:find(path, 1, true), messages)
    end
    expect.result(path, dump:guest())
  end
  dump:close()
end

return function(input)
  local kind, bytes = (input:byte() or 0) % 4, input:sub(2)
  if kind == 0 then
    local info = vmcoreinfo.parse(bytes, "a test")
    check(info)
    check_symbol(info)
  elseif kind == 1 then
    of_dump {{paddr = 0x1000, bytes = bytes}, {type = 4, align = 0, bytes = bytes}}
  elseif kind == 2 then
    of_dump {{paddr = 0x1000, bytes = bytes},
      {type = 4, align = 0, bytes = writer.elf_note("VMCOREINFO\0", 0, bytes)}}
  else
    of_dump {{paddr = 0, bytes = bytes}}
  end
end
