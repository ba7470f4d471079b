-- Writes a report as one HTML page that loads nothing else, to send or to attach.

local qvm = require "qvm"
local configuration = require "qvm.diag.configuration"
local iterators = require "qvm.util.iterators"
local map = require "qvm.diag.map"
local Markup = require "qvm.diag.markup"
local Plain = require "qvm.diag.plain"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local element = Markup.element

local html = {}

local ROWS_MAX = 4096 -- of a table

-- Parts -----------------------------------------------------------------------------------

local function heading(level, content)
  return element("h" .. level, nil, content)
end

local function code(content)
  return element("code", nil, content)
end

-- A table. columns: array of {title, class}; a row is an array of contents, of which the first
-- is the header of the row.
local function table_of(columns, rows)
  local head, body = {}, {}
  for i, column in ipairs(columns) do
    head[i] = element("th", {scope = "col", class = column[2]}, column[1])
  end
  for i, row in ipairs(rows) do
    local cells = {}
    for k, column in ipairs(columns) do
      local name = k == 1 and "th" or "td"
      cells[k] = element(name, {class = column[2], scope = k == 1 and "row" or nil}, row[k])
    end
    body[i] = element("tr", {class = row.class}, cells)
  end
  return element("div", {class = "wide"}, element("table", nil, {
    element("thead", nil, element("tr", nil, head)), element("tbody", nil, body)}))
end

-- Names and values: an array of pairs.
local function facts_of(pairs_of)
  local parts = {}
  for _, pair in ipairs(pairs_of) do
    parts[#parts + 1] = element("dt", nil, pair[1])
    parts[#parts + 1] = element("dd", nil, pair[2])
  end
  return element("dl", {class = "facts"}, parts)
end

local function text_section(level, title, bytes)
  local lines = text.lines(bytes)
  return {heading(level, ("%s (%s)"):format(title, text.count(#lines, "line"))),
    element("pre", nil, Markup.lines(lines))}
end

-- A dump ----------------------------------------------------------------------------------

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
  for i, cpu in ipairs(vcpus) do
    rows[i] = {cpu.index, cpu.process, cpu.pc, cpu.sp, cpu.pgtbl or "-"}
    parts[i] = {heading(level + 1, ("vCPU %d"):format(cpu.index)), registers_of(cpu)}
  end
  if #rows == 0 then
    return {heading(level, "vCPU registers"), element("p", nil, "The dump has none.")}
  end
  return {heading(level, "vCPU registers"), table_of({{"vCPU"}, {"process", "text"}, {"pc"},
    {"sp"}, {"page table"}}, rows), parts}
end

-- A guest -----------------------------------------------------------------------------------

local function task_text(task)
  return ("%s (%d)"):format(task.name, task.pid)
end

local function stack(frames)
  local lines = {}
  for i, frame in ipairs(frames or {}) do
    local mark = frame.how == "scan" and "? " or frame.how == "exception" and "! " or "  "
    lines[i] = mark .. (frame.symbol or frame.address)
  end
  return #lines > 0 and element("pre", nil, Markup.lines(lines)) or {}
end

local function crash_section(crash, level)
  if not crash then
    return {heading(level, "Crash"), element("p", {class = "equal"}, "No sign of one.")}
  end
  return {heading(level, "Crash"), facts_of {
    {"kind", element("span", {class = "state gone"}, crash.kind)}, {"message", crash.message},
    {"after", crash.cause or "-"}, {"time", crash.time and crash.time .. " s" or "-"},
    {"vCPU", crash.vcpu or "-"}, {"task", crash.task and task_text(crash.task) or "-"}},
    element("pre", nil, Markup.lines(crash.lines))}
end

local function guest_vcpus(vcpus, level)
  local parts = {heading(level, "What the vCPUs did")}
  for _, cpu in ipairs(vcpus) do
    parts[#parts + 1] = heading(level + 1, ("vCPU %d%s"):format(cpu.index,
      cpu.task and ": " .. task_text(cpu.task) or ""))
    parts[#parts + 1] = stack(cpu.stack)
  end
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
    parts[#parts + 1] = stack(task.stack)
  end
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
      {"vCPUs", id.vcpus}, {"up at least", id.last_message and id.last_message .. " s" or "-"}},
    guest.crash ~= nil and crash_section(guest.crash, level) or {},
    guest.vcpus and guest_vcpus(guest.vcpus, level) or {},
    guest.tasks and guest_tasks(guest.tasks, level) or {},
    guest.log and guest_log(guest.log, level) or {},
    missing_list(guest.missing),
  }
end

local function dump_section(dump, level, id)
  return {
    facts_of {{"file", dump.path}, {"format", ("%s %s, %d-bit %s-endian"):format(dump.format,
      dump.machine, dump.bits, dump.byteorder)}, {"size", text.in_units(dump.size)}},
    guest_section(dump.guest, level),
    memory(dump.ranges, level, id),
    dump_vcpus(dump.vcpus, level),
    dump.text and text_section(level, "Text in the dump", dump.text) or {},
  }
end

-- A VM ------------------------------------------------------------------------------------

local STATES = {running = true, gone = true, stuck = true, unavailable = true}

local function state(about)
  return element("span", {class = STATES[about.state] and "state " .. about.state or "state"},
    about.state)
end

local function summary(about)
  local list = {{"state", state(about)}, {"process", about.pid or about.process},
    {"directory", about.path}}
  list[#list + 1] = about.reason and {"reason", about.reason}
  for name, fact in iterators.sorted(about.facts or {}) do
    list[#list + 1] = {name, fact}
  end
  if not about.nodes then
    list[#list + 1] = {"vdev nodes", "unknown: its directory was not read"}
  elseif #about.nodes > 0 then
    local nodes = {}
    for i, name in ipairs(about.nodes) do
      nodes[i] = {i > 1 and ", " or "", name}
    end
    list[#list + 1] = {"vdev nodes", nodes}
  end
  return facts_of(list)
end

-- A paragraph in place of a list that is unknown.
local function unknown(about)
  return element("p", nil, about.facts and "Unknown: none found in its env; see qvm.schema."
    or "Unknown: its env was not read.")
end

-- A table with a row for each element of a list, made by row_of(element). Rows are limited: a
-- page with too many is useless and takes much memory.
local function list_table(columns, list, row_of)
  local rows = {}
  for i = 1, math.min(#list, ROWS_MAX) do
    rows[i] = row_of(list[i])
  end
  return {table_of(columns, rows), #list > ROWS_MAX and element("p", {class = "note"},
    ("%d more rows are left out here: --json has all of them."):format(#list - ROWS_MAX)) or {}}
end

-- The threads of vCPUs, as far as they are known, and each reason why others are not, once.
local function env_threads(vcpus, level)
  local parts, seen, is_known = {}, {}, false
  for _, cpu in ipairs(vcpus) do
    local why = cpu.thread_unknown
    is_known = is_known or cpu.thread ~= nil
    if why and not seen[why] then
      seen[why] = true
      parts[#parts + 1] = element("p", {class = "note"}, {"Unknown: ", why})
    end
  end
  table.insert(parts, 1, is_known and list_table({{"vCPU"}, {"cpu time", "number"},
    {"priority", "number"}, {"state"}, {"name"}}, vcpus, function(cpu)
      local thread = cpu.thread or {}
      return {cpu.index, thread.cpu_time and thread.cpu_time:sub(1, -7) .. " s" or "-",
        thread.priority or "-", thread.state or "-", thread.name or "-"}
    end) or {})
  return {heading(level, "Their threads"), parts}
end

-- Two tables, so that each fits a narrow screen.
local function env_vcpus(about, level)
  if #(about.vcpus or {}) == 0 then
    return {heading(level, "vCPUs"), unknown(about)}
  end
  return {heading(level, "vCPUs"), list_table({{"vCPU"}, {"thread id", "number"},
    {"last known ip"}}, about.vcpus, function(cpu)
      return {cpu.index, cpu.tid and ("%d"):format(cpu.tid) or "-", cpu.last_known_ip or "-"}
    end), env_threads(about.vcpus, level + 1)}
end

local function cpu_text(cpu)
  return cpu and ("%d"):format(cpu) or "all"
end

-- A value, cut if it is long; JSON has it in full.
local function cell(value)
  return text.cut(Plain.raw_value(value))
end

local function difference(baseline)
  if #baseline.differences == 0 then
    return element("p", {class = "equal"}, {"Equal to the baseline ", baseline.path, "."})
  end
  return {element("p", {class = "differs"}, {("%s from the baseline "):format(
    text.count(#baseline.differences, "difference")), baseline.path, ":"}),
    list_table({{"erratum", "text"}, {"vCPU"}, {"expected", "text"}, {"actual", "text"},
      {"difference"}}, baseline.differences, function(d)
      return {text.cut(d.id), cpu_text(d.cpu), cell(d.expected), cell(d.actual), d.kind}
    end)}
end

local function errata(about, level)
  if not about.errata then
    return {heading(level, "Errata"), unknown(about)}
  end
  return {heading(level, "Errata"), #about.errata == 0 and element("p", nil, "None reported.")
    or list_table({{"erratum", "text"}, {"vCPU"}, {"value", "text"}}, about.errata,
      function(erratum)
        return {text.cut(erratum.id), cpu_text(erratum.cpu), cell(erratum.value)}
      end),
    about.baseline and difference(about.baseline) or {}}
end

local function configuration_section(about, level)
  return {heading(level, "Configuration"),
    element("p", {class = about.differences == 0 and "equal" or "differs"},
      configuration.summary(about)),
    list_table({{"compared", "text"}, {"expected", "text"}, {"actual", "text"}, {"verdict"},
      {"option", "text"}}, about.findings, function(f)
      return {text.cut(f.what), text.cut(f.expected), text.cut(f.actual or "-"), f.verdict,
        ("%s:%d"):format(f.file, f.line)}
    end)}
end

local function vm_section(about, level, id)
  return {
    summary(about),
    env_vcpus(about, level),
    errata(about, level),
    about.configuration and configuration_section(about.configuration, level) or {},
    about.status and text_section(level, "Status text", about.status) or {},
    about.dump and {heading(level, "Dump"), dump_section(about.dump, level + 1, id)} or {},
  }
end

-- Pages -----------------------------------------------------------------------------------

local function list_of(vms, is_linked)
  local rows = {}
  for i, about in ipairs(vms) do
    rows[i] = {is_linked and element("a", {href = "#vm" .. i}, about.name) or about.name,
      state(about), about.pid or "-", text.known_count(about.vcpus),
      text.known_count(about.nodes), text.known_count(about.errata)}
  end
  return table_of({{"system", "text"}, {"state"}, {"process", "number"}, {"vCPUs", "number"},
    {"nodes", "number"}, {"errata", "number"}}, rows)
end

-- Returns the title of the page, and its content.
local function main_part(report, is_full)
  if not report.vms then
    if report.name then
      return "VM " .. report.name, vm_section(report, 2, "map")
    end
    return "Dump " .. report.dump.path:match("[^/]*$"), dump_section(report.dump, 2, "map")
  end
  local parts = {list_of(report.vms, is_full)}
  for i, about in ipairs(is_full and report.vms or {}) do
    parts[#parts + 1] = element("section", {id = "vm" .. i}, {
      heading(2, "VM " .. about.name), vm_section(about, 3, "map" .. i)})
  end
  return text.count(#report.vms, "VM") .. " of " .. system.host_name(), parts
end

local function problems(errors)
  local items = {}
  for i, message in ipairs(errors) do
    items[i] = element("li", nil, message)
  end
  return #items > 0 and element("section", {class = "problems"}, {
    heading(2, "What went wrong"), element("ul", nil, items)}) or {}
end

-- The page cannot fetch or run anything, whatever its values contain.
local POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

-- Returns the page. is_full: a report on several VMs has all of them in full.
function html.page(report, is_full)
  local title, content = main_part(report, is_full)
  local now = os.time()
  local head = element("head", nil, {
    element("meta", {charset = "utf-8"}),
    element("meta", {["http-equiv"] = "Content-Security-Policy", content = POLICY}),
    element("meta", {name = "viewport", content = "width=device-width, initial-scale=1"}),
    element("meta", {name = "generator", content = "qvm " .. qvm.version}),
    element("title", nil, title),
    Markup.style(),
  })
  local body = element("body", nil, {
    element("header", nil, {heading(1, title), element("p", nil, {
      element("time", {datetime = os.date("!%Y-%m-%dT%H:%M:%SZ", now)},
        os.date("!%Y-%m-%d %H:%M:%S UTC", now)),
      ", host ", system.host_name(), ", qvm ", qvm.version})}),
    element("main", nil, {problems(report.errors), content}),
  })
  return "<!DOCTYPE html>\n" .. element("html", {lang = "en"}, {head, body}).bytes .. "\n"
end

return html
