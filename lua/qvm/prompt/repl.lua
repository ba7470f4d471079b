-- A Lua prompt that shows results in a readable form.

local check = require "qvm.util.arguments"
local columns = require "qvm.util.columns"
local errors = require "qvm.util.errors"
local system = require "qvm.util.system"
local line = require "qvm.util.text"
local suggest = require "qvm.prompt.suggest"
local view = require "qvm.prompt.show"

local prompt = {}

local ITEMS = 40      -- of an iterator: all registers of any machine
local NAME = 14       -- the longest name of a register
local STRING = 44     -- bytes of a string in a list: a line has 80 columns
local TEXT = 1 << 16  -- bytes of a value that are shown
local LINES = 600     -- lines of a value; qvm.show uses fewer
local LINE = 2000     -- bytes of a line
local ADDRESS = 1 << 24 -- no thread or process id is that large

local codes = {not_found = true, permission = true, not_qvm = true, gone = true,
  malformed = true, truncated = true, too_large = true, unmapped = true, timeout = true,
  unsupported = true, io = true, busy = true}

-- What the iterators of this library return, by the name of the method that makes them: x an
-- address, d a number, s text; "" for objects.
local iterators = {vms = "", nodes = "", vcpus = "", errata = "", segments = "", sections = "",
  notes = "", ranges = "xd", find = "x", strings = "xs", diff = "xds",
  registers = "sx", extra_registers = "sx", kernel_registers = "sx", diff_registers = "dsxx",
  dmesg = "", backtrace = "", mappings = "xds", tasks = "", modules = "", all = "", members = "",
  enumerators = "", lines = "", survey = ""}

-- One value, or an item's part, as text -----------------------------------------

local function is_address(value)
  return value < 0 or value >= ADDRESS
end

-- Does a value have a __tostring?
local function has_tostring(value)
  local meta = debug.getmetatable(value)
  return type(value) == "table" and meta and rawget(meta, "__tostring") ~= nil
end

local function is_list_of_objects(value)
  local count = 0
  for _, element in next, value do
    count = count + 1
    if value[count] == nil or not has_tostring(element) then
      return false
    end
  end
  return count > 0 and not debug.getmetatable(value)
end

-- A text to be shown: limited in lines and in the length of each, and escaped.
local function clipped(text)
  local lines, at = {}, 1
  while at <= #text and #lines < LINES and at <= TEXT do
    local last = (text:find("\n", at, true) or #text + 1) - 1
    local cut = math.min(last, at + LINE - 1, TEXT)
    lines[#lines + 1] = line.escape_lines(text:sub(at, cut))
      .. (cut < last and ("... (%d more bytes)"):format(last - cut) or "")
    at = last + 2
  end
  if at <= #text then
    lines[#lines + 1] = ("... (%d more bytes, %d in all; print shows them)"):format(
      #text - at + 1, #text)
  end
  return table.concat(lines, "\n")
end

local text_of

local function lines_of(list)
  local lines = {}
  for i = 1, math.min(#list, LINES) do
    lines[i] = text_of(list[i])
  end
  if #list > LINES then
    lines[LINES + 1] = ("... and %d more"):format(#list - LINES)
  end
  return table.concat(lines, "\n")
end

function text_of(value)
  if math.type(value) == "integer" then
    local format = value < 0 and "0x%016x  (%d)" or is_address(value) and "%d  0x%016x" or "%d"
    return format:format(value, value)
  elseif type(value) == "string" then
    return clipped(value)
  elseif type(value) ~= "table" then
    return line.escape_controls(view.text(value))
  end
  if has_tostring(value) then
    local ok, text = pcall(tostring, value)
    return clipped(ok and text or "(its __tostring fails)")
  elseif is_list_of_objects(value) then
    return lines_of(value)
  end
  return view.text(value)
end

-- Part of an item. For other iterators, a first number is an address if it is not small.
local function part_of_item(value, kind, is_first, is_last)
  if math.type(value) == "integer" then
    local is_hex = kind == "x" or kind == "" and (is_first and value > 0xfff or is_address(value))
    return (is_hex and "0x%016x" or "%d"):format(value)
  elseif type(value) == "string" then
    local text = line.field(value, kind == "s" and STRING or nil)
    return is_last and text or columns.pad(text, NAME)
  elseif type(value) == "table" and not has_tostring(value) then
    return "{...}"
  end
  return text_of(value)
end

-- Prints the items of an iterator, at most so many; kinds as in the table above.
local function print_items(most, kinds, iterator, state, control)
  local count = 0
  while count < most do
    local item = table.pack(iterator(state, control))
    control = item[1]
    if control == nil then
      break
    end
    count = count + 1
    local parts = {}
    for i = 1, item.n do
      parts[i] = part_of_item(item[i], kinds:sub(i, i), i == 1, i == item.n)
    end
    io.stdout:write(table.concat(parts, "  "), "\n")
  end
  if count == 0 then
    io.stdout:write("(none)\n")
  end
  return count
end

-- The line that is running.
local typed = ""

--- Prints the items of an iterator: `list(x [, n])`, at most n items. If x returns more than an
-- iterator, such as `dump:dmesg()`, the rest is passed to the iterator as in a loop.
function prompt.list(iterator, n, code)
  if iterator == nil and codes[code] then -- a failure instead of an iterator
    return nil, n, code
  elseif type(iterator) ~= "function" then
    check.expected(iterator, 1, "list", "iterator")
  end
  local kinds
  for name in typed:gmatch("[.:]%s*([%a_]+)%s*[({\"']") do
    kinds = kinds or iterators[name]
  end
  if type(n) == "table" then
    print_items(math.huge, kinds or "", iterator, n, code)
  elseif n == nil or math.type(n) == "integer" and n > 0 then
    print_items(n or math.huge, kinds or "", iterator)
  else
    check.expected(n, 2, "list", "a number of items", type(n) == "number" and tostring(n) or nil)
  end
end

--- Like Lua's print, but escapes what could drive the terminal.
function prompt.print(...)
  for i = 1, select("#", ...) do
    io.stdout:write(i > 1 and "\t" or "")
    for piece in line.pieces(tostring((select(i, ...)))) do
      io.stdout:write(line.escape_lines(piece))
    end
  end
  io.stdout:write("\n")
end

-- Results of a line --------------------------------------------------------------

local function report(message)
  io.stdout:flush()
  io.stderr:write(clipped(message), "\n")
end

-- The kinds of the iterator that a text's last call makes; nil if it makes none.
local function iterator_of(text)
  local call = text:match("^(.-)%s*;?%s*$")
  for _, pattern in ipairs {"[.:]%s*([%a_]+)%s*%b()$", "[.:]%s*([%a_]+)%s*%b{}$",
    "[.:]%s*([%a_]+)%s*[\"'][^\"']*[\"']$"} do
    local name = call:match(pattern)
    if iterators[name] then
      return iterators[name]
    end
  end
end

-- Shows the results of a line. False if they are a failure.
local function show(text, env, ...)
  local values = table.pack(...)
  local first, message, code = values[1], values[2], values[3]
  local kinds = type(first) == "function" and iterator_of(text)
  if kinds then
    if print_items(ITEMS, kinds, first) == ITEMS then
      io.stdout:write(("... (the first %d; list(x, n) shows n of them, list(x) all)\n")
        :format(ITEMS))
    end
  elseif first == nil and type(message) == "string" and codes[code] then
    report(("failed: %s (%s)"):format(message, code))
    return false
  elseif values.n > 0 then
    local texts, separator = {}, "\t"
    for i = 1, values.n do
      texts[i] = text_of(values[i])
      separator = texts[i]:find("\n", 1, true) and "\n" or separator
    end
    io.stdout:write(table.concat(texts, separator), "\n")
    local hint = first == nil and values.n == 1 and suggest.for_nil(text, env)
    if hint then
      report(hint)
    end
  end
  local ok, why = io.stdout:flush()
  if not ok then
    report("output: " .. why)
  end
  return ok
end

-- The message of an error. The position is that of the typed line, and is left out. A terminal
-- has shown ^C already.
local function message_of(problem, text, env)
  if type(problem) ~= "string" then
    return text_of(problem)
  elseif errors.is_interrupt(problem) then
    return "\ninterrupted!"
  end
  local hint = problem:find("attempt to index a nil value (local 'self')", 1, true)
    and "(methods are called with a colon: object:method())"
    or text and suggest.for_error(problem, text, env)
  return "error: " .. problem:gsub("^prompt:1: ", "") .. (hint and "\n" .. hint or "")
end

-- Compiles a line as Lua's prompt does: as an expression if it is one. "help" also takes a
-- name without quotes. Returns the function; nil and a message, which is nil if more lines are
-- needed.
local function compile(text, env)
  local about = text:match("^%s*help%s+([%a_][%w_.:]*)%s*$")
  local expression = about and ("help %q"):format(about) or text:match("^%s*%?%s*$") and "help()"
    or text
  local chunk = load("return " .. expression, "=prompt", "t", env)
  local message
  if not chunk then
    chunk, message = load(text, "=prompt", "t", env)
  end
  if not chunk and message:find("<eof>$") then
    return nil, nil
  end
  return chunk, message
end

-- Reads lines until they form a chunk. nil at the end; "" if there is nothing to run. The third
-- result is true if the lines are wrong.
local function read_chunk(read, env)
  local text, was_cleared = read("> ")
  if not text then
    return was_cleared and "" or nil
  end
  local chunk, message = compile(text, env)
  while not chunk and not message do
    local more
    more, was_cleared = read(">> ")
    if not more then
      if not was_cleared then
        report("the last line is not complete")
      end
      return was_cleared and "" or nil, nil, not was_cleared
    end
    text = text .. "\n" .. more
    chunk, message = compile(text, env)
  end
  if message then
    report(message_of(message))
    return "", nil, true
  end
  return text, chunk
end

-- A hint, shown once.
local is_hint_shown = false

local function hint_at_locals(text)
  if not is_hint_shown and text:find("^%s*local%s") and not text:find("[\n;]") then
    is_hint_shown = true
    report("(a local ends with its line: without `local` the value stays)")
  end
end

local function nothing() end

-- Whether exit() was called. It raises `leave`, which the line may catch.
local is_leaving = false

--- Ends the prompt: as the value of a line (`exit`), or by a call.
prompt.leave = setmetatable({}, {
  __tostring = function() return "exit ends the prompt" end,
  __call = function(self)
    is_leaving = true
    error(self, 0)
  end,
})

-- Runs a chunk and shows its results. Its first value becomes `_`. Returns whether nothing failed;
-- and whether the prompt ends.
local function run_chunk(call, text, chunk, env, is_script)
  -- Called from C, so that errors have no position in this file.
  typed = text
  local values = table.pack(call(chunk or nothing))
  local ok, problem = values[1], values[2]
  if ok and not rawequal(problem, prompt.leave) then
    if problem ~= nil then
      env._ = problem
    end
    ok, problem = call(show, text, env, table.unpack(values, 2, values.n))
  end
  if rawequal(problem, prompt.leave) then -- returned or raised
    return true, true
  elseif ok then
    return problem, is_leaving
  end
  report(message_of(problem, text, env))
  return false, is_leaving or is_script and errors.is_interrupt(problem)
end

--- Reads lines and runs them until there are no more, or one is `exit`.
-- @tparam function read as qvm.prompt.line_editor returns it
-- @tparam table env the globals
-- @tparam boolean is_script Ctrl-C ends the script; otherwise only what is running
-- @treturn boolean whether no line failed
function prompt.run(read, env, is_script)
  local call = is_script and pcall or system.interruptible
  if not is_script then
    system.catch_interrupts()
  end
  local is_good = true
  while true do
    local text, chunk, is_wrong = read_chunk(read, env)
    is_good = is_good and not is_wrong
    if not text then
      return is_good
    end
    local ok, is_over = run_chunk(call, text, chunk, env, is_script)
    is_good = is_good and ok
    if is_over then
      return is_good
    end
    hint_at_locals(text)
  end
end

return prompt
