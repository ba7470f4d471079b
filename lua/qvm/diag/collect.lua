-- What is found of VMs and dumps, as plain tables: for people, for JSON, for a page.

local errors = require "qvm.util.errors"
local qvm = require "qvm"

local collect = {}

local LARGE = 2^53

-- An integer that a double would not hold, or whose 64 bits may be meant without
-- a sign, is written as an address is.
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
  return list
end

-- The JSON of a value, as text, where what the report has in its place could be
-- something else.
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

-- Members at the top of the document that are plain text.
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

-- What there is to say of the process: its id, or why there is none to be had.
local function add_process(about, vm, problems)
  local pid, message, code = vm:pid()
  about.pid = pid
  if not pid then
    problems:add(message)
    about.process = code == "permission" and "its process may not be looked at"
      or code == "not_qvm" and "no qvm serves it" or "no process serves it"
  end
  return code
end

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

-- What differs from a baseline: its path, and its snapshot as `errata`.
local function difference(env, baseline)
  local list = qvm.errata.diff(baseline.errata, qvm.errata.snapshot(env))
  for _, d in ipairs(list) do
    d.expected, d.actual = exact(d.expected), exact(d.actual)
  end
  return {path = baseline.path, differences = list}
end

-- What the env of a VM says. A document in which neither vCPUs nor errata are found says
-- nothing about either.
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

-- Lists that are nil where what they would hold is not known; `facts` is nil where the
-- env was not read.
local UNKNOWN = {nullable = {"errata", "facts", "nodes", "vcpus"}}

-- States in which there is no env to read.
local UNREADABLE = {unavailable = true, stuck = true}

local function add_state(about, vm)
  local state, why = vm:state()
  about.state, about.reason = state or "unknown", why
  return state
end

-- A VM, its errata held against a baseline, if there is one. The second value is
-- the code of why its process is not known.
function collect.vm(vm, problems, baseline)
  local about = setmetatable({name = vm.name, path = vm.path}, UNKNOWN)
  add_nodes(about, vm, problems)
  local process_code = add_process(about, vm, problems)
  local state = add_state(about, vm)
  if UNREADABLE[state] then
    problems:add(about.reason)
    return about, process_code
  end
  local env, message, code = vm:env()
  if env then
    add_env(about, env, problems, baseline)
  else
    problems:add(message)
    if state and (code == "not_found" or code == "timeout") then -- since the state was asked
      add_state(about, vm)
    end
  end
  return about, process_code
end

-- The registers by name; their order is kept beside them, for people.
local function registers_of(cpu)
  local registers, order = {}, {}
  for name, value in cpu:registers() do
    registers[name] = qvm.hex(value)
    order[#order + 1] = name
  end
  return setmetatable(registers, {order = order})
end

-- What a report of a dump holds at most: a report is made as a whole, and a small hostile
-- file can hold 65535 vCPUs or text of 16 MiB.
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
  return list
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

-- What is wrong with the VMCOREINFO note of a dump that has one. Memory is not searched for
-- one where there is no note.
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

-- The newest text is at the end.
local function text_of(dump, warn)
  local bytes = dump:log()
  if bytes and #bytes > TEXT_MAX then
    warn("the first %d of %d bytes of its text are not in the report", #bytes - TEXT_MAX, #bytes)
    bytes = bytes:sub(-TEXT_MAX)
  end
  return bytes
end

-- problems takes what the report leaves out, and the warnings of the dump and its note.
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
  return {path = dump.path, format = dump.format, machine = dump.machine,
    bits = dump.bits, byteorder = dump.byteorder, size = dump.size,
    ranges = ranges_of(dump, warn), vcpus = dump_vcpus_of(dump, warn),
    text = text_of(dump, warn)}
end

return collect
