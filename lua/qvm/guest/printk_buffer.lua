-- The kernel log of Linux before 5.10: a buffer of records, one after the other
-- (kernel/printk/printk.c). A record is a struct printk_log, the text, and a dictionary.

local memory = require "qvm.guest.printk_memory"

local lookup, view = memory.lookup, memory.view

local printk_buffer = {}

local HEADER_MIN = 12 -- bytes: the time, and two lengths

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

-- Opens the buffer, and returns it; nil, what is wrong, and a code if it cannot be read. Fails if
-- VMCOREINFO lacks a part of it.
function printk_buffer.open(dump, space, info)
  local symbol = lookup(info, "symbols", "SYMBOL")
  local offset, size = lookup(info, "offsets", "OFFSET"), lookup(info, "sizes", "SIZE")
  local words = memory.words(dump)
  local order = words.order
  local function value(name, format)
    return view(space, symbol(name), 8, order)(format, 0)
  end
  local buffer = {order = order, header = size "printk_log", time = offset "printk_log.ts_nsec",
    length = offset "printk_log.len", text_length = offset "printk_log.text_len",
    caller = info.offsets["printk_log.caller_id"], size = value("log_buf_len", "I4"),
    first = value("log_first_idx", "I4"), next = value("log_next_idx", "I4")}
  buffer.facility = facility_offset(info, buffer.header, buffer.text_length)
  buffer.has_levels = buffer.facility ~= nil
  local address = value("log_buf", words.word)
  if not address or not buffer.size or not buffer.first or not buffer.next
    or buffer.size > 1 << memory.SIZE_BITS_MAX then
    return memory.unreadable("its buffer of messages", space, {symbol "log_buf",
      symbol "log_buf_len", symbol "log_first_idx", symbol "log_next_idx"})
  end
  buffer.size = memory.contiguous(space, address, buffer.size)
  buffer.at = view(space, address, buffer.size, order)
  return buffer
end

-- Iterates over the records. log: the LogCount in which those that are not read are counted.
-- A record of length 0 means that the next one is at the beginning. The length of a corrupt
-- record is not known, so reading ends there.
function printk_buffer.records(buffer, log)
  local index, seq, wrapped, done = buffer.first, 0, false, false
  local left = buffer.size -- bytes: the records together are not larger than the buffer
  local function stop(reason)
    done = true
    memory.give_up(log, 1, reason)
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
    elseif length > left or seq == memory.RECORDS_MAX then
      return stop(length > left and memory.OVERLAP or memory.TOO_MANY)
    end
    local text = buffer.at("c" .. text_length, index + buffer.header)
    if not text then
      return stop()
    end
    local from = buffer.caller and buffer.at("I4", index + buffer.caller)
    local facility, level = memory.facility_and_level(buffer.at, buffer.order,
      buffer.facility and index + buffer.facility)
    index, seq, left = index + length, seq + 1, left - length
    return {seq = seq - 1, time = time, caller = from, facility = facility, level = level,
      text = text}
  end
end

return printk_buffer
