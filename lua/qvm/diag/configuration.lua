-- The part of a VM's report that compares it with its configuration: --conf and --variables.

local qvm = require "qvm"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local configuration = {}

-- Loads the configuration that the options name, and the list of variables. nil if that fails:
-- the problems then say why.
function configuration.load(options, problems)
  local conf, message = qvm.conf.load(options.conf)
  local variables
  if conf and options.variables then
    variables, message = system.read_file(options.variables)
  end
  if not conf or options.variables and not variables then
    return problems:add(message)
  end
  return {conf = conf, variables = variables, path = options.variables}
end

-- Compares a VM with a configuration that `load` returned. Returns a table for the report, or nil
-- and a message.
function configuration.compare(loaded, vm)
  local findings, message, code = qvm.conf.check(loaded.conf, vm, {variables = loaded.variables})
  if not findings then
    return nil, code == "malformed" and loaded.path and loaded.path .. ": " .. message or message
  end
  local list, counts = {}, {ok = 0, differs = 0, ["cannot tell"] = 0}
  for i, f in ipairs(findings) do
    list[i] = {what = f.what, expected = f.expected, actual = f.actual, verdict = f.verdict,
      file = f.file, line = f.line}
    counts[f.verdict] = counts[f.verdict] + 1
  end
  return {path = loaded.conf.path, findings = list, differences = counts.differs,
    equal = counts.ok, unknown = counts["cannot tell"]}
end

-- The same in words: "2 differences from linux1.qvmconf; 5 equal, 1 that cannot be seen".
function configuration.summary(about)
  return ("%s from %s; %d equal, %d cannot be seen"):format(
    text.count(about.differences, "difference"), about.path, about.equal, about.unknown)
end

-- A finding as a line, in the form of a compiler's message.
function configuration.line(finding)
  local is = finding.actual and "is " .. text.cut(finding.actual) or "which cannot be seen"
  if finding.actual and finding.verdict == "cannot tell" then
    is = is .. ", which may stand for either"
  end
  return ("%s:%d: %s: expected %s, %s"):format(finding.file, finding.line, text.cut(finding.what),
    text.cut(finding.expected), is)
end

return configuration
