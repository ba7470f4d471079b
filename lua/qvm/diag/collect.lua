-- Collects what is known about VMs and dumps into plain tables. Text, JSON, HTML and metrics are
-- made from these tables. Integers that JSON readers would round are strings in them.

local errors = require "qvm.util.errors"
local json_writer = require "qvm.util.json_writer"
local qvm = require "qvm"
local threads = require "qvm.diag.threads"

local collect = {}

local LARGE = 2^53

-- A value of an env as the report has it. An integer that a double cannot hold, or that may be
-- unsigned, is written like an address.
local function exact(value)
  if math.type(value) == "integer" and (value >= LARGE or value < 0) then
    return qvm.hex(value)
  elseif type(value) == "table" then
    return "(a table: see the env)"
  elseif value == math.huge or value == -math.huge then
    return tostring(value)
  end
  return value
end

local function vcpus_of(env)
  local list = {}
  for cpu in env:vcpus() do
    list[#list + 1] = {
      index = cpu.index,
      tid = cpu.tid,
      last_known_ip = cpu.last_known_ip and qvm.hex(cpu.last_known_ip),
    }
  end
  threads.add(list, env)
  return list
end

-- The exact value as JSON text, if the value in the report is ambiguous; else nil.
local function whole(value)
  if exact(value) ~= value or type(value) == "string" and value:find("^0x%x+$") then
    return qvm.errata.text(value)
  end
end

local function errata_of(env)
  local list = {}
  for erratum in env:errata() do
    list[#list + 1] = {id = erratum.id, cpu = erratum.cpu, value = exact(erratum.value),
      exact = whole(erratum.value)}
  end
  return list
end

-- The strings at the top of the document, by their names.
local function facts_of(env)
  local facts = {}
  if type(env.raw) == "table" then
    for name, value in pairs(env.raw) do
      if type(name) == "string" and type(value) == "string" then
        facts[name] = value
      end
    end
  end
  return facts
end

-- What a failure to find the process means, by its code. Others say nothing about the VM.
local NO_PROCESS = {permission = "no permission to look at its process",
  not_qvm = "no qvm serves it", timeout = "no answer from its process",
  gone = "no process serves it", not_found = "no process serves it"}

-- Adds the id of the process, or why it is unknown. Returns the code of the failure.
local function add_process(about, vm, problems)
  local pid, message, code = vm:pid()
  about.pid = pid
  if not pid then
    problems:add(message)
    about.process = NO_PROCESS[code] or "process unknown"
  end
  return code
end

-- Adds the names of the vdev nodes. Ctrl-C is not a problem of the VM: it is raised again.
local function add_nodes(about, vm, problems)
  local is_listed, names = errors.try(vm.nodes, vm)
  if not is_listed then
    return problems:add(names)
  end
  about.nodes = {}
  for name in names do
    table.insert(about.nodes, name)
  end
end

-- The differences from a baseline, which is a table of its path and its `errata`.
local function difference(env, baseline)
  local list = qvm.errata.diff(baseline.errata, qvm.errata.snapshot(env))
  for _, d in ipairs(list) do
    d.expected, d.actual = exact(d.expected), exact(d.actual)
  end
  return {path = baseline.path, differences = list}
end

-- Adds what the env of a VM says. If it has neither vCPUs nor errata, both are unknown.
local function add_env(about, env, problems, baseline)
  local vcpus, errata = vcpus_of(env), errata_of(env)
  about.facts = facts_of(env)
  about.vcpus = vcpus[1] and vcpus
  about.errata = (vcpus[1] or errata[1]) and errata
  if baseline and about.errata then
    about.baseline = difference(env, baseline)
  elseif baseline then
    problems:add(("%s/env: no errata or vCPUs found: not compared with %s"):format(about.path,
      baseline.path))
  end
end

-- Lists that are nil if unknown, which JSON writes as null; `facts` is nil if the env was not
-- read.
local UNKNOWN = {nullable = {"errata", "facts", "nodes", "vcpus"}}

-- States in which the env cannot be read.
local UNREADABLE = {unavailable = true, stuck = true}

local function add_state(about, vm)
  local state, why = vm:state()
  about.state, about.reason = state or "unknown", why
  return state
end

-- Returns what is known about a VM, an Answer of qvm.survey, with the differences from a baseline
-- if one is given; and the code of why its process is unknown. problems receives every step that
-- fails.
function collect.vm(vm, problems, baseline)
  local about = setmetatable({name = vm.name, path = vm.path}, UNKNOWN)
  add_nodes(about, vm, problems)
  local process_code = add_process(about, vm, problems)
  local state = add_state(about, vm)
  if UNREADABLE[state] then
    problems:add(about.reason)
    return about, process_code
  end
  local env, message = vm:env()
  if env then
    add_env(about, env, problems, baseline)
  else
    problems:add(message)
  end
  return about, process_code
end

-- The registers by name. The metatable has their order.
local function registers_of(cpu)
  local registers, order = {}, {}
  for name, value in cpu:registers() do
    registers[name] = qvm.hex(value)
    order[#order + 1] = name
  end
  return setmetatable(registers, {order = order})
end

-- The limits of a report on a dump. It is made in memory, and a small hostile file can hold
-- 65535 vCPUs, or text of 16 MiB.
local REGISTERS_MAX, RANGES_MAX, TEXT_MAX = 1 << 15, 4096, 1 << 20

local function vcpu_of(cpu)
  local extra, count = {}, 0
  for name, value in pairs(cpu.extra) do
    extra[name], count = qvm.hex(value), count + 1
  end
  local registers = registers_of(cpu)
  return {index = cpu.index, cpunum = cpu.cpunum, process = cpu.process,
    pgtbl = cpu.pgtbl ~= 0 and qvm.hex(cpu.pgtbl) or nil,
    pc = qvm.hex(cpu.pc), sp = qvm.hex(cpu.sp),
    registers = registers, extra = extra}, count + #getmetatable(registers).order
end

local function dump_vcpus_of(dump, warn)
  local list, registers = {}, 0
  for cpu in dump:vcpus() do
    local about, count = vcpu_of(cpu)
    registers = registers + count
    if registers > REGISTERS_MAX then
      warn("only the first %d vCPUs are in the report", #list)
      break
    end
    list[#list + 1] = about
  end
  return list[1] and list
end

-- Is there a note of that name? None is found where the notes cannot be read.
local function has_note(dump, name)
  local found = false
  errors.try(function()
    for note in dump:notes() do
      found = found or note.name == name
    end
  end)
  return found
end

-- Warns of what is wrong with the VMCOREINFO note of a dump. If there is no note, memory is not
-- searched for one.
local function warn_of_note(dump, warn)
  local info, message
  if has_note(dump, "VMCOREINFO") then
    info, message = dump:vmcoreinfo()
  end
  for _, warning in ipairs(info and info.warnings or {message}) do
    warn("%s", warning)
  end
end

local function ranges_of(dump, warn)
  local ranges, count = {}, 0
  for start, size in dump:ranges() do
    count = count + 1
    if count <= RANGES_MAX then
      ranges[count] = {start = qvm.hex(start), last = qvm.hex(start + size - 1), size = size}
    end
  end
  if count > RANGES_MAX then
    warn("%d of %d ranges of memory are not in the report", count - RANGES_MAX, count)
  end
  return ranges
end

-- The text in the dump, or its end, which is the newest part.
local function text_of(dump, warn)
  local bytes = dump:log()
  if bytes and #bytes > TEXT_MAX then
    warn("the first %d of %d bytes of its text are not in the report", #bytes - TEXT_MAX, #bytes)
    bytes = bytes:sub(-TEXT_MAX)
  end
  return bytes
end

-- What an incomplete dump lacks, as its first warning says; nil if it is complete. Its headers
-- still list the memory that the file has lost.
local function incomplete_of(dump)
  if not dump.complete then
    return dump.warnings[1] or "a part of the file is missing"
  end
end

-- The vCPUs of a dump without records of them are unknown: null in JSON.
local NO_VCPUS = {nullable = {"vcpus"}}

-- Returns what is known about a dump. problems receives the warnings of the dump and its note,
-- and what the report leaves out.
function collect.dump(dump, problems)
  local function warn(format, ...)
    local message = format:format(...)
    problems:warn(message:sub(1, #dump.path) == dump.path and message
      or dump.path .. ": " .. message)
  end
  for _, warning in ipairs(dump.warnings) do
    warn("%s", warning)
  end
  warn_of_note(dump, warn)
  return setmetatable({path = dump.path, format = dump.format, machine = dump.machine,
    bits = dump.bits, byteorder = dump.byteorder, size = dump.size,
    complete = dump.complete, incomplete = incomplete_of(dump),
    ranges = ranges_of(dump, warn), vcpus = dump_vcpus_of(dump, warn),
    text = text_of(dump, warn), guest = require "qvm.diag.guest".of(dump, problems)}, NO_VCPUS)
end

-- JSON ------------------------------------------------------------------------------------

local function set(names)
  local members = {}
  for name in names:gmatch("%S+") do
    members[name] = true
  end
  return members
end

-- Without blanks. Strings of a dump can be any bytes. Messages of a kernel log are JSON already:
-- there can be many, and JSON takes less memory.
local STYLE = {comma = ",", colon = ":", lenient = true,
  arrays = set("nodes vcpus errata ranges vms errors "
    .. "deleted differences missing stack stuck lines log"), raw = set "messages"}

-- Returns the JSON of a small value.
function collect.encode(value)
  return assert(json_writer.encode(value, STYLE))
end

-- Writes a report as JSON, in pieces, by put(text).
function collect.write_json(put, report)
  json_writer.write(put, report, STYLE)
end

return collect
