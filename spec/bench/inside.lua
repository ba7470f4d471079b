-- Measures reading inside a guest, against other programs and libraries on the same dumps:
-- `make bench`. All files are in the page cache. Trust the ratios, not the times.

package.path = "lua/?.lua;lua/?/init.lua;spec/?.lua;" .. package.path
package.cpath = (os.getenv("QVM_BUILD") or "build") .. "/?.so;" .. package.cpath

local copies = require "bench.copies"
local qvm = require "qvm"
local run = require "bench.run"
local sheet = require "bench.sheet"

local lua = os.getenv("LUA") or "lua5.4"

-- Marks a result that differs from the others in its table.
local function incomparable(found)
  found.result = nil
  return found
end

-- Virtual addresses of the kernel's mapped pages that are in the dump.
local function pages_of(dump)
  local space, pages = assert(dump:kernel_space()), {}
  for start, size in space:mappings() do
    local at = 0
    while at < size do
      local physical, page = space:translate(start + at)
      if dump:u64(physical) then
        pages[#pages + 1] = start + at
      end
      at = at + page
    end
  end
  return space, pages
end

local function as_file(name, numbers)
  return copies.write(name, string.pack("<" .. ("i8"):rep(#numbers), table.unpack(numbers)))
end

-- Files of numbers: random virtual addresses in some of the pages, and their physical
-- addresses.
local function places(space, pages, name, count)
  math.randomseed(20240229)
  local virtual, physical = {}, {}
  while #virtual < count do
    local page = pages[math.random(#pages)]
    local _, size = space:translate(page)
    local address = page + math.random(0, size // 8 - 1) * 8
    local there = space:translate(address)
    if there and space.dump:u64(there) then
      virtual[#virtual + 1] = string.pack("<i8", address)
      physical[#physical + 1] = string.pack("<i8", there)
    end
  end
  return copies.write(name .. "-virtual", table.concat(virtual)),
    copies.write(name .. "-physical", table.concat(physical))
end

local function bench_reads(what, path, virtual, physical)
  sheet.work("10^6 u64 by virtual address, " .. what)
  sheet.row("qvm, space:u64(a)", run.qvm("virtual", path, virtual), "qvm")
  sheet.row("libkdumpfile, Python", run.python("virtual", "libkdumpfile", path, virtual))
  sheet.row("drgn, Python", run.python("virtual", "drgn", path, virtual))
  sheet.row("qvm, d:u64, the same by physical address", run.qvm("random", path, physical))
  sheet.row("the Lua loop alone", incomparable(run.qvm("loop", path, virtual)))
end

local function bench_tables(path, pages)
  sheet.work("the page tables of the kernel's whole half")
  local mappings = run.qvm("mappings", path)
  local count = mappings.result
  mappings.result = nil
  sheet.row("qvm, space:mappings()", mappings, "qvm")
  sheet.fact("  ranges", count and ("%d"):format(tonumber(count, 16)) or "-")
  sheet.work(("translate the first byte of each page, %d pages"):format(#pages))
  local list = as_file("pages", pages)
  sheet.row("qvm, space:translate(a)", run.qvm("translate", path, list), "qvm")
  sheet.row("libkdumpfile, addrxlat, Python", run.python("translate", "libkdumpfile", path, list))
end

local dmesg_script = [[
package.path, package.cpath = %q, %q
for message in require "qvm".open(arg[1]):dmesg() do print(message) end]]

local function bench_dmesg(plain, paging, big)
  local script = copies.write("dmesg.lua", dmesg_script:format(package.path, package.cpath))
  sheet.work("the kernel's log, whole process, dump of 256 MiB with virtual addresses")
  sheet.row("qvm", run.program {lua, script, paging}, "qvm")
  sheet.row("vmcore-dmesg", run.program {"vmcore-dmesg", paging})
  sheet.row("bound: lua5.4 that does nothing", run.program {lua, "-e", ""})
  sheet.work("the kernel's log, whole process, dump of 256 MiB without them")
  sheet.row("qvm", run.program {lua, script, plain}, "qvm")
  sheet.row("vmcore-dmesg", run.program {"vmcore-dmesg", plain})
  sheet.work("the kernel's log, whole process, dump of 4 GiB without a VMCOREINFO note")
  sheet.row("qvm", run.program {lua, script, big}, "qvm")
  sheet.row("vmcore-dmesg", run.program {"vmcore-dmesg", big})
  sheet.row("bound: C, 256 KiB reads alone", run.bound("read", big))
end

local function main()
  local big, small = copies.big(), copies.small()
  local paging = small:gsub("first", "paging")
  local dump <close> = assert(qvm.open(big))
  local space, pages = pages_of(dump)
  sheet.head()
  copies.warm(big)
  bench_reads("all of the kernel's pages", big, places(space, pages, "all", 1000000))
  local four_kib = {}
  for _, page in ipairs(pages) do
    local _, size = space:translate(page)
    four_kib[#four_kib + 1] = size == 4096 and #four_kib < 64 and page or nil
  end
  bench_reads("64 pages of 4 KiB", big, places(space, four_kib, "few", 1000000))
  bench_tables(big, pages)
  local bare = copies.without_note(big)
  copies.forget(big)
  copies.warm(small, paging, bare)
  bench_dmesg(small, paging, bare)
  sheet.finish()
end

main()
