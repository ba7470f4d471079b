-- A program in a real terminal: tmux has one, types into it and tells what it shows.

local files = require "support.files"
local process = require "support.process"

local terminal = {}

local is_open, count = false, 0

-- tmux keeps its socket in the test's directory: no other server is met, nor one
-- that is about to end.
local function tmux(...)
  return process.run({"tmux", "-u", "-f", "/dev/null", "-L", "server." .. count, ...},
    {env = {TMUX_TMPDIR = files.dir()}})
end

-- Runs a shell script there, which goes on at Ctrl-C.
function terminal.start(script)
  count = count + 1
  local path = files.write("terminal.sh", "trap : INT\n" .. script)
  local status, _, errors = tmux("new-session", "-d", "-x", "80", "-y", "50", "sh", path)
  assert(status == 0, errors)
  is_open = true
end

-- Types: text as it is, then keys by tmux's names for them.
function terminal.type(text, ...)
  if text ~= "" then
    tmux("send-keys", "-l", text)
  end
  if ... then
    tmux("send-keys", ...)
  end
end

-- What it shows, and what has left it at the top; lines joined where they wrap.
function terminal.text()
  local _, text = tmux("capture-pane", "-p", "-J", "-S", "-200")
  return (text:gsub("[ \n]+$", "\n"):gsub(" +\n", "\n"))
end

-- Waits until it shows a text.
function terminal.shows(text)
  local found = process.eventually(function()
    return terminal.text():find(text, 1, true)
  end)
  assert(found, ("%q is not in\n%s"):format(text, terminal.text()))
  return true
end

function terminal.clean()
  if is_open then
    is_open = false
    tmux("kill-server")
  end
end

return terminal
