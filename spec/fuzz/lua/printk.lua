-- The kernel's log in a dump's memory. The first byte selects the memory layout, or that
-- the input starts with the text of VMCOREINFO, up to a NUL.

local fuzz = require "fuzz"
local layouts = require "layouts"
local printk = require "qvm.guest.printk"
local qvm = require "qvm"
local selection = require "qvm.guest.printk_options"
local vmcoreinfo = require "qvm.guest.vmcoreinfo"
local writer = require "support.dumpwriter"

local BASE = layouts.BASE

local function check(message, last)
  assert(math.type(message.seq) == "integer" and type(message.text) == "string")
  assert(message.time:find("^%d+%.%d%d%d%d%d%d%d%d%d$"), message.time)
  assert(message.caller == nil or message.caller:find("^[TC]%d+$"))
  local level, facility = message.level, message.facility
  assert(level == nil and facility == nil or math.type(level) == "integer" and level >= 0
    and level <= 7 and facility:find("^%w+$"))
  assert(#message.text < 65536)
  local text = tostring(message)
  assert(text:find("^%[ *%d+%.%d%d%d%d%d%d%] ") and utf8.len(text), text)
  assert(not text:find("[\0-\8\11-\31\127]"), text)
  return last
end

-- The dump's memory as an address space in which virtual addresses equal physical ones.
local function memory_of(dump, size)
  return {
    dump = dump,
    read = function(_, address, n) return dump:read(address, n) end,
    translate = function(_, address)
      if math.ult(address - BASE, size) then
        return address, 1
      end
    end,
  }
end

-- Options select messages and change nothing else.
local function check_options(kind, read)
  local options = selection.checked {level = kind >> 4 & 7, last = (kind >> 5) + 1}
  for message in read(options) or function() end do
    check(message)
    assert(message.level <= options.level)
    options.last = options.last - 1
  end
  assert(options.last >= 0)
end

return function(input)
  local kind = input:byte() or 0
  local bits, order = kind & 1 == 0 and 64 or 32, kind & 2 == 0 and "<" or ">"
  local text, bytes = layouts.text(kind, bits), input:sub(2)
  if kind & 8 == 8 then
    text, bytes = bytes:match("^([^%z]*)%z?(.*)$")
  end
  local file = writer.as(order, bits, function()
    return writer.file {machine = bits == 64 and "x86_64" or "arm",
      segments = {{paddr = BASE, bytes = bytes}}}
  end)
  local path = fuzz.file(0, file)
  local dump = assert(qvm.open(path))
  local iterator, log = printk.messages(dump, memory_of(dump, #bytes),
    vmcoreinfo.parse(text, "a test"))
  if not iterator then
    assert(type(log) == "string" and #log > 0)
    return dump:close()
  end
  local count, total = 0, 0
  for message in iterator do
    check(message)
    count, total = count + 1, total + #message.text
    assert(total <= #bytes, "more text than memory")
    if count == 200 then
      break
    end
  end
  -- The number of skipped records is bounded by the memory and by the ring's size.
  assert(log.skipped >= 0 and log.skipped <= 1 << 24)
  if count < 200 and log.skipped < 200 then
    check_options(kind, function(options)
      return printk.messages(dump, memory_of(dump, #bytes), vmcoreinfo.parse(text, "a test"),
        options)
    end)
  end
  dump:close()
end
