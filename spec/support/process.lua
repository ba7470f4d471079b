-- Child processes for the specs. io.popen starts them, so their standard input is a pipe from
-- the spec.

local files = require "support.files"
local system = require "system"

local process = {}
process.__index = process

local running = {}

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

process.quote = quote

local function command_line(arguments, options)
  -- Other programs must not inherit the specs' LD_PRELOAD.
  local words = {"exec", "env", "-u", "LD_PRELOAD"}
  for name, value in pairs(options.env or {}) do
    words[#words + 1] = quote(name .. "=" .. value)
  end
  for _, word in ipairs(arguments) do
    words[#words + 1] = quote(word)
  end
  return table.concat(words, " ")
end

function process.sleep(seconds)
  system.sleep(seconds)
end

-- Calls f until it returns a true value, and returns that value; nil after a time limit.
function process.eventually(f, seconds)
  local deadline = system.monotime() + (seconds or 20)
  repeat
    local result = f()
    if result then
      return result
    end
    system.sleep(0.005)
  until system.monotime() > deadline
end

local count = 0

-- Starts a program. options: log (file that stderr is appended to), env, cwd.
function process.start(arguments, options)
  options = options or {}
  count = count + 1
  local self = setmetatable({log = options.log, lines = 0,
    output = files.path(("output.%d"):format(count))}, process)
  local id_file = files.path(("pid.%d"):format(count))
  self.pipe = assert(io.popen(("%s echo $$ >%s; %s >%s 2>>%s"):format(
    options.cwd and "cd " .. quote(options.cwd) .. ";" or "", quote(id_file),
    command_line(arguments, options), quote(self.output),
    quote(options.log or "/dev/null")), "w"))
  self.pid = process.eventually(function()
    local file = io.open(id_file)
    local id = file and file:read("n")
    return file and file:close() and id
  end)
  running[self] = true
  return self
end

-- The next complete line of the child's output; nil if none comes in time.
function process:line(seconds)
  return process.eventually(function()
    local index = 0
    local text = files.exists(self.output) and files.read(self.output) or ""
    for line in text:gmatch("([^\n]*)\n") do
      index = index + 1
      if index > self.lines then
        self.lines = index
        return line
      end
    end
  end, seconds)
end

function process:write(text)
  self.pipe:write(text)
  self.pipe:flush()
end

function process:kill(name)
  os.execute(("kill -%s %d 2>/dev/null"):format(name or "KILL", self.pid))
end

-- Waits until it ends. Returns "exit" or "signal", and the status or signal number.
function process:wait()
  if running[self] then
    running[self] = nil
    local _
    _, self.how, self.status = self.pipe:close()
  end
  return self.how, self.status
end

-- Whether it runs. A zombie does not count as running.
function process:is_alive()
  if not running[self] then
    return false
  end
  local file = io.open(("/proc/%d/stat"):format(self.pid))
  local state = file and file:read("a"):match("%) (%a)")
  if file then
    file:close()
  end
  return state ~= nil and state ~= "Z"
end

-- Runs a program to its end. Returns its exit status, its output and its errors.
function process.run(arguments, options)
  options = options or {}
  options.log = options.log or files.path("errors." .. count + 1)
  local self = process.start(arguments, options)
  local how, status = self:wait()
  return how == "exit" and status or how .. " " .. status, files.read(self.output),
    files.read(options.log)
end

-- The interpreter that the specs test.
process.lua = os.getenv("LUA") or "lua5.4"

-- Runs the tested interpreter with the specs' LD_PRELOAD; see process.run. env: further
-- variables.
function process.run_lua(arguments, env)
  env = env or {}
  env.LD_PRELOAD = os.getenv("LD_PRELOAD")
  return process.run({process.lua, table.unpack(arguments)}, {env = env})
end

function process.clean()
  for self in pairs(running) do
    self:kill()
    self:wait()
  end
end

return process
