-- The library's real API: an object of every kind, and every name that they have.

local assertions = require "qvm.assertions"
local files = require "support.files"
local kernel = require "support.kernel"
local kernel_objects = require "support.kernel_objects"
local kernel_log = require "support.kernel_log"
local example_guest = require "support.example_guest"
local pagetables = require "support.pagetables"
local qvm = require "qvm"
local sim = require "support.sim"
local slog2 = require "support.slog2"
local writer = require "support.dumpwriter"

local api = {}

-- Fields that are created on first access.
local lazy = {EnvVcpu = {"path"}, Erratum = {"path"}}

-- The kernel's log in its form before 5.10, with one message. It is in the page at BOTTOM, the
-- first page of the upper half.
local BOTTOM = -1 << 39

local vmcoreinfo = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nNUMBER(VA_BITS)=39\n"
  .. "SYMBOL(swapper_pg_dir)=ffffff8000041000\nNUMBER(kimage_voffset)=0xffffff8000000000\n"
  .. ("SYMBOL(log_buf)=%x\nSYMBOL(log_buf_len)=%x\nSYMBOL(log_first_idx)=%x\n"):format(
    BOTTOM, BOTTOM + 8, BOTTOM + 12)
  .. ("SYMBOL(log_next_idx)=%x\nSYMBOL(init_uts_ns)=%x\n"):format(BOTTOM + 16, BOTTOM + 256)
  .. "SIZE(printk_log)=20\nOFFSET(printk_log.ts_nsec)=0\nOFFSET(printk_log.len)=8\n"
  .. "OFFSET(printk_log.text_len)=10\nOFFSET(printk_log.caller_id)=16\nKERNELOFFSET=1000\n"

local log = string.pack("<i8I4I4I4I4", BOTTOM + 64, 32, 0, 24, 20) .. ("\0"):rep(40)
  .. string.pack("<i8I2I2I4I4", 5000, 24, 4, 0, 7) .. "text" .. ("\0"):rep(168)

local utsname = ""
for _, name in ipairs {"Linux", "node", "6.1.0-test", "#1 test", "aarch64", ""} do
  utsname = utsname .. name .. ("\0"):rep(65 - #name)
end

-- The kernel's types and objects, in the pages after the log.
local KERNEL_PAGES, KERNEL = 4, BOTTOM + 0x10000
local in_kernel = kernel.new("<", KERNEL)
local types = kernel_objects.types()
kernel_objects.fill(in_kernel, types)
in_kernel:add_btf(types:btf())
in_kernel.symbols.swapper_pg_dir = nil
local kernel_memory = in_kernel:memory()
kernel_memory = kernel_memory .. ("\0"):rep((KERNEL_PAGES << 12) - #kernel_memory)
assert(#kernel_memory == KERNEL_PAGES << 12)

-- The symbols of the kernel, as a System.map.
api.map = "0000000000000000 T first\n0000000000001000 T second\n" .. in_kernel:map(0x1000)
  .. "ffffff8000040000 D swapper_pg_dir\nffffff8000041000 T schedule\n"
  .. "ffffff8000042000 T _etext\n"

-- A log with a panic that an oops caused.
api.crash_messages = kernel_log.parse [[
1 T7 1 BUG: kernel NULL pointer dereference, address: 0000000000000000
1 T7 4 CPU: 1 PID: 7 Comm: cat Not tainted 6.1.0 #1
1 T7 0 Kernel panic - not syncing: Fatal exception
]]

-- Options of dump:space for the page tables in the dump.
local by_hand = {root = 0x41000, kernel_root = 0x41000, va_bits = 39, granule = 4096,
  pa_bits = 48, kind = "aarch64", encryption_mask = 0}

-- A dump with all parts: memory, page tables, vCPUs, text, notes and sections. `stamp` is part
-- of its memory and registers, so that two dumps differ.
function api.dump_bytes(stamp)
  local text = writer.dumpinfo("report text\n")
  local segments = {
    {paddr = 0x80000000, bytes = ("linux1 Oops "):rep(40) .. "\0" .. stamp .. ("\0"):rep(511)},
    {paddr = 0x90000000, bytes = text},
    {type = 4, bytes = writer.note {names = {"far_el1"}, dumpinfo = 1,
      cpus = {{registers = writer.aarch64 {elr = 0xffffff8000042000 + #stamp}, extra = {7},
        process = "one", pgtbl = by_hand.root}}}},
    {type = 4, align = 4, bytes = writer.elf_note("VMCOREINFO\0", 0, vmcoreinfo)}}
  local tables = pagetables.aarch64(by_hand.root, 12, by_hand.va_bits)
  tables:map(0x1000, 0x80000000, 0, 0)
  tables:map(BOTTOM, 0xa0000000, 0, 0)
  segments[#segments + 1] = {paddr = 0xa0000000, bytes = log .. utsname}
  for page = 0, KERNEL_PAGES - 1 do
    tables:map(KERNEL + (page << 12), 0xa0001000 + (page << 12), 0, 0)
  end
  segments[#segments + 1] = {paddr = 0xa0001000, bytes = kernel_memory}
  for _, segment in ipairs(tables:segments()) do
    segments[#segments + 1] = segment
  end
  local size = #writer.file {machine = "aarch64", segments = segments}
  local names = "\0.shstrtab\0"
  local header = {shoff = size + #names, shnum = 2, shstrndx = 1}
  return writer.file {machine = "aarch64", segments = segments, header = header} .. names
    .. writer.section_header {}
    .. writer.section_header {name = 1, type = 3, offset = size, size = #names}
end

local conf_text = [[
system linux1
ram 0x80000000,256M
cpu runmask 0,1 sched 10 name first cluster big partition rt
  set sim-erratum-1286807 off
cpu
load /images/Image
dump /nowhere
dump "|gzip >dump.gz"
logger fatal,error stderr
vdev virtio-net name console loc 0x1c0c0000 intr gic:40 hostdev /dev/x peer /dev/vdevpeers/vp0
  set debug off
]]

local function list(iterator)
  local all = {}
  for value in iterator do
    all[#all + 1] = value
  end
  return all
end

-- Starts the simulated VM that the objects come from.
local function start()
  local vm = sim.start("linux1", ("set sim-erratum-843419 on\nram 1M\ncpu\n"
    .. "set sim-erratum-1286807 off\ncpu\ndump %s\nlogger info stderr\n"
    .. "vdev pl011 name console"):format(files.dir()))
  qvm.root(sim.root())
  return vm
end

local function add_spaces(objects, dump)
  local space = assert(dump:space(by_hand))
  objects.Space, objects.SpaceByHand, objects.SpaceHalf = {space}, {by_hand}, {space.lower}
  objects.Step, objects.VmcoreInfo = assert(space:walk(0x1000)), {assert(dump:vmcoreinfo())}
end

local function add_kernel(objects, dump)
  local messages, count = assert(dump:dmesg())
  -- The same log with a buffer that is shorter than its message.
  local short = assert(qvm.open(dump.path))
  assert(short:vmcoreinfo((vmcoreinfo:gsub("(log_buf_len%)=)%x+", ("%%1%x"):format(BOTTOM + 20)))))
  local none, ended = assert(short:dmesg())
  assert(none() == nil)
  objects.Message, objects.LogCount = {messages()}, {count, ended}
  objects.Guest = {assert(dump:guest())}
  local crash = assert(kernel_log.dump(api.crash_messages):crash())
  objects.Crash, objects.CrashTask = {crash}, {crash.task}
  objects.Symbols = {assert(dump:symbols(files.write("System.map", api.map)))}
  objects.Frame = {assert(dump:vcpu(0):backtrace())()}
end

local function add_types(objects, dump)
  objects.Types = {assert(dump:types())}
  objects.Type = {assert(dump:type "struct task_struct"), assert(dump:type "char[16]"),
    assert(dump:type "struct list_head *")}
  objects.Member = {objects.Type[1]:members()(), dump:type("struct irq_flags"):members()()}
  objects.Object = {assert(dump:variable "init_task"), assert(dump:variable "saved_command_line")}
end

-- A guest with tasks and a module. Their objects are from a dump of its own.
local function add_tasks(objects)
  local dump = assert(qvm.open(example_guest.write()))
  objects.Task, objects.Module = list(dump:tasks()), list(dump:modules())
  objects.Mapping = list(dump:task(1):mappings())
  objects.Symbol = list(dump:symbols():all())
  for _, task in ipairs(objects.Task) do
    if task.pid == 2 then
      table.move(list(task:backtrace()), 1, 2, 2, objects.Frame)
    end
  end
end

local function add_confs(objects, vm)
  local conf = assert(qvm.conf.load(files.write("linux1.qvmconf", conf_text)))
  local other = assert(qvm.conf.load(files.write("other.qvmconf", "dump /nowhere\n")))
  objects.Conf, objects.ConfDump = {conf}, {conf.dump, other.dump}
  objects.ConfCpu, objects.ConfRam, objects.ConfLogger = conf.cpus, conf.ram, conf.loggers
  objects.ConfVdev, objects.ConfSet, objects.ConfOther = conf.vdevs, conf.set, conf.others
  objects.Finding = assert(qvm.conf.check(conf, vm))
  objects.Variable = assert(qvm.conf.variables("debug (boolean, vdev)\n"))
end

-- Two events: a VM appears, then changes its state.
local function events_of(vm)
  local next_event = qvm.watch {interval = 0.01, timeout = 20}
  local events = {next_event()}
  vm:tell("suspend")
  events[2] = next_event()
  vm:tell("resume")
  return events
end

-- The system log of the VM, with a loss. Calls of qvm.slog2 read it until slog2.stop().
local function add_system_log(objects, vm)
  local system_log = slog2.start()
  local pid = assert(vm:pid())
  system_log:log(pid, "first", {sequence = 1})
  system_log:log(pid, "last", {sequence = 3})
  objects.SystemLog = {assert(qvm.slog2(vm)), assert(qvm.slog2(vm, {vcpu = 0}))}
  objects.LogLine = list(objects.SystemLog[1]:lines())
end

-- Objects of every kind: an array for each kind's name, whose objects together have every
-- field. They are valid during one test.
function api.objects()
  local events = events_of(start())
  local vm = assert(qvm.vm("linux1"))
  local env = assert(vm:env())
  local thread, answers = assert(env:vcpu(0):thread()), list(qvm.survey())
  local doubtful = files.mkdir("doubtful")
  files.write("doubtful/env", '{"a": 1, "a": 2}')
  qvm.root(files.dir())
  local dump = assert(qvm.open(files.write("first.gcore", api.dump_bytes("first"))))
  assert(qvm.record(vm, files.path("linux1.record"), {conf = files.path("linux1.qvmconf")}))
  local replay = assert(qvm.replay(files.path("linux1.record")))
  local snapshot = assert(qvm.errata.snapshot(vm))
  local objects = {VM = {vm}, Env = {env, assert(qvm.vm(doubtful:match("[^/]*$")):env())},
    EnvVcpu = list(env:vcpus()), EnvThread = {thread}, Answer = answers,
    Erratum = list(env:errata()), Dump = {dump},
    Segment = list(dump:segments()), Section = list(dump:sections()), Note = list(dump:notes()),
    Vcpu = list(dump:vcpus()), Replay = {replay}, Manifest = {replay.manifest},
    Setting = snapshot, Event = events}
  local changed = {table.unpack(snapshot, 2)}
  changed[1] = {id = changed[1].id, cpu = changed[1].cpu, value = "auto"}
  changed[#changed + 1] = {id = "5", value = 1}
  objects.Difference = qvm.errata.diff(snapshot, changed)
  add_confs(objects, vm)
  add_spaces(objects, dump)
  add_kernel(objects, dump)
  add_types(objects, dump)
  add_tasks(objects)
  add_system_log(objects, vm)
  qvm.root(sim.root())
  return objects
end

-- The functions of a class. An Object has members of its guest's structures instead.
local function add_methods(names, kind, meta)
  for name in pairs(meta.methods or type(meta.__index) == "table" and meta.__index or {}) do
    names[kind .. ":" .. name] = "function"
  end
end

local function add_module(names, prefix, module)
  for name, value in pairs(module) do
    names[prefix .. name] = type(value) == "function" and "function" or "field"
  end
end

-- Maps every public name, such as qvm.open, VM:dump or VM.name, to "function" or "field".
function api.names(objects)
  local names = {}
  add_module(names, "qvm.errata.", qvm.errata)
  add_module(names, "qvm.conf.", qvm.conf)
  add_module(names, "qvm.c.", qvm.c)
  add_module(names, "qvm.", qvm)
  add_module(names, "assert.", assertions)
  for kind, instances in pairs(objects) do
    for _, object in ipairs(instances) do
      add_methods(names, kind, getmetatable(object) or {})
      for name in next, type(object) == "table" and object or {} do
        if type(name) == "string" and not name:find("^_") then
          names[kind .. "." .. name] = "field"
        end
      end
    end
    for _, name in ipairs(lazy[kind] or {}) do
      names[kind .. "." .. name] = "field"
    end
  end
  return names
end

function api.sorted(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

return api
