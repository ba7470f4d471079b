-- Checks env: what kind of file it is, how it reads, and what is in it. Only env is opened, and
-- only by the library, which bounds the wait.

local list_of = require "qvm.firstcontact.checklist"
local qvm = require "qvm"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local DOCUMENTED, SEEN, OURS = list_of.DOCUMENTED, list_of.SEEN, list_of.OURS

local READS = 10         -- how often env is read to time it
local PIECE = 64         -- bytes of a small read
local WAIT_MS = 2000     -- for an env in small reads, as the library's own limit

local function sorted(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = tostring(name)
  end
  table.sort(names)
  return names
end

local function check_node(list, path, env)
  local size, _, kind = system.stat(path)
  list:add {"kind of env", OURS, "a regular file, as stat says", did = "stat of env",
    saw = kind and ("kind '%s', size %d"):format(kind, size) or "stat failed",
    as_expected = kind == "file"}
  if env and size then
    list:add {"size of env", OURS, "0, or the size of the document; it may be stale, and is not "
      .. "relied on", did = "stat of env, then read", saw = ("stat %d, read %s"):format(size,
        text.count(#env.text, "byte")), as_expected = size == 0 or size == #env.text}
  end
end

local function compare_pieces(bytes, env)
  local decoded, message = qvm.decode(bytes)
  return ("%s, %s"):format(text.count(#bytes, "byte"), decoded == nil
    and "which is not JSON: " .. message or bytes == env.text and "the same as at once"
    or "JSON, other bytes than at once"), decoded ~= nil
end

local function check_pieces(list, path, env)
  local bytes, message, code = system.read_env(path, WAIT_MS, PIECE)
  local saw, verdict = message, nil
  if bytes then
    saw, verdict = compare_pieces(bytes, env)
  elseif code ~= "timeout" then
    verdict = false
  end
  list:add {"env in pieces", OURS, "small reads give a whole document too",
    did = ("read %d bytes at a time, for %d ms at most"):format(PIECE, WAIT_MS), saw = saw,
    as_expected = verdict, why = verdict == nil and "its server does not answer any more" or nil}
end

local function check_times(list, vm)
  local times = {}
  for i = 1, READS do
    local env = list:call("vm:env()", vm.env, vm)
    times[i] = env and list.milliseconds or math.huge
  end
  table.sort(times)
  list:add {"time to read env", OURS, "an answer within 2 s, each time",
    did = ("%d times vm:env()"):format(READS), saw = times[READS] == math.huge
      and "some reads failed" or ("%d to %d ms, median %d"):format(times[1], times[READS],
        times[READS // 2]), as_expected = times[READS] < 2000}
end

-- The place of a record in the document, without its number.
local function form(path)
  return (path:gsub("%d+", "n"))
end

local function check_vcpus(list, env)
  local places, members, tids, ips, count, extra = {}, {}, 0, 0, 0, {}
  for cpu in env:vcpus() do
    count = count + 1
    places[form(cpu.path)] = true
    tids = tids + (cpu.tid and 1 or 0)
    ips = ips + (cpu.last_known_ip and 1 or 0)
    for name in pairs(type(cpu.raw) == "table" and cpu.raw or {}) do
      members[name] = true
      extra[name] = name ~= "tid" and name ~= "last_known_ip" or nil
    end
  end
  local where = count > 0 and table.concat(sorted(places), ", ") or "nothing the rules find"
  list:add {"vCPUs in env", DOCUMENTED, "the thread id of each vCPU", did = "env:vcpus()",
    saw = ("%s, %d with a thread id, at %s"):format(text.count(count, "vCPU"), tids, where),
    as_expected = count > 0 and tids == count,
    why = count == 0 and "the rules do not know this shape: see qvm.schema" or nil}
  if count > 0 then
    list:add {"last_known_ip", SEEN, "each vCPU has a member of this name",
      did = "env:vcpus()", saw = ("%d of %d have one"):format(ips, count),
      as_expected = ips == count}
    local names = sorted(members)
    list:add {"shape of the vCPUs", OURS, "vcpus[n], with the members tid and last_known_ip",
      did = "compared places and names", saw = ("%s with %s%s"):format(where,
        names[1] and table.concat(names, ", ") or "no members",
        next(extra) and "; not known: " .. table.concat(sorted(extra), ", ") or ""),
      as_expected = where == "vcpus[n]" and not next(extra) and members.tid
        and members.last_known_ip or false}
  end
end

-- The integrator's script takes the 5th blank-separated field of each line that contains
-- last_known_ip.
local function check_lines(list, env)
  local vcpus, at, good = {}, 0, 0
  for cpu in env:vcpus() do
    vcpus[#vcpus + 1] = cpu
  end
  for line in env.text:gmatch("[^\n]+") do
    if line:find("last_known_ip", 1, true) then
      at = at + 1
      local field = line:match("^%s*%S+%s+%S+%s+%S+%s+%S+%s+(%S+)")
      local value = field and qvm.decode(field)
      good = good + (vcpus[at] and value ~= nil and value == vcpus[at].last_known_ip and 1 or 0)
    end
  end
  list:add {"lines of env", SEEN, "one vCPU on a line, the value of last_known_ip its 5th field",
    did = "split env as an integrator's script does",
    saw = ("%s with last_known_ip, %d with its value as 5th field"):format(
      text.count(at, "line"), good), as_expected = at > 0 and at == #vcpus and good == at}
end

local function check_errata(list, env)
  local places, count = {}, 0
  for erratum in env:errata() do
    count = count + 1
    places[form(erratum.path:gsub('%["[^%[]*"%]$', ""):gsub("%.[^.%]]*$", ""))] = true
  end
  local where = table.concat(sorted(places), ", ")
  list:add {"errata in env", DOCUMENTED, "errata of the architecture; configuration variables "
    .. "decide which", did = "env:errata()",
    saw = count > 0 and text.count(count, "erratum", "errata") .. " at " .. where or "none",
    as_expected = count > 0 and true or nil,
    why = count == 0 and "none may be configured, or the rules do not know this shape" or nil}
  if count > 0 then
    list:add {"shape of the errata", OURS, "members of an object errata, or of errata.cpun",
      did = "compared places", saw = where,
      as_expected = (where:gsub("errata%.cpun", "errata"):gsub("errata, ", "")) == "errata"}
  end
end

local function check_rest(list, env)
  local names = {}
  for name in pairs(type(env.raw) == "table" and env.raw or {}) do
    names[name] = name ~= "vcpus" and name ~= "errata" or nil
  end
  list:add {"other members of env", OURS, "whatever else env has is kept",
    did = "listed its members",
    saw = next(names) and table.concat(sorted(names), ", ") or "none",
    why = "no document names them"}
  list:add {"JSON of env", DOCUMENTED, "JSON", did = "decoded strictly (RFC 8259)",
    saw = env.warnings and table.concat(env.warnings, "; ") or "no warnings",
    as_expected = not env.warnings}
end

local function check_state(list, vm)
  local state, why = list:call("vm:state()", vm.state, vm)
  list:add {"state", SEEN, "suspended if last_known_ip of every other vCPU is 0, else running",
    did = "vm:state()", saw = state or why,
    as_expected = (state == "running" or state == "suspended") or nil, why = why}
end

local function check_nodes(list, vm)
  local names = {}
  local iterator, message = list:call("vm:nodes()", vm.nodes, vm)
  for name in iterator or function() end do
    names[#names + 1] = name
  end
  list:add {"vdev nodes", DOCUMENTED, "beside env, a node for each vdev with a name",
    did = "listed the directory, opened nothing",
    saw = iterator and (names[1] and table.concat(names, ", ") or "none") or message,
    as_expected = names[1] and true or nil,
    why = not names[1] and "no vdev may have a name; pass --conf to compare" or nil}
end

-- Compares the VM with its configuration.
local function check_conf(list, vm, path)
  local conf, message = list:call("qvm.conf.load", qvm.conf.load, path)
  local findings
  if conf then
    findings, message = list:call("qvm.conf.check", qvm.conf.check, conf, vm)
  end
  if not findings then
    list:add {"configuration", DOCUMENTED, "syntax of .qvmconf", did = "read " .. path,
      saw = message, as_expected = false}
  end
  for _, finding in ipairs(findings or {}) do
    local verdict
    if finding.verdict ~= "cannot tell" then
      verdict = finding.verdict == "ok"
    end
    list:add {"configuration: " .. finding.what, DOCUMENTED, tostring(finding.expected),
      did = ("compared with %s:%s"):format(finding.file, tostring(finding.line or "-")),
      saw = tostring(finding.actual), as_expected = verdict,
      why = verdict == nil and "it cannot be compared" or nil}
  end
  return conf
end

-- Checks the env of a VM. Returns its bytes, also where they are no document, or nil; and the
-- configuration, if it can be read.
return function(list, vm, conf_path)
  local path = vm.path .. "/env"
  local env, message, code = list:call("vm:env()", vm.env, vm)
  local verdict
  if code ~= "timeout" then
    verdict = env ~= nil
  end
  list:add {"reading env", DOCUMENTED, "env is a JSON file", did = "vm:env()",
    saw = env and text.count(#env.text, "byte") or message,
    as_expected = verdict, why = verdict == nil and "its server does not answer" or nil}
  check_node(list, path, env)
  if not env then
    return code == "malformed" and system.read_env(path) or nil
  end
  check_pieces(list, path, env)
  check_times(list, vm)
  check_rest(list, env)
  check_vcpus(list, env)
  check_lines(list, env)
  check_errata(list, env)
  check_state(list, vm)
  check_nodes(list, vm)
  return env.text, conf_path and check_conf(list, vm, conf_path)
end
