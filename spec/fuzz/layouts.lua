-- Layouts of a kernel's log in 4 KiB of memory, for the target and its seeds.

local layouts = {BASE = 0x10000}

local function lines(list)
  return table.concat(list, "\n") .. "\n"
end

-- By word size: the bytes of a pointer.
local function ring(word)
  return lines {
    ("SYMBOL(prb)=%x"):format(layouts.BASE + 16),
    "SIZE(printk_ringbuffer)=128", "OFFSET(printk_ringbuffer.desc_ring)=64",
    "OFFSET(printk_ringbuffer.text_data_ring)=8", "OFFSET(prb_desc_ring.count_bits)=40",
    "OFFSET(prb_desc_ring.descs)=0", "OFFSET(prb_desc_ring.infos)=8",
    "OFFSET(prb_desc_ring.head_id)=16", "OFFSET(prb_desc_ring.tail_id)=24",
    ("SIZE(prb_desc)=%d"):format(4 * word), "OFFSET(prb_desc.state_var)=0",
    ("OFFSET(prb_desc.text_blk_lpos)=%d"):format(word), "OFFSET(prb_data_blk_lpos.begin)=0",
    ("OFFSET(prb_data_blk_lpos.next)=%d"):format(word),
    "SIZE(printk_info)=24", "OFFSET(printk_info.ts_nsec)=0", "OFFSET(printk_info.text_len)=16",
    "OFFSET(printk_info.seq)=8", "OFFSET(printk_info.caller_id)=20",
    "OFFSET(prb_data_ring.size_bits)=0", "OFFSET(prb_data_ring.data)=16",
    "OFFSET(atomic_long_t.counter)=0"}
end

local function buffer()
  local BASE = layouts.BASE
  return lines {("SYMBOL(log_buf)=%x"):format(BASE), ("SYMBOL(log_buf_len)=%x"):format(BASE + 8),
    ("SYMBOL(log_first_idx)=%x"):format(BASE + 12), ("SYMBOL(log_next_idx)=%x"):format(BASE + 16),
    "SIZE(printk_log)=16", "OFFSET(printk_log.ts_nsec)=0", "OFFSET(printk_log.len)=8",
    "OFFSET(printk_log.text_len)=10", "OFFSET(printk_log.caller_id)=12"}
end

-- The VMCOREINFO of a kind. Bit 2 selects the record buffer of kernels before 5.10.
function layouts.text(kind, bits)
  return kind & 4 == 0 and ring(bits // 8) or buffer()
end

return layouts
