-- A terminal that runs a shell or a script, for behaviour that only shows on a terminal. Each
-- terminal is a tmux server of its own.

local files = require "support.files"
local process = require "support.process"

local terminal = {}
terminal.__index = terminal

local opened, count = {}, 0

function terminal:tmux(...)
  local status, out, errors = process.run {"tmux", "-u", "-S", self.socket, "-f", "/dev/null",
    ...}
  assert(status == 0, errors)
  return (out:gsub("\n+$", ""))
end

-- Opens a terminal of 80 columns that runs a command.
local function new(rows, command)
  count = count + 1 -- the previous server's socket may still exist
  local self = setmetatable({socket = files.path("tmux" .. count)}, terminal)
  self:tmux("new-session", "-d", "-x", "80", "-y", ("%d"):format(rows), command)
  opened[#opened + 1] = self
  return self
end

-- Opens a terminal with a shell. env: its environment variables.
function terminal.open(rows, env)
  local shell = {"env", "-i", "PATH=" .. os.getenv("PATH"), "PS1=$ ", "HOME=" .. files.dir(),
    "TERM=screen"}
  for name, value in pairs(env) do
    shell[#shell + 1] = name .. "=" .. value
  end
  for _, name in ipairs {"LUA_INIT_5_4", "QVM_LINES"} do -- the test setup of every interpreter
    shell[#shell + 1] = os.getenv(name) and name .. "=" .. os.getenv(name)
  end
  shell[#shell + 1] = "sh"
  for i, word in ipairs(shell) do
    shell[i] = process.quote(word)
  end
  local self = new(rows, table.concat(shell, " "))
  assert(self:shows("^%$"))
  return self
end

-- Opens a terminal with a shell script, which continues after Ctrl-C.
function terminal.run(script)
  return new(50, "sh " .. process.quote(files.write("terminal.sh", "trap : INT\n" .. script)))
end

-- The text on the screen. ...: options of tmux's capture-pane.
function terminal:screen(...)
  return self:tmux("capture-pane", "-p", ...)
end

-- A property of the terminal, by its tmux name.
function terminal:flag(name)
  return self:tmux("display-message", "-p", ("#{%s}"):format(name))
end

function terminal:type(...)
  self:tmux("send-keys", ...)
end

-- Types literal text, then keys by their tmux names.
function terminal:enter(text, ...)
  if text ~= "" then
    self:tmux("send-keys", "-l", text)
  end
  if ... then
    self:tmux("send-keys", ...)
  end
end

-- The screen and the scrollback above it, with wrapped lines joined.
function terminal:text()
  local text = self:tmux("capture-pane", "-p", "-J", "-S", "-200") .. "\n"
  return (text:gsub("[ \n]+$", "\n"):gsub(" +\n", "\n"))
end

-- Waits until terminal:text contains `text`.
function terminal:has(text)
  local found = process.eventually(function()
    return self:text():find(text, 1, true)
  end)
  assert(found, ("%q is not in\n%s"):format(text, self:text()))
end

-- Waits until the screen matches a pattern; returns the screen, or nil after a time limit.
function terminal:shows(pattern)
  return process.eventually(function()
    local screen = self:screen()
    return screen:find(pattern) and screen
  end)
end

-- Runs a shell command and returns its output.
function terminal:answer(command)
  local path = files.path("answer")
  os.remove(path)
  self:type(("%s >%s.new; mv %s.new %s"):format(command, path, path, path), "Enter")
  assert(process.eventually(function() return files.exists(path) end), self:screen())
  return files.read(path)
end

function terminal.clean()
  for _, self in ipairs(opened) do
    pcall(self.tmux, self, "kill-server")
  end
  opened = {}
end

return terminal
