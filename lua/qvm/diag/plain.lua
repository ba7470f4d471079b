-- Writes a report as text of 80 columns: for people.

local raw = require "qvm.util.text".raw
local configuration = require "qvm.diag.configuration"
local iterators = require "qvm.util.iterators"
local text = require "qvm.cli.text"
local threads = require "qvm.diag.threads"

local in_units, pad, shown = text.in_units, text.pad, text.field

local WIDTH = 80
local NAME_MAX = 40 -- columns of a name in a table; after a longer name the columns shift

local NO_ADDRESS = ("%-18s"):format("-")

local WAYS = {running = "good", gone = "bad", stuck = "bad", unavailable = "bad"}

local Plain = {}
Plain.__index = Plain

-- put writes a line; paint: see command.painter. is_full: nothing is left out. width: columns of
-- a line, 80 if not given.
function Plain.new(put, paint, is_full, width)
  return setmetatable({put = put, paint = paint, is_full = is_full, width = width or WIDTH}, Plain)
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
  return cpu == "unknown" and "-" or ("%s"):format(cpu or "all")
end

-- Says why the threads of vCPUs are unknown, each reason once.
function Plain:unknown_threads(vcpus)
  local said = {}
  for _, cpu in ipairs(vcpus) do
    local why = not cpu.thread and cpu.thread_unknown
    if why and not said[why] then
      said[why] = true
      self:wrapped("thread unknown: " .. why)
    end
  end
end

-- What changes all the time in a guest that runs is painted as `moving`. A vCPU that is off has
-- the address 0.
function Plain:vcpus(vcpus)
  self:say("\nvCPU      tid  last known ip        cpu time  prio  state     thread")
  for _, cpu in ipairs(vcpus) do
    local thread, ip = cpu.thread or {}, cpu.last_known_ip or "-"
    local time = thread.cpu_time and thread.cpu_time:sub(1, -7) or "-"
    local state = thread.is_starved and "starved" or thread.state or "-"
    self:say("%4d %8s  %s  %s  %4s  %s  %s", cpu.index,
      cpu.tid and ("%d"):format(cpu.tid) or "-",
      self.paint(("%-18s"):format(ip), ip:find "[1-9a-f]" and "moving"),
      self.paint(("%9s"):format(time), "moving"),
      thread.priority and ("%d"):format(thread.priority) or "-",
      self.paint(pad(shown(state), 8), thread.is_starved and "bad" or "moving"),
      thread.name and shown(thread.name) or "")
  end
  self:unknown_threads(vcpus)
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

-- What was compared with a configuration: the differences, or with --full everything.
function Plain:configuration(about)
  self:say("")
  text.wrap("configuration: " .. text.escape_controls(configuration.summary(about)), WIDTH,
    function(part) self:say("%s", part) end)
  for _, finding in ipairs(about.findings) do
    if self.is_full or finding.verdict == "differs" then
      local way = finding.verdict == "differs" and "bad" or nil
      text.wrap("  " .. text.escape_controls(configuration.line(finding)), WIDTH, function(part)
        self:say("%s", self.paint(part, way))
      end)
    end
  end
end

function Plain:vm(about)
  self:say("%s: %s, %s", shown(about.name), self.paint(about.state, WAYS[about.state] or "odd"),
    about.pid and "process " .. about.pid or about.process)
  self:say("  %-12s %s", "directory", shown(about.path))
  if about.reason then
    text.wrap(("  %-12s %s"):format("reason", shown(about.reason)), self.width, function(part)
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
  if about.configuration then
    self:configuration(about.configuration)
  end
end

-- A table of VMs, one line each.
function Plain:list(vms)
  local width = width_of(vms, "name", 6)
  self:say("%-" .. width .. "s  state           pid  vCPUs  nodes  errata", "system")
  for _, about in ipairs(vms) do
    local starved = threads.count_starved(about)
    self:say("%s  %s %7s  %5s  %5s  %6s%s", pad(shown(about.name), width),
      self.paint(("%-11s"):format(about.state), WAYS[about.state] or "odd"), about.pid or "-",
      text.known_count(about.vcpus), text.known_count(about.nodes),
      text.known_count(about.errata),
      (starved > 0 and self.paint(("  %d starved"):format(starved), "bad") or ""))
  end
end

function Plain:text(title, bytes)
  local lines = text.lines(bytes)
  self:say("\n%s (%s)", title, text.count(#lines, "line"))
  for _, line in ipairs(lines) do
    self:wrapped(line)
  end
end

-- A guest ----------------------------------------------------------------------------------

-- Lines of a part that are on the first screen; with --full there are more.
local FRAMES, CRASH_LINES, RANGES = 10, 6, 8

local STATES = {{"R", "running or ready"}, {"S", "sleeping"}, {"D", "stuck (D)"}, {"I", "idle"},
  {"T", "stopped"}, {"t", "traced"}, {"Z", "zombie"}, {"X", "dead"}, {"P", "parked"}}

-- Says how many elements a report leaves out, if it does; what: "frame".
function Plain:left_out(count, what)
  if count then
    self:say("  ... and %s, which the report leaves out", text.count(count, "more " .. what))
  end
end

-- Says the first elements of a list, each by say_one, and how many are left out; what: "frame".
-- left_out: how many are not in the list; nil if none.
function Plain:first(list, most, what, say_one, left_out)
  local shown_count = self.is_full and #list or math.min(#list, most)
  for i = 1, shown_count do
    say_one(list[i])
  end
  if shown_count < #list then
    self:say("  ... and %s: --full", text.count(#list - shown_count, "more " .. what))
  end
  self:left_out(left_out, what)
end

Plain.states = {}
for _, state in ipairs(STATES) do
  Plain.states[state[1]] = state[2]
end

local function task_text(task)
  return ("%s (%d)"):format(shown(task.name), task.pid)
end

-- The stack of a vCPU or a task.
function Plain:stack(did)
  self:first(did.stack or {}, FRAMES, "frame", function(frame)
    local mark = frame.how == "scan" and "? " or frame.how == "exception" and "! " or ""
    self:say("  %s%s", mark, frame.symbol and shown(frame.symbol) or frame.address)
  end, did.stack_left_out)
end

function Plain:wrapped(line)
  text.wrap("  " .. text.escape_controls(line), self.width, function(part)
    self:say("%s", part)
  end)
end

function Plain:crash(crash)
  if not crash then
    return self:say("\ncrash: %s", self.paint("no sign of one", "good"))
  end
  self:say("\ncrash: %s%s%s%s", self.paint(crash.kind, "bad"),
    crash.time and " at " .. crash.time:sub(1, -4) .. " s" or "",
    crash.vcpu and (" on vCPU %d"):format(crash.vcpu) or "",
    crash.task and " in " .. task_text(crash.task) or "")
  self:wrapped(crash.message)
  if crash.cause then
    self:wrapped("after: " .. crash.cause)
  end
  self:first(crash.lines, CRASH_LINES, "line", function(line) self:wrapped(line) end,
    crash.lines_left_out)
end

function Plain:tasks(tasks)
  local parts = {}
  for _, state in ipairs(STATES) do
    local count = tasks.states[state[1]]
    parts[#parts + 1] = count and ("%d %s"):format(count, state[2])
  end
  local counts = ("\n%s: %s"):format(text.count(tasks.total, "task"), table.concat(parts, ", "))
  text.wrap(counts, self.width, function(part) self:say("%s", part) end)
  for _, task in ipairs(tasks.stuck) do
    self:say("\n%s: %s", self.paint("stuck", "bad"), task_text(task))
    self:stack(task)
  end
  self:left_out(tasks.stuck_left_out, "stuck task")
end

function Plain:log(lines)
  self:say("\nthe end of the kernel's log")
  for _, m in ipairs(lines) do
    local line = ("[%12s] %s"):format(m.time:sub(1, -4), m.text)
    text.wrap("  " .. text.escape_controls(line), self.width, function(part)
      self:say("%s", m.level and m.level <= 3 and self.paint(part, "bad") or part)
    end)
  end
end

function Plain:identity(guest)
  local id = guest.identity
  if not id then
    return self:wrapped("guest unknown: " .. guest.missing[1].reason)
  end
  self:say("  %s %s on %s, %s%s", id.os, shown(id.release or "of an unknown release"),
    shown(id.machine), id.vcpus and text.count(id.vcpus, "vCPU") or "number of vCPUs unknown",
    id.last_message and ", up " .. id.last_message:sub(1, -7) .. " s or more" or "")
end

function Plain:guest(guest)
  self:identity(guest)
  if guest.crash ~= nil then
    self:crash(guest.crash)
  end
  for _, cpu in ipairs(guest.vcpus or {}) do
    self:say("\nvCPU %d%s", cpu.index, cpu.task and ": " .. task_text(cpu.task) or "")
    self:stack(cpu)
  end
  self:left_out(guest.vcpus_left_out, "vCPU")
  if guest.tasks then
    self:tasks(guest.tasks)
  end
  if guest.log then
    self:log(guest.log)
  end
  if guest.identity and #guest.missing > 0 then
    self:say("\nnot in this dump")
    for _, missing in ipairs(guest.missing) do
      self:wrapped(("%s: %s"):format(missing.what, missing.reason))
    end
  end
end

function Plain:dump(about)
  self:say("dump %s", shown(about.path))
  self:say("  %s %s, %d-bit %s-endian, %s", about.format, about.machine, about.bits,
    about.byteorder, in_units(about.size))
  if about.incomplete then
    text.wrap(("  incomplete: %s: the memory listed below may not all be there"):format(
      text.escape_controls(about.incomplete)), self.width, function(part)
      self:say("%s", self.paint(part, "bad"))
    end)
  end
  self:guest(about.guest)
  if about.vcpus then
    self:say("\nvCPU  pc                  sp                  page table          process")
  end
  for _, cpu in ipairs(about.vcpus or {}) do
    self:say("%4d  %s  %s  %s  %s", cpu.index, cpu.pc, cpu.sp, cpu.pgtbl or NO_ADDRESS,
      shown(cpu.process))
  end
  self:say("\nphysical memory                             size")
  self:first(about.ranges, RANGES, "range", function(range)
    self:say("%s - %s  %s", range.start, range.last, in_units(range.size))
  end)
  if about.text then
    self:text("text in the dump", about.text)
  end
  for i, path in ipairs(about.deleted or {}) do
    self:say("%solder dump deleted: %s", i == 1 and "\n" or "", shown(path))
  end
end

return Plain
