-- A terminal with a shell in it, for what is only seen on one: a tmux of its own.

local files = require "support.files"
local process = require "support.process"

local terminal = {}
terminal.__index = terminal

local opened, count = {}, 0

function terminal:tmux(...)
  local status, out, errors = process.run {"tmux", "-S", self.socket, "-f", "/dev/null", ...}
  assert(status == 0, errors)
  return (out:gsub("\n+$", ""))
end

-- Opens one of 80 columns. env: variables of its shell.
function terminal.open(rows, env)
  count = count + 1 -- a server that is ending still has its socket
  local self = setmetatable({socket = files.path("tmux" .. count)}, terminal)
  local shell = {"env", "-i", "PATH=" .. os.getenv("PATH"), "PS1=$ ", "HOME=" .. files.dir(),
    "TERM=screen"}
  for name, value in pairs(env) do
    shell[#shell + 1] = name .. "=" .. value
  end
  shell[#shell + 1] = "sh"
  for i, word in ipairs(shell) do
    shell[i] = process.quote(word)
  end
  self:tmux("new-session", "-d", "-x", "80", "-y", ("%d"):format(rows), table.concat(shell, " "))
  opened[#opened + 1] = self
  assert(self:shows("^%$"))
  return self
end

-- What is on the screen; with its colours, if wanted.
function terminal:screen(...)
  return self:tmux("capture-pane", "-p", ...)
end

-- A property of the terminal, as tmux calls it.
function terminal:flag(name)
  return self:tmux("display-message", "-p", ("#{%s}"):format(name))
end

function terminal:type(...)
  self:tmux("send-keys", ...)
end

-- Waits until the screen matches a pattern, and gives the screen.
function terminal:shows(pattern)
  return process.eventually(function()
    local screen = self:screen()
    return screen:find(pattern) and screen
  end)
end

-- Runs a command of the shell, and gives what it has written to a file.
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
