-- The command qvm-dumpdiff: what changed in a VM between two of its dumps. First it compares
-- registers, then memory: changed bytes are counted by page, pages that changed alike are
-- joined into runs, and each run is classified by its content before and after.

local command = require "qvm.cli.command"
local qvm = require "qvm"
local text = require "qvm.cli.text"

local count, in_units = text.count, text.in_units
local print = command.print

local dumpdiff = {}

local NAME = "qvm-dumpdiff"
local PAGE = 4096
local LOAD = 1 -- the type of a segment of memory
local RUNS = 10 -- runs in a report without --all

local NOTHING, DIFFERENT, UNKNOWN = 0, 1, 2 -- exit statuses; 2 also by command.run

-- Comparing -------------------------------------------------------------------------------

-- Returns a progress function for Dump:diff, which writes at most once a second.
local function new_progress()
  local shown_at = 0
  return function(done, total)
    if os.time() > shown_at then
      shown_at = os.time()
      command.show_progress(("comparing: %d%%"):format(
        total > 0 and math.floor(done * 100.0 / total) or 0))
    end
  end
end

-- Compares the memory of two dumps. Returns the changed bytes of each page by its address, the
-- addresses of these pages in order, and the ranges that only one dump has.
local function compare_memory(before, after)
  local changed, pages, only = {}, {}, {}
  for start, size, kind in before:diff(after, {progress = new_progress()}) do
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
  command.show_progress ""
  return changed, pages, only
end

-- The part of a page that lies in a region: its address and size.
local function clip(page, region)
  local first = math.ult(page, region.start) and region.start or page
  local last = page + (PAGE - 1)
  return first, (math.ult(region.last, last) and region.last or last) - first + 1
end

local function is_zero(bytes)
  return not bytes:find("[^\0]")
end

local function is_text(bytes)
  local _, printable = bytes:gsub("[\t\n\r -~]", "")
  return printable * 10 >= #bytes * 9
end

-- Describes in a word or two how the content of a range changed.
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

-- The regions of a dump's memory, with counters of what changed in each.
local function regions_of(dump)
  local regions = {}
  for start, size in dump:ranges() do
    regions[#regions + 1] = {start = start, last = start + (size - 1), size = size, pages = 0,
      bytes = 0}
  end
  return regions
end

-- How many bytes of memory the file of a dump has lost at its end.
local function lost_of(dump)
  local lost = 0
  for segment in dump:segments() do
    if segment.type == LOAD then
      local left = math.ult(dump.size, segment.offset) and 0 or dump.size - segment.offset
      lost = lost + segment.filesz - (math.ult(left, segment.filesz) and left or segment.filesz)
    end
  end
  return lost
end

-- Counts the changed pages of each region. Returns an array of runs, which are adjacent pages
-- that changed in the same way, and the number of pages that changed in each way.
local function count_pages(regions, before, after, changed, pages)
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

-- The report ------------------------------------------------------------------------------

local function say(format, ...)
  print((format:format(...):gsub("%s+$", "")))
end

local function say_dump(label, dump)
  local about = tostring(dump):match(": ([^:]*)$")
  local room = command.WIDTH - 7 - #about - 5
  local path = #dump.path > room and "..." .. dump.path:sub(3 - room) or dump.path
  say("%-7s %s  %s", label, text.escape_controls(path), about)
end

-- Returns the number of registers that differ, and of vCPUs with such registers.
local function say_registers(before, after)
  local lines, vcpus, vcpu_count = {}, {}, 0
  for cpu, name, was, is in before:diff_registers(after) do
    lines[#lines + 1] = ("%4d  %s  %-18s  %-18s"):format(cpu,
      text.pad(text.escape_controls(name), 14), was and qvm.hex(was) or "(none)",
      is and qvm.hex(is) or "(none)")
    vcpu_count = vcpu_count + (vcpus[cpu] and 0 or 1)
    vcpus[cpu] = true
  end
  print()
  if not before:vcpu(0) and not after:vcpu(0) then
    print("no registers in either dump")
  elseif #lines == 0 then
    print("no register differs")
  else
    say("%-4s  %-14s  %-18s  %-18s", "vCPU", "register", "before", "after")
    print(table.concat(lines, "\n"))
  end
  return #lines, vcpu_count
end

-- A character for each 64th of a region shows how much of it changed.
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

-- Lists the largest runs, at most so many.
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

local KINDS = {"filled", "filled with text", "cleared", "rewritten", "rewritten with text"}

-- The memory that could not be compared, if there is some.
local function say_lost(before, after)
  local lost_before, lost_after = lost_of(before), lost_of(after)
  if lost_before ~= 0 or lost_after ~= 0 then
    say("  %-22s %s of before, %s of after", "not in the file", in_units(lost_before),
      in_units(lost_after))
  end
end

local function say_same(before, after, memory)
  if before.complete and after.complete then
    say("summary: nothing differs, in %s and %s", in_units(memory), before:vcpu(0)
      and "all registers" or "no registers")
    return NOTHING
  end
  say("summary: nothing differs, as far as both files have memory and registers")
  say_lost(before, after)
  return UNKNOWN
end

-- Returns the exit status.
local function say_summary(before, after, regions, kinds, registers, vcpus, only)
  local pages, bytes, memory = 0, 0, 0
  for _, region in ipairs(regions) do
    pages, bytes, memory = pages + region.pages, bytes + region.bytes, memory + region.size
  end
  print()
  if registers == 0 and pages == 0 and #only == 0 then
    return say_same(before, after, memory)
  end
  say("summary: %s differ, in %s, which are %s%% of %s", in_units(bytes),
    count(pages, "page"), text.float("%.2f", memory > 0 and pages * PAGE * 100 / memory or 0),
    in_units(memory))
  for _, kind in ipairs(KINDS) do
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
  say_lost(before, after)
  return DIFFERENT
end

-- The command -----------------------------------------------------------------------------

local NOTES = [[
The report shows which registers differ, how much of each region of physical
memory changed, memory that only one of the dumps has, and where most bytes
changed. An incomplete dump is compared as far as it goes.

Exit status:
   0  nothing differs
   1  something differs
   2  an argument is wrong, or the dumps cannot be compared; or nothing differs,
      and a dump is incomplete; or the output cannot be written]]

function dumpdiff.parser()
  local parser = command.parser(NAME, "Compares two dumps of a VM: registers and memory.",
    "[--all] <before> <after>", NOTES)
  parser:argument("before", "The earlier dump.")
  parser:argument("after", "The later dump.")
  parser:flag("--all", ("List all changed places, not only the %d largest."):format(RUNS))
  return parser
end

local function open(path)
  local dump, message = qvm.open(path, {partial = true})
  if dump then
    command.say_warnings(NAME, dump)
  end
  return dump, message
end

-- Opens two dumps that can be compared; nil and a message.
local function open_both(options)
  local before, message = open(options.before)
  if not before then
    return nil, message
  end
  local after
  after, message = open(options.after)
  if after and before.machine ~= after.machine then
    return nil, ("%s is of %s, %s of %s"):format(before.path, before.machine, after.path,
      after.machine)
  end
  return after and before, after or message
end

-- Reports how two dumps differ. Returns the exit status; nil and a message.
local function report(options)
  local before, after = open_both(options)
  if not before then
    return nil, after
  end
  say_dump("before", before)
  say_dump("after", after)
  local registers, vcpus = say_registers(before, after)
  local changed, pages, only = compare_memory(before, after)
  local regions = regions_of(before)
  local runs, kinds = count_pages(regions, before, after, changed, pages)
  say_regions(regions, pages)
  say_only(only)
  say_runs(runs, options.all and #runs or RUNS)
  return say_summary(before, after, regions, kinds, registers, vcpus, only)
end

-- Runs the command. Returns its exit status.
function dumpdiff.run(words)
  return command.run(NAME, dumpdiff.parser(), report, words)
end

return dumpdiff
