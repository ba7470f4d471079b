-- What dump:crash() makes of the log of a Linux guest. The reports are written after those of
-- kernels 5.4 to 7.2; traces are shortened.

local cost = require "support.cost"
local files = require "support.files"
local kernel_log = require "support.kernel_log"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

local MACHINES = {"x86_64", "aarch64"}

-- The crash in a log, given as kernel_log.parse takes it.
local function crash_of(text, machine)
  return kernel_log.dump(kernel_log.parse(text), machine):crash()
end

-- "kind|message|cause|time|vcpu|task|pid"
local function shown(found)
  local task = found.task or {}
  local time = found.time:gsub("0+$", "")
  return table.concat({found.kind, found.message, found.cause or "-", time, tostring(found.vcpu),
    tostring(task.name), tostring(task.pid)}, "|")
end

-- Is the log, on both machines, that crash, with so many lines?
local function expect(text, expected, lines)
  for _, machine in ipairs(MACHINES) do
    local found = assert(crash_of(text, machine))
    assert.are.equal(expected, shown(found))
    if lines then
      assert.are.equal(lines, #found.lines)
    end
  end
end

local BOOT = [[
0 T0 5 Linux version 6.1.0 (build@host) (gcc 12.2.0) #1 SMP
0 T0 5 Kernel command line: console=ttyS0 panic=-1 oops=panic
0.1 T1 6 NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.
0.2 T1 6 rcu: Hierarchical SRCU implementation.
0.3 T1 6 Run /init as init process
]]

local NULL_X86 = [[
41.421394 T94 1 BUG: kernel NULL pointer dereference, address: 0000000000000008
41.421652 T94 1 #PF: supervisor read access in kernel mode
41.421753 T94 1 #PF: error_code(0x0000) - not-present page
41.421889 T94 6 PGD 2a12067 P4D 2a12067 PUD 2a0e067 PMD 0
41.424759 T94 4 Oops: 0000 [#1] PREEMPT SMP NOPTI
41.424760 T94 4 CPU: 1 PID: 94 Comm: cat Not tainted 6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2
41.424761 T94 4 RIP: 0010:uptime_proc_show+0x2/0x160
41.424762 T94 4 RAX: 0000000000000000 RBX: ffff89e5c291a708 RCX: 0000000000000001
41.424763 T94 4 Call Trace:
41.424764 T94 4  <TASK>
41.424765 T94 4  seq_read_iter+0x122/0x450
41.424766 T94 4  </TASK>
41.424767 T94 4 Modules linked in: qemu_fw_cfg
41.424768 T94 4 CR2: 0000000000000008
41.424769 T94 4 ---[ end trace 0000000000000000 ]---
]]

local AFTER_NULL_X86 = [[
41.424770 T94 4 RIP: 0010:uptime_proc_show+0x2/0x160
41.424771 T94 4 PKRU: 55555554
41.424772 T94 6 note: cat[94] exited with irqs disabled
]]

local NULL_ARM = [[
3.242978 T2605 1 Unable to handle kernel NULL pointer dereference at virtual address 04a0
3.243341 T2605 1 Mem abort info:
3.243342 T2605 1   ESR = 0x0000000096000004
3.243343 T2605 1 Data abort info:
3.243344 T2605 1 [00000000000004a0] user address but active_mm is swapper
3.243346 T2605 0 Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP
3.243347 T2605 4 Modules linked in:
3.243348 T2605 4 CPU: 0 UID: 0 PID: 2605 Comm: kworker/u16:0 Tainted: G        W    6.12.0 #22
3.243349 T2605 4 pstate: 60400009 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
3.243350 T2605 4 pc : crtc_dma_dev_get+0x8/0x18
3.243351 T2605 4 x29: ffff800082b23a20 x28: ffff000002c78880 x27: ffff8000816466d0
3.243352 T2605 4 Call trace:
3.243353 T2605 4  crtc_dma_dev_get+0x8/0x18
3.243354 T2605 0 Code: d65f03c0 d503245f aa0003e1 f9425000 (f9425000)
3.243355 T2605 4 ---[ end trace 0000000000000000 ]---
]]

describe("the crash of a guest", function()
  after_each(files.clean)

  it("is nil without a sign of one", function()
    for _, machine in ipairs(MACHINES) do
      local dump = kernel_log.dump(kernel_log.parse(BOOT), machine)
      assert.are.same({n = 1}, table.pack(dump:crash()))
    end
  end)

  it("is not what programs write to the log, or what a message quotes", function()
    assert.is_nil((crash_of(BOOT .. [[
5 T80 12 Kernel panic - not syncing: says a program
5.1 T80 12 WARNING: CPU: 0 PID: 80 at a program
5.2 T80 11 BUG: unable to handle page fault for address: 0000
5.3 T80 30 systemd[1]: Kernel panic - not syncing: says a daemon
5.4 T80 4 driver: WARNING: this is no warning of the kernel
5.5 T80 4 WARNING: unusual clock source
5.6 T80 6 usb 1-1: BUG: reported by the device
5.7 T80 6 Command line: Kernel panic - not syncing: quoted
5.8 T80 6 watchdog: NMI not fully supported
5.9 T80 6 INFO: task scheduler ready
6.0 T80 6 Oops limit is 10000
6.1 T80 6 rcu: INFO: callback offloading
6.2 T80 6 Out of memory killer disabled.
6.3 T80 4 ------------[ cut here ]------------
6.4 T80 4 ==================================================================
6.5 T80 6 device: 0000 [1]
]])))
  end)

  it("is an oops of x86_64", function()
    local message = "BUG: kernel NULL pointer dereference, address: 0000000000000008"
    expect(BOOT .. NULL_X86 .. AFTER_NULL_X86, "oops|" .. message .. "|-|41.421394|1|cat|94", 15)
    local found = crash_of(BOOT .. NULL_X86 .. AFTER_NULL_X86)
    assert.are.equal("oops at 41.421394 s on vCPU 1: " .. message, tostring(found))
    assert.are.equal("[   41.421394] " .. message, found.lines[1])
    assert.are.equal("[   41.424769] ---[ end trace 0000000000000000 ]---", found.lines[15])
    expect([[
1 T7 1 BUG: unable to handle page fault for address: fffffe76ffbaf000
1 T7 4 Oops: Oops: 0002 [#1] SMP NOPTI
1 T7 4 CPU: 1 UID: 0 PID: 7 Comm: ublk Kdump: loaded Tainted: G      D    6.16.0 #2 PREEMPT(lazy)
]], "oops|BUG: unable to handle page fault for address: fffffe76ffbaf000|-|1.|1|ublk|7")
    expect([[
1 T7 1 BUG: unable to handle kernel paging request at ffff8e6645cbb000
1 T7 4 Oops: 0003 [#1] SMP
1 T7 4 CPU: 1 PID: 7 Comm: xcvrd Tainted: G  O    4.14.0 #1
]], "oops|BUG: unable to handle kernel paging request at ffff8e6645cbb000|-|1.|1|xcvrd|7")
    for _, first in ipairs {
      "general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] "
        .. "PREEMPT SMP NOPTI",
      "Oops: general protection fault, probably for non-canonical address 0xdead0: 0000 [#1] SMP",
      "stack segment: 0000 [#1] SMP", "divide error: 0000 [#2] SMP PTI",
      "Oops: divide error: 0000 [#1] SMP NOPTI", "double fault: 0000 [#1] SMP"} do
      expect("1 T7 4 " .. first .. "\n1 T7 4 CPU: 0 PID: 7 Comm: x Not tainted 5.4.0 #1\n",
        "oops|" .. first .. "|-|1.|0|x|7", 2)
    end
  end)

  it("is an oops of aarch64", function()
    expect(BOOT .. NULL_ARM, "oops|Unable to handle kernel NULL pointer dereference at virtual "
      .. "address 04a0|-|3.242978|0|kworker/u16:0|2605", 15)
    expect([[
1 T7 1 Unable to handle kernel paging request at virtual address ffff8000011d6008
1 T7 0 Internal error: Oops: 96000007 [#1] PREEMPT SMP
1 T7 4 CPU: 1 PID: 7 Comm: init Not tainted 5.4.0 #1
]], "oops|Unable to handle kernel paging request at virtual address ffff8000011d6008|-|1.|1|init|7")
    expect([[
1 C1 0 Internal error: synchronous external abort: 0000000096000010 [#1] SMP
1 C1 4 CPU: 1 PID: 0 Comm: swapper/1 Not tainted 6.6.0 #1
]], "oops|Internal error: synchronous external abort: 0000000096000010 [#1] SMP|-|1.|1|swapper/1|0")
  end)

  it("is a BUG", function()
    expect([[
2 T148 4 ------------[ cut here ]------------
2.1 T148 2 kernel BUG at lib/list_debug.c:51!
2.2 T148 4 invalid opcode: 0000 [#1] SMP PTI
2.3 T148 4 CPU: 1 PID: 148 Comm: kswapd0 Tainted: P           OE     5.13.4 #1
2.4 T148 4 ---[ end trace 8a2b ]---
]], "bug|kernel BUG at lib/list_debug.c:51!|-|2.1|1|kswapd0|148", 5)
    expect([[
2 T4 4 ------------[ cut here ]------------
2.1 T4 2 kernel BUG at mm/rmap.c:1380!
2.2 T4 0 Internal error: Oops - BUG: 00000000f2000800 [#1] PREEMPT SMP
2.3 T4 4 CPU: 1 UID: 0 PID: 4 Comm: a.out Not tainted 6.14.0 #299
2.4 T4 4 ---[ end trace 0000000000000000 ]---
]], "bug|kernel BUG at mm/rmap.c:1380!|-|2.1|1|a.out|4", 5)
    expect([[
2 T4 4 ------------[ cut here ]------------
2.1 T4 0 Kernel BUG at regulator_check_voltage+0xb0/0xf0 [verbose debug info unavailable]
2.2 T4 0 Internal error: Oops - BUG: 00000000f2000800 [#1] SMP
]], "bug|Kernel BUG at regulator_check_voltage+0xb0/0xf0 [verbose debug info unavailable]"
      .. "|-|2.1|nil|nil|nil", 3)
    expect([[
2 C0 3 BUG: scheduling while atomic: ip/6698/0x00000002
2.1 C0 4 CPU: 0 PID: 6698 Comm: ip Tainted: G S      W         5.14.0 #1
2.2 C0 4 Call Trace:
2.3 C0 4  dump_stack_lvl+0x33/0x42
2.4 C0 4  __schedule_bug.cold+0x47/0x53
2.5 C0 6 e1000: eth0: link is up
]], "bug|BUG: scheduling while atomic: ip/6698/0x00000002|-|2.|0|ip|6698", 5)
  end)

  it("is a report of KASAN, to its last line", function()
    expect([[
767.75 T237 3 ==================================================================
767.76 T237 3 BUG: KASAN: slab-use-after-free in _raw_spin_lock+0x2c/0x40
767.77 T237 3 Read of size 1 at addr ffff888127660e08 by task wpa_supplicant/237
767.78 T237 4 CPU: 1 UID: 0 PID: 237 Comm: wpa_supplicant Kdump: loaded Not tainted 6.18.14 #23
767.79 T237 4 Call Trace:
767.80 T237 4  print_report+0xce/0x620
767.81 T237 3 Allocated by task 237:
767.82 T237 4  kasan_save_stack+0x33/0x60
767.83 T237 3 ==================================================================
767.84 T237 4 Disabling lock debugging due to kernel taint
]], "bug|BUG: KASAN: slab-use-after-free in _raw_spin_lock+0x2c/0x40|-|767.76|1|wpa_supplicant|237",
      9)
  end)

  it("is a CPU that locked up", function()
    expect([[
30 C1 0 watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a b:c]:331]
30.1 C1 4 Modules linked in: qemu_fw_cfg
30.2 C1 4 CPU: 1 PID: 331 Comm: a b:c] Not tainted 6.1.0 #1
30.3 C1 4 Call Trace:
30.4 C1 4  <TASK>
30.5 C1 4  loop+0x1/0x2
30.6 C1 4 RIP: 0033:0x47cf2a
30.7 C1 4  </TASK>
30.8 C1 6 eth0: link is up
]], "lockup|watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a b:c]:331]|-|30.|1|a b:c]|331", 8)
    for _, first in ipairs {"NMI watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [sh:7]",
      "BUG: soft lockup - CPU#1 stuck for 67s! [sh:7]"} do
      expect("9 C1 0 " .. first .. "\n", "lockup|" .. first .. "|-|9.|1|sh|7", 1)
    end
    -- One CPU finds another one locked up: the task is not the one that runs here.
    expect([[
9 C0 0 watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1
9.1 C0 4 Modules linked in:
9.2 C0 4 CPU: 0 UID: 0 PID: 0 Comm: swapper/0 Not tainted 6.18.0 #1
]], "lockup|watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1|-|9.|1|nil|nil")
    expect([[
9 C1 0 NMI watchdog: Watchdog detected hard LOCKUP on cpu 1
9.2 C1 4 CPU: 1 PID: 7 Comm: sh Not tainted 5.10.0 #1
]], "lockup|NMI watchdog: Watchdog detected hard LOCKUP on cpu 1|-|9.|1|sh|7")
  end)

  it("is a stall of RCU", function()
    expect([[
185.43 C1 3 rcu: INFO: rcu_sched self-detected stall on CPU
185.44 C1 3 rcu: 	1-....: (20999 ticks this GP) idle=e22/1/0x4000000000000000
185.45 C1 3 	(t=21000 jiffies g=6325 q=1215)
185.46 C1 4 NMI backtrace for cpu 1
185.47 C1 4 CPU: 1 PID: 3470 Comm: kfdtest Kdump: loaded Tainted: G           O      5.12.0 #1
185.48 C1 4 Call Trace:
185.49 C1 4  <IRQ>
185.50 C1 4  dump_stack+0x64/0x7c
]], "stall|rcu: INFO: rcu_sched self-detected stall on CPU|-|185.43|1|kfdtest|3470", 8)
    -- CPU 0 reports the stall of CPU 1, or of a task.
    expect([[
22.7 C0 3 rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
22.8 C0 3 rcu: 	1-...0: (1 ticks this GP) idle=222/1/0x4000000000000002 softirq=63/64 fqs=2626
22.9 C0 3 	(detected by 0, t=5255 jiffies, g=-991, q=9)
]], "stall|rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:|-|22.7|1|nil|nil", 3)
    expect([[
22.7 C0 3 rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
22.8 C0 3 rcu: 	Tasks blocked on level-0 rcu_node (CPUs 0-1): P17120/1:b..l
22.9 C0 4 CPU: 0 PID: 9 Comm: x Not tainted 6.12.0 #1
]], "stall|rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:|-|22.7|nil|nil|nil", 3)
    local expedited = "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { "
      .. "1-...D } 44 jiffies s: 49 root: 0x2/."
    expect("23 T5 3 " .. expedited .. "\n", "stall|" .. expedited .. "|-|23.|1|nil|nil")
    expect("23 C0 3 INFO: rcu_sched self-detected stall on CPU\n"
      .. "23.1 C0 3 \t1-...: (5249 ticks this GP)\n",
      "stall|INFO: rcu_sched self-detected stall on CPU|-|23.|1|nil|nil")
  end)

  it("is a task that hangs", function()
    expect([[
242.1 T30 3 INFO: task kworker/1:0:77 blocked for more than 120 seconds.
242.2 T30 3       Not tainted 6.1.0-56-cloud-amd64 #1
242.3 T30 3 "echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
242.4 T30 6 task:kworker/1:0     state:D stack:0     pid:77    ppid:2      flags:0x00004000
242.5 T30 6 Call Trace:
242.6 T30 6  <TASK>
242.7 T30 6  __schedule+0x34d/0x9e0
242.8 T30 6  </TASK>
243.0 T30 4 Future hung task reports are suppressed, see sysctl kernel.hung_task_warnings
]], "hung|INFO: task kworker/1:0:77 blocked for more than 120 seconds.|-|242.1|nil|kworker/1:0|77",
      8)
    expect("9 T30 3 INFO: task dd:9 blocked in I/O wait for more than 122 seconds.\n",
      "hung|INFO: task dd:9 blocked in I/O wait for more than 122 seconds.|-|9.|nil|dd|9")
  end)

  it("is a process that was killed for its memory", function()
    local killed = "Out of memory: Killed process 103 (tail) total-vm:235104kB, anon-rss:233472kB"
    expect([[
8 T103 4 tail invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE), order=0
8.1 T103 4 CPU: 1 PID: 103 Comm: tail Not tainted 6.1.0 #1
8.2 T103 4 Call Trace:
8.3 T103 4  dump_header+0x4a/0x1ff
8.4 T103 4 Mem-Info:
8.5 T103 6 [    103]     0   103    58776    58389   520192        0             0 tail
8.6 T103 3 ]] .. killed .. [[

8.7 T25 6 oom_reaper: reaped process 103 (tail), now anon-rss:0kB
]], "oom|" .. killed .. "|-|8.6|nil|tail|103", 7)
    killed = "Memory cgroup out of memory: Killed process 9 (a (b)) total-vm:1kB"
    expect("8 T9 3 " .. killed .. "\n", "oom|" .. killed .. "|-|8.|nil|a (b)|9")
    killed = "Out of memory: Kill process 9 (sh) score 900 or sacrifice child"
    expect("8 T9 3 " .. killed .. "\n", "oom|" .. killed .. "|-|8.|nil|sh|9")
  end)

  it("is a warning", function()
    local message = "WARNING: CPU: 1 PID: 12 at kernel/workqueue.c:1449 __queue_work+0x3c4/0x8b4"
    expect([[
5 T12 4 ------------[ cut here ]------------
5.1 T12 4 refcount_t: underflow; use-after-free.
5.2 T12 4 ]] .. message .. [[

5.3 T12 4 CPU: 1 PID: 12 Comm: kworker/1:0 Not tainted 6.1.0 #1
5.4 T12 4 Call Trace:
5.5 T12 4  __queue_work+0x3c4/0x8b4
5.6 T12 4 irq event stamp: 0
5.7 T12 4 ---[ end trace 0000000000000000 ]---
5.8 T12 6 eth0: link is up
]], "warning|" .. message .. "|-|5.2|1|kworker/1:0|12", 8)
    -- As kernels from 6.19 on print it.
    message = "WARNING: kernel/workqueue.c:1449 at __queue_work+0x3c4/0x8b4, CPU#1: a b/c/12"
    expect("5 T12 4 ------------[ cut here ]------------\n5 T12 4 " .. message .. "\n",
      "warning|" .. message .. "|-|5.|1|a b/c|12", 2)
    expect([[
5 T12 4 ======================================================
5 T12 4 WARNING: possible circular locking dependency detected
5 T12 4 6.1.0 #1 Not tainted
5 T12 4 ------------------------------------------------------
5 T12 4 CPU: 0 PID: 12 Comm: sh Not tainted 6.1.0 #1
]], "warning|WARNING: possible circular locking dependency detected|-|5.|0|sh|12", 5)
  end)
end)

describe("a panic", function()
  after_each(files.clean)

  it("has the message, and the lines to the end of the report", function()
    expect(BOOT .. [[
3.632735 T1 6 sysrq: Trigger a crash
3.633021 T1 0 Kernel panic - not syncing: sysrq triggered crash
3.633236 T1 4 CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-56-cloud-amd64 #1
3.633709 T1 4 Call Trace:
3.6342 T1 4  panic+0x118/0x2f4
3.64 T1 4 Code: 40 00 48
3.65 T1 4  </TASK>
3.68 T1 0 Kernel Offset: 0xd200000 from 0xffffffff81000000
3.69 T1 0 ---[ end Kernel panic - not syncing: sysrq triggered crash ]---
3.7 T1 4 more
]], "panic|sysrq triggered crash|-|3.633021|0|init|1", 9)
    expect(BOOT .. [[
3 T1 0 Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300
3.1 T1 4 CPU: 1 UID: 0 PID: 1 Comm: init Not tainted 7.2.12 #1 PREEMPTLAZY
]], "panic|Attempted to kill init! exitcode=0x00000300|-|3.|1|init|1", 2)
    expect(BOOT .. [[
3 T1 2 SError Interrupt on CPU1, code 0x00000000be000011 -- SError
3.1 T1 4 CPU: 1 PID: 3878 Comm: Xorg Not tainted 5.19.0 #19
3.2 T1 0 Kernel panic - not syncing: Asynchronous SError Interrupt
]], "panic|Asynchronous SError Interrupt|-|3.2|1|Xorg|3878", 3)
  end)

  it("names the oops that caused it, and begins with its lines", function()
    expect(BOOT .. NULL_X86 .. AFTER_NULL_X86 .. [[
41.6 T94 0 Kernel panic - not syncing: Fatal exception
41.7 T94 0 ---[ end Kernel panic - not syncing: Fatal exception ]---
]], "panic|Fatal exception|BUG: kernel NULL pointer dereference, address: 0000000000000008"
      .. "|41.6|1|cat|94", 20)
    expect(BOOT .. NULL_ARM .. [[
3.4 T2605 0 Kernel panic - not syncing: Oops: Fatal exception in interrupt
3.5 T2605 2 SMP: stopping secondary CPUs
3.6 T2605 0 ---[ end Kernel panic - not syncing: Oops: Fatal exception in interrupt ]---
]], "panic|Oops: Fatal exception in interrupt|Unable to handle kernel NULL pointer dereference "
      .. "at virtual address 04a0|3.4|0|kworker/u16:0|2605", 18)
    local text = BOOT .. NULL_X86 .. "41.6 T94 0 Kernel panic - not syncing: Fatal exception\n"
    assert.are.equal("panic at 41.600000 s on vCPU 1: Fatal exception (BUG: kernel NULL pointer "
      .. "dereference, address: 0000000000000008)", tostring(crash_of(text)))
  end)

  it("is separate from what other CPUs print meanwhile", function()
    local mixed, n = {}, 0
    for line in (BOOT .. NULL_X86 .. "41.6 T94 0 Kernel panic - not syncing: Fatal exception\n")
      :gmatch("[^\n]+") do
      n = n + 1
      mixed[#mixed + 1] = line
      mixed[#mixed + 1] = ("%s C0 4 %s"):format(line:match("^[%d.]+"), n % 2 == 0 and
        "CPU: 0 PID: 0 Comm: swapper/0 Not tainted 6.1.0 #1" or " interleaved+0x1/0x2")
    end
    expect(table.concat(mixed, "\n"), "panic|Fatal exception|BUG: kernel NULL pointer "
      .. "dereference, address: 0000000000000008|41.6|1|cat|94", 16)
  end)

  it("is not caused by a report of another task, or of long ago", function()
    expect(NULL_X86 .. "42 T1 0 Kernel panic - not syncing: other\n",
      "panic|other|-|42.|nil|nil|nil", 1)
    expect(NULL_X86 .. "60 T94 0 Kernel panic - not syncing: later\n",
      "panic|later|-|60.|nil|nil|nil", 1)
  end)

  it("comes after a warning without being caused by it", function()
    local warning = [[
5 T12 4 ------------[ cut here ]------------
5.1 T12 4 WARNING: CPU: 1 PID: 12 at kernel/x.c:1 f+0x1/0x2
5.2 T12 4 CPU: 1 PID: 12 Comm: sh Not tainted 6.1.0 #1
]]
    expect(warning .. "5.3 T12 4 ---[ end trace 0000000000000000 ]---\n"
      .. "5.4 T12 0 Kernel panic - not syncing: sysrq triggered crash\n",
      "panic|sysrq triggered crash|-|5.4|nil|nil|nil", 1)
    -- Unless it says so: the warning has no end then.
    expect(warning .. "5.4 T12 0 Kernel panic - not syncing: kernel: panic_on_warn set ...\n",
      "panic|kernel: panic_on_warn set ...|WARNING: CPU: 1 PID: 12 at kernel/x.c:1 f+0x1/0x2|5.4"
      .. "|1|sh|12", 4)
  end)

  it("comes of a lockup, a hung task or memory, if the kernel is set to", function()
    expect([[
30 C1 0 watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [cat:331]
30.2 C1 4 CPU: 1 PID: 331 Comm: cat Not tainted 6.1.0 #1
30.3 C1 4 Call Trace:
30.5 C1 4  loop+0x1/0x2
30.6 C1 0 Kernel panic - not syncing: softlockup: hung tasks
30.7 C1 4 CPU: 1 PID: 331 Comm: cat Tainted: G             L     6.1.0 #1
]], "panic|softlockup: hung tasks|watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [cat:331]"
      .. "|30.6|1|cat|331", 6)
    expect([[
242.1 T30 3 INFO: task dd:77 blocked for more than 120 seconds.
242.2 T30 6 Call Trace:
242.3 T30 6  __schedule+0x34d/0x9e0
242.4 T30 0 Kernel panic - not syncing: hung_task: blocked tasks
242.5 T30 4 CPU: 1 PID: 30 Comm: khungtaskd Not tainted 6.1.0 #1
]], "panic|hung_task: blocked tasks|INFO: task dd:77 blocked for more than 120 seconds.|242.4"
      .. "|1|khungtaskd|30", 5)
  end)

  it("is the first one if panics are nested", function()
    expect([[
3 T1 0 Kernel panic - not syncing: first
3.1 T1 4 CPU: 1 PID: 1 Comm: init Not tainted 6.1.0 #1
3.2 T1 1 BUG: unable to handle page fault for address: ffff
3.3 T1 4 Oops: 0002 [#1] SMP
3.4 T1 4 ------------[ cut here ]------------
3.5 T1 0 Kernel panic - not syncing: second
3.6 C0 0 Kernel panic - not syncing: of another CPU
3.7 C0 0 ---[ end Kernel panic - not syncing: of another CPU ]---
]], "panic|first|-|3.|1|init|1", 6)
  end)

  it("counts more than all that happened before and after", function()
    expect([[
1 T5 3 Out of memory: Killed process 9 (sh) total-vm:1kB
2 T6 0 Kernel panic - not syncing: it
3 T7 1 BUG: unable to handle page fault for address: ffff
4 T8 4 WARNING: CPU: 1 PID: 8 at x.c:1 f+0x1/0x2
]], "panic|it|-|2.|nil|nil|nil", 1)
  end)
end)

describe("the most severe report", function()
  after_each(files.clean)

  local reports = {
    {"warning", "WARNING: CPU: 1 PID: 8 at x.c:1 f+0x1/0x2"},
    {"oom", "Out of memory: Killed process 9 (sh) total-vm:1kB"},
    {"hung", "INFO: task dd:77 blocked for more than 120 seconds."},
    {"stall", "rcu: INFO: rcu_sched self-detected stall on CPU"},
    {"lockup", "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [cat:331]"},
    {"bug", "BUG: Bad page state in process sh  pfn:12345"},
    {"oops", "BUG: kernel NULL pointer dereference, address: 0000000000000008"},
    {"panic", "Kernel panic - not syncing: it"},
  }

  it("wins, whatever the order", function()
    for i = 1, #reports - 1 do
      local less = "%d T1 4 " .. reports[i][2] .. "\n"
      local more = "%d T2 4 " .. reports[i + 1][2] .. "\n"
      assert.are.equal(reports[i + 1][1], crash_of(less:format(1) .. more:format(20)).kind)
      assert.are.equal(reports[i + 1][1], crash_of(more:format(1) .. less:format(20)).kind)
    end
  end)

  it("is the last one of its kind", function()
    for i = 1, #reports - 1 do
      local text = ("1 T1 4 %s\n30 T1 4 %s\n"):format(reports[i][2], reports[i][2])
      assert.are.equal("30.000000000", crash_of(text).time)
    end
  end)

  it("has a nested fault among its lines", function()
    expect([[
1 T7 1 BUG: unable to handle page fault for address: aaaa
1.1 T7 4 Oops: 0002 [#1] SMP
1.2 T7 1 BUG: unable to handle page fault for address: bbbb
1.3 T7 4 Oops: 0002 [#2] SMP
1.4 T7 4 CPU: 1 PID: 7 Comm: sh Not tainted 6.15.0 #3
1.5 T7 4 ---[ end trace 0000000000000000 ]---
]], "oops|BUG: unable to handle page fault for address: aaaa|-|1.|1|sh|7", 6)
  end)
end)

describe("panic_cpu", function()
  after_each(files.clean)

  -- A dump whose symbols, which its VMCOREINFO confirms, have panic_cpu in the spare word.
  local function dump_with(text, machine, word)
    local dump = kernel_log.dump(kernel_log.parse(text), machine, word)
    local variable, tables = kernel_log.addresses(machine)
    assert(dump:symbols(files.write("System.map", ("%x D swapper_pg_dir\n%x D panic_cpu\n"):format(
      tables, variable))))
    return dump
  end

  it("shows a panic that the log does not, and the vCPU of one that it does", function()
    for _, machine in ipairs(MACHINES) do
      assert.is_nil((dump_with(BOOT, machine, -1):crash()))
      assert.is_nil((dump_with(BOOT, machine, 2):crash())) -- there are two vCPUs
      local found = dump_with(BOOT, machine, 1):crash()
      assert.are.same({"panic", 1, {}}, {found.kind, found.vcpu, found.lines})
      assert.are.equal("panic on vCPU 1: the kernel panics, and its log does not say why",
        tostring(found))
      found = dump_with("3 T1 0 Kernel panic - not syncing: it\n", machine, 1):crash()
      assert.are.same({"it", 1}, {found.message, found.vcpu})
    end
  end)
end)

describe("the crash in a hostile log", function()
  after_each(files.clean)

  it("keeps any characters in its message, and escapes them in lines and tostring", function()
    local text = "Kernel panic - not syncing: \27[31m\0\255 red\r"
    local found = kernel_log.dump {{time = 1, caller = "T1", level = 0, text = text}}:crash()
    assert.are.equal(text:match(": (.*)"), found.message)
    assert.are.equal("panic at 1.000000 s: \\x1b[31m\\x00\\xff red\\x0d", tostring(found))
    assert.are.equal("[    1.000000] Kernel panic - not syncing: \\x1b[31m\\x00\\xff red\\x0d",
      found.lines[1])
  end)

  it("is cut where a message is longer than the kernel's", function()
    local found = kernel_log.dump {{time = 1, caller = "T1", level = 0,
      text = "Kernel panic - not syncing: " .. ("x"):rep(60000)}}:crash()
    assert.is_true(#found.message > 1000 and #found.message <= 2048)
    assert.is_true(#found.lines[1] <= 2100)
  end)

  it("has no numbers that are impossible", function()
    local found = crash_of [[
1 T1 1 BUG: unable to handle page fault for address: 0
1 T1 4 CPU: 99999999999999999999 PID: 99999999999999999999 Comm: x Not tainted
]]
    assert.are.same({"oops"}, {found.kind, found.vcpu, found.task})
    found = crash_of "1 C1 0 watchdog: BUG: soft lockup - CPU#7 stuck for 22s! [cat:331]\n"
    assert.are.same({kind = "lockup", pid = 331}, {kind = found.kind, vcpu = found.vcpu,
      pid = found.task.pid})
  end)

  it("has a bounded number of lines, the panic among them", function()
    local messages = {{time = 1, caller = "T1", level = 1,
      text = "BUG: unable to handle page fault for address: 0"}}
    for i = 1, 3000 do
      messages[#messages + 1] = {time = 1 + i / 1e6, caller = "T1", level = 4, text = " f+0x1/0x2"}
    end
    messages[#messages + 1] = {time = 2, caller = "T1", level = 0,
      text = "Kernel panic - not syncing: Fatal exception"}
    local found = kernel_log.dump(messages):crash()
    assert.are.equal(513, #found.lines)
    assert.matches("Kernel panic - not syncing: Fatal exception", found.lines[513], 1, true)
    assert.are.equal(#messages - 513, found.left_out)
    messages[#messages + 1] = {time = 2.1, caller = "T1", level = 0, text = "---[ end Kernel panic"}
    for i = 1, 300 do
      messages[#messages + 1] = {time = 2.2 + i / 1e6, caller = "T1", level = 4, text = "after it"}
    end
    found = kernel_log.dump(messages):crash()
    assert.are.same({514, 3000 + 3 - 514}, {#found.lines, found.left_out})
  end)

  it("counts no lines as left out if it has them all", function()
    assert.are.equal(0, crash_of(BOOT .. NULL_X86 .. AFTER_NULL_X86).left_out)
  end)

  it("costs little memory and time", function()
    local messages = {}
    for i = 1, 6000 do
      messages[i] = {time = i / 1000, caller = "T" .. i % 40, level = 1, text = i % 40 == i % 64
        and "BUG: unable to handle page fault for address: 0"
        or i % 7 == 0 and "WARNING: " .. ("at , CPU#1: "):rep(250) or ("x"):rep(i % 3000)}
    end
    local path = kernel_log.dump(messages).path
    local answer = cost.check(([[
      local found = assert(qvm.open(%q)):crash()
      return found.kind .. #found.lines]]):format(path))
    assert.matches("^oops%d+$", answer)
  end)

  it("is nil with a reason if records are missing", function()
    local messages = kernel_log.parse(BOOT)
    messages[2].corrupt = true
    local found, message, code = kernel_log.dump(messages):crash()
    assert.are.same({nil, "malformed"}, {found, code})
    assert.matches("log.gcore: no sign of a crash in the kernel log, but 1 of its records were "
      .. "skipped: they are corrupt", message, 1, true)
    messages[1].text = "Kernel panic - not syncing: it"
    assert.are.equal("it", kernel_log.dump(messages):crash().message)
  end)

  it("is nil with a reason if the log is empty", function()
    local found, message, code = kernel_log.dump {{time = 1, caller = "T1", level = 6, text = "x",
      free = true}}:crash()
    assert.are.same({nil, "not_found"}, {found, code})
    assert.matches("log.gcore: the kernel log is empty$", message)
    assert.are.same({n = 1}, table.pack(crash_of "1 T1 6 x\n"))
    assert.are.same({n = 1}, table.pack(crash_of "1 T1 12 of a program\n"))
  end)

  it("is nil with a reason if there is no log", function()
    local dump = kernel_log.dump(kernel_log.parse(BOOT))
    dump:close()
    local found, _, code = dump:crash()
    assert.are.same({nil, "gone"}, {found, code})
    dump = assert(qvm.open(files.write("none.gcore", writer.file {machine = "x86_64",
      segments = {{paddr = 0, bytes = "x"}}})))
    found, _, code = dump:crash()
    assert.are.same({nil, "not_found"}, {found, code})
  end)
end)
