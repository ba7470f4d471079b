-- Shows a page of text that is refreshed in place, with marks at lines that changed, until
-- Ctrl-C. The terminal is restored, however this ends.

local command = require "qvm.cli.command"
local errors = require "qvm.util.errors"
local qvm = require "qvm"
local text = require "qvm.cli.text"

local watch = {}

local ENTER = "\27[?1049h\27[?25l\27[?7l" -- other screen, no cursor, no wrapping
local LEAVE = "\27[?7h\27[?25h\27[?1049l"

-- Starts a child that waits for the end of this process and then restores the terminal: a
-- script cannot do that itself when a signal ends it.
local function new_guard()
  return io.popen(("trap '' INT QUIT TERM HUP; cat >/dev/null; printf '%%s' '%s'"):format(LEAVE),
    "w")
end

local function screen_rows()
  local pipe = io.popen("stty size </dev/tty 2>/dev/null")
  local rows = pipe and pipe:read("n")
  if pipe then
    pipe:close()
  end
  return rows and rows > 2 and rows or 24
end

local function first_word(line)
  return line:match("^%s*(%S*)")
end

-- Compares two arrays of lines. Returns the lines of the second, each marked if it is new; and
-- lines of the first that are gone: no line begins with the same word now.
function watch.compare(before, now)
  local count, words, marked, gone = {}, {}, {}, {}
  for _, line in ipairs(before or now) do
    count[line] = (count[line] or 0) + 1
  end
  for i, line in ipairs(now) do
    marked[i] = {text = line, is_new = line ~= "" and (count[line] or 0) == 0}
    count[line] = (count[line] or 0) - 1
    words[first_word(line)] = true
  end
  for _, line in ipairs(before or {}) do
    if not words[first_word(line)] then
      gone[#gone + 1] = line
    end
  end
  return marked, gone
end

-- The bytes of a screen: a head, and as many lines as fit.
local function screen(head, marked, gone, paint)
  local lines = {}
  for i, line in ipairs(marked) do
    lines[i] = (line.is_new and paint("*", "changed") .. " " or "  ") .. line.text
  end
  for _, line in ipairs(gone) do
    lines[#lines + 1] = paint("-", "changed") .. " " .. line
  end
  local room = screen_rows() - 2
  if #lines > room then
    lines[room] = ("  ... %d more lines"):format(#lines - room + 1)
  end
  local parts = {"\27[H", head, "\27[K\r\n"}
  for i = 1, math.min(#lines, room) do
    parts[#parts + 1] = "\27[K\r\n" .. lines[i]
  end
  return table.concat(parts) .. "\27[K\27[J"
end

-- Shows the lines that collect() returns, every so many seconds. Ends by an error: Ctrl-C
-- raises one.
local function refresh(title, seconds, collect, paint)
  local before
  while true do
    local lines = collect()
    local marked, gone = watch.compare(before, lines)
    local head = ("%s  %s  (every %s s; Ctrl-C ends)"):format(title, os.date("%H:%M:%S"),
      text.float("%g", seconds))
    io.stdout:write(screen(head, marked, gone, paint))
    assert(io.stdout:flush())
    before = lines
    qvm.sleep(seconds)
  end
end

-- Returns true after Ctrl-C, else nil and why it ended.
function watch.run(title, seconds, collect)
  local paint = command.painter(1)
  local guard, why = new_guard()
  if not guard then
    return nil, why
  end
  io.stdout:write(ENTER)
  local _, message = pcall(refresh, title, seconds, collect, paint)
  if not guard:close() then -- the child ended before it was ready
    io.stdout:write(LEAVE)
  end
  if errors.is_interrupt(message) then
    return true
  end
  return nil, message
end

return watch
