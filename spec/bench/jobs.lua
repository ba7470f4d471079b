-- The jobs, in the order in which they run. `files` are names of bench.input's files, which
-- are in the page cache when the job starts. `start(path)` returns the contenders: `qvm`,
-- at most one `peer` (another program or library) and at most one `bound` (what cannot be
-- undercut), and a value to close when they are measured.

local input = require "bench.input"
local measure = require "bench.measure"
local process = require "support.process"
local qvm = require "qvm"

local lua = os.getenv("LUA") or "lua5.4"
local vmlinux = os.getenv("QVM_VMLINUX")
local pattern = "qvm:absent:0Zx~9"

local jobs = {}

local function job(name, files, start)
  jobs[#jobs + 1] = {name = name, files = files, start = start}
end

local repeated, one_core = measure.repeated, measure.one_core

-- A peer that needs the debug information of the guest's kernel.
local function debugged(name, start)
  return vmlinux and start() or measure.absent(name, "no vmlinux in $QVM_VMLINUX")
end

-- The environment ---------------------------------------------------------------------

job("require \"qvm\"", {}, function()
  return {qvm = measure.program("qvm", lua, "-e",
    ("package.path, package.cpath = %q, %q require 'qvm'"):format(package.path, package.cpath)),
    bound = measure.nothing()}
end)

job("list two VMs", {}, function()
  local servers = input.servers(2)
  return {qvm = measure.program("qvm-diag --list", lua, "examples/diag.lua", "--list", "--root",
    servers.root), bound = measure.nothing()}, servers
end)

job("survey of 1,000 VMs", {}, function()
  local servers = input.servers(1000)
  return {qvm = measure.qvm("vms", servers.root),
    bound = measure.bound("C, F_GETLK, not decoded", "vms", servers.root)}, servers
end)

job("decode 1 MiB of env", {}, function()
  local records = {}
  for i = 1, 20000 do
    records[i] = ('{ "tid": %d, "last_known_ip": 18446603336490160692 }'):format(i)
  end
  local path = input.write("env.json", '{"vcpus": [\n' .. table.concat(records, ",\n") .. "]}")
  return {qvm = repeated(measure.qvm("decode", path)),
    peer = repeated(measure.other("lua-cjson", "cjson", path))}
end)

-- 256 MiB -----------------------------------------------------------------------------

-- vmcore-dmesg needs a dump with virtual addresses.
job("dmesg", {"paging"}, function(path)
  return {qvm = measure.script(path.paging, "for message in dump:dmesg() do print(message) end"),
    peer = measure.program("vmcore-dmesg", "vmcore-dmesg", path.paging),
    bound = measure.nothing()}
end)

-- Reads a value in the middle of a compressed dump; the peer unpacks it first.
local function first_read(path, options)
  local dump <close> = assert(qvm.open(path.small))
  local address, unpacked = 128 << 20, path.gzip .. ".unpacked"
  local code = ("print(dump:u64(%d))"):format(address)
  local after, words = measure.script(unpacked, code), {}
  for i, word in ipairs(after.arguments) do
    words[i] = process.quote(word)
  end
  return {qvm = measure.counts(measure.script(path.gzip, code, options)),
    peer = measure.counts(measure.program("gzip -d, qvm", "sh", "-c",
      ("gzip -dc %s >%s && %s && rm %s"):format(process.quote(path.gzip),
        process.quote(unpacked), table.concat(words, " "), process.quote(unpacked)))),
    bound = measure.bound("zlib up to there", "inflate", path.gzip,
      input.offset(dump, address) + 8)}
end

job("gzip, first read", {"gzip", "small"}, first_read)

job("gzip, with an index", {"gzip", "small"}, function(path)
  assert(qvm.open(path.gzip, {index = true})):close()
  local found = first_read(path, "{index = true}")
  found.bound = measure.nothing()
  return found
end)

local function triage(path)
  return measure.program("qvm-diag --read", lua, "examples/diag.lua", "--read", path)
end

job("triage, 256 MiB", {"small"}, function(path)
  return {qvm = triage(path.small)}
end)

-- 4 GiB -------------------------------------------------------------------------------

local function crash(path, commands)
  return debugged("crash", function()
    return measure.program("crash", "crash", "-s", "-i",
      input.write("commands.crash", commands .. "\nquit\n"), vmlinux, path)
  end)
end

job("triage, 4 GiB", {"big"}, function(path)
  return {qvm = triage(path.big), peer = crash(path.big, "sys\nlog\nps\nbt -a")}
end)

local scripts = {
  tasks = "for task in dump:tasks() do print(task.pid, task.state, task.name) end",
  stacks = [[
for task in dump:tasks() do
  print(task.pid, task.state, task.name)
  print(pcall(function() -- a zombie may have none
    for frame in task:backtrace() do print(frame) end
  end))
end]],
}

job("all tasks", {"big"}, function(path)
  return {qvm = measure.script(path.big, scripts.tasks), peer = crash(path.big, "ps")}
end)

job("all stacks", {"big"}, function(path)
  return {qvm = measure.script(path.big, scripts.stacks), peer = crash(path.big, "foreach bt")}
end)

-- Only where that guest was recorded: it boots for minutes.
job("all tasks, 10,000", {}, function()
  local path = input.many_tasks
  return {qvm = input.exists(path) and measure.script(path, scripts.tasks)
    or measure.absent("qvm", path .. " was not recorded: see docs/performance.md")}
end)

job("10^5 task.comm", {"big"}, function(path)
  return {qvm = repeated(measure.qvm("members", path.big)),
    peer = debugged("drgn", function()
      return repeated(measure.python("drgn", "members", path.big, vmlinux))
    end)}
end)

job("first symbol", {"big"}, function(path)
  return {qvm = measure.script(path.big, "print(assert(dump:address 'schedule'))"),
    bound = measure.nothing()}
end)

job("10^5 later symbols", {"big"}, function(path)
  local dump <close> = assert(qvm.open(path.big))
  local addresses = input.code_addresses(dump, 100000)
  return {qvm = repeated(measure.qvm("symbols", path.big, addresses)),
    peer = debugged("drgn", function()
      return repeated(measure.python("drgn", "symbols", path.big, addresses, vmlinux))
    end)}
end)

job("first touch, 50,000 u64", {"big"}, function(path)
  local dump <close> = assert(qvm.open(path.big))
  local addresses, offsets = input.random_places(dump, "touch", 50000)
  return {qvm = measure.qvm("u64", path.big, addresses),
    peer = measure.python("libkdumpfile", "u64", path.big, addresses),
    bound = measure.bound("C, pread of the page", "first-touch", path.big, offsets)}
end)

-- 10^6 values that were read once before.
local function read_again(path, name, next)
  local dump <close> = assert(qvm.open(path))
  local addresses, offsets = input.places(dump, name, 1000000, next)
  return {qvm = repeated(measure.qvm("u64", path, addresses)),
    peer = repeated(measure.python("libkdumpfile", "u64", path, addresses)),
    bound = repeated(measure.bound("C, serial loads, no Lua", "serial-loads", path, offsets))}
end

job("10^6 u64 in 64 MiB", {"big"}, function(path)
  math.randomseed(20240229)
  return read_again(path.big, "random", function()
    return (64 << 20) + math.random(0, (8 << 20) - 1) * 8
  end)
end)

job("10^6 ascending u64", {"big"}, function(path)
  local address = 64 << 20
  return read_again(path.big, "ascending", function()
    address = address + 8
    return address
  end)
end)

job("array of 10^6 u64", {"big"}, function(path)
  local dump <close> = assert(qvm.open(path.big))
  local address, count = 64 << 20, 1000000
  return {qvm = repeated(measure.qvm("array", path.big, address, count)),
    peer = repeated(measure.python("libkdumpfile", "array", path.big, address, count)),
    bound = repeated(measure.bound("C, memcpy", "copy", path.big, input.offset(dump, address),
      8 * count))}
end)

job("10^6 u64, virtual", {"big"}, function(path)
  local dump <close> = assert(qvm.open(path.big))
  local virtual, physical = input.kernel_places(dump, 1000000)
  return {qvm = repeated(measure.qvm("virtual", path.big, virtual)),
    peer = repeated(measure.python("libkdumpfile", "virtual", path.big, virtual)),
    bound = repeated(measure.other("qvm, physical", "u64", path.big, physical))}
end)

job("translate each page", {"big"}, function(path)
  local dump <close> = assert(qvm.open(path.big))
  local pages = input.kernel_pages(dump)
  return {qvm = repeated(measure.qvm("translate", path.big, pages)),
    peer = repeated(measure.python("libkdumpfile", "translate", path.big, pages))}
end)

local function find_bound(path)
  return measure.bound("C, memmem", "find", path, pattern)
end

job("find, one core", {"big"}, function(path)
  return {qvm = one_core(measure.qvm("find", path.big, pattern)),
    bound = one_core(find_bound(path.big))}
end)

job("find, all cores", {"big"}, function(path)
  local peer = measure.is_installed("rg")
    and measure.program("rg -a", "rg", "-a", "-c", "-F", pattern, path.big)
    or measure.counts(measure.program("grep -aFc", "grep", "-aFc", pattern, path.big))
  return {qvm = measure.qvm("find", path.big, pattern), peer = measure.statuses(peer, "01"),
    bound = find_bound(path.big)}
end)

job("strings, all cores", {"big"}, function(path)
  return {qvm = measure.qvm("strings", path.big),
    peer = measure.program("strings -a", "sh", "-c",
      ("strings -a %s | wc -l"):format(process.quote(path.big))),
    bound = measure.incomparable(measure.bound("C, reads alone", "read", path.big))}
end)

-- It needs no file in the page cache, and leaves none there.
job("find, cold", {}, function(path)
  return {qvm = measure.cold(measure.qvm("find", path.big, pattern), path.big),
    bound = measure.cold(find_bound(path.big), path.big)}
end)

-- The offset of the first memory, which is the same in both files.
local function diff_bound(path, other)
  local dump <close> = assert(qvm.open(path))
  return measure.bound("C, memcmp", "diff", path, other, input.offset(dump))
end

job("diff equal, one core", {"big", "equal"}, function(path)
  return {qvm = one_core(measure.qvm("diff", path.big, path.equal)),
    bound = one_core(diff_bound(path.big, path.equal))}
end)

job("diff equal, all cores", {"big", "equal"}, function(path)
  return {qvm = measure.qvm("diff", path.big, path.equal),
    peer = measure.program("cmp", "cmp", "-s", path.big, path.equal),
    bound = diff_bound(path.big, path.equal)}
end)

job("diff changed, one core", {"big", "second"}, function(path)
  return {qvm = one_core(measure.qvm("diff", path.big, path.second)),
    bound = one_core(diff_bound(path.big, path.second))}
end)

job("diff changed, all cores", {"big", "second"}, function(path)
  local dump <close> = assert(qvm.open(path.big))
  return {qvm = measure.qvm("diff", path.big, path.second),
    peer = measure.counts(measure.program("cmp -l", "sh", "-c",
      ("cmp -l -i %d %s %s | wc -l"):format(input.offset(dump), process.quote(path.big),
        process.quote(path.second)))),
    bound = diff_bound(path.big, path.second)}
end)

-- 64 GiB, most of it a hole -----------------------------------------------------------

job("triage, 64 GiB", {"sparse"}, function(path)
  return {qvm = triage(path.sparse)}
end)

job("find, 64 GiB", {"sparse"}, function(path)
  return {qvm = measure.qvm("find", path.sparse, pattern), bound = find_bound(path.sparse)}
end)

job("diff, 64 GiB", {"sparse", "sparse_second"}, function(path)
  return {qvm = measure.qvm("diff", path.sparse, path.sparse_second),
    bound = diff_bound(path.sparse, path.sparse_second)}
end)

return jobs
