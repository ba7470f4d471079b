--- Assertions about VMs, for busted (luassert).
--
--     require "qvm.assertions"
--     assert.vm_running(vm)
--     assert.same_errata("baseline.json", vm)
--     assert.has_erratum(vm, "843419", "on")
--     assert.vm_served(vm)
--
-- Each has its negation, in all spellings of luassert:
-- `assert.is_not.vm_running(vm)`, `assert.has_no.erratum(vm, id)`,
-- `assert.has_no_erratum(vm, id)`. A failure message shows what was expected and what was
-- found, with one line for each difference. Control characters in it are escaped, for TAP
-- and for JUnit's XML. If the result cannot be determined (an env that cannot be read or in
-- which no errata or vCPUs are found, a file that is not a baseline), both the assertion
-- and its negation fail.
-- @module qvm.assertions

local assert = require "luassert"
local errata = require "qvm.host.errata"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"

local LINES = 100 -- of a message

-- A value. An integer that may be an address is shown in both forms.
local function text(value)
  if math.type(value) == "integer" then
    return (value < 0 or value > 0xffffffff) and ("%d (0x%016x)"):format(value, value)
      or ("%d"):format(value)
  elseif type(value) == "table" then
    return line.cut(errata.text(value) or tostring(value))
  end
  return line.value(value)
end

local function shown(id)
  return line.field(id)
end

local function vcpus_text(cpu)
  return cpu and ("vCPU %s"):format(cpu) or "all vCPUs"
end

local function difference_text(d)
  local what = ("  %s, %s: "):format(shown(d.id), vcpus_text(d.cpu))
  if d.kind == "added" then
    return ("%sexpected none, is %s"):format(what, text(d.actual))
  elseif d.kind == "removed" then
    return ("%sexpected %s, is not there"):format(what, text(d.expected))
  end
  return ("%sexpected %s, is %s"):format(what, text(d.expected), text(d.actual))
end

local function join(lines)
  if #lines > LINES then
    return ("%s\n  ... and %d more"):format(table.concat(lines, "\n", 1, LINES), #lines - LINES)
  end
  return table.concat(lines, "\n")
end

-- Raises a message, of the library or with the name of a file in it.
local function fail(message, level)
  error(line.escape_controls(message), level + 1)
end

-- The name of a VM, an Env or a snapshot in a message.
local function name_of(value)
  if type(value) == "string" then
    return line.escape_controls(value)
  end
  local meta = getmetatable(value)
  return meta and meta.__tostring and line.escape_controls(tostring(value)) or "a snapshot"
end

local function is_source(value)
  return type(value) == "table" and (value.env ~= nil or value.errata ~= nil)
end

-- The snapshot of a VM or an Env; nil and why its errata are unknown: also if the rules find
-- nothing at all in an env.
local function snapshot_now(source)
  local env = source
  if source.env then
    local message
    env, message = source:env()
    if not env then
      return nil, message
    end
  end
  local snapshot = errata.snapshot(env)
  if #snapshot == 0 and not env:vcpus()() then
    return nil, tostring(env)
  end
  return snapshot
end

-- The snapshot of an argument: the path of a baseline, a VM, an Env, or a snapshot.
local function snapshot_of(value, name, level)
  local snapshot, message
  if type(value) == "string" then
    snapshot, message = errata.load(value)
  elseif is_source(value) then
    snapshot, message = snapshot_now(value)
  elseif type(value) == "table" then
    snapshot = value
  else
    message = ("bad argument to '%s' (VM, Env, snapshot or path of a baseline expected, got %s)")
      :format(name, type(value))
  end
  return snapshot or fail(message, level + 1)
end

-- Sets the message of a failed assertion, and that of a failed negation; returns the result.
local function result(state, ok, message, negated)
  state.failure_message = state.mod and message or negated
  return ok
end

--- The errata of a VM equal those of a baseline.
--
-- Compares ids, vCPUs and values.
-- @function assert.same_errata
-- @tparam string|{Setting,...} baseline path of a baseline file, or a snapshot
-- @tparam qvm.vm.VM|qvm.env.Env|{Setting,...} vm a VM, an Env, or a snapshot
-- @usage assert.same_errata("linux1.json", vm)
local function same_errata(state, arguments, level)
  local baseline, current = arguments[1], arguments[2]
  local differences = errata.diff(snapshot_of(baseline, "same_errata", (level or 1) + 1),
    snapshot_of(current, "same_errata", (level or 1) + 1))
  local lines = {}
  for i, difference in ipairs(differences) do
    lines[i] = difference_text(difference)
  end
  return result(state, #differences == 0,
    ("%s: %d of the errata differ from %s:\n%s"):format(name_of(current), #differences,
      name_of(baseline), join(lines)),
    ("%s: the errata are those of %s, and are expected to differ"):format(name_of(current),
      name_of(baseline)))
end

-- The values that a VM reports for an erratum, one line each.
local function values_of(snapshot, id)
  local lines = {}
  for _, entry in ipairs(snapshot) do
    if entry.id == id then
      lines[#lines + 1] = ("  %s, %s: is %s"):format(shown(id), vcpus_text(entry.cpu),
        text(entry.value))
    end
  end
  return lines
end

--- A VM reports an erratum.
-- @function assert.has_erratum
-- @tparam qvm.vm.VM|qvm.env.Env|{Setting,...} vm a VM, an Env, or a snapshot
-- @tparam string id
-- @tparam[opt] any value that the erratum must have on at least one vCPU
-- @usage assert.has_erratum(vm, "843419", "on")
local function has_erratum(state, arguments, level)
  local vm, id, value = arguments[1], tostring(arguments[2]), arguments[3]
  local snapshot = snapshot_of(vm, "has_erratum", (level or 1) + 1)
  local found = false
  for _, entry in ipairs(snapshot) do
    found = found or entry.id == id and (arguments.n < 3 or entry.value == value)
  end
  local lines = values_of(snapshot, id)
  local wanted = arguments.n < 3 and shown(id)
    or ("%s with the value %s"):format(shown(id), text(value))
  return result(state, found,
    ("%s: expected erratum %s\n%s"):format(name_of(vm), wanted,
      lines[1] and join(lines) or "  it is not reported"),
    ("%s: expected no erratum %s\n%s"):format(name_of(vm), wanted, join(lines)))
end

local function check_vm(vm, name, level)
  if type(vm) ~= "table" or type(vm.state) ~= "function" or type(vm.pid) ~= "function" then
    error(("bad argument to '%s' (VM expected, got %s)"):format(name, type(vm)), level + 1)
  end
end

-- States in which no qvm answers for a VM.
local UNSERVED = {unavailable = true, gone = true, stuck = true}

-- Whether a live qvm serves a VM, its state and the reason; nil and a message if that cannot
-- be determined. A recorded VM has no process: only its state is used.
local function look_at(vm)
  local now, why = vm:state()
  if not now then
    return nil, why
  elseif UNSERVED[now] then
    return false, now, why
  end
  local pid, message, code = vm:pid()
  if pid or code == "unsupported" and vm.manifest then
    return true, now, why
  elseif code == "gone" or code == "not_found" or code == "not_qvm" then
    return false, now, message
  end
  return nil, message
end

local function has_one_vcpu(vm)
  local env = vm:env()
  return env ~= nil and iterators.count(env:vcpus()) == 1
end

local function state_text(now, why)
  return why and ("%s (%s)"):format(now, line.escape_controls(why)) or now
end

--- A VM is running.
--
-- A live qvm serves it, and its state is `running`. The state of a VM with one vCPU cannot
-- be determined; then it is enough that it is served. If the state is unknown for another
-- reason, both this and its negation fail.
-- @function assert.vm_running
-- @tparam qvm.vm.VM vm
-- @usage assert.vm_running(vm)
local function vm_running(state, arguments, level)
  local vm = arguments[1]
  level = (level or 1) + 1
  check_vm(vm, "vm_running", level)
  local served, now, why = look_at(vm)
  local is_known = now ~= "unknown" or not served
  if served == nil then
    fail(now, level)
  elseif not is_known and has_one_vcpu(vm) then
    is_known, now = true, "running"
  end
  if not is_known then
    fail(why, level)
  end
  return result(state, served and now == "running",
    ("%s: expected running, is %s"):format(name_of(vm), state_text(now, why)),
    ("%s: expected not to run, is running"):format(name_of(vm)))
end

--- A live qvm serves a VM.
--
-- And answers; the guest may be running or suspended.
-- @function assert.vm_served
-- @tparam qvm.vm.VM vm
-- @usage assert.vm_served(vm)
local function vm_served(state, arguments, level)
  local vm = arguments[1]
  level = (level or 1) + 1
  check_vm(vm, "vm_served", level)
  local served, now, why = look_at(vm)
  if served == nil then
    fail(now, level)
  end
  return result(state, served,
    ("%s: expected to be served, is %s"):format(name_of(vm), state_text(now, why)),
    ("%s: expected not to be served, is served"):format(name_of(vm)))
end

local all = {same_errata = same_errata, has_erratum = has_erratum, vm_running = vm_running,
  vm_served = vm_served}

for name, callback in pairs(all) do
  assert:register("assertion", name, callback)
end

-- luassert splits modifiers (is, are, has, not, no ...) from a name only if the rest is the
-- name of an assertion: `has_no_erratum` needs `erratum`.
assert:register("assertion", "erratum", has_erratum)

return all
