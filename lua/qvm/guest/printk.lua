--- The kernel log of a Linux guest.
-- @classmod qvm.printk

-- The log is found by VMCOREINFO: the lockless ring of 5.10 and later (kernel/printk/
-- printk_ringbuffer.c), or the buffer of records before it. Both are the guest's memory and
-- cannot be trusted.
--
-- A message is a record. The kernel itself joins the parts of a line that is printed with
-- several calls, as long as nobody else prints (prb_reserve_in_last; the buffer `cont` before
-- 5.10); what it could not join are records of their own, which the console and dmesg(1) print
-- as lines of their own (record_print_text), and so they are here.

local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local selection = require "qvm.guest.printk_options"

local printk = {}

local Message = {__name = "Message"}

--- A message of the kernel's log; tostring formats it like dmesg.
-- @table Message
-- @tfield integer seq sequence number
-- @tfield string time seconds since boot, with 9 decimals
-- @tfield integer nanoseconds since boot
-- @tfield ?string caller `"T123"`: task 123; `"C1"`: CPU 1, outside of any task; nil if the
-- kernel does not record it
-- @tfield ?integer level severity: 0 (emerg), 1 (alert), 2 (crit), 3 (err), 4 (warn),
-- 5 (notice), 6 (info) or 7 (debug); nil if the record's layout is not known
-- @tfield ?string facility as in syslog: `"kern"` is the kernel itself, `"user"` or
-- `"daemon"`, for example, a program that wrote to /dev/kmsg; a number, as a string, where
-- syslog has no name; nil with the level
-- @tfield string text as the guest wrote it, with any characters
-- @usage for message in dump:dmesg() do print(message.level, message.facility) end

--- Counts what reading the log has found so far.
-- @table LogCount
-- @tfield integer given messages that the iterator has returned
-- @tfield integer skipped records that were not read, because they are corrupt or because
-- of `reason`
-- @tfield ?string reason why reading ended early: the records overlap, or there are too many
-- @usage messages, count = dump:dmesg()

local Count = {__name = "LogCount"}

Count.__tostring = line.tostring("log count", function(count)
  return ("%d messages given, %d records skipped%s"):format(count.given, count.skipped,
    count.reason and ": " .. count.reason or "")
end)

-- Bounds for hostile memory. log_buf_len=32M has a ring of 2^20 records.
local RECORDS_MAX = 1 << 20 -- records that are read
local CORRUPT_MAX = 1 << 16 -- corrupt records after which reading ends

local OVERLAP = "the records overlap: they hold more text than the log's buffer"
local CORRUPT = ("reading ended after %d corrupt records"):format(CORRUPT_MAX)
local TOO_MANY = ("only %d records are read"):format(RECORDS_MAX)

-- Counts records that are not read, and sets the reason.
local function give_up(log, count, reason)
  log.skipped, log.reason = log.skipped + count, log.reason or reason
end

-- As dmesg(1) prints it: with microseconds; further lines are indented.
function Message:__tostring()
  local prefix = ("[%12s] "):format(self.time:sub(1, -4))
  return prefix .. line.escape_lines(self.text):gsub("\n", "\n" .. (" "):rep(#prefix))
end

-- Formats nanoseconds, which are unsigned, as seconds with 9 decimals.
local function seconds(nanoseconds)
  local whole = nanoseconds >= 0 and nanoseconds // 1000000000
    or (nanoseconds >> 1) // 500000000
  return ("%d.%09d"):format(whole, nanoseconds - whole * 1000000000)
end

-- As the kernel prints it: the id of a task, or else the CPU.
local function caller(id)
  return id & 0x80000000 == 0 and "T" .. id or "C" .. (id & 0x7fffffff)
end

-- The names of the facilities, as in syslog.h.
local FACILITIES = {[0] = "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
  "uucp", "cron", "authpriv", "ftp", [16] = "local0", [17] = "local1", [18] = "local2",
  [19] = "local3", [20] = "local4", [21] = "local5", [22] = "local6", [23] = "local7"}

-- r: seq, time (nanoseconds), caller (its id, or nil), facility and level (or nil), text
local function message(r)
  return setmetatable({seq = r.seq, time = seconds(r.time), nanoseconds = r.time,
    caller = r.caller and caller(r.caller), level = r.level,
    facility = r.facility and (FACILITIES[r.facility] or tostring(r.facility)), text = r.text},
    Message)
end

-- Reads facility and level through a view: two bytes, `u8 facility; u8 flags:5, level:3`, of
-- which `at` is the first. Compilers begin with bit-fields at the low end on little-endian
-- machines, at the high end on big-endian ones. Nil if `at` is nil.
local function facility_and_level(read, order, at)
  local facility, bits = at and read("B", at), at and read("B", at + 1)
  if facility and bits then
    return facility, order == "<" and bits >> 5 or bits & 7
  end
end

-- Makes a function that looks names up in a group of VMCOREINFO, and fails if one is missing.
local function lookup(info, group, form)
  return function(name)
    return info[group][name]
      or errors.fail(("VMCOREINFO has no %s(%s)"):format(form, name), "unsupported")
  end
end

-- Makes a function that decodes a format at an offset of a structure, or of an array of
-- structures. It returns nil for what is not there, and always nil if base or size are
-- impossible. Memory is read in chunks, of which the last is kept: records are in order.
local CHUNK = 16384 -- bytes

local function view(space, base, size, order)
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
        kept = number
        chunk = space:read(base + number * CHUNK, math.min(CHUNK, size - number * CHUNK))
      end
      if chunk then
        return (string.unpack(format, chunk, at + 1))
      end
    end
    local bytes = space:read(base + offset, length)
    return bytes and (string.unpack(format, bytes))
  end
end

-- The bytes from a virtual address on that are contiguous in physical memory, at most
-- `size`. The kernel's log is. So memory that is mapped repeatedly is read once.
local function contiguous(space, address, size)
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

-- The lockless ring ------------------------------------------------------------

-- Bounds of real kernels: logarithms of the number of records and of the bytes of text.
local COUNT_BITS_MAX, SIZE_BITS_MAX = 24, 30

-- The layout of this kernel's ring; fails if VMCOREINFO lacks a part of it.
local function ring_layout(info)
  local offset, size = lookup(info, "offsets", "OFFSET"), lookup(info, "sizes", "SIZE")
  local layout = {desc_ring = offset "printk_ringbuffer.desc_ring",
    data_ring = offset "printk_ringbuffer.text_data_ring",
    ring_size = size "printk_ringbuffer", desc_size = size "prb_desc",
    info_size = size "printk_info"}
  local counter = offset "atomic_long_t.counter"
  for _, name in ipairs {"count_bits", "descs", "infos"} do
    layout[name] = layout.desc_ring + offset("prb_desc_ring." .. name)
  end
  layout.head_id = layout.desc_ring + offset "prb_desc_ring.head_id" + counter
  layout.tail_id = layout.desc_ring + offset "prb_desc_ring.tail_id" + counter
  layout.size_bits = layout.data_ring + offset "prb_data_ring.size_bits"
  layout.data = layout.data_ring + offset "prb_data_ring.data"
  layout.state = offset "prb_desc.state_var" + counter
  local blocks = offset "prb_desc.text_blk_lpos"
  layout.begin = blocks + offset "prb_data_blk_lpos.begin"
  layout.next = blocks + offset "prb_data_blk_lpos.next"
  for _, name in ipairs {"ts_nsec", "text_len", "seq", "caller_id"} do
    layout[name] = offset("printk_info." .. name)
  end
  -- VMCOREINFO has no offset of the facility and the level. In printk_ringbuffer.h they are
  -- the only members between text_len and caller_id, which then is at the next multiple of 4.
  if layout.caller_id - layout.text_len == 4 then
    layout.facility = layout.text_len + 2
  end
  return layout
end

-- The text of a record in the data ring; nil if its block is invalid.
local function text_of(ring, id, begin, next, length)
  if begin == next or begin & next & 1 == 1 then
    return "" -- no data
  end
  local size, bits = ring.data_size, ring.size_bits
  local start, block = begin & size - 1, next - begin & ring.word_mask
  if begin >> bits ~= (next - 1 & ring.word_mask) >> bits then
    -- A block that does not fit before the end is at the beginning.
    start, block = 0, next & size - 1
  end
  if block < ring.word_size or block > size - start
    or ring.text(ring.word, start) ~= id then
    return nil
  end
  length = math.min(length, block - ring.word_size)
  return ring.text("c" .. length, start + ring.word_size)
end

-- Reads a record: false if it is to be skipped, nil if it is corrupt.
local function record(ring, id)
  local layout, index = ring.layout, id & ring.count - 1
  local desc, info = index * layout.desc_size, index * layout.info_size
  local state = ring.descs(ring.word, desc + layout.state)
  if not state or state & ring.id_mask ~= id then
    return nil
  end
  local kind = state >> ring.id_bits & 3
  if kind ~= 1 and kind ~= 2 then -- neither committed nor finalized: being written, or free
    return false
  end
  local begin, next = ring.descs(ring.word, desc + layout.begin),
    ring.descs(ring.word, desc + layout.next)
  local seq, time = ring.infos("i8", info + layout.seq), ring.infos("i8", info + layout.ts_nsec)
  local length, from = ring.infos("I2", info + layout.text_len),
    ring.infos("I4", info + layout.caller_id)
  local text = begin and next and length and text_of(ring, id, begin, next, length)
  if not (text and seq and time and from) then
    return nil
  end
  local facility, level = facility_and_level(ring.infos, ring.order,
    layout.facility and info + layout.facility)
  return message {seq = seq, time = time, caller = from, facility = facility, level = level,
    text = text}
end

-- The guest's words. Those of 64 bits are read as signed Lua integers. The two highest bits
-- of a record's state are not part of its id.
local function words(dump)
  if dump.bits == 32 then
    return {word = "I4", word_size = 4, word_mask = 0xffffffff, id_bits = 30,
      id_mask = (1 << 30) - 1}
  end
  return {word = "i8", word_size = 8, word_mask = -1, id_bits = 62, id_mask = (1 << 62) - 1}
end

local function open_ring(dump, space, info)
  local layout = ring_layout(info)
  local ring = words(dump)
  local order = dump.byteorder == "big" and ">" or "<"
  local pointer = view(space, info.symbols.prb, ring.word_size, order)(ring.word, 0)
  local at = pointer and view(space, pointer, layout.ring_size, order)
  local count_bits = at and at("I4", layout.count_bits)
  local size_bits = at and at("I4", layout.size_bits)
  if not count_bits or not size_bits or count_bits > COUNT_BITS_MAX
    or size_bits > SIZE_BITS_MAX then
    return nil, "its ring of messages cannot be read"
  end
  ring.layout, ring.order, ring.count = layout, order, 1 << count_bits
  ring.has_levels = layout.facility ~= nil
  ring.size_bits, ring.data_size = size_bits, 1 << size_bits
  ring.descs = view(space, at(ring.word, layout.descs), layout.desc_size << count_bits, order)
  ring.infos = view(space, at(ring.word, layout.infos), layout.info_size << count_bits, order)
  local data = at(ring.word, layout.data)
  ring.text = view(space, data, ring.data_size, order)
  ring.text_left = data and contiguous(space, data, ring.data_size) or 0
  local tail, head = at(ring.word, layout.tail_id), at(ring.word, layout.head_id)
  if not tail or not head then
    return nil, "its ring of messages cannot be read"
  end
  ring.tail, ring.head = tail & ring.id_mask, head & ring.id_mask
  return ring
end

local function ring_messages(ring, log)
  local id, left = ring.tail, math.min((ring.head - ring.tail & ring.id_mask) + 1, ring.count)
  if left > RECORDS_MAX then -- the oldest are left out
    give_up(log, left - RECORDS_MAX, TOO_MANY)
    id, left = id + left - RECORDS_MAX & ring.id_mask, RECORDS_MAX
  end
  local corrupt = 0
  return function()
    while left > 0 do
      local found = record(ring, id)
      if found and #found.text > ring.text_left then
        give_up(log, left, OVERLAP)
        left = 0
        return nil
      end
      id, left = id + 1 & ring.id_mask, left - 1
      if found then
        ring.text_left = ring.text_left - #found.text
        return found
      elseif found == nil then
        corrupt, log.skipped = corrupt + 1, log.skipped + 1
      end
      if corrupt == CORRUPT_MAX then
        give_up(log, left, CORRUPT)
        left = 0
      end
    end
  end
end

-- Records before 5.10 -------------------------------------------------------------

-- The offset of the facility in printk_log (kernel/printk/printk.c): text_len and dict_len, of
-- 2 bytes each, are before it, the level is after it. Then the structure ends, or it has the
-- caller's id of 4 bytes, and 4 bytes of padding on some machines. Else nil.
local function facility_offset(info, size, text_length)
  local dict_length, rest = info.offsets["printk_log.dict_len"], size - text_length
  if (rest == 6 or rest == 10 or rest == 14)
    and (not dict_length or dict_length == text_length + 2) then
    return text_length + 4
  end
end

local function open_buffer(dump, space, info)
  local symbol = lookup(info, "symbols", "SYMBOL")
  local offset, size = lookup(info, "offsets", "OFFSET"), lookup(info, "sizes", "SIZE")
  local order = dump.byteorder == "big" and ">" or "<"
  local function value(name, format)
    return view(space, symbol(name), 8, order)(format, 0)
  end
  local buffer = {order = order, header = size "printk_log", time = offset "printk_log.ts_nsec",
    length = offset "printk_log.len", text_length = offset "printk_log.text_len",
    caller = info.offsets["printk_log.caller_id"], size = value("log_buf_len", "I4"),
    first = value("log_first_idx", "I4"), next = value("log_next_idx", "I4")}
  buffer.facility = facility_offset(info, buffer.header, buffer.text_length)
  buffer.has_levels = buffer.facility ~= nil
  local address = value("log_buf", words(dump).word)
  if not address or not buffer.size or not buffer.first or not buffer.next
    or buffer.size > 1 << SIZE_BITS_MAX then
    return nil, "its buffer of messages cannot be read"
  end
  buffer.size = contiguous(space, address, buffer.size)
  buffer.at = view(space, address, buffer.size, order)
  return buffer
end

local HEADER_MIN = 12 -- bytes: the time, and two lengths

-- A record of length 0 means that the next one is at the beginning. The length of a corrupt
-- record is not known, so reading ends there.
local function buffer_messages(buffer, log)
  local index, seq, wrapped, done = buffer.first, 0, false, false
  local left = buffer.size -- bytes: the records together are not larger than the buffer
  local function stop(reason)
    done = true
    give_up(log, 1, reason)
  end
  local function length_at()
    local length = buffer.at("I2", index + buffer.length)
    if length == 0 and not wrapped and index > buffer.next then
      index, wrapped = 0, true
      length = index ~= buffer.next and buffer.at("I2", buffer.length) or nil
      done = length == nil
    end
    return length
  end
  return function()
    if done or index == buffer.next then
      return nil
    end
    local length = length_at()
    if done then
      return nil
    end
    local text_length = buffer.at("I2", index + buffer.text_length)
    local time = buffer.at("i8", index + buffer.time)
    if not (length and text_length and time) or length < math.max(buffer.header, HEADER_MIN)
      or text_length > length - buffer.header then
      return stop()
    elseif length > left or seq == RECORDS_MAX then
      return stop(length > left and OVERLAP or TOO_MANY)
    end
    local text = buffer.at("c" .. text_length, index + buffer.header)
    if not text then
      return stop()
    end
    local from = buffer.caller and buffer.at("I4", index + buffer.caller)
    local facility, level = facility_and_level(buffer.at, buffer.order,
      buffer.facility and index + buffer.facility)
    index, seq, left = index + length, seq + 1, left - length
    return message {seq = seq - 1, time = time, caller = from, facility = facility,
      level = level, text = text}
  end
end

-- Iterates over the messages, and returns a LogCount; nil, what is wrong. options: what
-- printk_options.checked returns, or nil.
function printk.messages(dump, space, info, options)
  local log = setmetatable({given = 0, skipped = 0}, Count)
  local open, messages = open_ring, ring_messages
  if not info.symbols.prb then
    open, messages = open_buffer, buffer_messages
  end
  local source, problem = errors.catch(open, dump, space, info)
  if not source then
    return nil, problem
  end
  local level, last = options and options.level, options and options.last
  if level and not source.has_levels then
    return nil, "the levels of its messages are not known"
  end
  local each = messages(source, log)
  each = level and selection.of_level(each, level) or each
  each = last and selection.last_of(each, last) or each
  return function()
    local found = each()
    log.given = log.given + (found and 1 or 0)
    return found
  end, log
end

return printk
