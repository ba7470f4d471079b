-- The kernel log of Linux 5.10 and later: a lockless ring (kernel/printk/printk_ringbuffer.c).
--
-- It has three arrays: descriptors, infos and text. A record's id, modulo the number of
-- descriptors, is its index in the first two; its descriptor has its state, and where its text is.

local memory = require "qvm.guest.printk_memory"

local lookup, view = memory.lookup, memory.view

local printk_ring = {}

local COUNT_BITS_MAX = 24 -- logarithm of the number of records; real kernels stay below it
local CORRUPT_MAX = 1 << 16 -- corrupt records after which reading ends
local CORRUPT = ("reading ended after %d corrupt records"):format(CORRUPT_MAX)

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
  -- VMCOREINFO has no offset of the facility and the level. In printk_ringbuffer.h only
  -- `u8 facility; u8 flags:5, level:3` is between text_len and caller_id.
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

-- Reads a record: false if it holds no message, because it is free or being written; nil if it
-- is corrupt, which counts as skipped.
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
  local facility, level = memory.facility_and_level(ring.infos, ring.order,
    layout.facility and info + layout.facility)
  return {seq = seq, time = time, caller = from, facility = facility, level = level, text = text}
end

-- nil, why the ring at an address cannot be read, and a code if its memory cannot.
local function unreadable(space, layout, prb, pointer)
  local words = {prb}
  for _, name in ipairs(pointer and {"count_bits", "size_bits", "tail_id", "head_id"} or {}) do
    words[#words + 1] = pointer + layout[name]
  end
  return memory.unreadable("its ring of messages", space, words)
end

-- Opens the ring, and returns it; nil, what is wrong, and a code if its memory cannot be read.
-- Fails if VMCOREINFO lacks a part of it.
function printk_ring.open(dump, space, info)
  local layout = ring_layout(info)
  local ring = memory.words(dump)
  local order = ring.order
  ring.word_mask = (1 << 8 * ring.word_size) - 1
  ring.id_bits = 8 * ring.word_size - 2 -- the two highest bits of a record's state are not its id
  ring.id_mask = (1 << ring.id_bits) - 1
  local pointer = view(space, info.symbols.prb, ring.word_size, order)(ring.word, 0)
  local at = pointer and view(space, pointer, layout.ring_size, order)
  local count_bits = at and at("I4", layout.count_bits)
  local size_bits = at and at("I4", layout.size_bits)
  if not count_bits or not size_bits or count_bits > COUNT_BITS_MAX
    or size_bits > memory.SIZE_BITS_MAX then
    return unreadable(space, layout, info.symbols.prb, pointer)
  end
  ring.layout, ring.count, ring.absent = layout, 1 << count_bits, {}
  ring.has_levels = layout.facility ~= nil
  ring.size_bits, ring.data_size = size_bits, 1 << size_bits
  ring.descs = view(space, at(ring.word, layout.descs), layout.desc_size << count_bits, order,
    ring.absent)
  ring.infos = view(space, at(ring.word, layout.infos), layout.info_size << count_bits, order,
    ring.absent)
  local data = at(ring.word, layout.data)
  ring.text = view(space, data, ring.data_size, order, ring.absent)
  ring.text_left = data and memory.contiguous(space, data, ring.data_size) or 0
  local tail, head = at(ring.word, layout.tail_id), at(ring.word, layout.head_id)
  if not tail or not head then
    return unreadable(space, layout, info.symbols.prb, pointer)
  end
  ring.tail, ring.head = tail & ring.id_mask, head & ring.id_mask
  return ring
end

-- Iterates over the records. log: the LogCount in which those that are not read are counted.
function printk_ring.records(ring, log)
  local id, left = ring.tail, math.min((ring.head - ring.tail & ring.id_mask) + 1, ring.count)
  if left > memory.RECORDS_MAX then -- the oldest are left out
    local most = memory.RECORDS_MAX
    memory.give_up(log, left - most, memory.TOO_MANY)
    id, left = id + left - most & ring.id_mask, most
  end
  local corrupt = 0
  return function()
    while left > 0 do
      ring.absent.found = false
      local found = record(ring, id)
      if found and #found.text > ring.text_left then
        memory.give_up(log, left, memory.OVERLAP)
        left = 0
        return nil
      end
      id, left = id + 1 & ring.id_mask, left - 1
      if found then
        ring.text_left = ring.text_left - #found.text
        return found
      elseif found == nil then
        corrupt, log.skipped = corrupt + 1, log.skipped + 1
        log.reason = log.reason or ring.absent.found and memory.ABSENT or nil
      end
      if corrupt == CORRUPT_MAX then
        memory.give_up(log, left, CORRUPT)
        left = 0
      end
    end
  end
end

return printk_ring
