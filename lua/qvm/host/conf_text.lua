-- Gives entries of a configuration, variables, and findings a __tostring.

local line = require "qvm.util.text"

-- Fields that are shown without their names, in order; fields that are shown with them.
local plain = {"type", "name", "value", "directory", "command"}
local named = {"name", "address", "size", "destination", "runmask", "sched", "partition",
  "cluster", "loc", "intr",
  "hostdev", "peer"}

local function word(name, value)
  if math.type(value) == "integer" then
    return ("0x%x"):format(value)
  elseif name == "command" then
    return "|" .. value
  end
  return line.cut(value)
end

local function describe(kind, entry)
  local words, shown = {kind}, {}
  for _, name in ipairs(plain) do
    if entry[name] and not (name == "name" and (entry.type or kind == "cpu")) then
      words[#words + 1], shown[name] = word(name, entry[name]), true
    end
  end
  for _, list in ipairs {entry.filters or {}, entry.arguments or {}} do
    words[#words + 1] = list[1] and line.cut(table.concat(list, kind == "logger" and "," or " "))
  end
  for _, name in ipairs(named) do
    if entry[name] and not shown[name] then
      words[#words + 1] = name .. " " .. word(name, entry[name])
    end
  end
  if kind == "set" and entry.index then
    words[#words + 1] = ("of %s %d"):format(entry.context, entry.index)
  end
  return ("%s (%s:%d)"):format(table.concat(words, " "), entry.file, entry.line)
end

local kinds = {}
for _, kind in ipairs {"ram", "cpu", "vdev", "dump", "logger", "set", "other"} do
  local name = "Conf" .. kind:sub(1, 1):upper() .. kind:sub(2)
  kinds[kind] = {__name = name, __tostring = line.tostring(kind, function(entry)
    return describe(kind == "other" and "option" or kind, entry)
  end)}
end

kinds.variable = {__name = "Variable", __tostring = line.tostring("variable", function(variable)
  return ("%s (%s, %s)"):format(line.cut(variable.name), variable.type, variable.context)
end)}

kinds.finding = {__name = "Finding", __tostring = line.tostring("finding", function(finding)
  return ("%s: %s: expected %s, %s (%s:%d)"):format(finding.verdict, line.cut(finding.what),
    line.cut(finding.expected), finding.actual and "is " .. line.cut(finding.actual)
      or "which cannot be seen", finding.file, finding.line)
end)}

-- Gives an entry of a kind its __tostring.
return function(kind, entry)
  return setmetatable(entry, kinds[kind])
end
