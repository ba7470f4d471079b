-- Reads the guest's memory for the kernel's log: what its two forms share.
--
-- The structures that the log is made of are the guest's and cannot be trusted: each value is
-- read within the bounds of its structure, and what is not there is nil.

local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

local memory = {}

-- Bounds for hostile memory. log_buf_len=32M has a ring of 2^20 records.
memory.RECORDS_MAX = 1 << 20 -- records that are read
memory.SIZE_BITS_MAX = 30 -- logarithm of the bytes of text, in real kernels

memory.OVERLAP = "the records overlap: they hold more text than the log's buffer"
memory.ABSENT = "the dump does not have the memory of all of them"
memory.TOO_MANY = ("only %d records are read"):format(memory.RECORDS_MAX)

-- Counts records that are not read in a LogCount, and sets the reason.
function memory.give_up(log, count, reason)
  log.skipped, log.reason = log.skipped + count, log.reason or reason
end

-- The guest's byte order, and its words. Those of 64 bits are read as signed Lua integers.
function memory.words(dump)
  local is_32 = dump.bits == 32
  return {order = dump.byteorder == "big" and ">" or "<", word = is_32 and "I4" or "i8",
    word_size = is_32 and 4 or 8}
end

-- Makes a function that looks names up in a group of VMCOREINFO, and fails if one is missing.
function memory.lookup(info, group, form)
  return function(name)
    return info[group][name]
      or errors.fail(("VMCOREINFO has no %s(%s)"):format(form, name), "unsupported")
  end
end

-- Says that a log cannot be read: nil, a message, and a code if a word of it is not there, or not
-- mapped. addresses: of the words that it needs.
function memory.unreadable(what, space, addresses)
  for _, address in ipairs(addresses) do
    local bytes, message, code = space:read(address, 4)
    if not bytes then
      return nil, ("%s cannot be read: %s"):format(what,
        line.without_path(message, space.dump.path)), code
    end
  end
  return nil, what .. " cannot be read"
end

-- Reads memory; nil for what the dump does not have, or what is not mapped. Fails if the dump
-- cannot be read: it is closed, or its file was cut since it was opened.
local function read_or_fail(space, address, size)
  local bytes, message, code = space:read(address, size)
  if not bytes and code ~= "unmapped" and code ~= "unsupported"
    and not (code == "truncated" and not space.dump.complete) then
    errors.fail(message, code)
  end
  return bytes
end

-- Makes a function that decodes a format at an offset of a structure, or of an array of
-- structures. It returns nil for what is not there, and always nil if base or size are
-- impossible; it fails if the dump cannot be read. absent, or nil: a table whose field `found`
-- is set where memory is not there. Memory is read in chunks, of which the last
-- is kept: records are in order.
local CHUNK = 16384 -- bytes

function memory.view(space, base, size, order, absent)
  if not base or size < 0 then
    return function() end
  end
  local kept, chunk -- the chunk's number; its bytes, or nil if some are missing
  return function(format, offset)
    format = order .. format
    local length = string.packsize(format)
    if offset < 0 or offset > size - length then
      return nil
    end
    local number, at = offset // CHUNK, offset % CHUNK
    if at + length <= CHUNK then
      if number ~= kept then
        chunk = read_or_fail(space, base + number * CHUNK, math.min(CHUNK, size - number * CHUNK))
        kept = number
      end
      if chunk then
        return (string.unpack(format, chunk, at + 1))
      end
    end
    local bytes = read_or_fail(space, base + offset, length)
    if absent and not bytes then
      absent.found = true
    end
    return bytes and (string.unpack(format, bytes))
  end
end

-- The bytes from a virtual address on that are contiguous in physical memory, at most
-- `size`. The kernel's log is. So memory that is mapped repeatedly is read once.
function memory.contiguous(space, address, size)
  local first = space:translate(address)
  local total = 0
  while total < size do
    local physical, page = space:translate(address + total)
    if not physical or physical ~= first + total then
      break
    end
    total = total + page - (physical & page - 1)
  end
  return math.min(total, size)
end

-- Reads facility and level through a view: two bytes, `u8 facility; u8 flags:5, level:3`, of
-- which `at` is the first. Compilers begin with bit-fields at the low end on little-endian
-- machines, at the high end on big-endian ones. Nil if `at` is nil.
function memory.facility_and_level(read, order, at)
  local facility, bits = at and read("B", at), at and read("B", at + 1)
  if facility and bits then
    return facility, order == "<" and bits >> 5 or bits & 7
  end
end

return memory
