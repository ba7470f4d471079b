-- The input from a client of qvm-gdbserve. The first byte selects the dump, and whether the
-- rest is sent unchanged or consists of requests, one per line, that are put into packets.

local fuzz = require "fuzz"
local gdbdumps = require "gdbdumps"
local packet = require "qvm.gdb.packet"
local qvm = require "qvm"
local serve = require "qvm.gdb.serve"
local Session = require "qvm.gdb.session"

local dumps = {}
for i, bytes in ipairs(gdbdumps) do
  dumps[i] = assert(qvm.open(fuzz.file(i, bytes)))
end

local function bytes_of(text)
  local at = 0
  return function()
    at = at + 1
    return at <= #text and text:sub(at, at) or nil
  end
end

local function framed(text)
  local parts = {}
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    parts[#parts + 1] = packet.of(line)
  end
  return table.concat(parts)
end

-- The output must consist of complete packets and acknowledgements.
local function check(written)
  if written == "+" or written == "-" or written == "" then
    return
  end
  local each = packet.each(bytes_of(written))
  local kind, text = each()
  assert(kind == "packet" and #written <= packet.SIZE + 4, kind)
  assert(packet.of(text) == written and each() == nil)
  if text:find("^O%x") then
    local typed = packet.from_hex(text:sub(2))
    assert(not typed:find("[\0-\8\11-\31\127]"), "it contains terminal controls")
  end
end

-- The bytes read must be those of the dump.
local function check_read(session, dump)
  session.memory.is_physical = true
  local address = 0x200000
  local reply = session:answer(("m%x,10"):format(address))
  local bytes = dump:read(address, 16)
  assert(not bytes or packet.from_hex(reply) == bytes, reply)
end

return function(input)
  local kind = input:byte() or 0
  local dump = dumps[kind % #dumps + 1]
  local session = assert(Session.of(dump))
  local text = kind & 128 == 0 and framed(input:sub(2)) or input:sub(2)
  local left = 1 << 18 -- bytes; a client may disconnect at any time
  serve(session, bytes_of(text), function(written)
    check(written)
    left = left - #written
    return left > 0
  end)
  check_read(session, dump)
end
