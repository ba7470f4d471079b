-- Boots Debian's kernel under QEMU and writes real dumps of the guest's memory, with a
-- record of QEMU's view of the guest: `make guest-dump ARCH=aarch64`. Prints the path of
-- the first dump.

package.path = "spec/?.lua;" .. package.path

local cjson = require "cjson"
local files = require "support.files"
local lfs = require "lfs"
local machine = require "real_guests.machine"
local packages = require "real_guests.packages"
local process = require "support.process"
local system = require "system"

local usage = [[
usage: lua5.4 spec/real_guests/guest.lua ARCH [--memory 256M] [--tasks COUNT]
           [--la57] [--16k] [--testing | --bullseye] [--dir build/guests]
           [--again | --image]
  ARCH      x86_64 or aarch64
  --memory  the guest's memory, in M or G
  --tasks   so many more tasks that sleep, up to 30000; 10000 need 2G
  --la57    x86_64 with five levels of page tables
  --16k     aarch64 with pages of 16 KiB
  --testing, --bullseye  use the kernel of that suite of Debian
  --dir     the output directory, with a subdirectory for each kind of guest
  --again   record another dump even if there is one
  --image   do not boot it; print the directory of its kernel and initramfs
]]

local default_memory = 256 << 20
local form = 4 -- of record.json

local shell = packages.shell

local function progress(text)
  io.stderr:write(text, " ...\n")
end

local function hex(n)
  return ("0x%x"):format(n)
end

-- Options -------------------------------------------------------------------

local function fail_usage()
  io.stderr:write(usage)
  os.exit(2)
end

local units = {M = 1 << 20, G = 1 << 30}

local parse = {
  ["--memory"] = function(word)
    local number, unit = word:match("^(%d+)([MG])$")
    local memory = number and tonumber(number) * units[unit]
    return memory and memory >= 128 << 20 and memory
  end,
  ["--tasks"] = function(word)
    local count = math.tointeger(tonumber(word))
    return count and count >= 1 and count <= 30000 and count
  end,
  ["--dir"] = function(word) return word ~= "" and word end,
}

-- The guest variants, and the architecture that has each (true: all).
local forms = {["--la57"] = "x86_64", ["--16k"] = "aarch64", ["--testing"] = true,
  ["--bullseye"] = true}

local function options(words)
  local result = {memory = default_memory, tasks = 0, dir = "build/guests"}
  local i = 1
  while words[i] do
    local word = words[i]
    if word == "--again" or word == "--image" then
      result[word:sub(3)] = true
    elseif forms[word] == true or forms[word] and forms[word] == result.arch then
      result.form = word:sub(3)
    elseif parse[word] then
      i = i + 1
      result[word:sub(3)] = parse[word](words[i] or "") or fail_usage()
    elseif machine.kinds[word] and not result.arch then
      result.arch = word
    else
      fail_usage()
    end
    i = i + 1
  end
  return result.arch and result or fail_usage()
end

local function size_name(bytes)
  if bytes % units.G == 0 then
    return bytes // units.G .. "G"
  end
  return bytes // units.M .. "M"
end

-- The name of this kind of guest.
local function kind_name(o)
  return o.arch .. (o.memory ~= default_memory and "-" .. size_name(o.memory) or "") ..
    (o.tasks > 0 and "-tasks" .. o.tasks or "") .. (o.form and "-" .. o.form or "")
end

-- Guest image ---------------------------------------------------------------

local function make_initramfs(dir, from)
  shell(dir, "rm -rf root && mkdir root && cd root && mkdir bin proc dev work")
  shell(dir, "cp %s root/bin", from .. "/busybox")
  shell(dir, "cp %s root/init && chmod 755 root/init",
    lfs.currentdir() .. "/spec/real_guests/init.sh")
  for _, name in ipairs(packages.modules) do
    local module = ("%s/%s.ko"):format(from, name)
    shell(dir, "[ ! -e %s ] || cp %s root", module, module)
  end
  shell(dir, "cd root && find . | cpio --quiet -o -H newc -R 0:0 >../initramfs.new")
  shell(dir, "rm -r root && mv initramfs.new initramfs")
end

local function newer(path, than)
  local time = lfs.attributes(path, "modification")
  return time and time >= lfs.attributes(than, "modification")
end

local function prepare(dir, o)
  local kind = machine.kinds[o.arch]
  local image = kind.images[o.form] or kind.images.usual
  local suite = forms["--" .. (o.form or "")] == true and o.form or nil
  local from = ("%s/packages-%s%s"):format(o.dir, image:match("image%-(.*)$"),
    suite and "-" .. suite or "")
  packages.get(from, kind.debian, image, suite, progress)
  shell(".", "mkdir -p %s", dir)
  shell(dir, "[ -e kernel ] || cp %s kernel", from .. "/kernel")
  if not newer(dir .. "/initramfs", "spec/real_guests/init.sh") then
    make_initramfs(dir, from)
  end
end

-- Recording -----------------------------------------------------------------

local function range_named(ranges, what)
  for _, range in ipairs(ranges) do
    if range.what == what then
      return range
    end
  end
  error("the guest reported no range of " .. what, 0)
end

local function write_registers(vm, name)
  files.write(vm.dir .. "/" .. name, vm.qmp:monitor("info registers -a"))
end

-- Samples of physical memory, read by QEMU: the start of RAM (except on a PC, where Linux
-- omits the first page), its end, and the kernel, which KASLR moves.
local function save_memory(vm, ranges)
  local last
  for _, range in ipairs(ranges) do
    last = range.what == "System RAM" and range or last
  end
  local pieces = {
    {range_named(ranges, "System RAM").from & ~0xffff, 0x10000},
    {range_named(ranges, "Kernel code").from, 0x10000},
    {range_named(ranges, "Kernel data").from, 0x10000},
    {last.from + last.size - 0x1000, 0x1000},
  }
  local saved = {}
  for i, piece in ipairs(pieces) do
    local address, size = table.unpack(piece)
    local name = ("pmem-%s-%d.bin"):format(hex(address), size)
    vm.qmp:call("pmemsave", {val = address, size = size, filename = name})
    saved[i] = {file = name, address = hex(address), size = size}
  end
  return saved
end

-- A vCPU's program counter and stack pointer.
local function position(vm, cpu)
  local text = vm.qmp:monitor("info registers", cpu)
  return tonumber(text:match("%f[%w]R?I?PC?=(%x+)"), 16),
    tonumber(text:match("%f[%w]R?SP=(%x+)"), 16)
end

-- Virtual addresses to look up, by kind: the guest's symbols, and each vCPU's program
-- counter and stack.
local function addresses(vm, cpu, symbols)
  local result = {}
  for name, address in pairs(symbols) do
    result[name] = address
  end
  result.pc, result.sp = position(vm, cpu)
  return result
end

-- The result of QEMU's own page-table walk: an address in hexadecimal, or nil.
local function physical_of(vm, cpu, address)
  return vm.qmp:monitor("gva2gpa " .. hex(address), cpu):match("gpa: (0x%x+)")
end

-- Records that for each vCPU and address. A vCPU in user mode may map little of the kernel;
-- then "physical" is absent.
local function translate(vm, symbols)
  local result = {}
  for cpu = 0, vm.cpus - 1 do
    for name, address in pairs(addresses(vm, cpu, symbols)) do
      result[#result + 1] = {vcpu = cpu, what = name, address = hex(address),
        physical = physical_of(vm, cpu, address)}
    end
  end
  return result
end

-- The page that contains the top word of a stack. Stacks grow down, so the pointer of an
-- empty stack is at its end, where memory may be unmapped.
local function stack_page(sp)
  return (sp - 1) & ~0xfff
end

-- Whether a vCPU executes kernel code on a mapped stack. That its page tables map the
-- kernel is not enough: they may do so while a program runs.
local function is_in_kernel(vm, cpu, symbols)
  local pc, sp = position(vm, cpu)
  return math.ult(pc - symbols._stext, symbols._etext - symbols._stext)
    and physical_of(vm, cpu, symbols._stext) and physical_of(vm, cpu, stack_page(sp))
end

-- Stops the guest while one of its vCPUs executes kernel code; returns the vCPU's index.
local function stop_in_kernel(vm, symbols)
  for _ = 1, 100 do
    vm.qmp:call("stop")
    for cpu = 0, vm.cpus - 1 do
      if is_in_kernel(vm, cpu, symbols) then
        return cpu
      end
    end
    vm.qmp:call("cont")
    system.sleep(0.05)
  end
  error("no vCPU was in the kernel in 100 attempts", 0)
end

-- QEMU's view of page tables. On x86 its monitor lists them for each vCPU, except ranges of five
-- levels: QEMU 7.2 takes half a minute for those and lists none. Otherwise addresses are queried
-- one by one: pages of and after the kernel's image, and random ones.
local function save_tables(vm, cpu, symbols)
  if vm.arch == "x86_64" then
    for i = 0, vm.cpus - 1 do
      if vm.form ~= "la57" then
        files.write(("%s/mem-%d.txt"):format(vm.dir, i), vm.qmp:monitor("info mem", i))
      end
      files.write(("%s/tlb-%d.txt"):format(vm.dir, i), vm.qmp:monitor("info tlb", i))
    end
    return
  end
  local lines = {}
  math.randomseed(1)
  for i = 0, 10239 do
    local address = symbols._stext + i * 4096 + math.random(0, 4095)
    if i >= 9216 then
      address = -1 << 48 | math.random(0) >> math.random(17, 40)
    end
    lines[#lines + 1] = ("%x: %s"):format(address, physical_of(vm, cpu, address) or "none")
  end
  files.write(vm.dir .. "/gva2gpa.txt", table.concat(lines, "\n") .. "\n")
end

-- Memory at virtual addresses, read by QEMU: of the kernel's image and of a stack.
local function save_virtual(vm, cpu, symbols)
  local saved = {}
  local _, sp = position(vm, cpu)
  for i, piece in ipairs {{symbols._stext, 0x40000}, {stack_page(sp), 0x1000}} do
    local name = ("vmem-%s.bin"):format(hex(piece[1]))
    -- Uses the monitor, since the address has more digits than cjson writes.
    local answer = vm.qmp:monitor(("memsave 0x%x %d %s"):format(piece[1], piece[2], name), cpu)
    assert(answer == "", answer)
    saved[i] = {file = name, address = hex(piece[1]), size = piece[2]}
  end
  return saved
end

-- Writes a dump; `what` holds further arguments for QEMU. Returns the record.
local function dump(vm, name, registers, what)
  local start = system.monotime()
  local arguments = {paging = false, protocol = "file:" .. name}
  local entry = {file = name, registers = registers}
  for key, value in pairs(what or {}) do
    arguments[key] = value
    entry[key] = math.type(value) and hex(value) or value
  end
  vm.qmp:call("dump-guest-memory", arguments)
  entry.size = lfs.attributes(vm.dir .. "/" .. name, "size")
  progress(("%s, %d MiB, %.1f s"):format(name, entry.size >> 20, system.monotime() - start))
  return entry
end

-- The note precedes the memory in the file, and is present only if all went well.
local function check_vmcoreinfo(path)
  local file <close> = assert(io.open(path, "rb"))
  if not file:read(1 << 16):find("VMCOREINFO\0\0OSRELEASE=", 1, true) then
    error("the guest registered no VMCOREINFO", 0)
  end
end

-- Stops the guest twice while it runs and once after its panic, and records each time.
local function record(vm)
  local ranges, symbols = vm:reported()
  system.sleep(1)
  local cpu = stop_in_kernel(vm, symbols)
  write_registers(vm, "registers.txt")
  local pmem, virtual = save_memory(vm, ranges), translate(vm, symbols)
  local vmem = save_virtual(vm, cpu, symbols)
  save_tables(vm, cpu, symbols)
  local dumps = {dump(vm, "first.elf", "registers.txt")}
  check_vmcoreinfo(vm.dir .. "/first.elf")
  vm.qmp:call("cont")
  system.sleep(3)
  vm.qmp:call("stop")
  local second = "second-registers.txt"
  write_registers(vm, second)
  dumps[2] = dump(vm, "second.elf", second)
  if vm.arch == "x86_64" then
    dumps[3] = dump(vm, "paging.elf", second, {paging = true})
    dumps[4] = dump(vm, "window.elf", second,
      {begin = range_named(ranges, "Kernel code").from, length = 1 << 20})
    dumps[5] = dump(vm, "kdump-zlib.kdump", second, {format = "kdump-zlib"})
  end
  vm.qmp:call("cont")
  vm:panic()
  vm.qmp:call("stop")
  write_registers(vm, "panic-registers.txt")
  dumps[#dumps + 1] = dump(vm, "panic.elf", "panic-registers.txt")
  return {pmem = pmem, virtual = virtual, vmem = vmem, kernel_vcpu = cpu, dumps = dumps}
end

-- Removes everything in the directory except the record.
local function list(dir)
  local result = {}
  for _, name in ipairs(files.list(dir)) do
    if not name:find("^record") then
      result[#result + 1] = name
    end
  end
  return result
end

local function finish(vm, result, o)
  local version = vm.qmp.version
  result.form, result.arch, result.cpus = form, o.arch, vm.cpus
  result.memory, result.tasks = o.memory, o.tasks
  result.qemu = ("%d.%d.%d"):format(version.major, version.minor, version.micro)
  result.kernel = vm:serial():match("Linux version [^\r\n]+")
  result.kernel_command_line = vm.append
  result.command_line = vm.words
  result.files = list(vm.dir)
  files.write(vm.dir .. "/record.new", cjson.encode(result) .. "\n")
  assert(os.rename(vm.dir .. "/record.new", vm.dir .. "/record.json"))
end

local function boot_and_record(dir, o)
  shell(dir, "rm -f record.* *.elf *.kdump *.txt *mem-*.bin serial.log")
  local vm = machine.start(dir, o.arch, o.memory, o.tasks, o.form)
  local ok, result = pcall(function()
    vm:boot(progress)
    return record(vm)
  end)
  if not ok then
    vm:fail(tostring(result))
  end
  vm:quit()
  finish(vm, result, o)
end

-- Retries a failed boot once: the machine may be busy, and boots differ.
local function make(dir, o)
  prepare(dir, o)
  local ok, problem = pcall(boot_and_record, dir, o)
  if not ok then
    progress(problem .. "\nonce more")
    os.rename(dir .. "/serial.log", dir .. "/serial-failed.log")
    process.clean()
    files.clean()
    boot_and_record(dir, o)
  end
end

-- Whether there is a record in the current form; older forms contain less.
local function is_recorded(dir)
  local path = dir .. "/record.json"
  return files.exists(path) and cjson.decode(files.read(path)).form == form
end

local function main()
  local o = options(arg)
  if o.dir:sub(1, 1) ~= "/" then
    o.dir = lfs.currentdir() .. "/" .. o.dir
  end
  local dir = o.dir .. "/" .. kind_name(o)
  if o.image then
    dir = dir .. "-image" -- apart from what is recorded
    prepare(dir, o)
    print(dir)
    return
  end
  if o.again or not is_recorded(dir) then
    make(dir, o)
  end
  print(dir .. "/first.elf")
end

local ok, problem = pcall(main)
process.clean()
files.clean()
if not ok then
  io.stderr:write(tostring(problem), "\n")
  os.exit(1)
end
