-- Shows a page of text that is refreshed in place, until `q` or Ctrl-C. Lines that changed stay
-- marked for a while, with the time since then. The page scrolls if it is longer than the
-- screen. The terminal is restored, however this ends.

local command = require "qvm.cli.command"
local errors = require "qvm.util.errors"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local watch = {
  MARGIN = 6, -- columns before each line, for its mark and the time since it changed
}

local MARKED_MS = 30000 -- how long a change stays marked
local QUIT = {} -- raised by the key

local ENTER = "\27[?1049h\27[?25l\27[?7l" -- other screen, no cursor, no wrapping
local LEAVE = "\27[?7h\27[?25h\27[?1049l"

-- Keys come at once and are not shown; Ctrl-Z would leave the terminal like this.
local RAW = "stty -icanon -echo susp undef </dev/tty 2>/dev/null"

-- The output of a command about the terminal; "" if it fails.
local function ask_terminal(words)
  local pipe = io.popen("stty " .. words .. " </dev/tty 2>/dev/null")
  local answer = pipe and pipe:read("l")
  if pipe then
    pipe:close()
  end
  return answer or ""
end

-- Starts a child that waits for the end of this process and then restores the terminal: a
-- script cannot do that itself when a signal ends it. By then another process may be in the
-- foreground of the terminal: without SIGTTOU the child may change it nevertheless.
local function new_guard()
  local settings = ask_terminal("-g"):match("^[%x:]+$")
  return io.popen(("trap '' INT QUIT TERM HUP TTOU; cat >/dev/null; %s printf '%%s' '%s'"):format(
    settings and ("stty %s </dev/tty 2>/dev/null;"):format(settings) or "", LEAVE), "w")
end

-- Lines -------------------------------------------------------------------------------

-- Paints a part of a line that changes all the time, which is no change of the line.
function watch.paint_moving(plain)
  return "\1" .. plain .. "\1"
end

-- What counts of a line when it is compared.
local function key_of(line)
  return (line:gsub("\1[^\1]*\1", ""))
end

local function first_word(line)
  return line:match("^%s*(%S*)")
end

-- Takes a line out of those of the last page that are equal to it, in their order.
local function take(pool, key)
  local same = pool[key]
  return same and table.remove(same, 1)
end

-- Compares the lines of a page with the last page, an array of {text, key, since}; nil: there is
-- none. Returns such an array: `since` is the time in milliseconds at which a line became what
-- it is, nil if it has been so from the start. Lines that are gone, and in whose place there is
-- no other that begins with the same word, follow for a while with `is_gone`.
function watch.compare(before, lines, now)
  local page, pool, words = {}, {}, {}
  for _, line in ipairs(before or {}) do
    if not line.is_gone then
      pool[line.key] = pool[line.key] or {}
      table.insert(pool[line.key], line)
    end
  end
  for i, line in ipairs(lines) do
    local key = key_of(line)
    local same = take(pool, key)
    page[i] = {text = line:gsub("\1", ""), key = key}
    if same then
      page[i].since = same.since
    elseif before and key ~= "" then
      page[i].since = now
    end
    words[first_word(key)] = true
  end
  for _, line in ipairs(before or {}) do
    local is_left = line.is_gone or take(pool, line.key) == line
    if is_left and line.key ~= "" and not words[first_word(line.key)]
      and (not line.is_gone or now - line.since < MARKED_MS) then
      page[#page + 1] = {text = line.text, key = line.key, is_gone = true,
        since = line.is_gone and line.since or now}
    end
  end
  return page
end

-- A time in four columns at most.
local function age(milliseconds)
  local seconds = milliseconds // 1000
  for _, unit in ipairs {{"s", 1, 100}, {"m", 60, 100}, {"h", 3600, 48}} do
    if seconds < unit[2] * unit[3] then
      return ("%d%s"):format(seconds // unit[2], unit[1])
    end
  end
  return ("%dd"):format(math.min(seconds // 86400, 999))
end

-- The screen --------------------------------------------------------------------------

local View = {}
View.__index = View

local function new_view(title, seconds)
  return setmetatable({paint = command.painter(1), top = 0, pending = "", page = {},
    has_keys = system.is_terminal(0),
    title = title, every = text.float("%g", seconds)}, View)
end

function View:margin(line, now)
  if not line.since then
    return (" "):rep(watch.MARGIN)
  end
  local is_recent = now - line.since < MARKED_MS
  return ("%s%4s "):format(
    is_recent and self.paint(line.is_gone and "-" or "*", "changed") or " ", age(now - line.since))
end

-- The number of lines of the page that fit the screen, below the head and an empty line, and
-- above a line with the place if some do not fit.
function View:room()
  local rows = tonumber(ask_terminal("size"):match("^%d+")) or 24
  local room = math.max(rows, 5) - 2
  return #self.page > room and room - 1 or room
end

function View:draw()
  local room, now = self:room(), system.now()
  self.top = math.max(0, math.min(self.top, #self.page - room))
  local last = math.min(#self.page, self.top + room)
  local parts = {"\27[H", ("%s  %s  (every %s s; q quits)"):format(self.title, self.time,
    self.every), "\27[K\r\n"}
  for i = self.top + 1, last do
    local line = self.page[i]
    parts[#parts + 1] = "\27[K\r\n" .. (self:margin(line, now) .. line.text):gsub("%s+$", "")
  end
  if #self.page > room then
    parts[#parts + 1] = ("\27[K\r\nlines %d to %d of %d  (arrows, PgUp, PgDn)"):format(
      self.top + 1, last, #self.page)
  end
  io.stdout:write(table.concat(parts), "\27[K\27[J")
  assert(io.stdout:flush())
end

-- Keys ----------------------------------------------------------------------------------

local TOP, BOTTOM = -math.huge, math.huge

-- How many lines a key scrolls, given the lines of a screen.
local function line_by(count) return function() return count end end
local function screen_by(sign) return function(room) return sign * (room - 1) end end
local DOWN, UP, NEXT, BACK = line_by(1), line_by(-1), screen_by(1), screen_by(-1)

local KEYS = {j = DOWN, ["\27[B"] = DOWN, ["\27OB"] = DOWN, ["\n"] = DOWN, ["\r"] = DOWN,
  k = UP, ["\27[A"] = UP, ["\27OA"] = UP, [" "] = NEXT, ["\27[6~"] = NEXT, b = BACK,
  ["\27[5~"] = BACK, g = line_by(TOP), ["\27[H"] = line_by(TOP), ["\27[1~"] = line_by(TOP),
  G = line_by(BOTTOM), ["\27[F"] = line_by(BOTTOM), ["\27[4~"] = line_by(BOTTOM)}

-- Takes the first key from the bytes that were typed; nil if there is none, or only the
-- beginning of one.
function View:next_key()
  for length = 4, 1, -1 do
    local key = self.pending:sub(1, length)
    if KEYS[key] or key == "q" or key == "Q" then
      self.pending = self.pending:sub(#key + 1)
      return key
    end
  end
  if not self.pending:find("^\27[%[O]?%d?$") then
    self.pending = self.pending:sub(2)
    return self.pending ~= "" and self:next_key() or nil
  end
end

-- Waits for keys, at most so many milliseconds, and does what they say.
function View:await_keys(milliseconds)
  milliseconds = math.max(0, math.min(milliseconds, 60000))
  local typed
  if self.has_keys then
    typed = system.read_input(milliseconds)
  else
    system.sleep(milliseconds)
  end
  if typed == "" then -- nobody can type any more
    self.has_keys = false
  end
  self.pending = self.pending .. (typed or "")
  local key = self:next_key()
  while key do
    if key == "q" or key == "Q" then
      error(QUIT, 0)
    end
    local top = self.top + KEYS[key](self:room())
    self.top = math.max(0, math.min(top, #self.page))
    self:draw()
    key = self:next_key()
  end
end

-- Shows the lines that collect(progress) returns, every so many seconds; it calls progress while
-- it waits. Ends by an error: Ctrl-C raises one.
local function refresh(view, seconds, collect)
  local before
  while true do
    local lines = collect(function() view:await_keys(0) end)
    view.page = watch.compare(before, lines, system.now())
    before, view.time = view.page, os.date("%H:%M:%S")
    view:draw()
    local due = system.now() + math.ceil(seconds * 1000)
    repeat
      view:await_keys(due - system.now())
    until system.now() >= due
  end
end

-- Returns true after `q` or Ctrl-C, else nil and why it ended.
function watch.run(title, seconds, collect)
  local guard, why = new_guard()
  if not guard then
    return nil, why
  end
  io.stdout:write(ENTER)
  os.execute(RAW)
  local _, message = pcall(refresh, new_view(title, seconds), seconds, collect)
  if not guard:close() then -- the child ended before it was ready
    io.stdout:write(LEAVE)
  end
  if message == QUIT or errors.is_interrupt(message) then
    return true
  end
  return nil, message
end

return watch
