#!/usr/bin/env lua5.4
-- What changed in a VM between two of its dumps: registers, and memory by region.
--
--     lua5.4 examples/dumpdiff.lua before.gcore after.gcore
--
-- Exit status: 0 nothing differs, 1 something does, 2 it could not be told, or a
-- mistake in the arguments.

-- Sees to it that nothing is loaded from the current directory: lua/qvm/start.lua.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local begin = loadfile(here .. "/../lua/qvm/start.lua")
  or loadfile(here .. "/../share/lua/5.4/qvm/start.lua")
  or loadfile("/usr/local/share/lua/5.4/qvm/start.lua")
  or os.exit(io.stderr:write(
    "qvm-dumpdiff: the qvm library is missing: run `make install`\n") and 2)
local need = begin("qvm-dumpdiff", here, 2)

local argparse = need "argparse"
local qvm = need "qvm"
local arguments = need "qvm.diag.arguments"
local columns = need "qvm.util.columns"
local terminal = need "qvm.diag.terminal"
local text = need "qvm.diag.text"

local count, harmless, in_units = text.count, text.harmless, text.in_units

local function fail(message)
  io.stderr:write("qvm-dumpdiff: ", harmless(message), "\n")
  os.exit(2, true)
end

local PAGE = 4096

-- Text -----------------------------------------------------------------------

local function say(format, ...)
  print((format:format(...):gsub("%s+$", "")))
end

local is_terminal = terminal.is_one(2)
local told = 0

local function progress(done, total)
  local percent = total > 0 and math.floor(done * 100.0 / total) or 0
  if is_terminal and os.time() > told then
    told = os.time()
    io.stderr:write(("\rcomparing: %d%%"):format(percent))
  end
end

local function progress_done()
  if told > 0 then
    io.stderr:write("\r\27[K")
  end
end

-- What differs ---------------------------------------------------------------

-- The pages with changed bytes (address to bytes), their addresses in order, and
-- the ranges that only one dump has.
local function collect(before, after)
  local changed, pages, only = {}, {}, {}
  for start, size, kind in before:diff(after, {progress = progress}) do
    if kind ~= "changed" then
      only[#only + 1] = {start = start, size = size, kind = kind}
    end
    while kind == "changed" and size > 0 do
      local page = start - start % PAGE
      local part = math.min(size, page + PAGE - start)
      if not changed[page] then
        pages[#pages + 1] = page
      end
      changed[page] = (changed[page] or 0) + part
      start, size = start + part, size - part
    end
  end
  return changed, pages, only
end

-- The part of a page that is in a range of memory.
local function clip(page, range)
  local first = math.ult(page, range.start) and range.start or page
  local last = page + (PAGE - 1)
  return first, (math.ult(range.last, last) and range.last or last) - first + 1
end

local function is_zero(bytes)
  return not bytes:find("[^\0]")
end

local function is_text(bytes)
  local _, printable = bytes:gsub("[\t\n\r -~]", "")
  return printable * 10 >= #bytes * 9
end

-- What has become of a page, in a word.
local function classify(before, after, address, size)
  local was, is = before:read(address, size), after:read(address, size)
  if not was or not is then
    return "rewritten"
  elseif is_zero(was) then
    return is_text(is) and "filled with text" or "filled"
  elseif is_zero(is) then
    return "cleared"
  end
  return is_text(is) and "rewritten with text" or "rewritten"
end

local function regions_of(dump)
  local regions = {}
  for start, size in dump:ranges() do
    regions[#regions + 1] = {start = start, last = start + (size - 1), size = size, pages = 0,
      bytes = 0, marks = {}}
  end
  return regions
end

-- Gives each region its changed pages, joined to runs of one kind.
local function assign(regions, before, after, changed, pages)
  local runs, kinds, at = {}, {}, 1
  for _, page in ipairs(pages) do
    while math.ult(regions[at].last, page) do
      at = at + 1
    end
    local region, run = regions[at], runs[#runs]
    local first, size = clip(page, region)
    local kind = classify(before, after, first, size)
    region.pages, region.bytes = region.pages + 1, region.bytes + changed[page]
    kinds[kind] = (kinds[kind] or 0) + 1
    if run and run.kind == kind and run.start + run.size == first then
      run.size, run.bytes = run.size + size, run.bytes + changed[page]
    else
      runs[#runs + 1] = {start = first, size = size, bytes = changed[page], kind = kind}
    end
  end
  return runs, kinds
end

-- What is said ---------------------------------------------------------------

local function say_dump(what, dump)
  local about = tostring(dump):match(": ([^:]*)$")
  local room = 80 - 7 - #about - 5
  local path = #dump.path > room and "..." .. dump.path:sub(3 - room) or dump.path
  say("%-7s %s  %s", what, harmless(path), about)
end

local function say_registers(before, after)
  local lines, vcpus = {}, {}
  for cpu, name, was, is in before:diff_registers(after) do
    lines[#lines + 1] = ("%4d  %s  %-18s  %-18s"):format(cpu, columns.pad(harmless(name), 14),
      was and qvm.hex(was) or "(none)", is and qvm.hex(is) or "(none)")
    vcpus[cpu] = true
  end
  print()
  if #lines == 0 then
    print("no register differs")
    return 0, 0
  end
  say("%-4s  %-14s  %-18s  %-18s", "vCPU", "register", "before", "after")
  print(table.concat(lines, "\n"))
  local n = 0
  for _ in pairs(vcpus) do
    n = n + 1
  end
  return #lines, n
end

-- One character for each 64th of a region: how much of it changed.
local function map(region, pages)
  local cells, width = {}, math.min(64, math.max(1, math.floor(region.size / PAGE)))
  local cell_size = math.floor(region.size / width)
  for _, page in ipairs(pages) do
    if not math.ult(page + (PAGE - 1), region.start) and not math.ult(region.last, page) then
      local offset = math.ult(page, region.start) and 0 or page - region.start
      local cell = math.min(width, math.floor(offset / cell_size) + 1)
      cells[cell] = (cells[cell] or 0) + PAGE
    end
  end
  local marks = {}
  for i = 1, width do
    local share = (cells[i] or 0) * width / region.size
    marks[i] = share == 0 and "." or share < 0.01 and ":" or share < 0.25 and "+" or "#"
  end
  return table.concat(marks)
end

local function say_regions(regions, pages)
  print()
  say("%-39s  %10s  %10s  %s", "physical memory", "size", "changed", "pages")
  for _, region in ipairs(regions) do
    say("%s - %s  %10s  %10s  %d", qvm.hex(region.start), qvm.hex(region.last),
      in_units(region.size), in_units(region.bytes), region.pages)
    if region.pages > 0 then
      say("  [%s]", map(region, pages))
    end
  end
  if #pages > 0 then
    print("  (each mark is a 64th of the region: . same  : under 1%  + under 25%  # more)")
  end
end

local function say_only(only)
  local names = {here = "before", there = "after"}
  if #only > 0 then
    print()
    say("%-39s  %10s", "memory in only one of them", "size")
  end
  for _, range in ipairs(only) do
    say("%s - %s  %10s  %s", qvm.hex(range.start), qvm.hex(range.start + (range.size - 1)),
      in_units(range.size), names[range.kind])
  end
end

local function say_runs(runs, most)
  if #runs == 0 then
    return
  end
  table.sort(runs, function(a, b)
    if a.bytes ~= b.bytes then
      return a.bytes > b.bytes
    end
    return math.ult(a.start, b.start)
  end)
  print()
  say("%-18s  %10s  %12s  %s", "largest changes", "size", "bytes differ", "what happened")
  for i = 1, math.min(#runs, most) do
    local run = runs[i]
    say("%s  %10s  %12d  %s", qvm.hex(run.start), in_units(run.size), run.bytes, run.kind)
  end
  if #runs > most then
    say("... and %s (--all shows them)", count(#runs - most, "more place"))
  end
end

local function say_summary(regions, kinds, registers, vcpus, only)
  local pages, bytes, memory = 0, 0, 0
  for _, region in ipairs(regions) do
    pages, bytes, memory = pages + region.pages, bytes + region.bytes, memory + region.size
  end
  print()
  if registers == 0 and pages == 0 and #only == 0 then
    say("summary: nothing differs, in %s and all registers", in_units(memory))
    return
  end
  say("summary: %s differ, in %s, which are %s%% of %s", in_units(bytes),
    count(pages, "page"), text.float("%.2f", memory > 0 and pages * PAGE * 100 / memory or 0),
    in_units(memory))
  for _, kind in ipairs {"filled", "filled with text", "cleared", "rewritten",
    "rewritten with text"} do
    if kinds[kind] then
      say("  %-22s %s", kind, count(kinds[kind], "page"))
    end
  end
  if #only > 0 then
    say("  %-22s %s", "in one of them only", count(#only, "range"))
  end
  if registers > 0 then
    say("  %-22s %s of %s", "changed", count(registers, "register"), count(vcpus, "vCPU"))
  end
end

local function open(path)
  local dump, message = qvm.open(path, {partial = true})
  if not dump then
    fail(message)
  end
  if not dump.complete then
    io.stderr:write("qvm-dumpdiff: ", harmless(path), ": incomplete: what is missing ",
      "counts as not there\n")
  end
  return dump
end

local function main()
  local parser = argparse("qvm-dumpdiff", "What changed in a VM between two of its dumps.")
  parser:argument("before", "A dump.")
  parser:argument("after", "Another dump of the same VM.")
  parser:flag("--all", "List every changed place, not the 10 largest.")
  local options = arguments.of(parser, "qvm-dumpdiff")
  local before, after = open(options.before), open(options.after)
  if before.machine ~= after.machine then
    fail(("%s is of %s, %s of %s"):format(before.path, before.machine, after.path, after.machine))
  end
  say_dump("before", before)
  say_dump("after", after)
  local registers, vcpus = say_registers(before, after)
  local changed, pages, only = collect(before, after)
  local regions = regions_of(before)
  local runs, kinds = assign(regions, before, after, changed, pages)
  progress_done()
  say_regions(regions, pages)
  say_only(only)
  say_runs(runs, options.all and #runs or 10)
  say_summary(regions, kinds, registers, vcpus, only)
  os.exit(registers == 0 and #pages == 0 and #only == 0 and 0 or 1, true)
end

local ok, problem = pcall(main)
if not ok then
  fail(tostring(problem))
end
