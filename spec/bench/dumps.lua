-- Measures reading dumps, against other programs and libraries and against the machine's
-- limit, on the same files: `make bench`. All files are in the page cache. Trust the
-- ratios, not the times.

package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = (os.getenv("QVM_BUILD") or "build") .. "/?.so;" .. package.cpath

local bench_guest = require "bench.guest"
local copies = require "bench.copies"
local qvm = require "qvm"
local run = require "bench.run"
local sheet = require "bench.sheet"

local lua = os.getenv("LUA") or "lua5.4"
local python = "/usr/bin/python3"
local pattern = "qvm:absent:0Zx~9"

local bulk_count = 1000000

-- Marks a result that differs from the others in its table.
local function incomparable(found)
  found.result = nil
  return found
end

-- The time of the process's first run.
local function first_of(found)
  return {seconds = found.first or found.seconds, absent = found.absent}
end

local function bench_open(big, small)
  local function python_list(name)
    return incomparable(run.python("list", name, big))
  end
  sheet.work("open, list segments and registers, in a process that runs")
  sheet.row("qvm", run.qvm("list", big), "qvm")
  sheet.row("qvm, dump of 256 MiB", run.qvm("list", small))
  sheet.row("libkdumpfile", python_list("libkdumpfile"))
  sheet.row("drgn, opening alone", python_list("drgn"))
  sheet.row("pyelftools", python_list("pyelftools"))
end

local list_script = [[
package.path, package.cpath = %q, %q
local dump = require "qvm".open(arg[1])
for segment in dump:segments() do print(segment) end
for cpu in dump:vcpus() do
  for name, value in cpu:registers() do print(name, value) end
end]]

local function bench_start(big, small)
  local function program(...)
    return run.program {...}
  end
  local function listing(path)
    return program(lua, copies.write("list.lua",
      list_script:format(package.path, package.cpath)), path)
  end
  local function peer(name)
    return program(python, "spec/bench/peer.py", "list", name, "1", big)
  end
  sheet.work("the same as a whole process")
  sheet.row("qvm", listing(big), "qvm")
  sheet.row("qvm, dump of 256 MiB", listing(small))
  sheet.row("readelf -lnW", program("readelf", "-lnW", big))
  sheet.row("libkdumpfile, Python", peer("libkdumpfile"))
  sheet.row("drgn, Python, opening alone", peer("drgn"))
  sheet.row("pyelftools, Python", peer("pyelftools"))
  sheet.row("bound: lua5.4 that does nothing", program(lua, "-e", ""))
end

local function bench_random(big, addresses, offsets)
  local found = run.qvm("random", big, addresses)
  sheet.work("10^6 random u64, in a loop of the script")
  sheet.row("qvm, d:u64(a)", found, "qvm")
  sheet.row("libkdumpfile, Python", run.python("random", "libkdumpfile", big, addresses))
  sheet.row("drgn, Python", run.python("random", "drgn", big, addresses))
  sheet.row("bound: C, mapping, loads overlap", run.bound("loads", big, offsets))
  sheet.row("bound: C, mapping, one load after another",
    run.bound("serial-loads", big, offsets))
  sheet.row("the Lua loop alone", incomparable(run.qvm("loop", big, addresses)))
  sheet.row("qvm, first time in its process", first_of(found))
end

local function bench_bulk(big, address, offset)
  local count, size = bulk_count, 8 * bulk_count
  local found = run.qvm("array", big, address, count)
  sheet.work("10^6 u64 in a row, decoded")
  sheet.row("qvm, d:array(a, \"u64\", 1000000)", found, "qvm")
  for _, name in ipairs {"libkdumpfile", "drgn"} do
    sheet.row(name .. ", read, struct.unpack",
      run.python("unpack", name, big, address, count))
    sheet.row(name .. ", read, array.array", run.python("array", name, big, address, count))
  end
  sheet.row("bound: C, memcpy into fresh memory", run.bound("copy-fresh", big, offset, size))
  sheet.row("bound: C, memcpy into touched memory",
    run.bound("copy-touched", big, offset, size))
  sheet.row("qvm, first time in its process", first_of(found))
end

local function quoted(path)
  return "'" .. path .. "'"
end

local function bench_find(what, path)
  sheet.work("search for 16 bytes that are not there, " .. what)
  sheet.row("qvm", run.qvm("find", path, pattern), "qvm")
  sheet.row("qvm on one core", run.qvm_on_one_core("find", path, pattern), "one core")
  sheet.row("rg -a -c -F", run.program({"rg", "-a", "-c", "-F", pattern, path}, "1"))
  sheet.row("grep -aFc", run.program({"grep", "-aFc", pattern, path}, "1"))
  sheet.row("drgn, search_memory", run.python("find", "drgn", path, pattern))
  sheet.row("bound: C, 256 KiB reads, memmem", run.bound("find", path, pattern))
  sheet.row("bound: C, 256 KiB reads alone", incomparable(run.bound("read", path)))
end

local function bench_strings(what, path)
  sheet.work("strings, counted, " .. what)
  local found = run.qvm("strings", path)
  sheet.row("qvm, d:strings()", found, "qvm")
  local peer = run.shell(("strings -a %s | wc -l"):format(quoted(path)))
  sheet.row("strings -a | wc -l", peer)
  sheet.row("bound: C, 256 KiB reads alone", incomparable(run.bound("read", path)))
  if not peer.absent and not found.absent then
    sheet.note(("strings, %s: %d by qvm in the memory, %d by strings in the file"):format(
      what, tonumber(found.result, 16), peer.output))
  end
end

-- offset: of the memory in both files.
local function bench_diff(what, path, other, offset, granularities)
  local equal = what:find("equal", 1, true)
  for _, granularity in ipairs(granularities) do
    sheet.work(("diff, %s, granularity %d"):format(what, granularity))
    sheet.row("qvm", run.qvm("diff", path, other, granularity), "qvm")
    sheet.row("qvm on one core", run.qvm_on_one_core("diff", path, other, granularity),
      "one core")
    sheet.row("bound: C, 256 KiB reads, memcmp",
      run.bound("diff", path, other, granularity, offset))
    if equal then
      sheet.row("cmp -s", run.program {"cmp", "-s", path, other})
    elseif granularity == 1 then
      local peer = run.shell(("cmp -l -i %d %s %s | wc -l"):format(offset, quoted(path),
        quoted(other)))
      peer.result = not peer.absent and ("%x"):format(math.tointeger(tonumber(peer.output)))
      sheet.row("cmp -l | wc -l", peer)
    end
  end
end

-- The median of the five random offsets that are read first.
local function middle(offsets)
  local file <close> = assert(io.open(offsets, "rb"))
  local first = {string.unpack("<i8i8i8i8i8", file:read(40))}
  first[#first] = nil -- where it ended
  table.sort(first)
  return first[#first // 2 + 1]
end

local function bench_gzip(packed, unpacked, addresses, offsets, size)
  local unpack = run.shell(("gzip -dc %s >%s"):format(quoted(packed), quoted(unpacked)))
  local function after(found)
    if unpack.absent or found.absent then
      return {absent = unpack.absent or found.absent}
    end
    return {seconds = unpack.seconds + found.seconds, once = unpack.once,
      result = found.result}
  end
  local works = {
    {"open", "gzip: open", {}, 0},
    {"first", "gzip: open and read at a random offset", {addresses}, middle(offsets)},
    {"find", "gzip: search for 16 bytes that are not there", {pattern}, size},
  }
  for _, work in ipairs(works) do
    local name, title, rest, to = table.unpack(work)
    sheet.work(title)
    sheet.row("qvm", run.qvm(name, packed, table.unpack(rest)), "qvm")
    sheet.row("gzip -dc to a file, then qvm on that",
      after(run.qvm(name, unpacked, table.unpack(rest))))
    if to > 0 then
      local bound = run.bound("inflate", packed, to, name == "find" and pattern or "")
      sheet.row(to == size and "bound: C, zlib, memmem" or "bound: C, zlib, up to the offset",
        incomparable(bound))
    end
  end
  os.remove(unpacked)
  local peak = run.qvm("peak", packed, addresses)
  sheet.fact("peak memory, 1000 random offsets", peak.absent or
    ("%.1f MiB"):format(tonumber(peak.result, 16) / 1024))
end

-- The offset in the file of an address, or of the first memory.
local function offset_of(dump, address)
  for segment in dump:segments() do
    local at = (address or segment.paddr) - segment.paddr
    if segment.type == 1 and at >= 0 and at < segment.filesz then
      return segment.offset + at
    end
  end
end

-- The address of the most frequently written region of the required size; zeros are easy to
-- decode for some programs.
local function fullest(dump)
  local size, best, most = 8 * bulk_count, nil, -1
  for start, length in dump:ranges() do
    for address = start, start + length - size, size do
      local written = 0
      for at = address, address + size - 512, size // 16 do
        for _, value in ipairs(dump:array(at & ~7, "u64", 64)) do
          written = written + (value ~= 0 and 1 or 0)
        end
      end
      if written > most then
        best, most = address, written
      end
    end
  end
  return best
end

local function mib(bytes)
  return ("%.0f MiB"):format(bytes / (1 << 20))
end

local function main()
  local first, second = copies.big()
  local small = copies.small()
  local dump <close> = assert(qvm.open(first))
  local memory, bulk = offset_of(dump), fullest(dump)
  local addresses, offsets = copies.places(dump, 1000000)
  print(copies.description())
  print(("Dumps of an x86_64 guest, %s, in the page cache."):format(mib(dump.size)))
  print(("Medians of %d or more runs, or \"once\" if a run takes more than %d s."):format(run.times,
    run.long))
  print("Ratios: above 1, qvm is faster. \"/ 1 core\": relative to qvm on one core.\n")
  sheet.head()

  copies.warm(small, first)
  bench_open(first, small)
  bench_start(first, small)
  bench_random(first, addresses, offsets)
  bench_bulk(first, bulk, offset_of(dump, bulk))
  bench_guest(first)
  bench_find("4 GiB", first)
  bench_strings("4 GiB", first)
  local dense = copies.dense(first)
  copies.warm(first, dense)
  bench_diff("4 GiB, equal", first, dense, memory, {1})
  copies.forget(dense)
  copies.warm(first, second)
  bench_diff("4 GiB, changed", first, second, memory, {1, 4096})

  local sparse, sparse_second = copies.sparse("sparse.elf", first),
    copies.sparse("sparse-second.elf", second)
  copies.forget(first, second, dense)
  local what = ("sparse: %s on the disk"):format(mib(copies.allocated(sparse)))
  copies.warm(sparse, sparse_second)
  bench_find(what, sparse)
  bench_strings("sparse", sparse)
  bench_diff("sparse, changed", sparse, sparse_second, memory, {1, 4096})

  local packed = copies.gzip(first)
  copies.forget(first, second, sparse, sparse_second)
  copies.warm(packed)
  bench_gzip(packed, (packed:gsub("%.elf%.gz$", ".unpacked")), addresses, offsets,
    dump.size)
  sheet.finish()
end

main()
