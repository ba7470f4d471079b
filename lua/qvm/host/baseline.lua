-- Encodes and decodes baseline files: JSON, one erratum per line.

local core = require "qvm.core"
local json = require "qvm.util.json_writer"
local line = require "qvm.util.text"

local baseline = {}

local KIND, VERSION = "qvm errata baseline", 1

-- Limits in bytes and JSON values. An env has at most 65536 values, and an erratum of it takes
-- up to four values here.
local SIZE, VALUES_MAX = 16 << 20, 5 << 16

-- Writing --------------------------------------------------------------------

-- Other programs read baselines, too: an integer that a double does not hold is written as
-- text, in a member of its own.
local function encode_entry(entry)
  local value, integer = entry.value, nil
  if math.type(value) == "integer" and (value > 1 << 53 or value < -(1 << 53)) then
    value, integer = nil, ("%d"):format(value)
  end
  local members, problem, code = json.members {{"id", entry.id}, {"cpu", entry.cpu},
    {"value", value}, {"integer", integer}}
  if not members then
    return nil, ("erratum %s: %s"):format(line.value(entry.id), problem), code
  end
  return "{" .. table.concat(members, ", ") .. "}"
end

-- Counts a value and all values in it.
local function count(value)
  local n = 1
  for _, inner in pairs(type(value) == "table" and value or {}) do
    n = n + count(inner)
  end
  return n
end

-- Encodes a snapshot; nil, message, code if `decode` could not read it back.
function baseline.encode(list)
  local lines, values = {}, 4 -- the object, its kind, its version and the array
  for i, entry in ipairs(list) do
    local text, message, code = encode_entry(entry)
    if not text then
      return nil, message, code
    end
    lines[i] = "    " .. text
    values = values + 2 + (entry.cpu and 1 or 0) + count(entry.value)
  end
  if values > VALUES_MAX then
    return nil, ("%d errata are %d values: more than %d cannot be read back"):format(#list, values,
      VALUES_MAX), "too_large"
  end
  local text = ('{\n  "kind": "%s",\n  "version": %d,\n  "errata": [%s]\n}\n'):format(
    KIND, VERSION, lines[1] and "\n" .. table.concat(lines, ",\n") .. "\n  " or "")
  if #text > SIZE then
    return nil, ("%d errata are %d bytes of text: more than %d MiB cannot be read back"):format(
      #list, #text, SIZE >> 20), "too_large"
  end
  return text
end

-- Reading --------------------------------------------------------------------

-- Can it be the vCPU of an entry? The env's decoder has "unknown" for one that it does not
-- understand.
function baseline.is_cpu(value)
  return math.type(value) == "integer" and value >= 0 or value == "unknown"
end

local function decode_entry(raw)
  if type(raw) ~= "table" or type(raw.id) ~= "string"
    or raw.cpu ~= nil and not baseline.is_cpu(raw.cpu) then
    return nil
  end
  local value = raw.value
  if raw.integer ~= nil then
    value = type(raw.integer) == "string" and raw.integer:match("^-?[0-9]+$")
      and math.tointeger(raw.integer)
  end
  if value == nil or raw.integer ~= nil and not value then
    return nil
  end
  return {id = raw.id, cpu = raw.cpu, value = value}
end

local function decode_entries(raw, path)
  local list = {}
  for i, entry in ipairs(raw) do
    list[i] = decode_entry(entry)
    if not list[i] then
      return nil, ("%s: erratum %d is not one: an id and a value are expected"):format(path, i),
        "malformed"
    end
  end
  return list
end

-- Decodes a baseline's text into entries; path: for messages.
function baseline.decode(text, path)
  local raw, message, code = core.decode(text, VALUES_MAX)
  local shown = line.escape_controls(path)
  if raw == nil then
    return nil, shown .. ":" .. line.escape_controls(message), code
  elseif type(raw) ~= "table" or raw.kind ~= KIND or type(raw.errata) ~= "table"
    or type(next(raw.errata)) == "string" then
    return nil, ("%s: not a %s"):format(shown, KIND), "malformed"
  elseif raw.version ~= VERSION then
    return nil, ("%s: a baseline of version %s: this library supports %d"):format(shown,
      line.value(raw.version), VERSION), "unsupported"
  end
  return decode_entries(raw.errata, shown)
end

return baseline
