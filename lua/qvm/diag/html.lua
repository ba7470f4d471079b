-- Writes a report as one HTML page that loads nothing else, to send or to attach.

local qvm = require "qvm"
local configuration = require "qvm.diag.configuration"
local html_dump = require "qvm.diag.html_dump"
local html_parts = require "qvm.diag.html_parts"
local iterators = require "qvm.util.iterators"
local Markup = require "qvm.diag.markup"
local Plain = require "qvm.diag.plain"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local element = Markup.element
local facts_of, heading, list_table = html_parts.facts_of, html_parts.heading, html_parts.list_table

local html = {}

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
  return cpu == "unknown" and "-" or ("%s"):format(cpu or "all")
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
    about.status and html_parts.text_section(level, "Status text", about.status) or {},
    about.dump and {heading(level, "Dump"), html_dump.section(about.dump, level + 1, id)} or {},
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
  return html_parts.table_of({{"system", "text"}, {"state"}, {"process", "number"},
    {"vCPUs", "number"}, {"nodes", "number"}, {"errata", "number"}}, rows)
end

-- Returns the title of the page, and its content.
local function main_part(report, is_full)
  if not report.vms then
    if report.name then
      return "VM " .. report.name, vm_section(report, 2, "map")
    end
    return "Dump " .. report.dump.path:match("[^/]*$"), html_dump.section(report.dump, 2, "map")
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
