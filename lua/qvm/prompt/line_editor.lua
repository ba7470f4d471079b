-- Reads lines from a user: with editing, completion and history if lua-readline is installed,
-- else as the terminal provides them. From a file or a pipe it just reads lines.

local system = require "qvm.util.system"

local editor = {}

local KEPT = 1000 -- lines of the history

-- The path of the history, by the XDG directories; nil if there is none.
local function history_path()
  local state, home = os.getenv("XDG_STATE_HOME"), os.getenv("HOME")
  if not state or state:sub(1, 1) ~= "/" then
    state = home and home:sub(1, 1) == "/" and home .. "/.local/state"
  end
  return state and state .. "/qvm/explore_history"
end

-- Keeps the last lines of a long history. A line that another prompt appends at the same moment
-- may be lost.
local function trim(path, history)
  local lines = {}
  for line in history:gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  if #lines <= 2 * KEPT then
    return
  end
  local new = ("%s.%x"):format(path, math.random(0)) -- another prompt may be doing this, too
  local file = system.create_file(new)
  if file then
    local text = table.concat(lines, "\n", #lines - KEPT + 1) .. "\n"
    local done = file:write(text) and file:close() and os.rename(new, path)
    return done or os.remove(new)
  end
end

-- Makes the history and its directories, private and short. nil and a message if it cannot be
-- used: then the prompt works without it.
local function prepare(path)
  for at in path:gmatch("()/") do
    if at > 1 then
      system.make_directory(path:sub(1, at - 1), true)
    end
  end
  local ok, message = system.make_private(path)
  local history
  if ok then
    history, message = system.read_file(path)
  end
  if not history then
    return nil, message .. ": no history"
  end
  trim(path, history)
  return path
end

-- Appends a line to the history at once: the prompt may be killed, and others may be running.
local function remember(path, line)
  local file = path and io.open(path, "a")
  if file then
    file:setvbuf("full", #line + 2) -- one write
    file:write(line, "\n")
    file:close()
  end
end

-- Translates candidates for readline: it replaces the last word, and `complete` may replace
-- text that begins earlier.
local function completer(readline, complete)
  return function(text, from, to)
    text = text:sub(1, to - 1)
    local ok, at, list, close = pcall(complete, text)
    local words = {}
    for i, candidate in ipairs(ok and list or {}) do
      words[i] = (text:sub(1, at - 1) .. candidate):sub(from)
    end
    readline.set_completion_append_character(ok and close or "")
    return words
  end
end

-- readline's own loop would continue with the same line after Ctrl-C. So it is given one
-- character at a time, and Ctrl-C begins a new line. The handler of the old line cannot be
-- removed then, which costs a descriptor until the prompt ends.
local function edited(readline, path)
  local last
  return function(prompt)
    local line, is_done
    readline.handler_install(prompt, function(text)
      readline.handler_remove() -- safe only here, where the terminal is restored already
      line, is_done = text, true
    end)
    while not is_done do
      if not system.await_input() then
        io.stdout:write("^C\n")
        return nil, true
      end
      readline.read_char()
    end
    if not line then
      io.stdout:write("\n")
    elseif line:find("%S") and line ~= last then
      readline.add_history(line)
      remember(path, line)
      last = line
    end
    return line
  end
end

local function plain(prompt)
  io.stdout:write(prompt):flush()
  if not system.await_input() then
    io.stdout:write("\n")
    return nil, true
  end
  local line = io.read("l")
  if not line then
    io.stdout:write("\n")
  end
  return line
end

--- Opens the editor.
-- @tparam function complete completes a line: see qvm.prompt.complete
-- @treturn function reads a line, given a prompt; nil at the end; nil, true on Ctrl-C
-- @treturn string `"edited"`, `"plain"` (a terminal without lua-readline), `"script"`
-- @treturn ?string why there is no history
function editor.open(complete)
  if not system.is_terminal(0) or not system.is_terminal(1) then
    return function() return io.read("l") end, "script"
  end
  local ok, readline = pcall(require, "readline")
  if not ok or type(readline) ~= "table" or not readline.handler_install then
    return plain, "plain"
  end
  local path, problem = history_path(), nil
  if path then
    path, problem = prepare(path)
  end
  readline.set_readline_name("qvm-explore")
  readline.set_options {histfile = path or "", keeplines = KEPT}
  readline.set_complete_function(completer(readline, complete))
  return edited(readline, path), "edited", problem
end

return editor
