-- Writes VMs as metrics, in the text format of Prometheus, which the textfile collector of
-- node_exporter reads.

local dump_name = require "qvm.util.dump_name"
local Plain = require "qvm.diag.plain"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"
local threads = require "qvm.diag.threads"

local prometheus = {}

local STATES = {"running", "suspended", "unavailable", "gone", "stuck", "unknown"}

local ESCAPES = {["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n"}

-- Cuts, escapes and quotes a value. The backslash of a `\xNN` is part of the value.
local function label_value(value)
  value = text.valid(text.cut(value), function() return "\u{fffd}" end)
  return (value:gsub("[^\n]+", text.escape_controls):gsub('[\\"\n]', ESCAPES))
end

local Family = {}
Family.__index = Family

local function family(name, help, kind)
  return setmetatable({name = name, help = help, kind = kind or "gauge", samples = {}, seen = {}},
    Family)
end

-- Adds a sample. labels: an array of {name, value}. A series may not occur twice, but a VM may
-- report an erratum twice: then the first one counts.
function Family:add(labels, value)
  local parts = {}
  for i, label in ipairs(labels) do
    parts[i] = ('%s="%s"'):format(label[1], label_value(label[2]))
  end
  local series = ("%s{%s}"):format(self.name, table.concat(parts, ","))
  if not self.seen[series] then
    self.seen[series] = true
    self.samples[#self.samples + 1] = ("%s %s"):format(series, value)
  end
end

-- When the newest dump of a VM in a directory was requested; nil if there is none.
local function last_dump(directory, names, vm)
  local newest
  for _, name in ipairs(names) do
    local time = dump_name.time_of(directory, name, vm)
    newest = time and (not newest or time > newest) and time or newest
  end
  return newest
end

local function add_vm(families, about, directory, dumps)
  local vm = {"vm", about.name}
  if about.is_up ~= nil then
    families.up:add({vm}, about.is_up and 1 or 0)
  end
  for _, state in ipairs(STATES) do
    families.state:add({vm, {"state", state}}, about.state == state and 1 or 0)
  end
  if about.vcpus then -- else their number is unknown
    families.vcpus:add({vm}, #about.vcpus)
  end
  for _, cpu in ipairs(about.vcpus or {}) do
    if cpu.thread then
      local labels = {vm, {"vcpu", ("%d"):format(cpu.index)}}
      families.cpu_time:add(labels, cpu.thread.cpu_time)
      families.priority:add(labels, cpu.thread.priority)
      families.ready:add(labels, threads.IS_READY[cpu.thread.state] and 1 or 0)
    end
  end
  for _, erratum in ipairs(about.errata or {}) do
    families.errata:add({vm, {"cpu", ("%s"):format(erratum.cpu or "all")},
      {"erratum", erratum.id}, {"value", Plain.raw_value(erratum.value)}}, 1)
  end
  local dumped = last_dump(directory, dumps or {}, about.name)
  if dumped then
    families.dump:add({vm}, dumped)
  end
end

-- Returns the metrics of VMs that collect.vm has described. If a directory is given, they
-- include the times of the dumps in it; nil and a message if it cannot be listed.
function prometheus.text(vms, directory)
  local dumps, message
  if directory then
    dumps, message = system.entries(directory)
    if not dumps then
      return nil, message
    end
  end
  local families = {
    up = family("qvm_up", "Whether a qvm process serves the VM and answers."),
    state = family("qvm_state", "1 for the state of the VM, 0 for all others."),
    vcpus = family("qvm_vcpus", "Number of vCPUs in the env of the VM."),
    cpu_time = family("qvm_vcpu_cpu_seconds_total",
      "Time that the host's thread of a vCPU ran on a processor.", "counter"),
    priority = family("qvm_vcpu_priority", "Priority of the host's thread of a vCPU."),
    ready = family("qvm_vcpu_ready",
      "Whether the host's thread of a vCPU runs or could run; without cpu time it is starved."),
    errata = family("qvm_erratum_info", "A reported erratum; cpu is a number, all or unknown."),
    dump = family("qvm_last_dump_timestamp_seconds",
      "When the newest dump of the VM in $QVM_DUMP_DIR was requested, by its name."),
  }
  for _, about in ipairs(vms) do
    add_vm(families, about, directory, dumps)
  end
  local lines = {}
  for _, name in ipairs {"up", "state", "vcpus", "cpu_time", "priority", "ready", "errata",
    "dump"} do
    local one = families[name]
    lines[#lines + 1] = ("# HELP %s %s"):format(one.name, one.help)
    lines[#lines + 1] = ("# TYPE %s %s"):format(one.name, one.kind)
    table.move(one.samples, 1, #one.samples, #lines + 1, lines)
  end
  return table.concat(lines, "\n")
end

return prometheus
