-- Writes what a report says of a dump as HTML: its file, its guest, its memory and its vCPUs.

local html_parts = require "qvm.diag.html_parts"
local iterators = require "qvm.util.iterators"
local map = require "qvm.diag.map"
local Markup = require "qvm.diag.markup"
local Plain = require "qvm.diag.plain"
local qvm = require "qvm"
local text = require "qvm.cli.text"

local element = Markup.element
local code, facts_of, heading = html_parts.code, html_parts.facts_of, html_parts.heading
local ROWS_MAX, table_of = html_parts.ROWS_MAX, html_parts.table_of

local html_dump = {}

-- Memory and registers ----------------------------------------------------------------------

local function memory(ranges, level, id)
  if #ranges == 0 then
    return {heading(level, "Physical memory"), element("p", nil, "The dump has none.")}
  end
  local rows, all = {}, map.rows(ranges)
  for i = 1, math.min(#all, ROWS_MAX) do
    local row = all[i]
    rows[i] = {{code(row.start), " – ", code(row.last)}, row.kind, text.in_units(row.size),
      class = row.kind == "hole" and "hole" or nil}
  end
  local drawing, caption = map.draw(ranges, id)
  local left_out = #all > ROWS_MAX and element("p", {class = "note"},
    ("%d more rows are left out here: --json has up to 4096 ranges."):format(#all - ROWS_MAX))
  return {heading(level, "Physical memory"), element("figure", nil, {drawing,
    table_of({{"Addresses"}, {"What"}, {"Size", "number"}}, rows),
    element("figcaption", nil, caption)}), left_out or {}}
end

local function register(name, value)
  return element("div", nil, {element("dt", nil, name), element("dd", nil, value)})
end

local ZERO = qvm.hex(0)

-- Segments, and registers that are zero, are folded away.
local function is_minor(name, value)
  return value == ZERO or name:find "_selector$" or name:find "_limit$" or name:find "_flags$"
    or name:find "^%l%lt?_base$"
end

local function registers_of(cpu)
  local parts, minor = {}, {}
  local function add(name, value)
    local list = is_minor(name, value) and minor or parts
    list[#list + 1] = register(name, value)
  end
  for _, name in ipairs(getmetatable(cpu.registers).order) do
    add(name, cpu.registers[name])
  end
  for name, value in iterators.sorted(cpu.extra) do
    add(name, value)
  end
  return {element("dl", {class = "registers"}, parts), #minor > 0 and element("details", nil, {
    element("summary", nil, text.count(#minor, "more register")
      .. ": segments, and those that are 0"),
    element("dl", {class = "registers"}, minor)}) or {}}
end

local function dump_vcpus(vcpus, level)
  local rows, parts = {}, {}
  for i, cpu in ipairs(vcpus or {}) do
    rows[i] = {cpu.index, cpu.process, cpu.pc, cpu.sp, cpu.pgtbl or "-"}
    parts[i] = {heading(level + 1, ("vCPU %d"):format(cpu.index)), registers_of(cpu)}
  end
  if #rows == 0 then
    return {heading(level, "vCPU registers"), element("p", nil, "The dump has none.")}
  end
  return {heading(level, "vCPU registers"), table_of({{"vCPU"}, {"process", "text"}, {"pc"},
    {"sp"}, {"page table"}}, rows), parts}
end

-- The guest ------------------------------------------------------------------------------

local function task_text(task)
  return ("%s (%d)"):format(task.name, task.pid)
end

-- How many elements the report leaves out, if it does; what: "frame".
local function left_out(count, what)
  return count and element("p", {class = "note"}, ("%s, which the report leaves out."):format(
    text.count(count, "more " .. what))) or {}
end

-- The stack of a vCPU or a task.
local function stack(did)
  local lines = {}
  for i, frame in ipairs(did.stack or {}) do
    local mark = frame.how == "scan" and "? " or frame.how == "exception" and "! " or "  "
    lines[i] = mark .. (frame.symbol or frame.address)
  end
  return {#lines > 0 and element("pre", nil, Markup.lines(lines)) or {},
    left_out(did.stack_left_out, "frame")}
end

local function crash_section(crash, level)
  if not crash then
    return {heading(level, "Crash"), element("p", {class = "equal"}, "No sign of one.")}
  end
  return {heading(level, "Crash"), facts_of {
    {"kind", element("span", {class = "state gone"}, crash.kind)}, {"message", crash.message},
    {"after", crash.cause or "-"}, {"time", crash.time and crash.time .. " s" or "-"},
    {"vCPU", crash.vcpu or "-"}, {"task", crash.task and task_text(crash.task) or "-"}},
    element("pre", nil, Markup.lines(crash.lines)), left_out(crash.lines_left_out, "line")}
end

local function guest_vcpus(guest, level)
  local parts = {heading(level, "What the vCPUs did")}
  for _, cpu in ipairs(guest.vcpus) do
    parts[#parts + 1] = heading(level + 1, ("vCPU %d%s"):format(cpu.index,
      cpu.task and ": " .. task_text(cpu.task) or ""))
    parts[#parts + 1] = stack(cpu)
  end
  parts[#parts + 1] = left_out(guest.vcpus_left_out, "vCPU")
  return parts
end

local function guest_tasks(tasks, level)
  local counts = {}
  for state, count in iterators.sorted(tasks.states) do
    counts[#counts + 1] = {Plain.states[state] or state, count}
  end
  local parts = {heading(level, text.count(tasks.total, "task")), facts_of(counts)}
  for _, task in ipairs(tasks.stuck) do
    parts[#parts + 1] = heading(level + 1, "Stuck: " .. task_text(task))
    parts[#parts + 1] = stack(task)
  end
  parts[#parts + 1] = left_out(tasks.stuck_left_out, "stuck task")
  return parts
end

local function guest_log(lines, level)
  local texts = {}
  for i, m in ipairs(lines) do
    texts[i] = ("[%12s] %s"):format(m.time:sub(1, -4), m.text)
  end
  return {heading(level, "The end of the kernel's log"), element("pre", nil, Markup.lines(texts))}
end

local function missing_list(missing)
  local items = {}
  for i, what in ipairs(missing) do
    items[i] = element("li", nil, ("%s: %s"):format(what.what, what.reason))
  end
  return #items > 0 and {element("p", {class = "note"}, "Not in this dump:"),
    element("ul", {class = "note"}, items)} or {}
end

local function guest_section(guest, level)
  local id = guest.identity
  if not id then
    return missing_list(guest.missing)
  end
  return {
    heading(level, "Guest"),
    facts_of {{"system", ("%s %s"):format(id.os, id.release or "of an unknown release")},
      {"build", id.build or "-"}, {"host name", id.node or "-"}, {"machine", id.machine},
      {"vCPUs", id.vcpus or "-"},
      {"up at least", id.last_message and id.last_message .. " s" or "-"}},
    guest.crash ~= nil and crash_section(guest.crash, level) or {},
    guest.vcpus and guest_vcpus(guest, level) or {},
    guest.tasks and guest_tasks(guest.tasks, level) or {},
    guest.log and guest_log(guest.log, level) or {},
    missing_list(guest.missing),
  }
end

-- Returns the content of a dump's section. level: of its headings; id: of the drawing of its
-- memory.
function html_dump.section(dump, level, id)
  return {
    facts_of {{"file", dump.path}, {"format", ("%s %s, %d-bit %s-endian"):format(dump.format,
      dump.machine, dump.bits, dump.byteorder)}, {"size", text.in_units(dump.size)},
      dump.incomplete and {"incomplete", element("span", {class = "state gone"},
        dump.incomplete .. ": the memory listed below may not all be there")}},
    guest_section(dump.guest, level),
    memory(dump.ranges, level, id),
    dump_vcpus(dump.vcpus, level),
    dump.text and html_parts.text_section(level, "Text in the dump", dump.text) or {},
  }
end

return html_dump
