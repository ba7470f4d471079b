-- Captures a VM: its env, its status text and a dump, compressed. What cannot be captured is
-- missing, and event.json says why.

local captures = require "qvm.cli.captures"
local json_writer = require "qvm.util.json_writer"
local qvm = require "qvm"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local capture = {}

local STYLE = {comma = ",", colon = ":", lenient = true, arrays = {missing = true}}

-- The VM's own path, for an option in which {vm} is the VM's name.
local function path_for(option, name)
  return (option:gsub("{vm}", (name:gsub("%%", "%%%%"))))
end

-- Compresses a file of the capture; nil and a message if that fails.
local function compress(path)
  local file <close>, message = system.open_file(path, true)
  if not file then
    return nil, message
  end
  return system.compress_file(file, path, path .. ".gz")
end

local Capture = {}
Capture.__index = Capture

function Capture:misses(what, message)
  table.insert(self.event.missing, {what = what, reason = message})
end

function Capture:add_env(vm)
  local state, why = vm:state()
  self.event.state, self.event.reason = state or "unknown", why
  self.event.pid = (vm:pid())
  local env, message = vm:env()
  local ok = env
  if env then
    ok, message = system.save(self.path .. "/env.json", env.text, true)
  end
  if not ok then
    return self:misses("env", message)
  end
  self:has("env", #env.text)
end

function Capture:add_status(vm, options)
  local log, bytes, message = options.log, nil, nil
  if log == "slog" then
    log, message = qvm.slog2(vm)
  elseif log then
    log = path_for(log, vm.name)
  else
    message = "without --log its place is not known"
  end
  if log then
    bytes, message = vm:status {log = log, timeout = options.timeout}
  end
  local path, ok = self.path .. "/status.txt", bytes
  if bytes then
    ok, message = system.save(path, bytes, true)
  end
  if ok then
    ok, message = compress(path)
    os.remove(path)
  end
  if not ok then
    return self:misses("status text", message)
  end
  self:has("status text", bytes and #text.lines(bytes), "line")
end

function Capture:has(what, count, unit)
  self.parts[#self.parts + 1] = ("%s (%s)"):format(what, unit and text.count(count, unit)
    or text.in_units(count))
end

-- Compresses a dump, and removes it from where the VM wrote it. One that is too large is
-- removed, too: the next one would not fit either. Others may have put something else at its path:
-- the file is the one that was checked, and what is not that file is not removed.
function Capture:keep_dump(dump, max_size)
  local file <close>, message = system.dump_file(dump)
  if not file then
    return nil, message
  end
  local kept = ("%s/%s.gz"):format(self.path, dump.path:match("[^/]*$"):gsub("%.gz$", ""))
  local ok
  ok, message = system.compress_file(file, dump.path, kept)
  if not ok then
    return nil, message
  end
  ok, message = system.remove_file(dump.path, file)
  self.left = not ok and message or nil
  if captures.size(self.path) > max_size then
    os.remove(kept)
    return nil, "larger than --max-size, compressed"
  end
  self:has("dump", (system.stat(kept)))
  return true
end

function Capture:add_dump(vm, options)
  if not options.dump then
    return self:misses("dump", "without --dump its place is not known")
  end
  local dump <close>, message = vm:dump {dir = path_for(options.dump, vm.name),
    timeout = options.timeout}
  local ok = dump
  if dump then
    ok, message = self:keep_dump(dump, options.max_size)
  end
  if not ok then
    self:misses("dump", message)
  end
end

function Capture:text()
  local missing = {}
  for i, one in ipairs(self.event.missing) do
    missing[i] = one.what
  end
  return (self.parts[1] and table.concat(self.parts, ", ") or "nothing but the event")
    .. (missing[1] and "; without " .. table.concat(missing, ", ") or "")
    .. (self.left and "; not removed: " .. self.left or "")
end

-- Fills a capture that captures.begin has made. Returns whether it is complete, and a text about
-- it; nil and a message if it is not there at all.
function capture.take(path, options)
  local self = setmetatable({path = captures.partial(path), parts = {}, event = {
    vm = options.capture, library = qvm.version, host = system.host_name(),
    time = os.date("!%Y-%m-%dT%H:%M:%SZ"), missing = {}, trigger = path:match("(%l+)$")}}, Capture)
  local vm, message = qvm.vm(options.capture)
  local answer = vm and qvm.survey {names = {options.capture}}()
  if answer then
    self:add_env(answer)
    self:add_status(vm, options)
    self:add_dump(vm, options)
  else
    self:misses("VM", message or "it has ended meanwhile")
  end
  local ok
  ok, message = system.save(self.path .. "/" .. captures.EVENT,
    assert(json_writer.encode(self.event, STYLE)) .. "\n", true)
  if ok then
    ok, message = os.rename(self.path, path)
    message = message and path .. ": " .. message
  end
  if not ok then
    return nil, message
  end
  return {is_complete = #self.event.missing == 0, text = path .. ": " .. self:text()}
end

return capture
