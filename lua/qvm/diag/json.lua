-- A report as JSON, without blanks. Strings of a dump can be any bytes.

local writer = require "qvm.util.json_writer"

local function set(names)
  local members = {}
  for name in names:gmatch("%S+") do
    members[name] = true
  end
  return members
end

local STYLE = {comma = ",", colon = ":", lenient = true,
  arrays = set "nodes vcpus errata ranges vms errors differences",
  raw = set "messages"} -- there are many: they are kept as JSON

local json = {}

-- Returns the JSON of a small value.
function json.encode(value)
  return assert(writer.encode(value, STYLE))
end

-- Writes a report, in pieces, by put(text).
function json.write(put, report)
  writer.write(put, report, STYLE)
end

return json
