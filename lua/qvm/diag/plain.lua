-- Writes a report as text of 80 columns: for people.

local raw = require "qvm.util.text".raw
local iterators = require "qvm.util.iterators"
local text = require "qvm.cli.text"

local in_units, pad, shown = text.in_units, text.pad, text.field

local WIDTH = 80
local NAME_MAX = 40 -- columns of a name in a table; after a longer name the columns shift

local NO_ADDRESS = ("%-18s"):format("-")

local WAYS = {running = "good", gone = "bad", stuck = "bad", unavailable = "bad"}

local Plain = {}
Plain.__index = Plain

-- put writes a line; paint: see command.painter.
function Plain.new(put, paint)
  return setmetatable({put = put, paint = paint}, Plain)
end

function Plain:say(format, ...)
  self.put(format:format(...):match("^(.*%S)") or "")
end

-- A value of an env as a string, neither escaped nor cut.
function Plain.raw_value(value)
  return value == nil and "-" or raw(value)
end

local function value_text(value)
  return shown(Plain.raw_value(value))
end

local function width_of(list, member, least)
  local width = least
  for _, element in ipairs(list) do
    width = math.max(width, math.min(NAME_MAX, text.width(shown(element[member]))))
  end
  return width
end

local function cpu_text(cpu)
  return cpu and ("%d"):format(cpu) or "all"
end

function Plain:vcpus(vcpus)
  self:say("\nvCPU      tid  last known ip")
  for _, cpu in ipairs(vcpus) do
    self:say("%4d %8s  %s", cpu.index, cpu.tid and ("%d"):format(cpu.tid) or "-",
      cpu.last_known_ip or "-")
  end
end

function Plain:errata(errata)
  local width = width_of(errata, "id", 7)
  self:say("\n%-" .. width .. "s  vCPU  value", "erratum")
  for _, erratum in ipairs(errata) do
    self:say("%s  %4s  %s", pad(shown(erratum.id), width), cpu_text(erratum.cpu),
      value_text(erratum.value))
  end
end

-- The differences from a baseline.
function Plain:difference(baseline)
  local list, path = baseline.differences, shown(baseline.path)
  if #list == 0 then
    return self:say("\nerrata: equal to the baseline %s", path)
  end
  self:say("\nerrata: %s from the baseline %s", self.paint(text.count(#list, "difference"), "bad"),
    path)
  local width = width_of(list, "id", 7)
  local format = "%-" .. width .. "s  %4s  %-12s  %-12s  %s"
  self:say(format, "erratum", "vCPU", "expected", "actual", "")
  for _, d in ipairs(list) do
    self:say(format, pad(shown(d.id), width), cpu_text(d.cpu), pad(value_text(d.expected), 12),
      pad(value_text(d.actual), 12), self.paint(d.kind, "bad"))
  end
end

function Plain:vm(about)
  self:say("%s: %s, %s", shown(about.name), self.paint(about.state, WAYS[about.state] or "odd"),
    about.pid and "process " .. about.pid or about.process)
  self:say("  %-12s %s", "directory", shown(about.path))
  if about.reason then
    text.wrap(("  %-12s %s"):format("reason", shown(about.reason)), WIDTH, function(part)
      self:say("%s", part)
    end)
  end
  for name, fact in iterators.sorted(about.facts or {}) do
    self:say("  %s %s", pad(shown(name), 12), shown(fact))
  end
  if about.vcpus then
    self:vcpus(about.vcpus)
  elseif about.facts then
    self:say("\nno vCPUs found in its env: see qvm.schema in the guide")
  else
    self:say("\nvCPUs and errata unknown: its env was not read")
  end
  if not about.nodes then
    self:say("\nvdev nodes unknown: its directory was not read")
  elseif #about.nodes > 0 then
    self:say("\nvdev nodes (not opened)")
    for _, name in ipairs(about.nodes) do
      self:say("  %s", shown(name))
    end
  end
  if about.errata and #about.errata > 0 then
    self:errata(about.errata)
  end
  if about.baseline then
    self:difference(about.baseline)
  end
end

-- A table of VMs, one line each.
function Plain:list(vms)
  local width = width_of(vms, "name", 6)
  self:say("%-" .. width .. "s  state           pid  vCPUs  nodes  errata", "system")
  for _, about in ipairs(vms) do
    self:say("%s  %s %7s  %5s  %5s  %6s", pad(shown(about.name), width),
      self.paint(("%-11s"):format(about.state), WAYS[about.state] or "odd"), about.pid or "-",
      text.known_count(about.vcpus), text.known_count(about.nodes),
      text.known_count(about.errata))
  end
end

function Plain:text(title, bytes)
  local lines = text.lines(bytes)
  self:say("\n%s (%s)", title, text.count(#lines, "line"))
  for _, line in ipairs(lines) do
    text.wrap("  " .. text.escape_controls(line), WIDTH, function(part)
      self:say("%s", part)
    end)
  end
end

function Plain:dump(about)
  self:say("dump %s", shown(about.path))
  self:say("  %s %s, %d-bit %s-endian, %s", about.format, about.machine, about.bits,
    about.byteorder, in_units(about.size))
  self:say("\nphysical memory                             size")
  for _, range in ipairs(about.ranges) do
    self:say("%s - %s  %s", range.start, range.last, in_units(range.size))
  end
  if #about.vcpus > 0 then
    self:say("\nvCPU  pc                  sp                  page table          process")
  end
  for _, cpu in ipairs(about.vcpus) do
    self:say("%4d  %s  %s  %s  %s", cpu.index, cpu.pc, cpu.sp, cpu.pgtbl or NO_ADDRESS,
      shown(cpu.process))
  end
  if about.text then
    self:text("text in the dump", about.text)
  end
end

return Plain
