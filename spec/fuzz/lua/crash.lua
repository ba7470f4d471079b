-- The reports in a kernel's log. Each line of the input is a message: a byte for its caller,
-- one for its facility and level, one for the time since the message before, then its text.
-- Backslashes stand for line breaks in texts.

local crash = require "qvm.guest.crash"
local files = require "support.files"
local kernel_log = require "support.kernel_log"

local KINDS = {panic = true, oops = true, bug = true, lockup = true, stall = true, hung = true,
  oom = true, warning = true}

local plain = kernel_log.dump(kernel_log.parse "1 T1 6 text")
local Message = getmetatable(plain:dmesg()())
plain:close()
files.clean()

-- The messages of an input.
local function messages_of(input)
  local time, list = 0, {}
  for caller, about, step, text in input:gmatch("([^\n])([^\n])([^\n])([^\n]*)") do
    time = time + (step:byte() << step:byte() % 36) -- nanoseconds, up to a minute
    if step == "\255" then
      time = -time
    end
    list[#list + 1] = setmetatable({nanoseconds = time, time = ("%d.000000000"):format(#list),
      caller = caller ~= "-" and "T" .. caller:byte() or nil, level = about:byte() & 7,
      facility = about:byte() & 8 == 0 and "kern" or about:byte() & 16 == 0 and "user" or nil,
      text = text:gsub("\\", "\n")}, Message)
  end
  return list
end

local function check(found, list)
  assert(KINDS[found.kind] and type(found.message) == "string" and #found.message <= 2048)
  assert(found.time:find("^%d+%.%d%d%d%d%d%d%d%d%d$"))
  assert(found.vcpu == nil or math.type(found.vcpu) == "integer" and found.vcpu >= 0)
  assert(found.cause == nil or found.kind == "panic" and type(found.cause) == "string")
  local task = found.task
  assert(task == nil or math.type(task.pid) == "integer" and type(task.name) == "string")
  assert(#found.lines >= 1 and #found.lines <= 640 and #found.lines <= #list)
  local text = tostring(found)
  assert(utf8.len(text) and not text:find("[\0-\31\127]"), text)
  local known = {}
  for _, m in ipairs(list) do
    known[tostring(m)] = m.facility ~= "user"
  end
  for _, text_line in ipairs(found.lines) do
    assert(#text_line > 2000 or known[text_line], text_line)
  end
end

return function(input)
  local list, i = messages_of(input), 0
  local found = crash.of_messages(function()
    i = i + 1
    return list[i]
  end)
  if found then
    check(found, list)
  end
end
